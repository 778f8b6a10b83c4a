"""From clip scores to alarms: smoothing, two thresholds, minimum length, merging, cooldown."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from amiss.errors import UsageError
from amiss.settings import Score, Seconds, Settings

OFF_SHARE = 0.8  # of `on`, where `off` is not stated
MISSING_S = 2.0  # clips that are missing for longer than this (and the merge gap) break an alarm


class AlarmSettings(Settings):
    """When scores become an event: hysteresis on smoothed scores."""

    on: Annotated[Score, Field(lt=1)] | None = None
    """An event opens when the smoothed score reaches it; below 1, which no score reaches. Default: what `amiss
    calibrate` found for this camera and detector, else the detector's own threshold."""
    off: Score | None = None
    """It closes when the smoothed score falls below it. Default: 0.8 × `on`."""
    smoothing_s: Seconds = 2.0
    """Time constant of the exponential mean over scores; 0 = none."""
    min_length_s: Seconds = 0.0
    """Shorter events are none; one opens when it has lasted so long."""
    merge_gap_s: Seconds = 3.0
    """Quiet stretches up to this long don't end an event."""
    cooldown_s: Seconds = 0.0
    """After an event, no new one opens for so long. (Rules have a cooldown of their own, for messages.)"""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.on is not None and self.off is not None and self.off > self.on:
            raise ValueError(f"off is {self.off}, above on ({self.on}): an event could never stay open")
        return self

    @property
    def thresholds(self) -> tuple[float, float]:
        """On and off.

        Raises:
            UsageError: `on` is neither stated nor resolved.
        """
        if self.on is None:
            raise UsageError("these alarm settings have no threshold `on`: state it, or take the detector's")
        return self.on, OFF_SHARE * self.on if self.off is None else self.off

    def with_thresholds(self, on: float, off: float | None = None) -> Self:
        """The same, resolved: with these thresholds (found ones may lie above 1, where no score reaches them).

        Args:
            on: where an alarm starts, 0 or more.
            off: how long it lasts, at most `on`; None: 0.8 × `on`.

        Raises:
            UsageError: they make no sense.
        """
        off = OFF_SHARE * on if off is None else off
        if not 0 <= off <= on < math.inf:
            raise UsageError(f"thresholds are on = {on} and off = {off}; needs 0 <= off <= on")
        return self.model_copy(update={"on": on, "off": off})


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
    """What happened."""
    alarm: Alarm
    """The alarm as it is now."""


class AlarmTracker:
    """Follows the scores of one camera, in constant memory.

    Its alarms depend on the clips alone, not on when or in which portions they are given. Where clips are missing for
    longer than `merge_gap_s` and 2 s, an alarm ends and smoothing starts anew; where their times go back (the clock was
    set) also the cooldown ends. `smoothed` is the last smoothed score.
    """

    def __init__(self, settings: AlarmSettings) -> None:
        self.settings = settings
        self._on, self._off = settings.thresholds
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
            if score < self._on or start_s < self._quiet_until_s:
                return ()
            self._alarm = Alarm(start_s, end_s, middle_s, score)
            self._is_above = True
        else:
            self._is_above = score >= (self._off if self._is_above else self._on)
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
