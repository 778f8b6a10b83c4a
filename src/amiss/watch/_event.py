"""What the rooms of the watcher hand to each other: a camera's event, and its state."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from datetime import UTC, timedelta
from itertools import count, takewhile
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AwareDatetime, BeforeValidator, PlainSerializer, TypeAdapter

from amiss.video import SourceState

EventState = Literal["open", "closed", "interrupted"]
"""`interrupted`: the process ended while the event was open."""

CameraState = SourceState
"""Of its source."""

_TRACE_VERSION = 1
_LONGEST_S = 2_147_483  # what an int32 of milliseconds holds
NOT_IN_ROWS = {"trace", "feature"}
"""What of an event is too long to be told with it."""
_ROW = np.dtype([("ms", "<i4"), ("score", "<u2")])

Trace = tuple[tuple[float, float], ...]


def pack_trace(trace: Trace) -> bytes:
    """(seconds, score 0..1) pairs as bytes: one byte of version (1), then 6 bytes per clip.

    Each clip is a little-endian int32 of milliseconds since the event's start and a uint16 of score × 65535, so a time
    comes back to half a millisecond and a score to 8e-6.
    """
    rows = np.empty(len(trace), dtype=_ROW)
    if trace:
        pairs = np.nan_to_num(np.asarray(trace, dtype=np.float64))
        rows["ms"] = np.rint(np.clip(pairs[:, 0], -_LONGEST_S, _LONGEST_S) * 1000)
        rows["score"] = np.rint(np.clip(pairs[:, 1], 0, 1) * 65535)
    return bytes([_TRACE_VERSION]) + rows.tobytes()


def unpack_trace(packed: bytes) -> Trace:
    """What `pack_trace` packed; ValueError where the bytes are something else."""
    if not packed or packed[0] != _TRACE_VERSION or (len(packed) - 1) % _ROW.itemsize:
        raise ValueError(f"no score trace of version {_TRACE_VERSION}: {packed[:8]!r}")
    rows = np.frombuffer(packed, dtype=_ROW, offset=1)
    return tuple(zip((rows["ms"] / 1000).tolist(), (rows["score"] / 65535).tolist(), strict=True))


def _trace_of(value: Any) -> Any:
    return unpack_trace(base64.b64decode(value)) if isinstance(value, str) else value


def _bytes_of(value: Any) -> Any:
    return base64.b64decode(value) if isinstance(value, str) else value


Time = Annotated[
    AwareDatetime, PlainSerializer(lambda time: time.astimezone(UTC).isoformat(), return_type=str, when_used="json")
]
"""Aware; in JSON as ISO 8601 in UTC."""
_PackedInJson = Annotated[
    Trace,
    BeforeValidator(_trace_of),
    PlainSerializer(lambda trace: base64.b64encode(pack_trace(trace)).decode(), return_type=str, when_used="json"),
]
_BytesInJson = Annotated[
    bytes,
    BeforeValidator(_bytes_of),
    PlainSerializer(lambda value: base64.b64encode(value).decode(), return_type=str, when_used="json"),
]


@dataclass(frozen=True)
class CameraEvent:
    """One stretch of a camera's time in which its smoothed score stayed above the alarm thresholds."""

    event_id: str
    """A uuid in hex, made when the event opens; the idempotency key of everything that follows from it."""
    camera: str
    """The camera's name."""
    state: EventState
    started: Time
    """Time of the first frame of the event, aware, UTC."""
    ended: Time | None
    """Time of the end of its last frame, aware, UTC; None while the event is open."""
    peak: Time
    """Middle of the clip with the best score, aware, UTC."""
    peak_score: float
    """The best score, 0 to 1."""
    threshold_on: float
    """Score at which the event opened."""
    threshold_off: float
    """Score below which it closes."""
    detector: str
    """The detector's name."""
    detector_sha256: str
    """Checksum of the detector's head.safetensors and detector.json together."""
    feature_spec: str
    """The hash of the detector's FeatureSpec."""
    trace: _PackedInJson
    """(seconds since `started`, score) of every clip, pre-roll included (negative seconds)."""
    clip: str | None = None
    """The event's video, relative to the media folder; None if there is none (yet)."""
    snapshot: str | None = None
    """The event's picture, relative to the media folder; None if there is none (yet)."""
    problem: str | None = None
    """What went wrong with this event's files, such as "no clip: disk full"; None if nothing did."""
    file: str | None = None
    """Of a folder or a replayed file: name of the file that the event is in; None for cameras and loops."""
    file_s: float | None = None
    """Seconds from that file's first frame to the event's first; None where `file` is."""
    class_name: str | None = None
    """What it seems to be, by the clip with the best score; None where the detector tells no classes apart."""
    feature: _BytesInJson | None = None
    """Of the clip with the best score: the mean of its crops' features, packed (see `pack_vector`); None for events of
    earlier versions."""

    @property
    def place(self) -> str | None:
        """Where in which file the event begins, as `night.mp4 at 1:02:03`; None for cameras."""
        return None if self.file is None else f"{self.file} at {timedelta(seconds=int(self.file_s or 0))}"

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON, without trace and feature; times as ISO 8601 in UTC."""
        values: dict[str, Any] = _EVENT.dump_python(self, mode="json", exclude=NOT_IN_ROWS)
        return values


_EVENT = TypeAdapter(CameraEvent)


def interrupted(event: CameraEvent, problem: str | None = None) -> CameraEvent:
    """An open event as it is when what watched it has gone: it ended at the last clip that was told of.

    Args:
        event: as it was told of last.
        problem: of its files, where there is one besides those that are known.
    """
    last_s = max((seconds for seconds, _ in event.trace), default=0.0)
    ended = event.ended or max(event.peak, event.started + timedelta(seconds=last_s))
    problems = "; ".join(filter(None, (event.problem, problem))) or None
    return replace(event, state="interrupted", ended=ended, problem=problems)


def clip_part(clip: Path, part: int) -> Path:
    """Where part 1, 2, … of an event's clip lies; a long one, or one whose camera changed, has several."""
    return clip if part == 1 else clip.with_stem(f"{clip.stem}-{part}")


def clip_parts(clip: Path) -> list[Path]:
    """The parts that are there, in order."""
    return list(takewhile(Path.is_file, (clip_part(clip, part) for part in count(1))))
