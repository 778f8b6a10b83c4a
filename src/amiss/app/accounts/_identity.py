"""Who asks, and what they may."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

from amiss.watch.store import Role

ROLES: tuple[Role, ...] = get_args(Role)
"""From the least to the most."""


@dataclass(frozen=True)
class Identity:
    """Who asks."""

    user_id: str
    name: str
    role: Role
    cameras: frozenset[str] | None
    """Cameras that may be seen; None = all."""
    session_id: str | None = None
    """Of a browser."""
    token_id: str | None = None
    """Of a program."""

    def is_at_least(self, role: Role) -> bool:
        """Whether this role's rights are there."""
        return ROLES.index(self.role) >= ROLES.index(role)

    def may_see(self, camera: str) -> bool:
        """Whether the camera's pictures and events may be seen."""
        return self.cameras is None or camera in self.cameras

    def visible(self, cameras: Iterable[str]) -> list[str]:
        """Of these cameras, those that may be seen."""
        return [camera for camera in cameras if self.may_see(camera)]


LOCAL_ADMIN = Identity("", "local", "admin", None)
"""Whoever asks where there is no login."""
