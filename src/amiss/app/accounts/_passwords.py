"""Passwords: argon2id, as many at a time as memory allows."""

from __future__ import annotations

import secrets
import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from amiss.errors import UsageError

LEAST_PASSWORD, MOST_PASSWORD = 10, 256
"""Characters of a password."""

_AT_A_TIME = 2  # each takes 64 MiB for some 50 ms
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # none that is taken for another
_GROUPS, _GROUP = 5, 4  # 99 bits


class Passwords:
    """Hashes and checks.

    Args:
        hasher: how; None: RFC 9106's second choice, 64 MiB and 3 rounds.
    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._places = threading.Semaphore(_AT_A_TIME)
        self._nobodys = self.hash(random_password())

    def hash(self, password: str) -> str:
        """The argon2id hash, with its salt."""
        with self._places:
            return self._hasher.hash(password)

    def is_right(self, password: str, hashed: str | None) -> bool:
        """Whether it is the password of this hash; takes as long where there is no hash."""
        with self._places:
            try:
                self._hasher.verify(hashed or self._nobodys, password)
            except (VerificationError, InvalidHashError):
                return False
        return hashed is not None


def check_password(password: str) -> None:
    """Raises UsageError where it won't do."""
    if not LEAST_PASSWORD <= len(password) <= MOST_PASSWORD:
        raise UsageError(f"a password has {LEAST_PASSWORD} to {MOST_PASSWORD} characters; this one has {len(password)}")


def random_password() -> str:
    """A password that nobody guesses, for reading and typing."""
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(_GROUPS))
    return "-".join(groups)
