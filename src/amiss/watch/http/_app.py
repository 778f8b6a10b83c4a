"""The pages of `amiss watch`: health, metrics, live pictures and events' media."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from amiss.errors import AmissError
from amiss.pages import render
from amiss.video import redact
from amiss.watch.http._preview import Preview
from amiss.watch.http._watcher_view import WatcherView

_FRAME_S = 0.1  # at most ten live pictures a second
_STILL_S = 2.0  # after so long the last picture comes again: else who has gone would keep its place
_ASK_S = 5.0  # how often it is asked whether the viewer may still look
_BOUNDARY = "amissframe"


def create_app(view: WatcherView) -> FastAPI:
    """What `amiss watch` serves. There is no login; media are served by event id, never by path."""
    app = FastAPI(title="amiss watch", docs_url=None, redoc_url=None, openapi_url=None)

    @app.exception_handler(AmissError)
    async def _unavailable(request: Request, error: AmissError) -> Response:
        return PlainTextResponse(redact(str(error)), 503)

    @app.middleware("http")
    async def _no_store(request: Request, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    @app.get("/health/live")
    async def _live() -> Response:
        return PlainTextResponse("ok") if view.alive() else PlainTextResponse("the supervisor stands still", 503)

    @app.get("/health/ready")
    async def _ready() -> Response:
        reasons = view.not_ready()
        return JSONResponse({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200)

    @app.get("/metrics")
    def _metrics() -> Response:
        return Response(view.metrics_text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/api/cameras")
    def _cameras() -> Response:
        return JSONResponse(view.cameras())

    @app.get("/cameras/{camera}.mjpg")
    async def _mjpeg(camera: str) -> Response:
        preview = view.preview(camera)
        if preview is None:
            return PlainTextResponse("no such camera", 404)
        if not preview.enter():
            return PlainTextResponse("too many viewers (http.max_viewers)", 503)
        return LivePictures(preview)

    @app.get("/api/events/{event_id}")
    def _event(event_id: str) -> Response:
        found = view.event(event_id)
        return PlainTextResponse("no such event", 404) if found is None else JSONResponse(found.to_json())

    @app.get("/events/{event_id}")
    def _event_page(event_id: str) -> Response:
        name, _, suffix = event_id.partition(".")
        if not suffix:
            found = view.event(name)
            if found is None:
                return PlainTextResponse("no such event", 404)
            return HTMLResponse(render("watch/http/event.html", shown=found))
        kind, media_type = {"jpg": ("snapshot", "image/jpeg"), "mp4": ("clip", "video/mp4")}.get(suffix, ("", ""))
        name, _, part = name.partition("-")
        if not kind or not re.fullmatch(r"([2-9]|[1-9]\d{1,3})?", part, re.ASCII) or (part and kind != "clip"):
            return PlainTextResponse("no such file", 404)
        path = view.media_file(name, kind, int(part or 1))
        return PlainTextResponse("no such file", 404) if path is None else FileResponse(path, media_type=media_type)

    return app


class LivePictures(StreamingResponse):
    """MJPEG for one viewer, whose place is given back however the connection ends.

    Args:
        preview: the camera's pictures; the viewer has a place (`enter`).
        may_look: asked every few seconds, in a thread; the pictures end where it says no.
    """

    def __init__(self, preview: Preview, may_look: Callable[[], bool] = lambda: True) -> None:
        media_type = f"multipart/x-mixed-replace; boundary={_BOUNDARY}"
        headers = {"X-Accel-Buffering": "no"}  # nginx would keep pictures back
        super().__init__(_parts(preview, may_look), headers=headers, media_type=media_type)
        self._preview = preview

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._preview.leave()


async def _parts(preview: Preview, may_look: Callable[[], bool]) -> AsyncIterator[bytes]:
    shown, sent, asked = 0, time.monotonic(), time.monotonic()
    while True:
        if time.monotonic() - asked > _ASK_S:
            if not await run_in_threadpool(may_look):
                return
            asked = time.monotonic()
        is_still = time.monotonic() - sent > _STILL_S
        if (drawn := await run_in_threadpool(preview.jpeg, 0 if is_still else shown)) is not None:
            shown, jpeg = drawn
            head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            yield head.encode() + jpeg + b"\r\n"
            sent = time.monotonic()
        await asyncio.sleep(_FRAME_S)
