"""Headers of every answer."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
_ALWAYS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_HTTPS_ONLY = "max-age=31536000"


class SafeHeaders:
    """Nothing from elsewhere is loaded or run, nothing is shown inside another site, nothing is kept by a cache.

    Args:
        app: what is inside.
        is_secure: people come over HTTPS.
        kept: paths that begin so may be kept by a browser that asks each time whether they have changed.
    """

    def __init__(self, app: ASGIApp, is_secure: bool, kept: str) -> None:
        self._app, self._is_secure, self._kept = app, is_secure, kept

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_ALWAYS)
                headers["Cache-Control"] = "no-cache" if scope["path"].startswith(self._kept) else "no-store"
                if self._is_secure:
                    headers["Strict-Transport-Security"] = _HTTPS_ONLY
            await send(message)

        await self._app(scope, receive, send_safely if scope["type"] == "http" else send)
