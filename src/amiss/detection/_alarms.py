"""From clip scores to alarms: smoothing, two thresholds, minimum length, merging, cooldown."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from amiss.errors import UsageError

MISSING_S = 2.0  # clips that are missing for longer than this (and the merge gap) break an alarm


@dataclass(frozen=True, kw_only=True)
class AlarmSettings:
    """When scores become an alarm."""

    on: float
    """An alarm starts with a clip whose smoothed score is at or above this, 0..1."""
    off: float
    """It lasts while the smoothed score is at or above this; at most `on`."""
    smoothing_s: float = 0.0
    """Time constant of the exponential mean over scores; 0 = none."""
    min_length_s: float = 0.0
    """Shorter alarms are none; an alarm is announced when it has lasted so long."""
    merge_gap_s: float = 0.0
    """Quiet stretches up to this long don't end an alarm."""
    cooldown_s: float = 0.0
    """After an alarm no other starts for so long."""

    def __post_init__(self) -> None:
        if not 0 <= self.off <= self.on:
            raise UsageError(f"thresholds are on = {self.on} and off = {self.off}; needs 0 <= off <= on")
        for name in ("smoothing_s", "min_length_s", "merge_gap_s", "cooldown_s"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be 0 or more seconds")


@dataclass(frozen=True)
class Alarm:
    """A stretch of time with high scores."""

    started_s: float
    """Start of its first clip."""
    ended_s: float
    """End of its last clip at or above `off`, so far."""
    peak_s: float
    """Middle of the clip with the largest smoothed score."""
    peak_score: float
    """That score; never below `on`."""

    @property
    def length_s(self) -> float:
        """Seconds from start to end."""
        return self.ended_s - self.started_s


@dataclass(frozen=True)
class AlarmChange:
    """News of an alarm: `opened` once, `updated` with every clip that extends it, `closed` once."""

    kind: Literal["opened", "updated", "closed"]
    alarm: Alarm


class AlarmTracker:
    """Follows the scores of one camera, in constant memory.

    Its alarms depend on the clips alone, not on when or in which portions they are given. Where clips are missing for
    longer than `merge_gap_s` and 2 s, an alarm ends and smoothing starts anew; where their times go back (the clock was
    set) also the cooldown ends. `smoothed` is the last smoothed score.
    """

    def __init__(self, settings: AlarmSettings) -> None:
        self.settings = settings
        self.smoothed: float | None = None
        self._last_start_s = -math.inf
        self._last_end_s: float | None = None
        self._alarm: Alarm | None = None
        self._is_announced = False
        self._is_above = False
        self._quiet_until_s = -math.inf

    @property
    def current(self) -> Alarm | None:
        """The alarm that goes on, though it may not have lasted long enough to be announced."""
        return self._alarm

    def update(self, start_s: float, end_s: float, score: float) -> tuple[AlarmChange, ...]:
        """Add a clip.

        Args:
            start_s: its start on any clock in seconds.
            end_s: its end.
            score: 0..1.
        """
        ended: tuple[AlarmChange, ...] = ()
        if self._last_end_s is not None and start_s - self._last_end_s > max(self.settings.merge_gap_s, MISSING_S):
            ended = self.finish()
        if start_s < self._last_start_s:
            ended = self.finish()
            self._quiet_until_s = -math.inf
        self._last_start_s = start_s
        self._smooth(end_s - (start_s if self._last_end_s is None else self._last_end_s), score)
        self._last_end_s = end_s
        return ended + self._follow(start_s, end_s)

    def finish(self) -> tuple[AlarmChange, ...]:
        """The scores end, or have a gap: close what is open."""
        self.smoothed = None
        self._last_end_s = None
        return self._close()

    def _smooth(self, passed_s: float, score: float) -> None:
        if self.smoothed is None or self.settings.smoothing_s == 0:
            self.smoothed = score
        else:
            self.smoothed += (score - self.smoothed) * -math.expm1(-max(0.0, passed_s) / self.settings.smoothing_s)

    def _follow(self, start_s: float, end_s: float) -> tuple[AlarmChange, ...]:
        assert self.smoothed is not None
        score, settings = self.smoothed, self.settings
        middle_s = (start_s + end_s) / 2
        if self._alarm is None:
            if score < settings.on or start_s < self._quiet_until_s:
                return ()
            self._alarm = Alarm(start_s, end_s, middle_s, score)
            self._is_above = True
        else:
            self._is_above = score >= (settings.off if self._is_above else settings.on)
            if not self._is_above:
                return self._close() if end_s - self._alarm.ended_s > settings.merge_gap_s else ()
            self._alarm = replace(self._alarm, ended_s=end_s)
            if score > self._alarm.peak_score:
                self._alarm = replace(self._alarm, peak_s=middle_s, peak_score=score)
        if self._is_announced:
            return (AlarmChange("updated", self._alarm),)
        if self._alarm.length_s < settings.min_length_s:
            return ()
        self._is_announced = True
        return (AlarmChange("opened", self._alarm),)

    def _close(self) -> tuple[AlarmChange, ...]:
        alarm, was_announced = self._alarm, self._is_announced
        self._alarm, self._is_announced, self._is_above = None, False, False
        if alarm is None or not was_announced:
            return ()
        self._quiet_until_s = alarm.ended_s + self.settings.cooldown_s
        return (AlarmChange("closed", alarm),)


def find_alarms(clips: Iterable[tuple[float, float, float]], settings: AlarmSettings) -> tuple[Alarm, ...]:
    """The alarms that an AlarmTracker finds in clips (start_s, end_s, score)."""
    tracker = AlarmTracker(settings)
    changes = [change for clip in clips for change in tracker.update(*clip)] + [*tracker.finish()]
    return tuple(change.alarm for change in changes if change.kind == "closed")
