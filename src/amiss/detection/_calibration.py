"""What scores mean and where they become alarms: a monotone map and a threshold, from videos not trained on."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from amiss.detection._false_alarms import FalseAlarms, count_alarms, poisson_interval, poisson_upper
from amiss.errors import EvaluationError, UsageError

_STRAIGHT = 4.0  # calibrated log-odds up to which the map is logistic; from there on it flattens by a logarithm
_LEAST_SPREAD = 0.25  # calibrated log-odds that the middle half of the peaks covers at least, whatever labels say
_FAR = 2.0  # such middle halves from the median; what lies beyond counts as there
FALSE_ALARMS = 0.1
"""Share of normal videos whose score is the default threshold, where there are many of them: one in ten."""
_BETWEEN = 0.7  # of the way from the median normal to the median anomalous video: where few videos have the threshold
_QUIET = 0.7  # share of normal videos that stay below it in any case
_WORTH = 45  # normal videos from which on their quantile has more weight than that
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

    slope: Annotated[float, Field(gt=0)]
    """Above 0."""
    offset: float
    """Calibrated log-odds of a logit of 0."""

    @classmethod
    def fit(cls, peaks: NDArray[np.floating[Any]], labels: NDArray[np.intp]) -> Self:
        """Fit to the highest logit of each video [N] and labels [N], both labels present."""
        from sklearn.linear_model import LogisticRegression  # takes a second, and only training needs it

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
    per_hour: float | None = None
    """False alarms an hour of normal videos (see `FalseAlarms`); None = their length isn't known."""
    per_hour_ci95: tuple[float, float] | None = None
    """Of that rate, by the exact Poisson interval."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `dataclasses.asdict` gave, also through JSON."""
        intervals = {name: tuple(v) for name, v in values.items() if name.endswith("_ci95") and v is not None}
        return cls(**{**values, **intervals})


