"""Logging in and out; users, sessions and tokens as admins and their owners change them."""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from amiss.app.accounts._attempts import Attempts
from amiss.app.accounts._identity import ROLES, Identity
from amiss.app.accounts._passwords import Passwords, check_password, random_password
from amiss.errors import AmissError, StoreError, UsageError, showable
from amiss.watch.store import AccountRows, Archive, Role, Session, Token, User

log = logging.getLogger("amiss.app")

FIRST_NAME = "admin"
TOKEN_START = "amiss_"
_SESSION = timedelta(days=30)
_NAME = re.compile(r"[a-z0-9][a-z0-9_.@-]{0,63}")
_MOST_CAMERAS = 2000
_AGENT, _ADDRESS, _LABEL = 200, 64, 64  # characters that are kept


class LoginRefusedError(AmissError):
    """Name or password is wrong."""


class TooManyAttemptsError(AmissError):
    """Too many logins failed."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"too many logins failed; try again in {round(wait_s / 60) or 1} min")
        self.wait_s = wait_s


class Accounts:
    """Users, sessions and tokens of a store, with the rules for them. Every method may be called from any thread.

    Args:
        archive: where they are.
        on_first: is told the name and password of the first admin, made where there is no user.
        passwords: how they are kept.
    """

    def __init__(
        self, archive: Archive, on_first: Callable[[str, str], None], passwords: Passwords | None = None
    ) -> None:
        self._archive = archive
        self._rows = AccountRows(archive)
        self._passwords = passwords or Passwords()
        self._attempts = Attempts()
        self._on_first = on_first
        self._has_users = False
        self._first = threading.Lock()

    def ensure_first(self) -> None:
        """Make the first admin, if there is no user.

        Raises:
            StoreError: the database can't be had.
        """
        with self._first:
            if self._has_users:
                return
            if not self._rows.users():
                password = random_password()
                if self._rows.add_first(FIRST_NAME, self._passwords.hash(password)):
                    self._on_first(FIRST_NAME, password)
                    self._archive.audit("user added", f"{FIRST_NAME}: admin, the first")
            self._has_users = True

    def log_in(self, name: str, password: str, address: str, agent: str) -> tuple[str, Identity]:
        """The secret of a new session, for the browser, and who that is.

        Raises:
            LoginRefusedError: name or password is wrong; which one isn't told.
            TooManyAttemptsError: from this address, or for this name, too many failed.
            StoreError: the database can't be had.
        """
        self.ensure_first()
        name = name.strip().lower()
        if (wait_s := self._attempts.begin(address, name)) > 0:
            raise TooManyAttemptsError(wait_s)
        found = self._rows.user_named(name) if _NAME.fullmatch(name) else None
        if not self._passwords.is_right(password, None if found is None else found[1]) or found is None:
            self._note(name if found else "?", "login failed", _short(address, _ADDRESS))
            raise LoginRefusedError("name or password is wrong")
        self._attempts.succeeded(address, name)
        user, secret = found[0], secrets.token_urlsafe(32)
        session = self._rows.add_session(
            user, _digest(secret), _SESSION, _short(address, _ADDRESS), _short(agent, _AGENT)
        )
        self._note(user.name, "login", session.address)
        return secret, _of_session(session)

    def log_out(self, identity: Identity) -> None:
        """End the session that asks."""
        if identity.session_id is not None:
            self._rows.remove_session(identity.session_id)
            self._note(identity.name, "logout")

    def with_session(self, secret: str) -> Identity | None:
        """Who has this session; None = nobody."""
        session = self._rows.session_with(_digest(secret))
        return None if session is None else _of_session(session)

    def with_token(self, token: str) -> Identity | None:
        """Who has this token; None = nobody."""
        if not token.startswith(TOKEN_START):
            return None
        found = self._rows.token_with(_digest(token))
        if found is None:
            return None
        return _of_token(found)

    def is_valid(self, identity: Identity) -> bool:
        """Whether who was let in would still be, with the same rights; True where the database can't say."""
        try:
            if identity.session_id is not None:
                sessions = self._rows.sessions(identity.user_id)
                return any(_of_session(session) == identity for session in sessions)
            if identity.token_id is not None:
                now, tokens = datetime.now(UTC), self._rows.tokens(identity.user_id)
                lasting = [token for token in tokens if token.expires is None or token.expires > now]
                return any(_of_token(token) == identity for token in lasting)
        except StoreError:
            return True
        return True

    def users(self) -> list[User]:
        """All, by name."""
        return self._rows.users()

    def user(self, user_id: str) -> User | None:
        """One; None where there is none."""
        return self._rows.user(user_id)

    def add_user(self, name: str, role: Role, cameras: Sequence[str] | None, password: str, *, actor: str) -> User:
        """A new user.

        Raises:
            UsageError: the name or the password won't do, or the name is taken.
        """
        name = name.strip().lower()
        if not _NAME.fullmatch(name):
            raise UsageError("a user's name is letters, digits, '_', '.', '@' and '-', at most 64")
        _check_cameras(cameras)
        check_password(password)
        user = self._rows.add_user(name, role, cameras, self._passwords.hash(password))
        self._archive.audit("user added", f"{name}: {_rights(user)}", actor=actor)
        return user

    def change_user(
        self, user_id: str, *, role: Role, cameras: Sequence[str] | None, password: str | None, actor: str
    ) -> User:
        """Other rights, and another password where one is given: that ends the user's sessions.

        Raises:
            UsageError: no such user, the password won't do, or nobody would be an admin any more.
        """
        _check_cameras(cameras)
        if password is not None:
            check_password(password)
        hashed = None if password is None else self._passwords.hash(password)
        user = self._rows.change_user(user_id, role=role, cameras=cameras, password=hashed)
        if password is not None:
            self._rows.remove_sessions(user_id)
        said = f"{user.name}: {_rights(user)}{', new password' if password is not None else ''}"
        self._archive.audit("user changed", said, actor=actor)
        return user

    def change_own_password(self, identity: Identity, old: str, new: str, address: str) -> None:
        """Another password for who asks; other sessions end.

        Raises:
            LoginRefusedError: the old one is wrong. TooManyAttemptsError: that was too often so.
            UsageError: the new one won't do.
        """
        check_password(new)
        if (wait_s := self._attempts.begin(address, identity.name)) > 0:
            raise TooManyAttemptsError(wait_s)
        found = self._rows.user_named(identity.name)
        if found is None or not self._passwords.is_right(old, found[1]):
            raise LoginRefusedError("the old password is wrong")
        self._attempts.succeeded(address, identity.name)
        user = found[0]
        hashed = self._passwords.hash(new)
        self._rows.change_user(user.user_id, role=user.role, cameras=user.cameras, password=hashed)
        self._rows.remove_sessions(user.user_id, but=identity.session_id)
        self._archive.audit("password changed", user.name, actor=identity.name)

    def reset(self, name: str) -> str:
        """A new password for somebody who has lost it; returns it. All sessions of the user end.

        Raises:
            UsageError: no such user.
        """
        found = self._rows.user_named(name.strip().lower())
        if found is None:
            known = ", ".join(user.name for user in self._rows.users())
            raise UsageError(f"there is no user {name!r}; there are: {known or 'none, as nobody has served yet'}")
        user, password = found[0], random_password()
        self.change_user(user.user_id, role=user.role, cameras=user.cameras, password=password, actor="command line")
        return password

    def remove_user(self, user_id: str, *, actor: str) -> None:
        """Remove a user, with all sessions and tokens.

        Raises:
            UsageError: no such user, or nobody would be an admin any more.
        """
        user = self._rows.user(user_id)
        self._rows.remove_user(user_id)
        self._archive.audit("user removed", user.name if user else user_id, actor=actor)

    def sessions(self, user_id: str | None = None) -> list[Session]:
        """Of one user, or all."""
        return self._rows.sessions(user_id)

    def end_session(self, session: Session, *, actor: str) -> None:
        """End a session."""
        self._rows.remove_session(session.session_id)
        self._archive.audit("session ended", f"{session.user.name}, from {session.address}", actor=actor)

    def tokens(self, user_id: str | None = None) -> list[Token]:
        """Of one user, or all."""
        return self._rows.tokens(user_id)

    def add_token(self, identity: Identity, name: str, role: Role, days: float | None) -> tuple[str, Token]:
        """A new token of who asks, which is shown this once, and what is known of it.

        Raises:
            UsageError: it would have more rights than who asks.
        """
        if not identity.is_at_least(role):
            raise UsageError(f"you are a {identity.role}: a token of yours can't be {role}")
        user = self._rows.user(identity.user_id)
        if user is None:
            raise UsageError("tokens belong to users: there is no login here")
        secret = TOKEN_START + secrets.token_urlsafe(32)
        expires = None if days is None else datetime.now(UTC) + timedelta(days=days)
        token = self._rows.add_token(user, _short(name, _LABEL), role, _digest(secret), expires)
        self._archive.audit("token added", f"{token.name}: {role}", actor=identity.name)
        return secret, token

    def remove_token(self, token: Token, *, actor: str) -> None:
        """Make a token worthless."""
        self._rows.remove_token(token.token_id)
        self._archive.audit("token removed", f"{token.name} of {token.user.name}", actor=actor)

    def _note(self, actor: str, action: str, detail: str = "") -> None:
        """In the audit log, where that can be had: nobody is kept out because it can't."""
        with suppress(StoreError):
            self._archive.audit(action, detail, actor=actor)


def _of_session(session: Session) -> Identity:
    user = session.user
    return Identity(user.user_id, user.name, user.role, _cameras(user), session_id=session.session_id)


def _of_token(token: Token) -> Identity:
    user, role = token.user, min(token.role, token.user.role, key=ROLES.index)
    return Identity(user.user_id, user.name, role, _cameras(user), token_id=token.token_id)


def _cameras(user: User) -> frozenset[str] | None:
    return None if user.cameras is None or user.role == "admin" else frozenset(user.cameras)


def _rights(user: User) -> str:
    return user.role if user.cameras is None else f"{user.role} of {', '.join(user.cameras) or 'no camera'}"


def _check_cameras(cameras: Sequence[str] | None) -> None:
    if cameras is not None and (len(cameras) > _MOST_CAMERAS or any(len(name) > _LABEL for name in cameras)):
        raise UsageError(f"cameras are at most {_MOST_CAMERAS} names of at most {_LABEL} characters")


def _digest(secret: str) -> str:
    """Secrets are 256 random bits: nobody guesses what a plain hash is of."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _short(text: str, most: int) -> str:
    return showable(text)[:most]
