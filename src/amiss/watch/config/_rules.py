"""Rules: which events, and which cameras that are offline, are told to which channels."""

from datetime import datetime, time, timedelta, tzinfo
from typing import Annotated, Literal, Self, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from amiss.settings import LongTime, Score, Seconds, Settings
from amiss.watch._event import CameraEvent
from amiss.watch._outage import Outage

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Clock = Annotated[str, Field(json_schema_extra={"pattern": r"^ *\d\d:\d\d *- *\d\d:\d\d *$"})]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[str, ...] = get_args(Day)
_MIDNIGHT = time(0)


class Rule(Settings):
    """Which events, or which cameras that are offline, are told to whom."""

    name: Name
    """Its name, in the log of deliveries."""
    channels: tuple[Name, ...]
    """Names of channels."""
    cameras: tuple[Name, ...] | None = None
    """Names of cameras; null = all."""
    min_score: Score = 0.0
    """Events whose peak is lower are not told."""
    min_length_s: Seconds = 0.0
    """Shorter events are not told. With `on: opened` an event is told as soon as it has lasted so long."""
    hours: Clock | None = None
    """Local time of day in which the event must begin, or the camera be found offline, `22:00-06:00` (may cross
    midnight; the end is not in it); null = always."""
    days: tuple[Day, ...] | None = None
    """Days of the week (on which those hours begin); null = all."""
    time_zone: str | None = None
    """Of hours and days, e.g. Europe/Berlin; null = the machine's."""
    cooldown_s: LongTime = 60.0
    """After an event that was told, none of the same camera (of a folder: in the same file) is told to the same channel
    for so long, from opening to opening, or from end to end with `on: closed`. A message that could not be sent doesn't
    count."""
    on: Literal["opened", "closed", "offline"] = "opened"
    """Tell an event at once (`opened`), or when it is over and its clip is complete, or known to be missing (`closed`).
    `offline`: tell no events, but cameras of which nothing was scored for `offline_after_s`, and that they are back.
    Cameras that go within 10 s of each other share a message. One that goes again within `cooldown_s` is told when that
    is over, if it is still away."""

    @field_validator("channels")
    @classmethod
    def _some(cls, channels: tuple[str, ...]) -> tuple[str, ...]:
        if not channels:
            raise ValueError("there is no channel to tell")
        return channels

    @field_validator("hours")
    @classmethod
    def _known_hours(cls, hours: str | None) -> str | None:
        if hours is not None:
            _times(hours)
        return hours

    @model_validator(mode="after")
    def _of_events(self) -> Self:
        if self.on == "offline" and (self.min_score or self.min_length_s):
            raise ValueError("min_score and min_length_s are of events: a rule with `on: offline` has none")
        return self

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str | None) -> str | None:
        _zone(name)
        return name

    def moment(self, event: CameraEvent) -> datetime | None:
        """The time that the rule's cooldown counts from if the event is to be told now, else None."""
        if self.on == "offline" or (self.cameras and event.camera not in self.cameras):
            return None
        if event.peak_score < self.min_score or _length_s(event) < self.min_length_s:
            return None
        if not self._in_hours(event.started):
            return None
        if self.on == "opened":
            return event.started
        return None if event.state == "open" else event.ended or event.peak

    def tells_outage(self, outage: Outage) -> bool:
        """Whether it is to be told."""
        is_of_camera = not self.cameras or outage.camera in self.cameras
        return self.on == "offline" and is_of_camera and self._in_hours(outage.noticed)

    def _in_hours(self, moment: datetime) -> bool:
        local = moment.astimezone(_zone(self.time_zone))
        begin, end = (_MIDNIGHT, _MIDNIGHT) if self.hours is None else _times(self.hours)
        now = local.time()
        day = local.date()
        if begin < end:
            inside = begin <= now < end
        else:  # across midnight; equal: the whole day
            inside = now >= begin or now < end
            if now < end and begin != _MIDNIGHT:
                day -= timedelta(days=1)
        return inside and (not self.days or DAYS[day.weekday()] in self.days)


def _times(hours: str) -> tuple[time, time]:
    """`22:00-06:00` as two times; `24:00` is midnight."""
    parts = hours.replace(" ", "").replace("24:00", "00:00").split("-")
    try:
        begin, end = (datetime.strptime(part, "%H:%M").time() for part in parts)
    except ValueError:
        raise ValueError("hours are written like 22:00-06:00") from None
    return begin, end


def _zone(name: str | None) -> tzinfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("no such time zone; they are named like Europe/Berlin") from None


def _length_s(event: CameraEvent) -> float:
    if event.ended is not None:
        return (event.ended - event.started).total_seconds()
    return max((seconds for seconds, _ in event.trace), default=0.0)
