"""What the routes share: who asks, what is served, answers that are described once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Path, Request
from pydantic import BaseModel, ConfigDict

from amiss.app._context import AppContext
from amiss.app.accounts import Identity
from amiss.app.security import PROBLEM_TYPE, Problem
from amiss.watch.store import Role


def _problem(said: str) -> dict[str, Any]:
    return {"description": said, "content": {PROBLEM_TYPE: {"schema": Problem.model_json_schema()}}}


PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: _problem("What was asked for can't be done; the detail says why"),
    401: _problem("No login, or it is over"),
    403: _problem("Not with this role, or asked for by another site"),
    404: _problem("There is none, or you may not see it"),
    422: _problem("A value makes no sense"),
    503: _problem("The database can't be had now"),
}


class Model(BaseModel):
    """Base of what the API takes and gives."""

    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid", allow_inf_nan=False)


# These are `async`, as FastAPI would have each done by a thread: a turn of the system's scheduler every time.


async def _context(request: Request) -> AppContext:
    context: AppContext = request.app.state.context
    return context


def _at_least(role: Role) -> Callable[[Request], Awaitable[Identity]]:
    async def identity(request: Request) -> Identity:
        found: Identity | None = request.state.identity
        if found is None:
            raise HTTPException(401, "log in first")
        if not found.is_at_least(role):
            raise HTTPException(403, f"this takes a {role}; you are a {found.role}")
        return found

    return identity


async def _person(who: Annotated[Identity, Depends(_at_least("viewer"))]) -> Identity:
    if who.token_id is not None:
        raise HTTPException(403, "this is for people who log in, not for tokens")
    return who


async def _admin_person(who: Annotated[Identity, Depends(_at_least("admin"))]) -> Identity:
    if who.token_id is not None:
        raise HTTPException(403, "this is for admins who log in, not for tokens")
    return who


Context = Annotated[AppContext, Depends(_context)]
Person = Annotated[Identity, Depends(_person)]
"""Somebody who has logged in."""
Viewer = Annotated[Identity, Depends(_at_least("viewer"))]
Reviewer = Annotated[Identity, Depends(_at_least("reviewer"))]
Admin = Annotated[Identity, Depends(_at_least("admin"))]
AdminPerson = Annotated[Identity, Depends(_admin_person)]
"""An admin who has logged in: what would outlast a stolen token."""


async def _all_cameras(who: Viewer) -> None:
    if who.cameras is not None:
        raise HTTPException(403, "recorded videos are for who may see all cameras")


ALL_CAMERAS = Depends(_all_cameras)
"""For routes whose answers belong to no camera."""
Id = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
CameraName = Annotated[str, Path(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


def none_such(what: str) -> HTTPException:
    """For what isn't there, and for what who asks may not see: it isn't told which."""
    return HTTPException(404, f"no such {what}")
