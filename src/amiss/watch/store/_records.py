"""Events as JSON: for the spool, and for the channels that speak JSON."""

import base64
from datetime import UTC, datetime
from typing import Any

from amiss.watch._event import CameraEvent
from amiss.watch.store._tables import pack_trace, unpack_trace

_TIMES = ("started", "ended", "peak")
_NUMBERS = ("peak_score", "threshold_on", "threshold_off")
_TEXTS = ("event_id", "camera", "state", "detector", "detector_sha256", "feature_spec")
_MAYBE_TEXTS = ("clip", "snapshot", "problem", "file")
_MAYBE_NUMBERS = ("file_s",)


def event_json(event: CameraEvent) -> dict[str, Any]:
    """The event without its trace; times as ISO 8601 in UTC."""
    names = (*_TEXTS, *_NUMBERS, *_MAYBE_TEXTS, *_MAYBE_NUMBERS)
    values: dict[str, Any] = {name: getattr(event, name) for name in names}
    for name in _TIMES:
        time: datetime | None = getattr(event, name)
        values[name] = None if time is None else time.astimezone(UTC).isoformat()
    return values


def event_record(event: CameraEvent) -> dict[str, Any]:
    """The whole event, the trace packed."""
    return event_json(event) | {"trace": base64.b64encode(pack_trace(event.trace)).decode()}


def event_of(record: dict[str, Any]) -> CameraEvent:
    """What `event_record` was made of; ValueError, TypeError or KeyError where something is missing or odd."""
    values: dict[str, Any] = {name: str(record[name]) for name in _TEXTS}
    values |= {name: float(record[name]) for name in _NUMBERS}
    record = {"file": None, "file_s": None} | record  # a spool of before knows no files
    values |= {name: None if record[name] is None else str(record[name]) for name in _MAYBE_TEXTS}
    values |= {name: None if record[name] is None else float(record[name]) for name in _MAYBE_NUMBERS}
    values |= {name: None if record[name] is None else datetime.fromisoformat(record[name]) for name in _TIMES}
    return CameraEvent(**values, trace=unpack_trace(base64.b64decode(record["trace"])))
