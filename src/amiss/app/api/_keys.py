"""Sessions of browsers and tokens of programs: one's own, and for admins all."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import ConfigDict, Field

from amiss.app.accounts import Identity
from amiss.app.api._answers import Context, Id, Model, Person, Viewer, none_such
from amiss.watch import store
from amiss.watch.store import Role

router = APIRouter()


class Session(Model):
    """A browser that is logged in."""

    session_id: str
    user: str
    created: datetime
    seen: datetime
    """When it last asked for something, to the minute."""
    expires: datetime
    address: str
    """From where it logged in."""
    agent: str
    """What it said it was."""
    is_this: bool
    """It is the one that asks."""


class Sessions(Model):
    """The newest first."""

    sessions: list[Session]


class Token(Model):
    """A key for a program."""

    token_id: str
    user: str
    name: str
    role: Role
    """What it may do; never more than its user."""
    created: datetime
    seen: datetime | None
    expires: datetime | None


class Tokens(Model):
    """The newest first."""

    tokens: list[Token]


class NewToken(Model):
    """A key for a program, of who asks."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "home automation", "role": "viewer"}]})

    name: Annotated[str, Field(min_length=1, max_length=64)]
    """What it is for."""
    role: Role = "viewer"
    days: Annotated[float | None, Field(gt=0, le=36500)] = 365
    """For how long it is good; null = until it is removed."""


class MadeToken(Model):
    """A new token."""

    token: Token
    secret: str
    """What the program sends, as `Authorization: Bearer SECRET`. It is shown this once."""


@router.get("/sessions", tags=["sessions"])
def sessions(who: Viewer, context: Context) -> Sessions:
    """Browsers that are logged in: one's own; for admins everybody's."""
    found = context.accounts.sessions(_whose(who))
    return Sessions(sessions=[_session_of(session, who) for session in found])


@router.delete("/sessions/{session_id}", status_code=204, tags=["sessions"])
def end_session(session_id: Id, who: Viewer, context: Context) -> None:
    """End a session."""
    for session in context.accounts.sessions(_whose(who)):
        if session.session_id == session_id:
            context.accounts.end_session(session, actor=who.name)
            return
    raise none_such("session")


@router.get("/tokens", tags=["tokens"])
def tokens(who: Viewer, context: Context) -> Tokens:
    """Keys of programs: one's own; for admins everybody's."""
    return Tokens(tokens=[_token_of(token) for token in context.accounts.tokens(_whose(who))])


@router.post("/tokens", status_code=201, tags=["tokens"])
def add_token(new: NewToken, who: Person, context: Context) -> MadeToken:
    """A new token, made by somebody who is logged in: a token can't make others."""
    secret, token = context.accounts.add_token(who, new.name, new.role, new.days)
    return MadeToken(token=_token_of(token), secret=secret)


@router.delete("/tokens/{token_id}", status_code=204, tags=["tokens"])
def remove_token(token_id: Id, who: Viewer, context: Context) -> None:
    """Make a token worthless."""
    for token in context.accounts.tokens(_whose(who)):
        if token.token_id == token_id:
            context.accounts.remove_token(token, actor=who.name)
            return
    raise none_such("token")


def _whose(who: Identity) -> str | None:
    """None: everybody's."""
    return None if who.is_at_least("admin") else who.user_id


def _session_of(session: store.Session, who: Identity) -> Session:
    return Session(
        session_id=session.session_id, user=session.user.name, created=session.created, seen=session.seen,
        expires=session.expires, address=session.address, agent=session.agent,
        is_this=session.session_id == who.session_id,
    )  # fmt: skip


def _token_of(token: store.Token) -> Token:
    return Token(
        token_id=token.token_id, user=token.user.name, name=token.name, role=token.role, created=token.created,
        seen=token.seen, expires=token.expires,
    )  # fmt: skip
