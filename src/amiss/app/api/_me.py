"""Logging in and out, and who one is."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import ConfigDict, Field

from amiss.app.accounts import MOST_PASSWORD, Identity
from amiss.app.api._answers import Context, Model, Person, Viewer
from amiss.app.security import cookie_name
from amiss.watch.store import Role

router = APIRouter(tags=["login"])

_COOKIE_S = 30 * 86400


class Login(Model):
    """A name and its password."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "admin", "password": "as-printed-once"}]})

    name: Annotated[str, Field(max_length=64)]
    password: Annotated[str, Field(max_length=MOST_PASSWORD)]


class PasswordChange(Model):
    """Another password for oneself."""

    old: Annotated[str, Field(max_length=MOST_PASSWORD)]
    new: Annotated[str, Field(max_length=MOST_PASSWORD)]


class Me(Model):
    """Who one is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "ada", "role": "viewer", "cameras": ["door"]}]})

    name: str
    role: Role
    """A viewer looks, a reviewer judges events too, an admin does everything."""
    cameras: list[str] | None
    """Cameras that may be seen; null = all."""


@router.post("/login", responses={429: {"description": "Too many logins failed; see Retry-After"}})
def log_in(login: Login, request: Request, response: Response, context: Context) -> Me:
    """Log in: sets the session's cookie. Programs use tokens instead."""
    secret, identity = context.accounts.log_in(
        login.name, login.password, address_of(request), request.headers.get("user-agent", "")
    )
    response.set_cookie(
        cookie_name(context.settings), secret, max_age=_COOKIE_S, httponly=True, samesite="strict",
        secure=context.settings.is_secure,
    )  # fmt: skip
    return _me(identity)


@router.post("/logout", status_code=204)
def log_out(response: Response, who: Viewer, context: Context) -> None:
    """End the session that asks."""
    context.accounts.log_out(who)
    response.delete_cookie(
        cookie_name(context.settings), httponly=True, samesite="strict", secure=context.settings.is_secure
    )  # fmt: skip


@router.get("/me")
def me(who: Viewer) -> Me:
    """Who one is, and may see."""
    return _me(who)


@router.put("/me/password", status_code=204)
def change_password(change: PasswordChange, request: Request, who: Person, context: Context) -> None:
    """Take another password; all other sessions end."""
    context.accounts.change_own_password(who, change.old, change.new, address_of(request))


def address_of(request: Request) -> str:
    """From where it is asked; behind a trusted proxy, from where the proxy was."""
    return request.client.host if request.client is not None else ""


def _me(identity: Identity) -> Me:
    cameras = None if identity.cameras is None else sorted(identity.cameras)
    return Me(name=identity.name, role=identity.role, cameras=cameras)
