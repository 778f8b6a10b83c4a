"""Recorded videos: upload, scores, media, exports. They are for who may see all cameras."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import PurePath
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from amiss.app.api._answers import ALL_CAMERAS, Context, Id, Model, Reviewer, none_such
from amiss.app.videos import SUFFIXES, ExportKind, LibraryVideo, Upload, VideoState
from amiss.errors import OutputError, UsageError, VideoError
from amiss.results import stretches_of

router = APIRouter(prefix="/videos", tags=["videos"], dependencies=[ALL_CAMERAS])

UPLOAD_PATH = "/api/v1/videos"
"""Takes larger requests than others."""
_PIECE = 1 << 20
_BODY = {
    "required": True,
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}
_EXAMPLE: dict[str, Any] = {
    "video_id": "0123456789abcdef0123456789abcdef", "name": "2026-03-01/night.mp4", "n_bytes": 12345678,
    "state": "scored", "is_upload": False, "problem": None, "job_id": None,
    "summary": {"peak": 0.93, "n_events": 2, "duration_s": 600.0, "threshold": 0.6, "detector": "street",
                "curve": [0.1, 0.93, 0.2]},
}  # fmt: skip

Threshold = Annotated[float | None, Query(ge=0, le=1, description="events from this score on; default: the detector's")]


class Summary(Model):
    """Of a video's scores."""

    peak: float
    """The highest."""
    n_events: int
    duration_s: float
    threshold: float
    """The detector's."""
    detector: str
    curve: list[float]
    """The highest scores of equal parts of it."""


class Video(Model):
    """A recorded video."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    video_id: str
    name: str
    """Where it is in the folder of videos."""
    n_bytes: int
    state: VideoState
    is_upload: bool
    problem: str | None
    """Why it couldn't be scored."""
    job_id: str | None
    """The job that scores it."""
    summary: Summary | None
    """Null: it has no scores."""


class Videos(Model):
    """All of them."""

    videos: list[Video]


class Scores(Model):
    """A video's score over time: N stretches that cover it without a gap."""

    detector: str
    threshold: float
    """The detector's."""
    time: list[float]
    """[N + 1] where each stretch begins, and where the last one ends, in seconds from the first picture."""
    score: list[float]
    """[N] 0 to 1."""
    peaks: list[tuple[float, float]] | None
    """[N] highest score of a clip that reaches into the stretch, and the middle of that clip in seconds; null: the
    stretch is a clip."""
    started: datetime | None
    """When the recording began, in local time, if its name or header tells."""
    started_from: str | None
    form: str | None
    """Codec and kind of file."""
    plays: bool
    """There is a file that browsers play."""
    offset_s: float
    """Where that file's clock is at the first picture."""
    problem: str | None
    """What is missing."""


class Event(Model):
    """A stretch of a video in which the score reaches the threshold."""

    start_s: float
    end_s: float
    score: float
    peak_s: Annotated[float, Field(examples=[12.5])]


class Events(Model):
    """In order."""

    threshold: float
    events: list[Event]


@router.get("")
def videos(context: Context) -> Videos:
    """All videos of the folder, and those that were uploaded."""
    return Videos(videos=[video_of(video) for video in context.library.videos()])


@router.post("", status_code=201, openapi_extra={"requestBody": _BODY})
async def upload(
    name: Annotated[str, Query(min_length=1, max_length=1000, examples=["night.mp4"])],
    request: Request,
    who: Reviewer,
    context: Context,
) -> Video:
    """Upload a video: the file itself is the body of the request."""
    told = request.headers.get("content-length", "")
    most = context.settings.max_upload_mb * 10**6
    arguments = context.library.uploads, name, int(told) if told.isdecimal() else None, most
    try:
        with await run_in_threadpool(Upload, *arguments) as taken:
            async for data in request.stream():
                await run_in_threadpool(taken.write, data)
            path = await run_in_threadpool(taken.finish)
    except OutputError as error:
        raise HTTPException(507, str(error)) from None
    except UsageError as error:
        raise HTTPException(413 if "larger" in str(error) else 422, str(error)) from None
    except VideoError as error:
        raise HTTPException(422, f"that is no video: {error}") from None
    await run_in_threadpool(context.store.audit, "upload", path.name, actor=who.name)
    context.library.look_again()
    found = await run_in_threadpool(context.library.at, path)
    return video_of(found)


