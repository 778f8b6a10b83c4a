"""Thresholds from normal footage: at most so many false alarms an hour, as far as the hours can tell."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import gammaincinv

from amiss.detection._alarms import AlarmSettings, AlarmTracker, find_alarms
from amiss.errors import EvaluationError, UsageError

_EVERY = 20.0  # false alarms up to which each number has its threshold; from there on each that is so much larger:
_STEP = 1.05
_NO_SCORES = "no scores to find a threshold on; give some hours of normal footage"


@dataclass(frozen=True)
class FalseAlarmThreshold:
    """A pair of thresholds, and what normal footage says of them."""

    settings: AlarmSettings
    """As given, with the thresholds that were found."""
    per_hour: float
    """Alarms an hour that were asked for, at most."""
    hours: float
    """Of normal footage."""
    n_alarms: int
    """That these settings raise in it."""
    upper_per_hour: float
    """Upper bound of the rate, by the exact Poisson interval at `confidence`."""
    confidence: float
    """Of the upper bound, 0..1."""
    is_enough: bool
    """Whether the hours can show the rate that was asked for: `upper_per_hour <= per_hour`."""
    message: str
    """All of this in a sentence."""


def poisson_upper(n: float, confidence: float = 0.95) -> float:
    """Exact one-sided upper bound of the mean of which n were counted (Garwood, 1936):

    χ²(confidence, 2n + 2) / 2, of which the inverse of the incomplete gamma function is another form.
    """
    return float(gammaincinv(n + 1, confidence))


def poisson_interval(n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Exact two-sided interval of that mean."""
    lower = float(gammaincinv(n, (1 - confidence) / 2)) if n else 0.0
    return lower, poisson_upper(n, (1 + confidence) / 2)


@dataclass(frozen=True)
class FalseAlarms:
    """How many false alarms normal videos gave, by threshold. One is a stretch of clips that reach the threshold.

    So `amiss detect` makes events. `amiss watch` smooths and merges, and raises no more alarms of the same scores.
    """

    hours: Annotated[float, Field(gt=0)]
    """Of these videos."""
    counts: tuple[float, ...]
    """Numbers of alarms, rising from 0; means where videos were scored in several rounds."""
    thresholds: tuple[float, ...]
    """For each number the lowest threshold from which on upwards there are no more."""

    def __post_init__(self) -> None:
        """Refuse what can't be counts and their thresholds, whatever file they stand in."""
        if not self.counts or len(self.counts) != len(self.thresholds):
            raise UsageError(f"{len(self.counts)} numbers of alarms don't fit {len(self.thresholds)} thresholds")

    @classmethod
    def of(cls, scores: Sequence[NDArray[np.floating[Any]]], hours: float, rounds: int = 1) -> Self:
        """From the clip scores [T] of normal videos, each given as often as there are `rounds`."""
        levels = np.unique(np.concatenate(scores))[::-1]
        most = np.maximum.accumulate(count_alarms(scores, levels) / rounds)  # far down alarms merge: fewer, but endless
        more = np.flatnonzero(np.diff(most, prepend=0.0))
        counts = [0.0, *most[more].tolist()]
        thresholds = [*np.nextafter(levels[more], 2.0).tolist(), float(levels[more[-1]])]
        kept = [0]
        for i, count in enumerate(counts):
            if i and (count <= _EVERY or count >= _STEP * counts[kept[-1]] or i == len(counts) - 1):
                kept.append(i)
        return cls(hours, tuple(counts[i] for i in kept), tuple(thresholds[i] for i in kept))

    def threshold_for(self, per_hour: float, confidence: float = 0.95) -> float | None:
        """The lowest threshold with at most `per_hour` false alarms an hour; None where the hours are too few to say.

        "At most" is meant with `confidence`: by the exact Poisson upper bound of what was counted.
        """
        quiet = [
            threshold
            for count, threshold in zip(self.counts, self.thresholds, strict=True)
            if poisson_upper(count, confidence) <= per_hour * self.hours
        ]
        return quiet[-1] if quiet else None


def count_alarms(scores: Sequence[NDArray[np.floating[Any]]], thresholds: NDArray[np.float64]) -> NDArray[np.intp]:
    """Stretches of clips, in the clip scores [T] of each video, that reach each threshold [N]."""
    after = np.concatenate(scores)
    before = np.concatenate([np.concatenate([[-np.inf], values[:-1]]) for values in scores])
    begins = after > before  # a stretch begins at a threshold that is above the clip before, and not above this one
    return _reaching(after[begins], thresholds) - _reaching(before[begins], thresholds)


def _reaching(values: NDArray[np.floating[Any]], thresholds: NDArray[np.float64]) -> NDArray[np.intp]:
    return len(values) - np.searchsorted(np.sort(values), thresholds, side="left")


