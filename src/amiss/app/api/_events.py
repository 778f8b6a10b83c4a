"""Events: lists, one with its curve, its picture and its clip."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import FileResponse
from pydantic import AwareDatetime, ConfigDict, Field
from pydantic.config import JsonDict

from amiss.app._context import AppContext
from amiss.app.accounts import Identity
from amiss.app.api._answers import Context, Id, Model, Viewer, none_such
from amiss.errors import VideoError
from amiss.video import read_header
from amiss.watch import CameraEvent, EventState
from amiss.watch.store import EventOrder, EventQuery, StoredEvent, Verdict

router = APIRouter(prefix="/events", tags=["events"])

_EXAMPLE: JsonDict = {
    "event_id": "0123456789abcdef0123456789abcdef", "camera": "door", "place": None, "state": "closed",
    "started": "2026-03-01T12:00:00Z", "ended": "2026-03-01T12:00:20Z", "peak": "2026-03-01T12:00:07Z",
    "peak_score": 0.93, "class_name": None, "threshold_on": 0.6, "threshold_off": 0.4, "detector": "street",
    "detector_sha256": "ab" * 32, "has_clip": True, "has_snapshot": True, "problem": None, "verdict": "confirmed",
    "class": "fall", "note": "", "protected": False, "media_removed": None,
}  # fmt: skip


class Event(Model):
    """An event."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    event_id: str
    camera: str
    place: str | None
    """In which file it is, and where; null for cameras."""
    state: EventState
    started: datetime
    ended: datetime | None
    peak: datetime
    """When its score was highest."""
    peak_score: float
    class_name: str | None
    """What the detector takes it for; null = it tells no classes apart."""
    threshold_on: float
    threshold_off: float
    detector: str
    """Name of the detector that found it …"""
    detector_sha256: str
    """… and its hash."""
    has_clip: bool
    has_snapshot: bool
    problem: str | None
    """What went wrong with its files."""
    verdict: Verdict | None
    """The newest review's; null = nobody reviewed it."""
    label: Annotated[str | None, Field(alias="class")]
    """The class that it gave."""
    note: str
    """Its note."""
    protected: bool
    """Its clip and picture are kept whatever the retention says."""
    media_removed: datetime | None
    """When the retention removed its clip and picture."""


class Events(Model):
    """A page of events."""

    events: list[Event]
    next: str | None
    """Ask with it as `cursor` for the next page; null = this is the last."""
    total: int | None
    """How many all pages have together, at most 10 000; null on further pages."""


class Trace(Model):
    """The score curve of an event."""

    started: datetime
    """What the times count from."""
    threshold_on: float
    threshold_off: float
    points: list[tuple[float, float]]
    """(seconds since `started`, score) of every clip; those before the event are negative."""
    clip_begins: list[float]
    """Where on this curve the files of its video begin, in seconds since `started`; empty = there is none."""


async def _wanted(
    who: Viewer,
    camera: Annotated[str | None, Query(max_length=64)] = None,
    verdict: Annotated[
        Verdict | Literal["none"] | None, Query(description="Of the newest review; none = not reviewed")
    ] = None,
    label: Annotated[str | None, Query(alias="class", max_length=64)] = None,
    since: Annotated[AwareDatetime | None, Query(description="Began then or later")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Began before")] = None,
    min_score: Annotated[float | None, Query(ge=0, le=1)] = None,
    protected: bool | None = None,
) -> EventQuery:
    return EventQuery(
        cameras=cameras_seen(who, camera), verdict=verdict, label=label, since=since, until=until,
        min_score=min_score, protected=protected,
    )  # fmt: skip


Wanted = Annotated[EventQuery, Depends(_wanted)]
"""Which events are asked for, of those that one may see."""


@router.get("")
def events(
    wanted: Wanted,
    context: Context,
    state: EventState | None = None,
    q: Annotated[str | None, Query(max_length=200, description="Words of class, note, file, problem, camera")] = None,
    order: EventOrder = "newest",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=500, description="`next` of the page before")] = None,
) -> Events:
    """Events of the cameras that one may see."""
    query = replace(wanted, state=state, text=q, order=order, limit=limit, cursor=cursor)
    page = context.store.list_events(query)
    total = context.store.count_events(query) if cursor is None else None
    return Events(events=[event_of(event) for event in page.events], next=page.next, total=total)


