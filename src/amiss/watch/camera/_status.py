"""What the service knows of each camera, for metrics, health and the API."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from amiss.video import SourceState, showable
from amiss.watch.camera._counters import CameraCounters, Progress

_HISTORY = 120  # last scores, for the curve on live pictures


@dataclass
class CameraStatus:
    """A camera as it is now. Its methods may be called from any thread."""

    name: str
    url: str
    """Redacted."""
    detector: str
    threshold_on: float
    threshold_off: float
    threshold_from: str
    """Where the thresholds come from, in words."""
    lookahead_clips: int = 0
    """Clips that must come after a clip before its score does."""
    state: SourceState = "connecting"
    reason: str = ""
    """Why it is in that state, redacted."""
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    """When that state began."""
    offline_since: datetime | None = None
    """Since when nothing of it was scored, if that is long enough for an alert."""
    counts: CameraCounters = field(default_factory=CameraCounters)
    """Of all its workers together."""
    progress: Progress = field(default_factory=Progress)
    """Of its worker."""
    score: float | None = None
    """Last smoothed score."""
    score_time: datetime | None = None
    """Of the end of its clip."""
    event_id: str | None = None
    """The open event."""
    restarts: int = 0
    problem: str = ""
    """What the last worker ended with, redacted."""
    history: deque[tuple[datetime, float]] = field(default_factory=lambda: deque(maxlen=_HISTORY))
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _told: dict[SourceState, str] = field(default_factory=dict, repr=False)
    """State → for what reason it was news, since the camera ran."""

    def set_state(self, state: SourceState, reason: str = "") -> bool:
        """Note a state; True if it is news: another one than before, for a reason that wasn't told since the camera ran
        (a file that can't be read is tried for ever)."""
        with self.lock:
            if state == self.state:
                self.reason = showable(reason)
                return False
            if state == "running":
                self._told.clear()
            is_news = self._told.get(state) != reason
            self._told[state] = reason
            self.since = datetime.now(UTC)
            self.state, self.reason = state, showable(reason)
            return is_news

    def set_score(self, time: datetime, score: float) -> None:
        """Note a score."""
        with self.lock:
            self.score, self.score_time = score, time
            self.history.append((time, score))

    def follow(self, event_id: str, *, is_open: bool) -> None:
        """Note an event's state; the end of an event, or of its clip, leaves a later one open."""
        with self.lock:
            if is_open:
                self.event_id = event_id
            elif self.event_id == event_id:
                self.event_id = None

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        with self.lock:
            return {
                "name": self.name,
                "url": self.url,
                "state": self.state,
                "reason": self.reason,
                "since": self.since.isoformat(),
                "offline_since": self.offline_since.isoformat() if self.offline_since else None,
                "score": self.score,
                "score_time": self.score_time.isoformat() if self.score_time else None,
                "event_id": self.event_id,
                "restarts": self.restarts,
                "problem": showable(self.problem),
                "detector": self.detector,
                "threshold_on": self.threshold_on,
                "threshold_off": self.threshold_off,
                "threshold_from": self.threshold_from,
                "lookahead_clips": self.lookahead_clips,
                "lag_s": round(self.progress.lag_s, 3),
                "clock_drift": self.progress.drift,
                **asdict(self.counts),
            }
