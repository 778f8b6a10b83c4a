"""An application over HTTP, from a thread of its own, on loopback unless it is told otherwise."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from amiss.errors import ConfigError, OutputError
from amiss.watch.config import HttpSettings
from amiss.watch.http._connections import BACKLOG, Connection, KnownHosts

log = logging.getLogger("amiss.watch")

_LOOK_S, _LAST_S = 0.1, 0.4  # how often it is asked whether to end; what answers that are under way have then
_SEND_BUFFER = 256 * 1024  # bytes that the system takes for a client that doesn't read


class HttpServer:
    """Serves an application from a thread of its own, to those who know the server's name.

    Args:
        app: the application.
        settings: where, and how much.
        instead_of: a server that this one is to replace; both may have the same port until that one stops.

    Raises:
        ConfigError: the certificate or its key can't be used.
        OutputError: the port can't be had; the other server goes on.
    """

    def __init__(self, app: ASGIApp, settings: HttpSettings, *, instead_of: HttpServer | None = None) -> None:
        self.settings = settings
        _check_certificate(settings)
        self._socket = _listening(settings, instead_of)
        self.port: int = self._socket.getsockname()[1]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        scheme = "http" if settings.tls_certificate is None else "https"
        self.url = (settings.base_url or f"{scheme}://{host}:{self.port}").rstrip("/")
        if (hosts := settings.known_hosts) is not None:
            app = KnownHosts(app, hosts)
        protocol: Any = partial(Connection, settings=settings)
        config = uvicorn.Config(
            app, http=protocol, ws="none", log_config=None, log_level="warning",
            access_log=False, lifespan="off", timeout_graceful_shutdown=1, server_header=False, backlog=BACKLOG,
            limit_concurrency=settings.max_connections + 1, forwarded_allow_ips=list(settings.trusted_proxies),
            ssl_certfile=settings.tls_certificate, ssl_keyfile=settings.tls_key,
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
            cutting_off = asyncio.create_task(self._cut_off_at_the_end())
            await self._server.serve([self._socket])
            cutting_off.cancel()

        asyncio.run(serve())

    async def _cut_off_at_the_end(self) -> None:
        """Answers without end, as news and live pictures are, end with their connections; uvicorn would cancel them."""
        while not self._server.should_exit:
            await asyncio.sleep(_LOOK_S)
        await asyncio.sleep(_LAST_S)
        for connection in list(self._server.server_state.connections):
            if isinstance(connection, Connection):
                connection.cut_off()


def _say(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What asyncio would log with a traceback, each time that it fails to accept a connection."""
    error = context.get("exception")
    unforeseen = None if isinstance(error, OSError) else error
    log.warning("HTTP: %s: %s", context.get("message", "failed"), error, exc_info=unforeseen)


def _check_certificate(settings: HttpSettings) -> None:
    if settings.tls_certificate is None:
        return

    def no_password() -> str:
        raise ConfigError(f"http.tls_key: {settings.tls_key} has a password: give a key without one")

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_certificate, settings.tls_key, no_password)
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        files = f"{settings.tls_certificate} and {settings.tls_key}"
        raise ConfigError(f"http.tls_certificate, http.tls_key: {files} can't be used: {error}") from None


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
