"""Evaluate scores against a manifest under a protocol."""

from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from amiss.datasets import Manifest
from amiss.errors import UsageError
from amiss.evaluation._bootstrap import bootstrap_metrics, intervals, resample_videos
from amiss.evaluation._event_evaluation import event_metrics
from amiss.evaluation._frame_metrics import frame_metrics, per_class_metrics
from amiss.evaluation._metric_names import METRICS
from amiss.evaluation._scored_frames import ScoredFrames, score_frames
from amiss.evaluation._shortcuts import against_shortcuts
from amiss.evaluation._undefined import Undefined, settle
from amiss.evaluation._video_scores import Scores

_OF_EVENTS = {  # metric with an interval → its name among the event metrics
    "false_alarms_per_hour": "false_alarms_per_hour",
    "event_ap": "ap_mean",
    "latency_aware_ap": "latency_aware_ap",
}


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """Metrics of one set of scores under one protocol. None = undefined; `undefined` says why."""

    protocol: str
    """Its id."""
    n_videos: int
    """Test videos."""
    n_frames: int
    """Frames that count under the protocol."""
    n_positive: int
    """Anomalous frames."""
    auc: float | None
    """ROC-AUC over all frames, pooled (micro)."""
    ano_auc: float | None
    """ROC-AUC over the frames of anomalous videos: can it say when, not only in which video?"""
    ap: float | None
    """Average precision over frames, step-wise."""
    pr_auc_trapezoid: float | None
    """Area under the precision-recall curve by the trapezoid rule, which RTFM and its successors call AP."""
    within: float | None
    """Mean of the ROC-AUCs inside each video that has both normal and anomalous frames: does it know when? Neither
    which video it is nor its length has a part in it."""
    video_auc: float | None
    """ROC-AUC over videos, each with its largest frame score."""
    far: float | None
    """Share of the frames of normal videos with a score of at least 0.5."""
    brier: float | None
    """Mean squared difference of score and label over frames."""
    ece: float | None
    """Expected calibration error over frames."""
    per_class: dict[str, dict[str, Any]]
    """Class → its metrics, see `per_class_metrics`."""
    events: dict[str, Any]
    """Event metrics, see `event_metrics`."""
    ci95: dict[str, list[float]]
    """95 % intervals [low, high] from resampling whole videos."""
    n_bootstrap: int
    """Replicates behind the intervals; 0 = no intervals."""
    n_excluded: int
    """Test videos that were left out on request."""
    undefined: dict[str, str]
    """Metric → why it is None."""
    notes: tuple[str, ...]
    """What a reader of the numbers must know."""
    shortcuts: dict[str, dict[str, Any]] = field(default_factory=dict)
    """How it stands to rankings that look at no picture, see `against_shortcuts`."""
    selection: str | None = None
    """How the model was chosen: `last`, `selected` (without the test set) or `oracle(test)`; None = unknown."""
    seeds: tuple[int, ...] = field(default=())
    """Training seeds behind the scores."""

    @property
    def macro_auc(self) -> float | None:
        """What `within` was called before."""
        return self.within

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON, with `event_ap` and `latency_aware_ap` beside the other metrics."""
        of_events = {name: self.events[key] for name, key in _OF_EVENTS.items() if name in METRICS}
        return asdict(self) | of_events | {"macro_auc": self.macro_auc}


def evaluate(
    scores: Scores,
    manifest: Manifest,
    protocol: str = "exact",
    *,
    n_bootstrap: int = 1000,
    seed: int = 0,
    threshold: float = 0.5,
    exclude: Collection[str] = (),
) -> EvaluationResult:
    """Measure scores on the test videos of a manifest.

    Warns where annotated events lie past the last frame.

    Args:
        scores: of every test video.
        manifest: with frame counts, and events where frame metrics are wanted.
        protocol: id, see `PROTOCOLS`.
        n_bootstrap: replicates for the intervals; 0 = no intervals.
        seed: of the resampling.
        threshold: operating point of the event metrics.
        exclude: test videos to leave out, e.g. those that can't be scored; their number is reported.

    Raises:
        UsageError: unknown protocol, or a negative number of replicates.
        EvaluationError: scores are missing, of unknown videos, or don't fit the frame counts.
    """
    if n_bootstrap < 0:
        raise UsageError(f"n_bootstrap is {n_bootstrap}; it must be 0 or more")
    frames = score_frames(scores, manifest, protocol, exclude=exclude)
    n_excluded = len(set(exclude))
    return evaluate_frames(frames, n_bootstrap=n_bootstrap, seed=seed, threshold=threshold, n_excluded=n_excluded)


def evaluate_frames(
    frames: ScoredFrames, *, n_bootstrap: int = 1000, seed: int = 0, threshold: float = 0.5, n_excluded: int = 0
) -> EvaluationResult:
    """As `evaluate`, from scored frames."""
    metrics: dict[str, Any] = {
        **frame_metrics(frames),
        "per_class": per_class_metrics(frames),
        "events": event_metrics(frames, threshold),
    }
    n_anomalous = int(frames.anomalous.sum())
    resampled = min(n_anomalous, len(frames.videos) - n_anomalous) >= 2
    if n_bootstrap and not resampled:
        metrics["ci95"] = Undefined("resampling needs at least 2 normal and 2 anomalous test videos")
    values, undefined = settle(metrics)
    values["ci95"] = {}
    events = values["events"]
    defined = values | {name: events[key] for name, key in _OF_EVENTS.items()}
    replicates, weights = {}, None
    if n_bootstrap and resampled:
        weights = resample_videos(frames.anomalous, n_bootstrap, seed)
        replicates = bootstrap_metrics(frames, weights, threshold)
        values["ci95"] = intervals({name: value for name, value in replicates.items() if defined[name] is not None})
    if 0 < n_anomalous < len(frames.videos):
        values["shortcuts"] = against_shortcuts(frames, defined, replicates, weights)
    excluded = (f"{n_excluded} test videos are excluded",) if n_excluded else ()
    return EvaluationResult(
        protocol=frames.protocol,
        n_videos=len(frames.videos),
        n_frames=len(frames.scores),
        n_positive=int(np.sum(frames.labels)),
        n_bootstrap=n_bootstrap if values["ci95"] else 0,
        n_excluded=n_excluded,
        undefined=undefined,
        notes=frames.notes + excluded,
        **values,
    )
