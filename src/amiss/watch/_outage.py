"""A camera that gives nothing: what the rooms of the watcher hand to each other of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from amiss.watch._event import Time


@dataclass(frozen=True)
class Outage:
    """One stretch of time in which nothing of a camera was scored, or a file or folder couldn't be read, whatever the
    reason."""

    outage_id: str
    """A uuid in hex, made when it is noticed."""
    camera: str
    """The camera's name."""
    started: Time
    """When a picture was scored last, or a file or folder could be read, or since when it has been watched; aware,
    UTC."""
    noticed: Time
    """When that was too long ago; aware, UTC."""
    ended: Time | None
    """When a picture was scored again, or it could be read; aware, UTC. None: it lasts."""
    reason: str
    """What the camera was doing when it was noticed, such as "reconnecting: can't connect: …", and what was missing,
    where that doesn't say it; no secrets."""

    @property
    def length_s(self) -> float | None:
        """Seconds from start to end; None: it lasts."""
        return None if self.ended is None else (self.ended - self.started).total_seconds()

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON; times as ISO 8601 in UTC."""
        values: dict[str, Any] = _OUTAGE.dump_python(self, mode="json")
        return values


_OUTAGE = TypeAdapter(Outage)


@dataclass(frozen=True)
class OutageNews:
    """What one alert tells of outages: that cameras are offline, or that they are back."""

    outages: tuple[Outage, ...]
    """At least one; those that began, or ended, at about the same time, the first one first."""
    is_back: bool
    """Whether it tells of their ends; their beginnings were told before."""

    @property
    def camera(self) -> str:
        """Of the first."""
        return self.outages[0].camera

    @property
    def title(self) -> str:
        """One line."""
        state = "back" if self.is_back else "offline"
        if len(self.outages) > 1:
            return f"{len(self.outages)} cameras are {state}"
        is_over = not self.is_back and self.outages[0].ended is not None
        return f"{self.camera} {'was' if is_over else 'is'} {state}"

    def lines(self, shown: Callable[[datetime], str]) -> list[str]:
        """A line or two of text per camera.

        Args:
            shown: writes a time for people.
        """
        lines = []
        for outage in self.outages:
            if outage.ended is None:
                lines.append(f"Camera {outage.camera}: offline since {shown(outage.started)}")
                lines.append(f"State: {outage.reason}")
            else:
                lines.append(
                    f"Camera {outage.camera}: back since {shown(outage.ended)}, after being offline for "
                    f"{_long(outage.length_s or 0.0)}"
                )
        return lines


def _long(seconds: float) -> str:
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
