"""What scores of videos that weren't trained on say: how good the detector is, and which labels may be wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from sklearn.metrics import roc_auc_score

from amiss.datasets import Video
from amiss.detection import Calibration, OperatingPoint, calibrate

_TAIL = 0.25  # of the other label: a video beyond it looks like one of them


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

    @classmethod
    def of(
        cls,
        videos: Sequence[Video],
        peaks: Mapping[str, float],
        source: str,
        false_alarms: float,
        seconds: float,
    ) -> tuple[Self, Calibration]:
        """From the highest logits of videos, both labels among them; and the calibration that they give."""
        scored = [video for video in videos if video.video_id in peaks]
        logits = np.array([peaks[video.video_id] for video in scored])
        labels = np.array([video.label for video in scored], dtype=np.intp)
        calibration = calibrate(logits.tolist(), labels.tolist(), source=source, false_alarms=false_alarms)
        scores = calibration.scores_of(logits)
        high = np.quantile(scores[labels == 1], 1 - _TAIL)
        low = np.quantile(scores[labels == 0], _TAIL)
        order = np.argsort(scores, kind="stable")
        loud = [scored[i].video_id for i in order[::-1] if labels[i] == 0 and scores[i] >= high]
        quiet = [scored[i].video_id for i in order if labels[i] == 1 and scores[i] <= low]
        default = next(point for point in calibration.table if point.threshold == calibration.threshold)
        found = cls(
            source=source,
            video_auc=float(roc_auc_score(labels, logits)),
            scores={video.video_id: float(score) for video, score in zip(scored, scores, strict=True)},
            default=default,
            table=calibration.table,
            loud_normal=tuple(loud),
            quiet_anomalous=tuple(quiet),
            seconds=seconds,
        )
        return found, calibration

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a user should look at, in words."""
        said = []
        if self.video_auc < 0.5:
            said.append(
                f"anomalous videos score below normal ones that weren't trained on (video AUC {self.video_auc:.3f}): "
                "the labels may be exchanged, or these features don't show what is anomalous"
            )
        if self.loud_normal:
            said.append(f"normal, but scored like anomalous ones: {_named(self.loud_normal)}: is the label right?")
        if self.quiet_anomalous:
            said.append(f"anomalous, but without any high clip: {_named(self.quiet_anomalous)}: is the label right?")
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


def _named(ids: Sequence[str]) -> str:
    return ", ".join(ids[:5]) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
