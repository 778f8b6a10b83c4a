"""Frame-level and video-level metrics of scored frames. Undefined ones are None, never NaN."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score

from amiss.evaluation._scored_frames import ScoredFrames

_FAR_THRESHOLD = 0.5
_CALIBRATION_BINS = 15


@dataclass(frozen=True, eq=False)
class Runs:
    """Stretches of consecutive frames of one video that share score and label: frames, 16 times fewer to look at."""

    video: NDArray[np.int64]
    score: NDArray[np.float64]
    label: NDArray[np.bool_]
    length: NDArray[np.int64]

    def select(self, which: NDArray[np.bool_]) -> "Runs":
        """Some of the runs."""
        return Runs(self.video[which], self.score[which], self.label[which], self.length[which])


def runs_of(frames: ScoredFrames) -> Runs:
    """All runs of a test set, in order."""
    changes = (np.diff(frames.scores) != 0) | (np.diff(frames.labels.astype(np.int8)) != 0)
    starts = np.union1d(np.flatnonzero(changes) + 1, frames.offsets[:-1])
    lengths = np.diff(np.append(starts, len(frames.scores)))
    return Runs(frames.video_of_frame[starts], frames.scores[starts], frames.labels[starts], lengths)


def roc_auc(runs: Runs) -> float | None:
    """Area under the ROC curve over frames; None without both normal and anomalous ones."""
    if runs.label.all() or not runs.label.any():
        return None
    return float(roc_auc_score(runs.label, runs.score, sample_weight=runs.length))


def average_precision(runs: Runs) -> float | None:
    """Average precision over frames, step-wise: sum of (R_n - R_{n-1}) P_n; None without anomalous frames."""
    if not runs.label.any():
        return None
    return float(average_precision_score(runs.label, runs.score, sample_weight=runs.length))


def pr_auc_trapezoid(runs: Runs) -> float | None:
    """Area under the precision-recall curve by the trapezoid rule, as RTFM and its successors call "AP"."""
    if not runs.label.any():
        return None
    precision, recall, _ = precision_recall_curve(runs.label, runs.score, sample_weight=runs.length)
    return float(auc(recall, precision))


def per_video_auc(frames: ScoredFrames) -> NDArray[np.float64]:
    """[V] ROC-AUC within each video; NaN where all its frames have the same label."""
    values = np.full(len(frames.videos), np.nan)
    for index in range(len(values)):
        scores, labels = frames.of_video(index)
        if labels.any() and not labels.all():
            values[index] = roc_auc_score(labels, scores)
    return values


def false_alarm_frames(frames: ScoredFrames, threshold: float = _FAR_THRESHOLD) -> NDArray[np.int64]:
    """[V] frames of each normal video with a score at or above the threshold; 0 for anomalous videos."""
    above = np.add.reduceat(frames.scores >= threshold, frames.offsets[:-1], dtype=np.int64)
    return np.where(frames.anomalous, 0, above)


def calibration(runs: Runs) -> dict[str, float]:
    """Do scores mean probabilities? Over frames, scores in 0..1.

    Returns:
        `brier`: mean squared difference of score and label. `ece`: expected calibration error, the mean distance between
        mean score and share of anomalous frames over 15 bins of equal width (Guo et al. 2017).
    """
    weight = runs.length / runs.length.sum()
    brier = float(np.sum(weight * (runs.score - runs.label) ** 2))
    bins = np.minimum((runs.score * _CALIBRATION_BINS).astype(int), _CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weight * (runs.score - runs.label), minlength=_CALIBRATION_BINS)
    return {"brier": brier, "ece": float(np.abs(gaps).sum())}


def frame_metrics(frames: ScoredFrames) -> tuple[dict[str, float | None], dict[str, str]]:
    """All metrics of one set of scores.

    Returns:
        Values (None = undefined) and, for undefined ones, the reason.
    """
    values: dict[str, float | None] = {}
    reasons: dict[str, str] = {}

    def put(name: str, value: float | None, reason: str) -> None:
        values[name] = value
        if value is None:
            reasons[name] = reason

    runs = runs_of(frames)
    of_anomalous = runs.select(frames.anomalous[runs.video])
    unknown = unknown_frames_reason(frames)
    no_class = unknown or _one_class_reason(runs.label)
    labelled = unknown is None
    put("auc", roc_auc(runs) if labelled else None, no_class or "")
    put("ano_auc", roc_auc(of_anomalous) if labelled else None, unknown or _one_class_reason(of_anomalous.label) or "")
    put("ap", average_precision(runs) if labelled else None, no_class or "")
    put("pr_auc_trapezoid", pr_auc_trapezoid(runs) if labelled else None, no_class or "")
    each = per_video_auc(frames)
    macro = float(np.nanmean(each)) if labelled and not np.isnan(each).all() else None
    put("macro_auc", macro, unknown or "no test video has both normal and anomalous frames")
    both = bool(frames.anomalous.any()) and not frames.anomalous.all()
    video_auc = float(roc_auc_score(frames.anomalous, frames.video_scores)) if both else None
    put("video_auc", video_auc, "the test videos are all normal or all anomalous")
    probabilities = bool(runs.score.min() >= 0 and runs.score.max() <= 1)
    out_of_range = f"scores go from {runs.score.min():.4g} to {runs.score.max():.4g}; they must lie in 0..1 for this"
    n_normal = int(np.diff(frames.offsets)[~frames.anomalous].sum())
    far = float(false_alarm_frames(frames).sum() / n_normal) if n_normal and probabilities else None
    put("far", far, out_of_range if n_normal else "there is no normal test video")
    measured: Mapping[str, float] = calibration(runs) if labelled and probabilities else {}
    for name in ("brier", "ece"):
        put(name, measured.get(name), unknown or out_of_range)
    return values, reasons


def unknown_frames_reason(frames: ScoredFrames) -> str | None:
    """Why frame metrics are undefined for a test set that has labels on whole videos only; None where they aren't."""
    if frames.has_frame_labels:
        return None
    return "the anomalous test videos have no events: only labels of whole videos are known"


def _one_class_reason(labels: NDArray[np.bool_]) -> str | None:
    if not labels.any():
        return "the test set has no anomalous frames"
    return "the test set has no normal frames" if labels.all() else None


def per_class_metrics(frames: ScoredFrames) -> dict[str, dict[str, Any]]:
    """Metrics for each class of anomalous videos: its videos against all normal ones.

    Returns:
        For each class `n_videos`, `n_frames`, `n_positive` (of its own videos) and `auc`, `ap` (with all normal videos)
        and `ano_auc` (its own videos only); None = undefined.
    """
    if not frames.has_frame_labels:
        return {}
    runs = runs_of(frames)
    class_of = np.array([video.class_name or "" for video in frames.videos])
    result = {}
    for name in sorted(set(class_of[frames.anomalous]) - {""}):
        of_class = frames.anomalous & (class_of == name)
        own = runs.select(of_class[runs.video])
        against_normal = runs.select((of_class | ~frames.anomalous)[runs.video])
        result[str(name)] = {
            "n_videos": int(of_class.sum()),
            "n_frames": int(own.length.sum()),
            "n_positive": int(own.length[own.label].sum()),
            "auc": roc_auc(against_normal),
            "ano_auc": roc_auc(own),
            "ap": average_precision(against_normal),
        }
    return result