@router.get("/{event_id}")
def event(event_id: Id, who: Viewer, context: Context) -> Event:
    """One event."""
    return event_of(visible_event(event_id, who, context))


@router.get("/{event_id}/trace")
def trace(event_id: Id, who: Viewer, context: Context) -> Trace:
    """Its score curve, and where on it its video is."""
    event = visible_event(event_id, who, context).event
    return Trace(
        started=event.started, threshold_on=event.threshold_on, threshold_off=event.threshold_off,
        points=list(event.trace), clip_begins=_clip_begins(event, context),
    )  # fmt: skip


@router.get("/{event_id}/snapshot.jpg", response_class=FileResponse, responses={200: {"content": {"image/jpeg": {}}}})
def snapshot(event_id: Id, who: Viewer, context: Context) -> Response:
    """The picture of its peak."""
    visible_event(event_id, who, context)
    path = context.view.media_file(event_id, "snapshot")
    if path is None:
        raise none_such("picture")
    return FileResponse(path, media_type="image/jpeg")


@router.get("/{event_id}/clip.mp4", response_class=FileResponse, responses={200: {"content": {"video/mp4": {}}}})
def clip(event_id: Id, who: Viewer, context: Context, part: Annotated[int, Query(ge=1, le=9999)] = 1) -> Response:
    """Its video, or a part of it (`Range`); one whose stream changed consists of several files."""
    visible_event(event_id, who, context)
    path = context.view.media_file(event_id, "clip", part)
    if path is None:
        raise none_such("clip")
    return FileResponse(path, media_type="video/mp4")


def cameras_seen(who: Identity, camera: str | None = None) -> tuple[str, ...] | None:
    """Of which cameras events may be found: of this one, or of all that may be seen; None = of all."""
    if camera is not None:
        return (camera,) if who.may_see(camera) else ()
    return None if who.cameras is None else tuple(sorted(who.cameras))


def event_of(stored: StoredEvent) -> Event:
    """What the API shows of an event: names, no paths."""
    event = stored.event
    values = {"class": stored.label}
    return Event(
        event_id=event.event_id, camera=event.camera, place=event.place, state=event.state, started=event.started,
        ended=event.ended, peak=event.peak, peak_score=event.peak_score, class_name=event.class_name,
        threshold_on=event.threshold_on, threshold_off=event.threshold_off, detector=PurePath(event.detector).name,
        detector_sha256=event.detector_sha256, has_clip=event.clip is not None and stored.media_removed is None,
        has_snapshot=event.snapshot is not None and stored.media_removed is None, problem=event.problem,
        verdict=stored.verdict, note=stored.note, protected=stored.protected, media_removed=stored.media_removed,
        **values,
    )  # fmt: skip


def visible_event(event_id: str, who: Identity, context: AppContext) -> StoredEvent:
    """An event that may be seen.

    Raises:
        HTTPException: there is none, or it may not.
    """
    stored = context.store.get_event(event_id)
    if stored is None or not who.may_see(stored.event.camera):
        raise none_such("event")
    return stored


def _clip_begins(event: CameraEvent, context: AppContext) -> list[float]:
    """Of every file of its clip; where the curve begins for one that doesn't tell, as those of earlier versions."""
    shown = context.view.event(event.event_id)
    begins = []
    for part in range(1, (0 if shown is None else shown.clip_parts) + 1):
        path = context.view.media_file(event.event_id, "clip", part)
        if path is not None:
            taken = _first_picture(path, path.stat().st_mtime_ns)
            first = event.trace[0][0] if event.trace else 0.0
            begins.append(first if taken is None else (taken - event.started).total_seconds())
    return begins


@lru_cache(maxsize=1024)
def _first_picture(path: Path, _changed: int) -> datetime | None:
    try:
        return read_header(path).first_picture
    except VideoError:
        return None
