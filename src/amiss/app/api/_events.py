"""Events: lists, one with its curve, its picture and its clip."""

from __future__ import annotations

from datetime import datetime
from pathlib import PurePath
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import FileResponse
from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from amiss.app._context import AppContext
from amiss.app.accounts import Identity
from amiss.app.api._answers import Context, Id, Model, Viewer, none_such
from amiss.watch import EventState
from amiss.watch.http import ShownEvent
from amiss.watch.store import EventQuery, StoredEvent

router = APIRouter(prefix="/events", tags=["events"])

_EXAMPLE: JsonDict = {
    "event_id": "0123456789abcdef0123456789abcdef", "camera": "door", "place": None, "state": "closed",
    "started": "2026-03-01T12:00:00Z", "ended": "2026-03-01T12:00:20Z", "peak": "2026-03-01T12:00:07Z",
    "peak_score": 0.93, "threshold_on": 0.6, "threshold_off": 0.4, "detector": "street",
    "detector_sha256": "ab" * 32, "has_clip": True, "has_snapshot": True, "problem": None, "verdict": None,
    "protected": False, "media_removed": None,
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
    verdict: str | None
    """The newest review's; null = nobody reviewed it."""
    protected: bool
    """Its clip and picture are kept whatever the retention says."""
    media_removed: datetime | None
    """When the retention removed its clip and picture."""


class Events(Model):
    """A page of events."""

    events: list[Event]


class Trace(Model):
    """The score curve of an event."""

    started: datetime
    """What the times count from."""
    threshold_on: float
    threshold_off: float
    points: list[tuple[float, float]]
    """(seconds since `started`, score) of every clip; those before the event are negative."""
    clip_parts: int
    """Files that its clip consists of; 0 = there is none."""
    clip_start_s: Annotated[float, Field(examples=[-5.0])]
    """Where on this curve the clip begins, in seconds since `started`."""


@router.get("")
def events(who: Viewer, context: Context, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> Events:
    """Events of the cameras that one may see, newest first."""
    cameras = None if who.cameras is None else tuple(sorted(who.cameras))
    page = context.store.list_events(EventQuery(cameras=cameras, limit=limit))
    return Events(events=[event_of(event) for event in page.events])


@router.get("/{event_id}")
def event(event_id: Id, who: Viewer, context: Context) -> Event:
    """One event."""
    return event_of(visible_event(event_id, who, context))


@router.get("/{event_id}/trace")
def trace(event_id: Id, who: Viewer, context: Context) -> Trace:
    """Its score curve."""
    event = visible_event(event_id, who, context).event
    shown: ShownEvent | None = context.view.event(event_id)
    points = list(event.trace)
    return Trace(
        started=event.started, threshold_on=event.threshold_on, threshold_off=event.threshold_off, points=points,
        clip_parts=0 if shown is None else shown.clip_parts, clip_start_s=points[0][0] if points else 0.0,
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
    """Its video, or a part of it (`Range`); long ones consist of several files."""
    visible_event(event_id, who, context)
    path = context.view.media_file(event_id, "clip", part)
    if path is None:
        raise none_such("clip")
    return FileResponse(path, media_type="video/mp4")


def event_of(stored: StoredEvent) -> Event:
    """What the API shows of an event: names, no paths."""
    event = stored.event
    return Event(
        event_id=event.event_id, camera=event.camera, place=event.place, state=event.state, started=event.started,
        ended=event.ended, peak=event.peak, peak_score=event.peak_score, threshold_on=event.threshold_on,
        threshold_off=event.threshold_off, detector=PurePath(event.detector).name,
        detector_sha256=event.detector_sha256, has_clip=event.clip is not None and stored.media_removed is None,
        has_snapshot=event.snapshot is not None and stored.media_removed is None, problem=event.problem,
        verdict=stored.verdict, protected=stored.protected, media_removed=stored.media_removed,
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
