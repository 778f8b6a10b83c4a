"""The smoothed scores of a camera over days, and the alarms that any thresholds would have raised in them, soon."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from amiss.detection._alarms import MISSING_S, Alarm, AlarmSettings
from amiss.detection._false_alarms import FalseAlarmThreshold, lowest_quiet_threshold


@dataclass(frozen=True, eq=False)
class ScoreTrack:
    """Clips in their order, with smoothed scores."""

    starts: NDArray[np.float64]
    """[N] On any clock, in seconds."""
    ends: NDArray[np.float64]
    """[N]"""
    scores: NDArray[np.float64]
    """[N] Smoothed, 0 to 1."""

    @property
    def hours(self) -> float:
        """That the clips cover together."""
        return float((self.ends - self.starts).sum() / 3600)

    def without(self, spans: Iterable[tuple[float, float]]) -> Self:
        """The same without the clips that touch any of these (start_s, end_s)."""
        kept = np.ones(len(self.starts), bool)
        for start_s, end_s in spans:
            kept &= (self.ends <= start_s) | (self.starts >= end_s)
        return replace(self, starts=self.starts[kept], ends=self.ends[kept], scores=self.scores[kept])

    def alarms(self, settings: AlarmSettings) -> tuple[Alarm, ...]:
        """Those that an AlarmTracker finds in these scores, which are smoothed already."""
        if not len(self.scores):
            return ()
        went_back = (np.diff(self.starts, prepend=-np.inf) < 0).astype(np.intp)
        kept = self._near(settings)
        near = replace(self, starts=self.starts[kept], ends=self.ends[kept], scores=self.scores[kept])
        return near._alarms(settings, np.cumsum(went_back)[kept]) if len(near.scores) else ()

    def _near(self, settings: AlarmSettings) -> NDArray[np.bool_]:
        """[N] The clips that can be part of an alarm, and those after them in which it ends: mostly few."""
        longest_s = max(settings.merge_gap_s, MISSING_S) + float((self.ends - self.starts).max())
        high = self.scores >= settings.thresholds[1]
        last_high = np.maximum.accumulate(np.where(high, np.arange(len(high)), -1))
        kept: NDArray[np.bool_] = (last_high >= 0) & (self.starts <= self.ends[last_high] + longest_s)
        kept[1:] |= kept[:-1]  # after a gap the alarm ends in the first clip beyond
        return kept

    def _alarms(self, settings: AlarmSettings, steps_back: NDArray[np.intp]) -> tuple[Alarm, ...]:
        on, _ = settings.thresholds
        found: list[Alarm] = []
        quiet_until_s, quiet_steps = -math.inf, 0
        for first, last in zip(*self._groups(settings), strict=True):
            if self.starts[first] < quiet_until_s and steps_back[first] == quiet_steps:  # cooldown of the one before
                own = slice(first, last + 1)
                later = np.flatnonzero((self.starts[own] >= quiet_until_s) & (self.scores[own] >= on))
                if not len(later):
                    continue
                first += int(later[0])
            peak = first + int(np.argmax(self.scores[first : last + 1]))
            middle_s = float(self.starts[peak] + self.ends[peak]) / 2
            alarm = Alarm(float(self.starts[first]), float(self.ends[last]), middle_s, float(self.scores[peak]))
            if alarm.length_s >= settings.min_length_s:
                found.append(alarm)
                quiet_until_s, quiet_steps = alarm.ended_s + settings.cooldown_s, int(steps_back[last])
        return tuple(found)

    def _groups(self, settings: AlarmSettings) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """First and last clip of each stretch that is one alarm, whatever its length and what was before it."""
        (on, off), n = settings.thresholds, len(self.scores)
        gap = self.starts[1:] - self.ends[:-1]
        is_break = np.ones(n, bool)  # before this clip
        is_break[1:] = (gap > max(settings.merge_gap_s, MISSING_S)) | (self.starts[1:] < self.starts[:-1])
        # above `on` a stretch begins, below `off` it ends; between them it is as it was
        decides = (self.scores >= on) | (self.scores < off) | is_break
        last_decision = np.maximum.accumulate(np.where(decides, np.arange(n), 0))
        is_above = self.scores[last_decision] >= on
        before = np.concatenate([[False], is_above[:-1]])
        after = np.concatenate([is_above[1:], [False]])
        firsts = np.flatnonzero(is_above & (~before | is_break))
        lasts = np.flatnonzero(is_above & (~after | np.concatenate([is_break[1:], [True]])))
        if len(firsts) < 2:
            return firsts, lasts
        # a quiet stretch ends the alarm once one of its clips ends later than the merge gap allows
        breaks = np.cumsum(is_break)
        is_apart = breaks[firsts[1:]] != breaks[lasts[:-1]]
        quiet_s = np.where(firsts[1:] - 1 > lasts[:-1], self.ends[firsts[1:] - 1] - self.ends[lasts[:-1]], 0.0)
        is_apart |= quiet_s > settings.merge_gap_s
        return firsts[np.concatenate([[True], is_apart])], lasts[np.concatenate([is_apart, [True]])]

    def threshold_for(self, per_hour: float, settings: AlarmSettings) -> FalseAlarmThreshold:
        """A threshold, as low as can be, with which these scores give at most `per_hour` alarms an hour; see
        `false_alarm_threshold`.

        Raises:
            EvaluationError: there are no scores.
            UsageError: a number that makes no sense.
        """
        return lowest_quiet_threshold(
            np.unique(self.scores), lambda tried: len(self.alarms(tried)), self.hours, per_hour, settings
        )

    def counts(self, thresholds: NDArray[np.float64], settings: AlarmSettings) -> list[int]:
        """How many alarms each of these thresholds gives; `off` keeps its ratio to `on`."""
        on, off = settings.thresholds
        ratio = off / on if on else 1.0
        return [len(self.alarms(settings.with_thresholds(tried, tried * ratio))) for tried in thresholds.tolist()]
