"""Users, for admins: who may log in, what they may see and do, and who did what."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import ConfigDict, Field

from amiss.app.accounts import LEAST_PASSWORD, MOST_PASSWORD
from amiss.app.api._answers import Admin, AdminPerson, Context, Id, Model, none_such
from amiss.watch import store
from amiss.watch.store import Role

router = APIRouter()

Cameras = Annotated[
    list[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]] | None, Field(max_length=2000)
]  # fmt: skip
Password = Annotated[str, Field(min_length=LEAST_PASSWORD, max_length=MOST_PASSWORD)]


class User(Model):
    """Who may log in."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"user_id": "ab" * 16, "name": "ada", "role": "viewer", "cameras": ["door"],
                 "created": "2026-03-01T12:00:00Z"}
            ]
        }
    )  # fmt: skip

    user_id: str
    name: str
    role: Role
    """A viewer looks, a reviewer judges events too, an admin does everything."""
    cameras: list[str] | None
    """Cameras that may be seen; null = all. An admin sees all."""
    created: datetime


class Users(Model):
    """All, by name."""

    users: list[User]


class NewUser(Model):
    """Somebody who may log in from now on."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "ada", "role": "viewer", "cameras": ["door"], "password": "something-long"}]
        }
    )

    name: Annotated[str, Field(min_length=1, max_length=64)]
    role: Role = "viewer"
    cameras: Cameras = None
    """Null = all."""
    password: Password


class UserChange(Model):
    """What is to be other; what is left out stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"role": "reviewer"}]})

    role: Role | None = None
    cameras: Cameras = None
    """Null = all."""
    password: Password | None = None
    """It ends the user's sessions."""


class AuditEntry(Model):
    """Who did what."""

    made: datetime
    actor: str
    action: str
    detail: str


class Audit(Model):
    """The newest first."""

    entries: list[AuditEntry]


@router.get("/users", tags=["users"])
def users(who: Admin, context: Context) -> Users:
    """All users."""
    return Users(users=[_user_of(user) for user in context.accounts.users()])


@router.post("/users", status_code=201, tags=["users"])
def add(new: NewUser, who: AdminPerson, context: Context) -> User:
    """A new user."""
    return _user_of(context.accounts.add_user(new.name, new.role, new.cameras, new.password, actor=who.name))


@router.patch("/users/{user_id}", tags=["users"])
def change(user_id: Id, change: UserChange, who: AdminPerson, context: Context) -> User:
    """Other rights, which hold at once, or another password."""
    user = context.accounts.user(user_id)
    if user is None:
        raise none_such("user")
    cameras = change.cameras if "cameras" in change.model_fields_set else user.cameras
    changed = context.accounts.change_user(
        user_id, role=change.role or user.role, cameras=cameras, password=change.password, actor=who.name
    )
    return _user_of(changed)


@router.delete("/users/{user_id}", status_code=204, tags=["users"])
def remove(user_id: Id, who: AdminPerson, context: Context) -> None:
    """Remove a user, with all sessions and tokens."""
    if context.accounts.user(user_id) is None:
        raise none_such("user")
    context.accounts.remove_user(user_id, actor=who.name)


@router.get("/audit", tags=["users"])
def audit(who: Admin, context: Context, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> Audit:
    """Who did what."""
    entries = context.store.audit_log(limit)
    return Audit(entries=[AuditEntry(**vars(entry)) for entry in entries])


def _user_of(user: store.User) -> User:
    cameras = None if user.cameras is None else list(user.cameras)
    return User(user_id=user.user_id, name=user.name, role=user.role, cameras=cameras, created=user.created)
