"""Who asks: a browser with a session, or a program with a token. Whoever is neither is sent to the login."""

from __future__ import annotations

import re
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from amiss.app.accounts import LOCAL_ADMIN, Accounts, Identity
from amiss.app.security._folders import told_to
from amiss.app.security._problems import problem
from amiss.errors import StoreError
from amiss.watch.config import HttpSettings

COOKIE, SECURE_COOKIE = "amiss_session", "__Host-amiss_session"
_OPEN = re.compile(r"/login|/health/(live|ready)|/static/.*|/favicon\.ico")  # looked at without a login
_LOGIN = "/api/v1/login"
_SAFE = ("GET", "HEAD", "OPTIONS")


def cookie_name(settings: HttpSettings) -> str:
    """Of the session's cookie; browsers take the second only over HTTPS and from this very host."""
    return SECURE_COOKIE if settings.is_secure else COOKIE


class Authentication:
    """Puts an `Identity` into `request.state.identity`, and answers itself where there is none.

    A request that changes something and comes with a cookie, which browsers send by themselves, must come from a page
    of this server.

    Args:
        app: what is inside.
        accounts: who there is.
        settings: whether there is a login, and under which address people come.
    """

    def __init__(self, app: ASGIApp, accounts: Accounts, settings: HttpSettings) -> None:
        self._app, self._accounts, self._settings = app, accounts, settings
        self._cookie = cookie_name(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            identity = await self._who(headers)
        except StoreError as error:
            if not _is_open(scope):
                await problem(503, told_to(None, str(error)))(scope, receive, send)
                return
            identity = None
        refusal = self._refusal(scope, headers, identity)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        scope.setdefault("state", {})["identity"] = identity
        await self._app(scope, receive, send)

    async def _who(self, headers: Headers) -> Identity | None:
        if not self._settings.login:
            return LOCAL_ADMIN
        if (given := headers.get("authorization")) is not None:
            kind, _, token = given.partition(" ")
            return await run_in_threadpool(self._accounts.with_token, token) if kind.lower() == "bearer" else None
        secret = _cookie(headers, self._cookie)
        return await run_in_threadpool(self._accounts.with_session, secret) if secret else None

    def _refusal(self, scope: Scope, headers: Headers, identity: Identity | None) -> Response | None:
        method, is_login = scope["method"], scope["path"] == _LOGIN
        if method not in _SAFE and (identity is None or identity.token_id is None):
            is_from_here = self._is_from_here(headers)
            if is_from_here is False or (is_from_here is None and identity is not None and identity.session_id):
                return problem(403, "a page of another site asks for a change; programs use a token, no cookie")
        if identity is not None or _is_open(scope) or (is_login and method == "POST"):
            return None
        if method == "GET" and not scope["path"].startswith("/api/") and "text/html" in headers.get("accept", ""):
            query = scope["query_string"].decode("latin-1")
            wanted = scope["path"] + (f"?{query}" if query else "")
            return RedirectResponse(f"/login?next={quote(wanted, safe='/')}", 303)
        return problem(401, "log in, or send a token: `Authorization: Bearer …`", {"WWW-Authenticate": "Bearer"})

    def _is_from_here(self, headers: Headers) -> bool | None:
        """Whether a page of this server asks; None where the client doesn't say, as no browser of today does."""
        if (site := headers.get("sec-fetch-site")) is not None:
            return site == "same-origin"
        if (origin := headers.get("origin")) is not None:
            own = self._settings.base_url
            host = urlsplit(origin).netloc.lower() if origin != "null" else ""
            known = {headers.get("host", "").lower(), urlsplit(own).netloc.lower() if own else ""} - {""}
            return host in known
        return None


def _is_open(scope: Scope) -> bool:
    return scope["method"] in _SAFE and _OPEN.fullmatch(scope["path"]) is not None


def _cookie(headers: Headers, name: str) -> str | None:
    for given in headers.getlist("cookie"):
        try:
            morsel = SimpleCookie(given).get(name)
        except CookieError:
            continue
        if morsel is not None:
            return morsel.value
    return None
