"""Health, metrics, live pictures and events' media over HTTP, on loopback unless it is told otherwise."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import Receive, Scope, Send

from amiss.errors import AmissError, OutputError
from amiss.pages import render
from amiss.video import redact
from amiss.watch.config import HttpSettings
from amiss.watch.http._preview import Preview
from amiss.watch.http._watcher_view import WatcherView

_FRAME_S = 0.1  # at most ten live pictures a second
_BOUNDARY = "amissframe"


def create_app(view: WatcherView, settings: HttpSettings) -> FastAPI:
    """The application. There is no login; media are served by event id, never by path."""
    app = FastAPI(title="amiss watch", docs_url=None, redoc_url=None, openapi_url=None)
    if not settings.allow_public:  # a page in a browser on this machine must not reach the cameras by a name of its own
        hosts = ["localhost", "127.0.0.1", "[::1]", settings.host]
        if settings.base_url and (own := urlsplit(settings.base_url).hostname):
            hosts.append(own)
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts)

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
        return _LivePictures(preview)

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


class _LivePictures(StreamingResponse):
    """MJPEG for one viewer, whose place is given back however the connection ends."""

    def __init__(self, preview: Preview) -> None:
        super().__init__(_parts(preview), media_type=f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
        self._preview = preview

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._preview.leave()


async def _parts(preview: Preview) -> AsyncIterator[bytes]:
    shown = 0
    while True:
        if (drawn := await run_in_threadpool(preview.jpeg, shown)) is not None:
            shown, jpeg = drawn
            head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            yield head.encode() + jpeg + b"\r\n"
        await asyncio.sleep(_FRAME_S)


class HttpServer:
    """Serves a view from a thread of its own.

    Raises:
        OutputError: the port can't be had.
    """

    def __init__(self, view: WatcherView, settings: HttpSettings) -> None:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((settings.host.strip("[]"), settings.port))
        except OSError as error:
            self._socket.close()
            raise OutputError(f"can't listen on {settings.host}:{settings.port}: {error.strerror}") from error
        self.port: int = self._socket.getsockname()[1]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        self.url = (settings.base_url or f"http://{host}:{self.port}").rstrip("/")
        config = uvicorn.Config(
            create_app(view, settings), log_config=None, log_level="warning", access_log=False, lifespan="off",
            timeout_graceful_shutdown=1, server_header=False,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="amiss-http", daemon=True)

    def start(self) -> None:
        """Begin to serve; returns when it does."""
        self._thread.start()
        until = time.monotonic() + 10
        while not self._server.started and self._thread.is_alive() and time.monotonic() < until:
            time.sleep(0.01)

    def stop(self) -> None:
        """End; viewers are cut off."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        self._socket.close()
