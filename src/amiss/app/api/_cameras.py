"""Cameras: how they are, and what they see now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, HTTPException, Response
from fastapi.responses import StreamingResponse
from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from amiss.app._context import AppContext
from amiss.app.accounts import Identity
from amiss.app.api._answers import CameraName, Context, Model, Reviewer, Viewer, none_such
from amiss.app.security import told_to
from amiss.video import SourceState, redact
from amiss.watch.camera import CameraStatus
from amiss.watch.http import LivePictures, Preview

router = APIRouter(prefix="/cameras", tags=["cameras"])

_EXAMPLE: JsonDict = {
    "name": "door", "state": "running", "reason": "", "since": "2026-03-01T12:00:00Z", "offline_since": None,
    "score": 0.12, "score_time": "2026-03-01T12:30:00Z", "threshold_on": 0.6, "threshold_off": 0.4,
    "threshold_from": "the detector", "event_id": None, "scores": [["2026-03-01T12:30:00Z", 0.12]], "lag_s": 0.2,
    "frames": 45000, "dropped_frames": 0, "dropped_clips": 0, "reconnects": 1, "stalls": 0, "restarts": 0,
    "problem": "", "address": None,
}  # fmt: skip


class Camera(Model):
    """A camera as it is now."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    name: str
    state: SourceState
    reason: str
    """Why it is in that state."""
    since: datetime
    """When that state began."""
    offline_since: datetime | None
    """Since when nothing of it was scored, if that is long enough for an alert."""
    score: float | None
    """Last smoothed score, 0 to 1."""
    score_time: datetime | None
    threshold_on: float
    """An event opens at this score …"""
    threshold_off: float
    """… and ends below this one."""
    threshold_from: str
    """Where the thresholds come from, in words."""
    event_id: str | None
    """The open event."""
    scores: list[tuple[datetime, float]]
    """The last scores, at most 120."""
    lag_s: float
    """Age of the oldest picture or clip that waits for its score, in seconds."""
    frames: int
    """Pictures decoded."""
    dropped_frames: int
    dropped_clips: int
    reconnects: int
    stalls: int
    restarts: int
    """Workers that failed."""
    problem: str
    """What the last worker failed of. Where files lie is told to admins, here and in `reason`."""
    address: str | None
    """Where it is, without passwords; for admins alone."""


class Snooze(Model):
    """How long nobody is told of a camera's events; they are stored as ever."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"minutes": 30}]})

    minutes: Annotated[float, Field(gt=0, le=7 * 24 * 60)]


class Snoozed(Model):
    """Until when nobody is told."""

    until: datetime
    by: str


class Snoozes(Model):
    """Cameras whose events are told to nobody now."""

    snoozed: dict[str, Snoozed]
    """By the camera's name."""


class Cameras(Model):
    """Those that may be seen."""

    cameras: list[Camera]


@router.get("")
def cameras(who: Viewer, context: Context) -> Cameras:
    """All cameras that one may see, in the order of the configuration."""
    return Cameras(cameras=[camera_of(status, who) for status in _visible(who, context)])


@router.get("/snoozed")
def snoozed(who: Viewer, context: Context) -> Snoozes:
    """Cameras whose events are told to nobody now."""
    now = datetime.now(UTC)
    return Snoozes(
        snoozed={
            row.name: Snoozed(until=row.snoozed_until, by=row.snoozed_by or "")
            for row in context.store.cameras()
            if row.snoozed_until is not None and row.snoozed_until > now and who.may_see(row.name)
        }
    )


@router.post("/{camera}/snooze")
def snooze(camera: CameraName, asked: Snooze, who: Reviewer, context: Context) -> Snoozed:
    """Tell nobody of this camera's events for a while. That it is offline is told all the same."""
    _known(camera, who, context)
    until = datetime.now(UTC) + timedelta(minutes=asked.minutes)
    context.store.snooze_camera(camera, until, actor=who.name)
    return Snoozed(until=until, by=who.name)


@router.delete("/{camera}/snooze", status_code=204)
def unsnooze(camera: CameraName, who: Reviewer, context: Context) -> None:
    """Tell of its events again."""
    _known(camera, who, context)
    context.store.snooze_camera(camera, None, actor=who.name)


@router.get("/{camera}")
def camera(camera: CameraName, who: Viewer, context: Context) -> Camera:
    """One camera."""
    for status in _visible(who, context):
        if status.name == camera:
            return camera_of(status, who)
    raise none_such("camera")


@router.get("/{camera}/picture.jpg", response_class=Response, responses={200: {"content": {"image/jpeg": {}}}})
def picture(camera: CameraName, who: Viewer, context: Context) -> Response:
    """What it sees now, with time, score and curve."""
    drawn = _preview(camera, who, context).jpeg()
    if drawn is None:
        raise HTTPException(404, "the camera has given no picture yet")
    return Response(drawn[1], media_type="image/jpeg")


@router.get(
    "/{camera}/live.mjpg",
    response_class=StreamingResponse,
    responses={200: {"content": {"multipart/x-mixed-replace": {}}}},
)
def live(camera: CameraName, who: Viewer, context: Context) -> Response:
    """What it sees from now on, at most ten pictures a second; ends where the session does."""
    preview = _preview(camera, who, context)
    if not preview.enter():
        raise HTTPException(503, "too many look at this camera (http.max_viewers)")
    return LivePictures(preview, lambda: context.accounts.is_valid(who))


def camera_of(status: CameraStatus, who: Identity) -> Camera:
    """What the API shows of a camera."""
    with status.lock:
        counts = status.counts
        return Camera(
            name=status.name, state=status.state, reason=told_to(who, status.reason), since=status.since,
            offline_since=status.offline_since, score=status.score, score_time=status.score_time,
            threshold_on=status.threshold_on, threshold_off=status.threshold_off,
            threshold_from=status.threshold_from, event_id=status.event_id, scores=list(status.history),
            lag_s=round(status.progress.lag_s, 3), frames=counts.frames, dropped_frames=counts.dropped_frames,
            dropped_clips=counts.dropped_clips, reconnects=counts.reconnects, stalls=counts.stalls,
            restarts=status.restarts, problem=told_to(who, redact(status.problem)),
            address=status.url if who.is_at_least("admin") else None,
        )  # fmt: skip


def _known(camera: str, who: Identity, context: AppContext) -> None:
    if all(row.name != camera for row in context.store.cameras() if who.may_see(row.name)):
        raise none_such("camera")


def _visible(who: Identity, context: AppContext) -> list[CameraStatus]:
    return [status for status in context.view.watched.cameras() if who.may_see(status.name)]


def _preview(camera: str, who: Identity, context: AppContext) -> Preview:
    preview = context.view.preview(camera) if who.may_see(camera) else None
    if preview is None:
        raise none_such("camera")
    return preview
