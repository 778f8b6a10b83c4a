"""Channels: where alerts go. Mail and a hundred services through Apprise, a webhook, MQTT, a file of JSON lines."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from amiss._version import __version__
from amiss.errors import AlertError
from amiss.files import append_line
from amiss.watch._event import CameraEvent
from amiss.watch._outage import OutageNews
from amiss.watch.config import LogSettings

_TAIL = 1 << 16


@dataclass(frozen=True)
class Alert:
    """What a channel is given."""

    key: str
    """Idempotency key: the same for every attempt at this delivery."""
    rule: str
    """Name of the rule that asked for it."""
    event: CameraEvent | OutageNews
    """What it tells of, as the database has it now: an event, or cameras that are offline or back."""
    link: str | None = None
    """Address of the event's page, if there is one."""
    snapshot: Path | None = None
    """The picture's file, if there is one."""

    @property
    def title(self) -> str:
        """One line."""
        if isinstance(self.event, OutageNews):
            return f"amiss: {self.event.title}"
        what = f"{self.event.class_name}, " if self.event.class_name else ""
        return f"amiss: {self.event.camera}, {what}score {self.event.peak_score:.2f}"

    @property
    def text(self) -> str:
        """A few lines of plain text, times in the machine's zone."""
        lines = self.event.lines(_local) if isinstance(self.event, OutageNews) else _event_lines(self.event)
        return "\n".join([*lines, self.link] if self.link else lines)

    def json(self) -> dict[str, Any]:
        """For channels that speak JSON; `id` is the idempotency key."""
        return {"id": self.key, "rule": self.rule, "title": self.title, "text": self.text, "link": self.link,
                **_told(self.event)}  # fmt: skip


def _told(event: CameraEvent | OutageNews) -> dict[str, Any]:
    if isinstance(event, OutageNews):
        return {"kind": "back" if event.is_back else "offline", "outages": [o.to_json() for o in event.outages]}
    return {"kind": "event", "event": event.to_json()}


def _event_lines(event: CameraEvent) -> list[str]:
    lines = [f"Camera {event.camera}"]
    if event.place is not None:
        lines.append(f"In {event.place}")
    lines.append(f"Began {_local(event.started)}")
    if event.ended is not None:
        seconds = (event.ended - event.started).total_seconds()
        lines.append(f"Ended {_local(event.ended)} ({seconds:.0f} s)")
    if event.state == "interrupted":
        lines.append("The watcher was stopped during the event; it may have lasted longer")
    if event.class_name is not None:
        lines.append(f"It may be: {event.class_name}")
    lines.append(f"Best score {event.peak_score:.3f} at {_local(event.peak)} (alarm above {event.threshold_on:.3f})")
    lines.append(f"Detector {event.detector}")
    if event.problem:
        lines.append(f"Note: {event.problem}")
    return lines


class Channel(Protocol):
    """A way to tell somebody. One thread uses a channel at a time, not always the same one."""

    name: str
    expire_s: float
    """An alert that wasn't taken for so long is given up."""
    timeout_s: float
    """A `send` that takes longer is cut off: the connections that it made are shut, and it can't make another."""

    def open(self) -> None:
        """Connect, where it stays connected: called once, before the first `send`, when no older channel is left."""

    def send(self, alert: Alert) -> None:
        """Return when the alert was taken.

        Raises:
            AlertError: it was not; the message holds no secret.
        """

    def close(self) -> None:
        """Let go of connections."""


class LogChannel:
    """Appends alerts to a file of JSON lines; the same alert never stands there twice."""

    def __init__(self, name: str, settings: LogSettings) -> None:
        self.name = name
        self.expire_s = settings.expire_s
        self.timeout_s = settings.timeout_s
        self._path = settings.path

    def open(self) -> None:
        """Nothing is kept open."""

    def send(self, alert: Alert) -> None:
        """See `Channel.send`."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if f'"id": "{alert.key}"'.encode() in self._last_lines():
                return  # written before a crash that kept it from being marked as sent
            append_line(self._path, json.dumps({"time": datetime.now(UTC).isoformat(), **alert.json()}))
        except OSError as error:
            raise AlertError(f"{self._path} can't be written: {error.strerror or error}") from error

    def _last_lines(self) -> bytes:
        """Whole ones."""
        with self._path.open("a+b") as file:
            file.seek(max(0, file.tell() - _TAIL))
            return file.read().rpartition(b"\n")[0]

    def close(self) -> None:
        """Nothing to let go of."""


def probe_alert(channel: str) -> Alert:
    """What `amiss alerts test` sends: an event that never was, with a key of its own."""
    now = datetime.now(UTC)
    event = CameraEvent(
        event_id=f"test{now:%Y%m%d%H%M%S%f}".ljust(32, "0")[:32], camera="test", state="closed",
        started=now - timedelta(seconds=10), ended=now, peak=now - timedelta(seconds=5), peak_score=1.0,
        threshold_on=0.5, threshold_off=0.4, detector="none", detector_sha256="", feature_spec="", trace=(),
        problem=f"this is a test of the channel {channel}, sent by amiss {__version__}",
    )  # fmt: skip
    return Alert(key=event.event_id, rule="test", event=event)


def _local(time: datetime) -> str:
    return f"{time.astimezone():%Y-%m-%d %H:%M:%S %Z}"
