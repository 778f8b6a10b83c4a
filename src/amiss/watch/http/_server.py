"""Health, metrics, live pictures and events' media over HTTP, on loopback unless it is told otherwise."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from amiss.errors import AmissError, OutputError
from amiss.pages import render
from amiss.video import redact
from amiss.watch.config import HttpSettings
from amiss.watch.http._connections import BACKLOG, Connection, KnownHosts
from amiss.watch.http._preview import Preview
from amiss.watch.http._watcher_view import WatcherView

log = logging.getLogger("amiss.watch")

_FRAME_S = 0.1  # at most ten live pictures a second
_STILL_S = 2.0  # after so long the last picture comes again: else who has gone would keep its place
_SEND_BUFFER = 256 * 1024  # bytes that the system takes for a client that doesn't read
_BOUNDARY = "amissframe"


def create_app(view: WatcherView, settings: HttpSettings) -> FastAPI:
    """The application. There is no login; media are served by event id, never by path."""
    app = FastAPI(title="amiss watch", docs_url=None, redoc_url=None, openapi_url=None)
    if (hosts := settings.known_hosts) is not None:
        app.add_middleware(KnownHosts, names=hosts)

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
    shown, sent = 0, time.monotonic()
    while True:
        is_still = time.monotonic() - sent > _STILL_S
        if (drawn := await run_in_threadpool(preview.jpeg, 0 if is_still else shown)) is not None:
            shown, jpeg = drawn
            head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            yield head.encode() + jpeg + b"\r\n"
            sent = time.monotonic()
        await asyncio.sleep(_FRAME_S)


class HttpServer:
    """Serves a view from a thread of its own.

    Args:
        view: what is shown.
        settings: where, and how much.
        instead_of: a server that this one is to replace; both may have the same port until that one stops.

    Raises:
        OutputError: the port can't be had; the other server goes on.
    """

    def __init__(self, view: WatcherView, settings: HttpSettings, *, instead_of: HttpServer | None = None) -> None:
        self.settings = settings
        self._socket = _listening(settings, instead_of)
        self.port: int = self._socket.getsockname()[1]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        self.url = (settings.base_url or f"http://{host}:{self.port}").rstrip("/")
        protocol: Any = partial(Connection, settings=settings)
        config = uvicorn.Config(
            create_app(view, settings), http=protocol, ws="none", log_config=None, log_level="warning",
            access_log=False, lifespan="off", timeout_graceful_shutdown=1, server_header=False, backlog=BACKLOG,
            limit_concurrency=settings.max_connections + 1,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="amiss-http", daemon=True)

    def start(self) -> None:
        """Begin to serve; returns when it does.

        Raises:
            OutputError: it doesn't begin.
        """
        if self.settings.known_hosts is None:
            log.warning("HTTP: pages of other sites can't be told from yours: set http.base_url")
        self._thread.start()
        until = time.monotonic() + 10
        while not self._server.started:
            time.sleep(0.01)
            if not self._thread.is_alive() or time.monotonic() > until:
                self.stop()
                raise OutputError(f"the HTTP server at {self.url} doesn't begin to serve")

    def stop(self) -> None:
        """End; viewers are cut off."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        self._socket.close()

    def _run(self) -> None:
        async def serve() -> None:
            asyncio.get_running_loop().set_exception_handler(_say)
            await self._server.serve([self._socket])

        asyncio.run(serve())


def _say(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What asyncio would log with a traceback, each time that it fails to accept a connection."""
    error = context.get("exception")
    unforeseen = None if isinstance(error, OSError) else error
    log.warning("HTTP: %s: %s", context.get("message", "failed"), error, exc_info=unforeseen)


def _listening(settings: HttpSettings, before: HttpServer | None) -> socket.socket:
    if before is not None and (settings.host, settings.port) == (before.settings.host, before.settings.port):
        return before._socket.dup()
    own = socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)  # connections have it from here
        with _sharing(own, before._socket if before is not None and before.port == settings.port else None):
            own.bind((settings.host.strip("[]"), settings.port))
            own.listen(BACKLOG)
    except (OSError, ValueError) as error:  # a ValueError: not a name at all
        own.close()
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"can't listen on {settings.host}:{settings.port}: {reason}") from error
    return own


@contextmanager
def _sharing(own: socket.socket, other: socket.socket | None) -> Iterator[None]:
    """In here they may have the same port, where the system can: 0.0.0.0 takes over from 127.0.0.1."""
    option: int = getattr(socket, "SO_REUSEPORT", 0)
    both = [own, other] if other is not None and option else []
    for each in both:
        each.setsockopt(socket.SOL_SOCKET, option, 1)
    try:
        yield
    finally:
        for each in both:
            each.setsockopt(socket.SOL_SOCKET, option, 0)
