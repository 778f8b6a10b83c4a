"""What the service asks the store to write. In the spool: one JSON object per record, told apart by `op`."""

import json
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from amiss.watch._event import CameraEvent, Time
from amiss.watch._outage import Outage


@dataclass(frozen=True)
class SaveEvent:
    """An event is so now."""

    run: str
    """The process that saw it."""
    revision: int
    """Rises with every state that the process saves; an older one changes nothing."""
    event: CameraEvent
    op: Literal["event"] = "event"


@dataclass(frozen=True)
class Interrupt:
    """What earlier processes left open has ended."""

    run: str
    """The process that says so; its own events stay open."""
    cameras: tuple[str, ...]
    op: Literal["interrupt"] = "interrupt"


@dataclass(frozen=True)
class AddClip:
    """An event has a clip after all, or none for a reason."""

    event_id: str
    clip: str | None
    problem: str | None
    op: Literal["clip"] = "clip"


@dataclass(frozen=True)
class ForgetMedia:
    """Files were removed."""

    paths: tuple[str, ...]
    """Relative to the media folder."""
    op: Literal["forget"] = "forget"


@dataclass(frozen=True)
class CameraLost:
    """Nothing of a camera was scored for too long. Where an outage of it lasts already, this is still that one."""

    run: str
    revision: int
    """See SaveEvent."""
    outage: Outage
    op: Literal["lost"] = "lost"


@dataclass(frozen=True)
class CameraBack:
    """Something of a camera was scored again: if an outage of it lasts, it ends."""

    run: str
    revision: int
    """See SaveEvent."""
    camera: str
    time: Time
    op: Literal["back"] = "back"


@dataclass(frozen=True)
class ForgetCameras:
    """Outages of all other cameras are over: they aren't watched any more."""

    watched: tuple[str, ...]
    op: Literal["watched"] = "watched"


Record = SaveEvent | Interrupt | AddClip | ForgetMedia | CameraLost | CameraBack | ForgetCameras

_RECORD: TypeAdapter[Record] = TypeAdapter(Annotated[Record, Field(discriminator="op")])


def write_record(record: Record) -> bytes:
    """The record as JSON, without a line feed; traces are packed."""
    # not dump_json: it raises for text that is no Unicode, which must not stop who asks; the database refuses it later
    return json.dumps(_RECORD.dump_python(record, mode="json"), separators=(",", ":")).encode()


def read_record(text: bytes) -> Record:
    """What `write_record` wrote, now or in an earlier version; ValueError where it is something else."""
    try:
        return _RECORD.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{where}: {first['msg']}; was the spool written by a newer amiss?") from None
