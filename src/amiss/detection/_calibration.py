"""What scores mean and where they become alarms: a monotone map and a threshold, from videos not trained on."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

from amiss.errors import EvaluationError

_STRAIGHT = 4.0  # calibrated log-odds up to which the map is logistic; from there on it flattens by a logarithm
_LEAST_SPREAD = 0.25  # calibrated log-odds that the middle half of the peaks covers at least, whatever labels say
_FAR = 2.0  # such middle halves from the median; what lies beyond counts as there
FALSE_ALARMS = 0.125
"""Share of normal videos that reach the default threshold, at most: one in eight."""
_TABLE = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)
_FEW = 10  # videos of a label, below which a table says next to nothing


@dataclass(frozen=True)
class ScoreMap:
    """Logits → scores: σ(u), u = slope · logit + offset; strictly rising, so that no order (and no AUC) changes.

    Fitted by logistic regression on the highest logit of videos not trained on, labels weighted alike, with Platt's
    softened targets: a video whose highest clip scores 0.8 is anomalous four times in five, if half of all videos are.
    Beyond |u| = 4, where no few dozen videos can tell, u goes on as 4 + ln(|u| - 3): far away scores still differ.

    Source: Platt, "Probabilistic Outputs for Support Vector Machines", 1999.
    """

    slope: float
    """Above 0."""
    offset: float
    """Calibrated log-odds of a logit of 0."""

    @classmethod
    def fit(cls, peaks: NDArray[np.floating[Any]], labels: NDArray[np.intp]) -> Self:
        """Fit to the highest logit of each video [N] and labels [N], both labels present."""
        peaks = np.asarray(peaks, np.float64)
        low, middle, high = np.quantile(peaks, [0.25, 0.5, 0.75]).tolist()
        spread = (high - low) or float(peaks.std()) or 1.0  # not moved by one odd video
        n_normal, n_anomalous = int((labels == 0).sum()), int((labels == 1).sum())
        target = np.where(labels == 1, (n_anomalous + 1) / (n_anomalous + 2), 1 / (n_normal + 2))
        weight = np.where(labels == 1, 0.5 / n_anomalous, 0.5 / n_normal) * len(labels)
        z = np.tile(((peaks - middle) / spread).clip(-_FAR, _FAR), 2)[:, None]
        model = LogisticRegression(C=100.0).fit(
            z, np.repeat([1, 0], len(peaks)), np.concatenate([weight * target, weight * (1 - target)])
        )
        slope = max(float(model.coef_[0, 0]), _LEAST_SPREAD) / spread
        return cls(slope, float(model.intercept_[0]) - slope * middle)

    def __call__(self, logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Scores in 0..1, of the same shape."""
        u = self.slope * np.asarray(logits, np.float64) + self.offset
        far = np.abs(u) > _STRAIGHT
        u[far] = np.sign(u[far]) * (_STRAIGHT + np.log(np.abs(u[far]) - (_STRAIGHT - 1)))
        return np.asarray(1 / (1 + np.exp(-u)), np.float64)


@dataclass(frozen=True)
class OperatingPoint:
    """What a threshold does, counted on videos that weren't trained on; intervals are Wilson's, at 95 %."""

    threshold: float
    """Scores at or above it are an event, 0..1."""
    found: float
    """Share of anomalous videos with a clip at or above it."""
    found_ci95: tuple[float, float]
    """Of that share."""
    false_alarms: float
    """Share of normal videos with a clip at or above it."""
    false_alarms_ci95: tuple[float, float]
    """Of that share."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `dataclasses.asdict` gave, also through JSON."""
        intervals = {name: tuple(values[name]) for name in ("found_ci95", "false_alarms_ci95")}
        return cls(**{**values, **intervals})


