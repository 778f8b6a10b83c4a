"""Connections that can't hold up what is recorded: so many at a time, and none that waits or stands for ever."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Collection
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from amiss.watch.config import HttpSettings

log = logging.getLogger("amiss.watch")

BACKLOG = 32  # connections that the system holds, and asyncio accepts in one go: each has a descriptor
_OVER = 8  # connections above the limit that are told so (503); further ones are cut off
_RESERVED, _RESERVED_SHARE = 256, 4  # descriptors kept for recording: so many, or a quarter of few


class Connection(H11Protocol):
    """A client's connection.

    Where there are too many, the one that has waited longest without a request goes. One that sends no whole request
    head, or takes nothing of its answer, is cut off in time.
    """

    def __init__(self, *arguments: Any, settings: HttpSettings, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._settings = settings
        self._waits_since: float | None = None  # None: a request is being answered
        self._request_timer: asyncio.TimerHandle | None = None
        self._send_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_request()
        if _is_scarce(transport):
            log.warning("file descriptors are nearly used up: HTTP connections are refused, recording goes on")
            self.cut_off()
        elif len(self.connections) > self._settings.max_connections:
            others = [other for other in self.connections if isinstance(other, Connection) and other is not self]
            since = {other: other._waits_since for other in others if other._waits_since is not None}
            if since:
                min(since, key=since.__getitem__).cut_off()
            elif len(self.connections) > self._settings.max_connections + _OVER:
                self.cut_off()

    def connection_lost(self, exc: Exception | None) -> None:
        _cancel(self._request_timer)
        _cancel(self._send_timer)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        super().handle_events()
        if self.cycle is not None and not self.cycle.response_complete:
            self._waits_since = None
            _cancel(self._request_timer)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete:  # there was no other request behind it
            self._wait_for_request()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._send_timer = self.loop.call_later(self._settings.send_timeout_s, self.cut_off)

    def resume_writing(self) -> None:
        _cancel(self._send_timer)
        super().resume_writing()

    def _wait_for_request(self) -> None:
        _cancel(self._request_timer)
        self._waits_since = self.loop.time()
        self._request_timer = self.loop.call_later(self._settings.request_timeout_s, self.cut_off)

    def cut_off(self) -> None:
        """End it now."""
        self.connections.discard(self)
        self.transport.abort()  # `close` would wait until all is sent


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def _is_scarce(transport: asyncio.Transport) -> bool:
    """Whether few file descriptors are left: a new one has the lowest free number."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return False
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return False
    accepted: socket.socket = transport.get_extra_info("socket")
    return accepted.fileno() >= limit - min(_RESERVED, limit // _RESERVED_SHARE)


class KnownHosts:
    """Refuses requests for a host that this server isn't: a page of `evil.example`, whose name its owner lets lead
    here, must not read the cameras through the browser of somebody who may (DNS rebinding).

    Loopback and the address at which a connection arrived are always known.
    """

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        self._app = app
        self._names = {name.lower().strip("[]").rstrip(".") for name in names} | {"localhost"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._is_known(scope):
            await self._app(scope, receive, send)
            return
        refusal = "not a name of this server: see http.base_url and http.hosts in its configuration"
        await PlainTextResponse(refusal, 400)(scope, receive, send)

    def _is_known(self, scope: Scope) -> bool:
        given = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1")
        try:
            host = (urlsplit(f"//{given}").hostname or "").rstrip(".")
        except ValueError:
            return False
        if host in self._names:
            return True
        try:
            address = ip_address(host)
        except ValueError:
            return False
        return address.is_loopback or host == scope["server"][0]
