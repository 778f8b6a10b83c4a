"""Addresses of pages, and of what they load: all of it comes from this server."""

from __future__ import annotations

import functools
import hashlib
import mimetypes
from importlib import resources
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from amiss.app._context import AppContext
from amiss.app.accounts import Identity
from amiss.pages import render
from amiss.watch.store import Role

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

_RENDERED = ("app.css", "drawing.js", "events.js", "player.js")  # made of what other rooms' pages use, too
_PAGES = {"live": "/", "review": "/review", "search": "/search", "videos": "/videos", "teach": "/teach",
          "calibrate": "/calibrate", "system": "/system", "settings": "/settings"}  # fmt: skip
_LEAST: dict[str, Role] = {"teach": "reviewer", "calibrate": "reviewer", "system": "admin"}
_OF_CAMERAS = ("live", "review", "search", "teach", "calibrate")
mimetypes.add_type("text/javascript", ".js")


@router.get("/login")
def login() -> str:
    """Signing in."""
    return render("app/pages/login.html")


@router.get("/")
def live(request: Request) -> Response:
    """Cameras; recorded videos where there are none."""
    return _page("live", request)


@router.get("/review")
@router.get("/events/{event_id}")
def review(request: Request) -> Response:
    """The queue, or one event at its head."""
    return _page("review", request)


@router.get("/search")
def search(request: Request) -> Response:
    """All events."""
    return _page("search", request)


@router.get("/videos")
@router.get("/videos/{video_id}")
def videos(request: Request) -> Response:
    """Recorded videos."""
    return _page("videos", request)


@router.get("/teach")
def teach(request: Request) -> Response:
    """Versions of detectors, learned from reviews."""
    return _page("teach", request)


@router.get("/calibrate")
def calibrate(request: Request) -> Response:
    """What thresholds would have raised."""
    return _page("calibrate", request)


@router.get("/system")
def system(request: Request) -> Response:
    """How the service is."""
    return _page("system", request)


@router.get("/settings")
def settings(request: Request) -> Response:
    """One's account, and users."""
    return _page("settings", request)


@router.get("/favicon.ico")
def favicon() -> Response:
    """What browsers ask for unasked."""
    return RedirectResponse("/static/icon.svg", 301)


@router.get("/static/{name}")
def static(name: str, request: Request) -> Response:
    """A style, script or picture of the pages."""
    found = _asset(name)
    if found is None:
        raise HTTPException(404, "no such file")
    content, tag = found
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"ETag": tag})
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Response(content, media_type=kind, headers={"ETag": tag})


def _page(name: str, request: Request) -> Response:
    who: Identity | None = request.state.identity
    if who is None:
        raise HTTPException(401, "log in first")
    if not who.is_at_least(least := _LEAST.get(name, "viewer")):
        raise HTTPException(403, f"this page takes a {least}; you are a {who.role}")
    if name in _OF_CAMERAS and not _has_cameras(request):
        return RedirectResponse("/videos", 303)
    left_out = {page for page, role in _LEAST.items() if not who.is_at_least(role)}
    if not _has_cameras(request):
        left_out.update(_OF_CAMERAS)
    shown = {page: address for page, address in _PAGES.items() if page not in left_out}
    values: dict[str, Any] = {"page": name, "pages": shown, "user": {"name": who.name, "role": who.role}}
    if name == "settings":
        values["has_configuration"] = _context(request).config_file is not None
    return HTMLResponse(render(f"app/pages/{name}.html", **values))


def _has_cameras(request: Request) -> bool:
    """Also where none of the configuration's is watched now: their events are there."""
    context = _context(request)
    return context.config() is not None or bool(context.view.watched.cameras())


def _context(request: Request) -> AppContext:
    context: AppContext = request.app.state.context
    return context


@functools.lru_cache(maxsize=64)
def _asset(name: str) -> tuple[bytes, str] | None:
    """Content and ETag; None = there is none."""
    if name in _RENDERED:
        content = render(f"app/pages/{name}").encode()
    else:
        folder = resources.files("amiss").joinpath("app", "pages", "static")
        path = next((entry for entry in folder.iterdir() if entry.name == name and entry.is_file()), None)
        if path is None:
            return None
        content = path.read_bytes()
    return content, f'"{hashlib.sha256(content).hexdigest()[:32]}"'
