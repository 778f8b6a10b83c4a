"""An event as the API and its page show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amiss.watch._event import CameraEvent, Trace

_FACTS = (
    "place", "started", "ended", "state", "class_name", "peak", "peak_score", "threshold_on", "threshold_off",
    "detector", "problem",
)  # fmt: skip


@dataclass(frozen=True)
class ShownEvent:
    """An event, and what is there of it on disk."""

    event: CameraEvent
    protected: bool = False
    """Its media are kept whatever the retention says."""
    clip_parts: int = 0
    """Files that its clip consists of."""

    def to_json(self) -> dict[str, Any]:
        """For the API: the event, its place, its trace, and the above."""
        event = self.event
        return event.to_json() | {
            "place": event.place, "trace": event.trace, "protected": self.protected, "clip_parts": self.clip_parts,
        }  # fmt: skip

    @property
    def facts(self) -> list[tuple[str, str]]:
        """Name and value of what the page lists."""
        values = self.to_json()
        return [(name.replace("_", " "), _said(values[name])) for name in _FACTS if values[name] is not None]

    @property
    def curve(self) -> Trace:
        """The trace in seconds from its first clip, scores within 0 and 1."""
        trace = self.event.trace
        return tuple((seconds - trace[0][0], min(max(score, 0.0), 1.0)) for seconds, score in trace)


def _said(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
