"""Requests can't be larger than what they are for."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from amiss.app.security._problems import problem

_MOST = 1024 * 1024  # bytes


class _TooLargeError(Exception):
    """More came than is taken."""


class BodyLimit:
    """Answers 413 where a request's body is larger than 1 MiB.

    Args:
        app: what is inside.
        larger: paths that take more themselves.
    """

    def __init__(self, app: ASGIApp, larger: frozenset[str] = frozenset()) -> None:
        self._app, self._larger = app, larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._larger:
            await self._app(scope, receive, send)
            return
        refusal = problem(413, f"a request has at most {_MOST} bytes", {"Connection": "close"})
        told = Headers(scope=scope).get("content-length", "0")
        if not told.isdecimal() or int(told) > _MOST:
            await refusal(scope, receive, send)
            return
        n_bytes, is_answered = 0, False

        async def receive_some() -> Message:
            nonlocal n_bytes
            message = await receive()
            n_bytes += len(message.get("body", b""))
            if n_bytes > _MOST:
                raise _TooLargeError
            return message

        async def send_or_refuse(message: Message) -> None:
            nonlocal is_answered
            if n_bytes <= _MOST:
                is_answered = True
                await send(message)
            elif not is_answered:  # in place of what was made of the error
                is_answered = True
                await refusal(scope, receive, send)

        try:
            await self._app(scope, receive_some, send_or_refuse)
        except _TooLargeError:
            if not is_answered:
                await refusal(scope, receive, send)
