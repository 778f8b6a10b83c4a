"""Rows of users, their sessions and their tokens. Passwords and secrets come here hashed."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, Select, delete, exc, func, insert, select, update

from amiss.errors import UsageError
from amiss.watch.store._archive import Archive
from amiss.watch.store._tables import sessions, tokens, users

Role = Literal["viewer", "reviewer", "admin"]
SEEN_S = 60.0
"""`seen` of a session or token may be so old; a write for every request would be too many."""


@dataclass(frozen=True)
class User:
    """Who may log in."""

    user_id: str
    name: str
    role: Role
    """A viewer looks, a reviewer judges events too, an admin does everything."""
    cameras: tuple[str, ...] | None
    """Cameras that the user may see; None = all. An admin sees all."""
    created: datetime


@dataclass(frozen=True)
class Session:
    """A browser that is logged in."""

    session_id: str
    user: User
    created: datetime
    seen: datetime
    expires: datetime
    address: str
    """From where it logged in."""
    agent: str
    """What it said it was."""


@dataclass(frozen=True)
class Token:
    """A key for a program."""

    token_id: str
    user: User
    name: str
    role: Role
    """What it may do; never more than its user."""
    created: datetime
    seen: datetime | None
    expires: datetime | None


class AccountRows:
    """Users, sessions and tokens of a store; every method may be called from any thread, and raises StoreError where
    the database can't be had."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def users(self) -> list[User]:
        """All, by name."""
        with self._archive.reading() as connection:
            return [_user(row) for row in connection.execute(select(users).order_by(users.c.name))]

    def user(self, user_id: str) -> User | None:
        """One; None where there is none."""
        with self._archive.reading() as connection:
            row = connection.execute(select(users).where(users.c.user_id == user_id)).one_or_none()
            return None if row is None else _user(row)

    def user_named(self, name: str) -> tuple[User, str] | None:
        """A user and the hash of the password; None where there is none of that name."""
        with self._archive.reading() as connection:
            row = connection.execute(select(users).where(users.c.name == name)).one_or_none()
            return None if row is None else (_user(row), row.password)

    def add_user(self, name: str, role: Role, cameras: Sequence[str] | None, password: str) -> User:
        """A new user.

        Args:
            name: nobody else has it.
            password: its hash.

        Raises:
            UsageError: the name is taken.
        """
        user = User(uuid.uuid4().hex, name, role, None if cameras is None else tuple(cameras), datetime.now(UTC))
        with self._archive.writing() as connection:
            _add(connection, user, password)
        return user

    def add_first(self, name: str, password: str) -> bool:
        """An admin, if there is no user at all; False where there is one."""
        user = User(uuid.uuid4().hex, name, "admin", None, datetime.now(UTC))
        with self._archive.writing() as connection:
            if connection.scalar(select(func.count()).select_from(users)):
                return False
            _add(connection, user, password)
        return True

    def change_user(
        self, user_id: str, *, role: Role, cameras: Sequence[str] | None, password: str | None = None
    ) -> User:
        """Other rights, and another password (its hash) where one is given.

        Raises:
            UsageError: no such user, or nobody would be an admin any more.
        """
        values: dict[str, Any] = {"role": role, "cameras": None if cameras is None else json.dumps(list(cameras))}
        if password is not None:
            values["password"] = password
        with self._archive.writing() as connection:
            _lock_admins(connection)
            _require_user(connection.execute(update(users).where(users.c.user_id == user_id).values(values)).rowcount)
            _require_admin(connection)
            return _user(connection.execute(select(users).where(users.c.user_id == user_id)).one())

    def remove_user(self, user_id: str) -> None:
        """Remove a user with all sessions and tokens.

        Raises:
            UsageError: no such user, or nobody would be an admin any more.
        """
        with self._archive.writing() as connection:
            _lock_admins(connection)
            _require_user(connection.execute(delete(users).where(users.c.user_id == user_id)).rowcount)
            _require_admin(connection)

    def add_session(self, user: User, secret: str, lasts: timedelta, address: str, agent: str) -> Session:
        """A new session; those of all users that are over go.

        Args:
            secret: SHA-256 of what the browser holds, in hexadecimal.
        """
        now = datetime.now(UTC)
        session = Session(uuid.uuid4().hex, user, now, now, now + lasts, address, agent)
        with self._archive.writing() as connection:
            connection.execute(delete(sessions).where(sessions.c.expires <= now))
            connection.execute(
                insert(sessions).values(
                    session_id=session.session_id, user_id=user.user_id, secret=secret, created=now, seen=now,
                    expires=session.expires, address=address, agent=agent,
                )
            )  # fmt: skip
        return session

    def session_with(self, secret: str) -> Session | None:
        """The session of a secret's SHA-256; None where there is none, or it is over."""
        now = datetime.now(UTC)
        with self._archive.reading() as connection:
            row = connection.execute(_sessions().where(sessions.c.secret == secret, sessions.c.expires > now)).first()
        if row is None:
            return None
        if now - row.seen > timedelta(seconds=SEEN_S):
            with self._archive.writing() as connection:
                connection.execute(
                    update(sessions).where(sessions.c.session_id == row.session_id).values(seen=now)
                )  # fmt: skip
        return _session(row)

    def sessions(self, user_id: str | None = None) -> list[Session]:
        """Sessions that last, of one user or of all, the newest first."""
        query = _sessions().where(sessions.c.expires > datetime.now(UTC)).order_by(sessions.c.created.desc())
        if user_id is not None:
            query = query.where(sessions.c.user_id == user_id)
        with self._archive.reading() as connection:
            return [_session(row) for row in connection.execute(query)]

    def remove_session(self, session_id: str) -> bool:
        """End a session; False where there is none."""
        with self._archive.writing() as connection:
            return bool(connection.execute(delete(sessions).where(sessions.c.session_id == session_id)).rowcount)

    def remove_sessions(self, user_id: str, *, but: str | None = None) -> None:
        """End all sessions of a user, but one."""
        with self._archive.writing() as connection:
            connection.execute(
                delete(sessions).where(sessions.c.user_id == user_id, sessions.c.session_id != (but or ""))
            )  # fmt: skip

    def add_token(self, user: User, name: str, role: Role, secret: str, expires: datetime | None) -> Token:
        """A new token.

        Args:
            secret: SHA-256 of the token, in hexadecimal.
        """
        token = Token(uuid.uuid4().hex, user, name, role, datetime.now(UTC), None, expires)
        with self._archive.writing() as connection:
            connection.execute(
                insert(tokens).values(
                    token_id=token.token_id, user_id=user.user_id, name=name, role=role, secret=secret,
                    created=token.created, expires=expires,
                )
            )  # fmt: skip
        return token

    def token_with(self, secret: str) -> Token | None:
        """The token with this SHA-256; None where there is none, or it is over."""
        now = datetime.now(UTC)
        with self._archive.reading() as connection:
            row = connection.execute(_tokens().where(tokens.c.secret == secret)).first()
        if row is None or (row.expires is not None and row.expires <= now):
            return None
        if row.seen is None or now - row.seen > timedelta(seconds=SEEN_S):
            with self._archive.writing() as connection:
                connection.execute(update(tokens).where(tokens.c.token_id == row.token_id).values(seen=now))
        return _token(row)

    def tokens(self, user_id: str | None = None) -> list[Token]:
        """Tokens, of one user or of all, the newest first."""
        query = _tokens().order_by(tokens.c.created.desc())
        if user_id is not None:
            query = query.where(tokens.c.user_id == user_id)
        with self._archive.reading() as connection:
            return [_token(row) for row in connection.execute(query)]

    def remove_token(self, token_id: str) -> bool:
        """Make a token worthless; False where there is none."""
        with self._archive.writing() as connection:
            return bool(connection.execute(delete(tokens).where(tokens.c.token_id == token_id)).rowcount)