@router.get("/{video_id}")
def one(video_id: Id, context: Context) -> Video:
    """One video."""
    return video_of(_found(video_id, context))


@router.delete("/{video_id}", status_code=204)
def remove(video_id: Id, who: Reviewer, context: Context) -> None:
    """Remove a video that was uploaded, with its scores."""
    video = _found(video_id, context)
    context.library.remove(video)
    context.store.audit("remove video", video.name, actor=who.name)


@router.get("/{video_id}/scores")
def scores(video_id: Id, context: Context) -> Scores:
    """Its score over time, so that events of any threshold can be found: runs of stretches that reach it."""
    video = _found(video_id, context)
    result = context.library.result(video)
    if result is None:
        raise none_such("score of this video yet")
    cut, problem, header, played = stretches_of(result), result.problem, None, None
    try:
        header, played = context.library.header(video), context.library.played(video)
    except VideoError as error:
        problem = str(error).replace(str(video.path), video.name)
    is_itself = played == video.path
    return Scores(
        detector=result.detector, threshold=result.threshold, time=[round(time, 3) for time in cut.times],
        score=cut.scores, peaks=cut.peaks, started=None if header is None else header.started,
        started_from=None if header is None else header.started_from,
        form=None if header is None else header.form, plays=played is not None,
        offset_s=header.offset_s if header and is_itself else 0.0, problem=problem,
    )  # fmt: skip


@router.get("/{video_id}/media", response_class=FileResponse, responses={200: {"content": {"video/*": {}}}})
def media(video_id: Id, context: Context) -> Response:
    """A file that browsers play (`Range`): itself, or the small copy that was made when it was scored."""
    played = context.library.played(_found(video_id, context))
    if played is None:
        raise none_such("file of it that browsers play")
    return FileResponse(played, media_type=mimetypes.guess_type(played.name)[0] or "video/mp4")


@router.get("/{video_id}/events")
def events(video_id: Id, context: Context, threshold: Threshold = None) -> Events:
    """Its events."""
    result = context.library.result(_found(video_id, context), threshold)
    if result is None:
        raise none_such("score of this video yet")
    found = [Event(start_s=e.start_s, end_s=e.end_s, score=e.score, peak_s=e.peak_s) for e in result.events]
    return Events(threshold=result.threshold, events=found)


@router.get("/{video_id}/export", response_class=StreamingResponse)
def export(video_id: Id, kind: ExportKind, context: Context, threshold: Threshold = None) -> Response:
    """Its scores as JSON or CSV, its events as clips in a .zip, or itself with its score burnt in."""
    video = _found(video_id, context)
    stack = ExitStack()
    path = stack.enter_context(context.library.export(video, kind, threshold))
    n_bytes = path.stat().st_size

    def pieces() -> Iterator[bytes]:
        with stack, path.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece

    name = f"{PurePath(video.name).stem}.{'annotated.' if kind == 'video' else ''}{SUFFIXES[kind]}"
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else "_" for c in name)
    headers = {"Content-Disposition": f'attachment; filename="{plain}"', "Content-Length": str(n_bytes)}
    return StreamingResponse(pieces(), media_type=mimetypes.guess_type(name)[0], headers=headers)


def video_of(video: LibraryVideo) -> Video:
    """What the API shows of a video: its name, not its path."""
    values = {name: value for name, value in vars(video).items() if name not in ("path", "summary", "key")}
    problem = video.problem and video.problem.replace(str(video.path), video.name)
    summary = None if video.summary is None else Summary(**vars(video.summary) | {"curve": list(video.summary.curve)})
    return Video(**values | {"problem": problem, "summary": summary})


def _found(video_id: str, context: Context) -> LibraryVideo:
    video = context.library.get(video_id)
    if video is None:
        raise none_such("video")
    return video
