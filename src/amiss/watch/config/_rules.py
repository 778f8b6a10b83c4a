"""Rules: which events are told to which channels."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from amiss.errors import UsageError
from amiss.watch._event import CameraEvent

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MIDNIGHT = time(0)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Which events are told to whom.

    Attributes:
        name: Its name, unique; in the log of deliveries.
        channels: Names of channels.
        cameras: Names of cameras; empty = all.
        min_score: Events whose peak is lower are not told (0 to 1).
        min_length_s: Shorter events are not told. With `on="opened"` an event is told as soon as it has lasted so long.
        hours: Local time in which the event must begin, `22:00-06:00` (may cross midnight; the end is not in it);
            None = always.
        days: Of `mon` to `sun`, the days on which those hours begin; empty = all.
        time_zone: Of hours and days, an IANA name; None = the machine's.
        cooldown_s: Between two told events of one camera (of a folder: in one file), from opening to opening, or from
            end to end with `on="closed"`; per channel.
        on: `opened`: as soon as an event fits the rule; `closed`: when it has ended and its clip is complete.

    Raises:
        UsageError: a value makes no sense.
    """

    name: str
    channels: tuple[str, ...]
    cameras: tuple[str, ...] = ()
    min_score: float = 0.0
    min_length_s: float = 0.0
    hours: str | None = None
    days: tuple[str, ...] = ()
    time_zone: str | None = None
    cooldown_s: float = 60.0
    on: Literal["opened", "closed"] = "opened"

    def __post_init__(self) -> None:
        if not self.channels:
            raise UsageError(f"rule {self.name!r} names no channel")
        if wrong := [day for day in self.days if day not in DAYS]:
            raise UsageError(f"rule {self.name!r}: no such day {wrong[0]!r}; days are {', '.join(DAYS)}")
        if self.cooldown_s < 0 or self.min_length_s < 0:
            raise UsageError(f"rule {self.name!r}: cooldown_s and min_length_s can't be negative")
        if self.hours is not None:
            parse_hours(self.hours)
        _zone(self.time_zone)

    def moment(self, event: CameraEvent) -> datetime | None:
        """The time that the rule's cooldown counts from if the event is to be told now, else None."""
        if self.cameras and event.camera not in self.cameras:
            return None
        if event.peak_score < self.min_score or _length_s(event) < self.min_length_s or not self._in_hours(event):
            return None
        if self.on == "opened":
            return event.started
        return None if event.state == "open" else event.ended or event.peak

    def _in_hours(self, event: CameraEvent) -> bool:
        local = event.started.astimezone(_zone(self.time_zone))
        begin, end = (_MIDNIGHT, _MIDNIGHT) if self.hours is None else parse_hours(self.hours)
        now = local.time()
        day = local.date()
        if begin < end:
            inside = begin <= now < end
        else:  # across midnight; equal: the whole day
            inside = now >= begin or now < end
            if now < end and begin != _MIDNIGHT:
                day -= timedelta(days=1)
        return inside and (not self.days or DAYS[day.weekday()] in self.days)


def parse_hours(hours: str) -> tuple[time, time]:
    """`22:00-06:00` as two times; `24:00` is midnight.

    Raises:
        UsageError: it reads otherwise.
    """
    parts = hours.replace(" ", "").replace("24:00", "00:00").split("-")
    try:
        begin, end = (time.fromisoformat(part) for part in parts)
    except ValueError:
        raise UsageError(f"hours are {hours!r}; they are written like 22:00-06:00") from None
    return begin, end


def _zone(name: str | None) -> tzinfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(f"no time zone {name!r}; they are named like Europe/Berlin") from None


def _length_s(event: CameraEvent) -> float:
    if event.ended is not None:
        return (event.ended - event.started).total_seconds()
    return max((seconds for seconds, _ in event.trace), default=0.0)