def false_alarm_threshold(
    recordings: Sequence[Sequence[tuple[float, float, float]]],
    per_hour: float,
    settings: AlarmSettings,
    *,
    confidence: float = 0.95,
) -> FalseAlarmThreshold:
    """A threshold, as low as can be, with which normal footage gives at most `per_hour` alarms an hour.

    Alarms are counted by the AlarmTracker itself, with smoothing, lengths, gaps and cooldown as in `settings`; `off`
    keeps its ratio to `on`. "At most" is meant with `confidence`: the exact Poisson upper bound of the counted alarms
    stays below. Where the hours are too few even for none, the threshold lies just above all that was seen, and the
    message says how many hours are needed. The bound takes the threshold as given, though it was chosen on the same
    footage, and the future for like the past.

    Args:
        recordings: clips (start_s, end_s, score) of each uninterrupted recording of normal footage, in order.
        per_hour: alarms an hour.
        settings: how alarms are found; its thresholds only give the ratio of off to on.
        confidence: of the upper bound.

    Raises:
        EvaluationError: no scores, or scores outside 0..1.
        UsageError: a number that makes no sense.
    """
    clips = [recording for recording in recordings if recording]
    hours = sum(recording[-1][1] - recording[0][0] for recording in clips) / 3600
    if not hours > 0:
        raise EvaluationError(_NO_SCORES)
    if not all(0 <= score <= 1 for recording in clips for _, _, score in recording):
        raise EvaluationError("scores are not all in 0..1")
    levels = np.unique(np.concatenate([_smoothed(recording, settings) for recording in clips]))
    return lowest_quiet_threshold(
        levels,
        lambda tried: sum(len(find_alarms(recording, tried)) for recording in clips),
        hours,
        per_hour,
        settings,
        confidence=confidence,
    )


def lowest_quiet_threshold(
    levels: NDArray[np.float64],
    count: Callable[[AlarmSettings], int],
    hours: float,
    per_hour: float,
    settings: AlarmSettings,
    *,
    confidence: float = 0.95,
) -> FalseAlarmThreshold:
    """The search of `false_alarm_threshold`, whatever counts the alarms.

    Args:
        levels: the smoothed scores that there are, each once, rising.
        count: how many alarms settings give.
        hours: in which they are counted.
        per_hour: alarms an hour, at most.
        settings: its thresholds only give the ratio of off to on.
        confidence: of the upper bound.

    Raises:
        EvaluationError: no scores.
        UsageError: a number that makes no sense.
    """
    if not (per_hour > 0 and 0 < confidence < 1):
        raise UsageError(f"per_hour is {per_hour}, it must be above 0; confidence is {confidence}, it must be in 0..1")
    if not hours > 0 or not len(levels):
        raise EvaluationError(_NO_SCORES)
    start, end = settings.thresholds
    ratio = end / start if start else 1.0

    def counted(on: float) -> int:
        return count(settings.with_thresholds(on, on * ratio))

    def is_quiet(on: float) -> bool:
        return poisson_upper(counted(on), confidence) / hours <= per_hour

    # An alarm starts at one of these values or at none; above the last there is none. From there down to the first that
    # is too loud, in growing steps, then back in halves. Not lower: far down, merged alarms get few again, but endless.
    above = np.nextafter(levels, 2.0)[::-1]
    is_enough = poisson_upper(0, confidence) / hours <= per_hour
    quiet, loud = 0, len(above)
    while is_enough and quiet + 1 < loud:
        tried = min(quiet + 1 + quiet // 2, loud - 1) if loud == len(above) else (quiet + loud) // 2
        if is_quiet(float(above[tried])):
            quiet = tried
        else:
            loud = tried
    on = float(above[quiet])
    n_alarms = counted(on)
    upper = poisson_upper(n_alarms, confidence) / hours
    return FalseAlarmThreshold(
        settings.with_thresholds(on, on * ratio),
        per_hour,
        hours,
        n_alarms,
        upper,
        confidence,
        is_enough,
        _message(on, per_hour, hours, n_alarms, upper, confidence, is_enough),
    )


def _smoothed(clips: Sequence[tuple[float, float, float]], settings: AlarmSettings) -> NDArray[np.float64]:
    tracker = AlarmTracker(settings)
    values = []
    for clip in clips:
        tracker.update(*clip)
        values.append(tracker.smoothed)
    return np.array(values, dtype=np.float64)


def _message(
    on: float, per_hour: float, hours: float, n_alarms: int, upper: float, confidence: float, is_enough: bool
) -> str:
    seen = f"threshold {on:.4f}: {n_alarms} alarm{'' if n_alarms == 1 else 's'} in {hours:.2f} h of normal footage"
    bound = f"with {confidence:.0%} confidence at most {upper:.2f} an hour"
    if on > 1:
        seen += " (which reaches the score 1, so that no alarm can be raised: this detector doesn't fit this camera)"
    if is_enough:
        return f"{seen}, {bound}"
    needed = math.ceil(100 * poisson_upper(0, confidence) / per_hour) / 100
    return f"{seen}, {bound}: too little to show {per_hour:g} an hour, which takes {needed:g} h without an alarm"
