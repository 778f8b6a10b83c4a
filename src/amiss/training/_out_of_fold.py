"""What scores of videos that weren't trained on say: how good the detector is, and which labels may be wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from sklearn.metrics import roc_auc_score

from amiss.datasets import Manifest, Video, first_names
from amiss.detection import Calibration, NormalFootage, OperatingPoint, calibrate
from amiss.training._crossfit import Logits
from amiss.training._data_check import file_of

_TAIL = 0.25  # of the other label: a video beyond it looks like one of them
_LEAST_HOURS = 1.0  # of normal videos; fewer can't even show three false alarms an hour


@dataclass(frozen=True, kw_only=True)
class OutOfFold:
    """Training videos, each scored by a head that wasn't trained on it."""

    source: str
    """How that came about, in words."""
    video_auc: float
    """ROC-AUC over these videos, by their highest scores."""
    scores: dict[str, float]
    """Highest score of each video, 0..1."""
    default: OperatingPoint
    """The detector's threshold, and what it does."""
    table: tuple[OperatingPoint, ...]
    """Other thresholds, the highest first."""
    loud_normal: tuple[str, ...]
    """Normal videos that score like the highest quarter of the anomalous ones, the highest first: is the label
    right?"""
    quiet_anomalous: tuple[str, ...]
    """Anomalous videos that score like the lowest quarter of the normal ones, the lowest first."""
    seconds: float
    """That cross-fitting took."""
    normal_hours: float | None = None
    """Length of the normal videos; None = unknown."""

    @classmethod
    def of(
        cls,
        videos: Sequence[Video],
        logits: Mapping[str, Logits],
        source: str,
        false_alarms: float,
        seconds: float,
        lengths_s: Mapping[str, float] | None = None,
    ) -> tuple[Self, Calibration]:
        """From the logits of videos, both labels among them; and the calibration that they give.

        Args:
            videos: training videos.
            logits: of those that were scored.
            source: how they come to be not trained on, in words.
            false_alarms: share of normal videos that may reach the threshold.
            seconds: that it took.
            lengths_s: of the videos whose length is known.
        """
        scored = [video for video in videos if video.video_id in logits]
        peaks = np.array([np.mean([clips.max() for clips in logits[video.video_id]]) for video in scored])
        labels = np.array([video.label for video in scored], dtype=np.intp)
        footage = _normal_footage(scored, logits, lengths_s or {})
        calibration = calibrate(
            peaks.tolist(), labels.tolist(), source=source, false_alarms=false_alarms, footage=footage
        )
        scores = calibration.scores_of(peaks)
        high = np.quantile(scores[labels == 1], 1 - _TAIL)
        low = np.quantile(scores[labels == 0], _TAIL)
        order = np.argsort(scores, kind="stable")
        loud = [scored[i].video_id for i in order[::-1] if labels[i] == 0 and scores[i] >= high]
        quiet = [scored[i].video_id for i in order if labels[i] == 1 and scores[i] <= low]
        default = next(point for point in calibration.table if point.threshold == calibration.threshold)
        found = cls(
            source=source,
            video_auc=float(roc_auc_score(labels, peaks)),
            scores={video.video_id: float(score) for video, score in zip(scored, scores, strict=True)},
            default=default,
            table=calibration.table,
            loud_normal=tuple(loud),
            quiet_anomalous=tuple(quiet),
            seconds=seconds,
            normal_hours=footage.hours if footage is not None else None,
        )
        return found, calibration

    @property
    def tells_hours(self) -> bool:
        """Whether the normal videos last long enough for false alarms an hour."""
        return self.normal_hours is not None and self.normal_hours >= _LEAST_HOURS

    @property
    def hours_remark(self) -> str:
        """What false alarms an hour rest on, in words."""
        if self.normal_hours is None:
            return "false alarms an hour: nobody knows how long the normal videos are (no frame counts and rates)"
        if self.tells_hours:
            shown = f"the normal videos last {self.normal_hours:.3g} h"
            return f"false alarms an hour: {shown}; choose with `amiss detect --per-hour N`"
        short = f"{60 * self.normal_hours:.2g} minutes"
        return f"false alarms an hour: too little to say; the normal videos last {short}, and it takes an hour or more"

    def remarks(self, manifest: Manifest) -> tuple[str, ...]:
        """What a user should look at, in words; videos named by their files."""

        def named(ids: Sequence[str]) -> str:
            return first_names(file_of(manifest.by_id[video_id]) for video_id in ids)

        said = []
        if self.video_auc < 0.5:
            said.append(
                f"anomalous videos score below normal ones that weren't trained on (video AUC {self.video_auc:.3f}): "
                "the labels may be exchanged, or these features don't show what is anomalous"
            )
        if self.default.found == 0:
            said.append(f"no anomalous video reaches the default threshold, {self.default.threshold:.3f}")
        if self.loud_normal:
            said.append(f"normal, but scored like anomalous ones: {named(self.loud_normal)}: is the label right?")
        if self.quiet_anomalous:
            said.append(f"anomalous, but without any high clip: {named(self.quiet_anomalous)}: is the label right?")
        return tuple(said)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `dataclasses.asdict` gave."""
        return cls(
            **{
                **values,
                "default": OperatingPoint.from_dict(values["default"]),
                "table": tuple(map(OperatingPoint.from_dict, values["table"])),
                "loud_normal": tuple(values["loud_normal"]),
                "quiet_anomalous": tuple(values["quiet_anomalous"]),
            }
        )


def _normal_footage(
    videos: Sequence[Video], logits: Mapping[str, Logits], lengths_s: Mapping[str, float]
) -> NormalFootage | None:
    normal = [video.video_id for video in videos if video.label == 0 and video.video_id in lengths_s]
    if not normal:
        return None
    rounds = len(logits[normal[0]])
    clips = [clips for video_id in normal for clips in logits[video_id]]
    return NormalFootage(clips, sum(lengths_s[video_id] for video_id in normal) / 3600, rounds)