@dataclass(frozen=True)
class Calibration:
    """A threshold and where it comes from."""

    threshold: float
    """Scores at or above it are an event, 0..1."""
    method: str
    """How it was found, in words."""
    n_normal: int
    """Normal videos it was found on."""
    score_map: ScoreMap | None = None
    """What turns logits into scores; None = scores are as the head gives them."""
    n_anomalous: int = 0
    """Anomalous videos that the map and the table were found on."""
    table: tuple[OperatingPoint, ...] = ()
    """Thresholds and what each does, the highest first."""

    def scores_of(self, logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Logits → scores in 0..1: through the map, where there is one, else plain σ."""
        return (self.score_map or ScoreMap(1.0, 0.0))(logits)


def calibrate(
    peaks: Sequence[float], labels: Sequence[int], *, source: str, false_alarms: float = FALSE_ALARMS
) -> Calibration:
    """Fit map and threshold to videos that weren't trained on.

    The threshold is the score that the stated share of normal videos reaches, a quantile, so that one odd video (they
    exist) moves it by one rank at most; or 0.5, where that is higher: below, a video is rather normal than anomalous.

    Args:
        peaks: highest logit of each video.
        labels: of the videos, 0 = normal, 1 = anomalous.
        source: how they come to be not trained on, for the record.
        false_alarms: share of normal videos that may reach the threshold.

    Raises:
        EvaluationError: one of the labels is missing.
    """
    found, truth = np.asarray(peaks, np.float64), np.asarray(labels, np.intp)
    if set(truth.tolist()) != {0, 1}:
        raise EvaluationError("map and threshold need normal and anomalous videos; one of them is missing")
    score_map = ScoreMap.fit(found, truth)
    scores = score_map(found)
    normal, anomalous = scores[truth == 0], scores[truth == 1]

    def at(share: float) -> float:
        return float(np.quantile(normal, 1 - share)) if share else float(np.nextafter(normal.max(), 1.0))

    threshold = max(at(false_alarms), 0.5)
    levels = sorted({threshold, *map(at, _TABLE)}, reverse=True)
    rule = f"the score that {100 * false_alarms:.3g} % of {len(normal)} normal videos reach, at least 0.5"
    few = "" if min(len(normal), len(anomalous)) >= _FEW else "; so few say little: expect anything"
    points = tuple(operating_point(level, normal, anomalous) for level in levels)
    return Calibration(threshold, f"{rule}; {source}{few}", len(normal), score_map, len(anomalous), points)


def operating_point(threshold: float, normal: NDArray[np.float64], anomalous: NDArray[np.float64]) -> OperatingPoint:
    """Count the videos, by their highest scores, that reach a threshold."""
    hits, alarms = int((anomalous >= threshold).sum()), int((normal >= threshold).sum())
    return OperatingPoint(
        threshold,
        hits / len(anomalous),
        wilson(hits, len(anomalous)),
        alarms / len(normal),
        wilson(alarms, len(normal)),
    )


def wilson(count: int, of: int, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval of a share (Wilson, 1927)."""
    z = float(norm.ppf((1 + confidence) / 2))
    share = count / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return (max(0.0, middle - half), min(1.0, middle + half))


def threshold_from_normal(
    normal_scores: Sequence[NDArray[np.floating[Any]]], *, quantile: float = 0.98, source: str = "training"
) -> Calibration:
    """The lowest threshold that leaves the stated share of normal clips quiet.

    Clips, not videos: one normal video in which something odd happens (they exist) would else decide alone.

    Args:
        normal_scores: clip scores [T] of each normal video.
        quantile: share of normal clips that must stay below the threshold.
        source: which videos these are (`training`, `held-out`), for the record.

    Raises:
        EvaluationError: no normal video.
    """
    if not normal_scores:
        raise EvaluationError("no normal video to find a threshold on; give the training set some with label 0")
    scores = np.concatenate(normal_scores).astype(np.float64)
    at = float(np.quantile(scores, quantile, method="inverted_cdf"))
    method = f"just above {quantile:.0%} of the {len(scores)} clips of {len(normal_scores)} normal {source} videos"
    return Calibration(min(1.0, float(np.nextafter(at, 2.0))), method, len(normal_scores))