@dataclass(frozen=True)
class NormalFootage:
    """Normal videos whose length is known, for false alarms an hour."""

    logits: Sequence[NDArray[np.floating[Any]]]
    """Clip logits [T] of each video, by a head not trained on it; once for every round."""
    hours: float
    """Of these videos, above 0."""
    rounds: int = 1
    """How often each was scored."""


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
    alarms: FalseAlarms | None = None
    """False alarms of normal videos that weren't trained on; None = nobody counted them, or knows their hours."""
    reach: float | None = None
    """Highest score of an anomalous video that wasn't trained on; None = not on record."""

    def __post_init__(self) -> None:
        """Refuse what is no threshold, whatever file it stands in."""
        if not 0 <= self.threshold <= 1:
            raise UsageError(f"threshold is {self.threshold}; scores lie in 0..1")

    def doubt(self, threshold: float | None = None) -> str | None:
        """Why scores hardly reach a threshold (its own by default), in words; None where they do."""
        threshold = self.threshold if threshold is None else threshold
        if threshold >= 1:
            return f"threshold {threshold:.4f} is never reached: scores stay below 1"
        if self.reach is not None and threshold > self.reach and self.n_anomalous >= _FEW:
            tried = f"the highest of {self.n_anomalous} anomalous videos that the detector was tried on scores"
            return f"threshold {threshold:.4f} may never be reached: {tried} {self.reach:.4f}"
        return None

    def chosen(self, threshold: float | None = None, per_hour: float | None = None) -> Self:
        """With the threshold that a user chose, or false alarms an hour (see `at_rate`); as it is without a choice.

        Raises:
            UsageError: both were given, the threshold is none that a score can reach, or as `at_rate`.
        """
        if per_hour is not None:
            if threshold is not None:
                raise UsageError(f"threshold {threshold} and {per_hour:g} false alarms an hour exclude each other")
            return self.at_rate(per_hour)
        if threshold is None:
            return self
        if threshold == 1:
            raise UsageError(f"threshold is {threshold}, which no score reaches; it must be below 1")
        return replace(self, threshold=threshold, method="as asked")

    def at_rate(self, per_hour: float) -> Self:
        """With the lowest threshold that gives at most so many false alarms an hour, by the 95 % upper bound.

        Raises:
            UsageError: the normal videos are too short to say, or nobody counted.
        """
        if not 0 < per_hour < math.inf:
            raise UsageError(f"false alarms an hour are {per_hour:g}; they must be above 0")
        if self.alarms is None:
            again = "train again, or " if self.n_normal else ""  # amiss didn't train a converted one
            raise UsageError(
                f"nobody counted this detector's false alarms an hour: {again}find a threshold on normal footage with "
                "`amiss calibrate`"
            )
        hours, threshold = self.alarms.hours, self.alarms.threshold_for(per_hour)
        if threshold is None:
            none = poisson_upper(0)
            raise UsageError(
                f"the data can't say which threshold gives at most {per_hour:g} false alarms an hour: the normal "
                f"videos that the detector was tried on last {hours:.3g} h, and without any alarm would show at most "
                f"{none / hours:.3g} an hour. It takes {none / per_hour:.3g} h: give more normal videos to "
                f"{'`amiss train`, or to ' if self.n_normal else ''}`amiss calibrate`"
            )
        method = f"at most {per_hour:g} false alarms an hour, by the 95 % bound on {hours:.3g} h of normal videos"
        return replace(self, threshold=min(threshold, 1.0), method=method)

    def scores_of(self, logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Logits → scores in 0..1: through the map, where there is one, else plain σ."""
        return (self.score_map or ScoreMap(1.0, 0.0))(logits)


def calibrate(
    peaks: Sequence[float],
    labels: Sequence[int],
    *,
    source: str,
    false_alarms: float = FALSE_ALARMS,
    footage: NormalFootage | None = None,
) -> Calibration:
    """Fit map and threshold to videos that weren't trained on.

    The threshold lies between two scores. One is reached by the stated share of normal videos: a quantile, which one
    odd video (they exist) moves by one rank at most, but of few videos it is mostly chance. With n of them it weighs
    n² : 45² against the other, of which few tell more: seven tenths of the way from the median normal to the median
    anomalous video, by logits, and no score that more than three in ten normal videos reach. The threshold is at least
    0.5: below, a video is rather normal.

    Args:
        peaks: highest logit of each video.
        labels: of the videos, 0 = normal, 1 = anomalous.
        source: how they come to be not trained on, for the record.
        false_alarms: share of normal videos that reach the threshold, were there many.
        footage: normal videos again, whole, for false alarms an hour.

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

    low, high = np.median(found[truth == 0]), np.median(found[truth == 1])
    between = max(score_map(np.array([(1 - _BETWEEN) * low + _BETWEEN * high])).item(), at(1 - _QUIET))
    worth = len(normal) ** 2 / (len(normal) ** 2 + _WORTH**2)
    threshold = max(worth * at(false_alarms) + (1 - worth) * between, 0.5)
    levels = sorted({threshold, *map(at, _TABLE)}, reverse=True)
    rule = (
        f"between the point at {_BETWEEN:.0%} of the way from the median normal to the median anomalous video and the "
        f"score that {100 * false_alarms:.3g} % of {len(normal)} normal videos reach, the nearer to it the more there "
        f"are ({worth:.0%} of the way)"
    )
    few = "" if min(len(normal), len(anomalous)) >= _FEW else "; so few say little: expect anything"
    points = [operating_point(level, normal, anomalous) for level in levels]
    alarms = None
    if footage is not None:
        clips = [score_map(logits) for logits in footage.logits]
        alarms = FalseAlarms.of(clips, footage.hours, footage.rounds)
        counts = (count_alarms(clips, np.array(levels)) / footage.rounds).tolist()
        points = [_with_rate(point, n, footage.hours) for point, n in zip(points, counts, strict=True)]
    method = f"{rule}; {source}{few}"
    reach = float(anomalous.max())
    return Calibration(threshold, method, len(normal), score_map, len(anomalous), tuple(points), alarms, reach)


def _with_rate(point: OperatingPoint, count: float, hours: float) -> OperatingPoint:
    low, high = poisson_interval(count)
    return replace(point, per_hour=count / hours, per_hour_ci95=(low / hours, high / hours))


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
    z = NormalDist().inv_cdf((1 + confidence) / 2)
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