def _add(connection: Connection, user: User, password: str) -> None:
    values = {
        "user_id": user.user_id, "name": user.name, "role": user.role, "created": user.created, "password": password,
        "cameras": None if user.cameras is None else json.dumps(user.cameras),
    }  # fmt: skip
    try:
        connection.execute(insert(users).values(values))
    except exc.IntegrityError:
        raise UsageError(f"there is a user {user.name!r} already") from None


def _require_user(count: int) -> None:
    if not count:
        raise UsageError("there is no such user")


def _lock_admins(connection: Connection) -> None:
    """Two who take each other's rights away come one after the other."""
    connection.execute(select(users.c.user_id).where(users.c.role == "admin").with_for_update()).all()


def _require_admin(connection: Connection) -> None:
    """The transaction ends without an effect where it leaves nobody who may change anything."""
    if not connection.scalar(select(func.count()).where(users.c.role == "admin")):
        raise UsageError("this is the only admin: make somebody else one first")


_USER = [users.c[name] for name in ("name", "role", "cameras")] + [users.c.created.label("user_created")]


def _sessions() -> Select[Any]:
    return select(sessions, *_USER).join(users, users.c.user_id == sessions.c.user_id)


def _tokens() -> Select[Any]:
    own = [column for column in tokens.c if column.name not in ("name", "role")]
    query = select(*own, tokens.c.name.label("token_name"), tokens.c.role.label("token_role"), *_USER)
    return query.join(users, users.c.user_id == tokens.c.user_id)


def _user(row: Any) -> User:
    created = getattr(row, "user_created", row.created)
    return User(
        row.user_id, row.name, row.role, None if row.cameras is None else tuple(json.loads(row.cameras)), created
    )


def _session(row: Any) -> Session:
    return Session(row.session_id, _user(row), row.created, row.seen, row.expires, row.address, row.agent)


def _token(row: Any) -> Token:
    return Token(row.token_id, _user(row), row.token_name, row.token_role, row.created, row.seen, row.expires)
