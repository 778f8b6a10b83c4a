"""What a camera's worker tells goes from here to the store, the channels that show states, the metrics and the log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime

from amiss.watch._event import CameraEvent, CameraState
from amiss.watch._score_log import ScoreLog
from amiss.watch.alerts import StatePublisher
from amiss.watch.camera import CameraStatus, ClipScored
from amiss.watch.http import Metrics
from amiss.watch.store import Store

log = logging.getLogger("amiss.watch")


class Reporter:
    """Called by the workers, each from its own thread.

    Args:
        store: Has every event on disk before anything else is done with it.
        publisher: Shows states.
        metrics: Counts and times.
        score_log: Where every score goes as well; None = nowhere.
        on_event: Is told every event after the store.
    """

    def __init__(
        self,
        store: Store,
        publisher: StatePublisher,
        metrics: Metrics,
        score_log: ScoreLog | None,
        on_event: Callable[[CameraEvent], None] = lambda _: None,
    ) -> None:
        self._store, self._publisher, self._metrics, self._score_log = store, publisher, metrics, score_log
        self._on_event = on_event

    def score(self, status: CameraStatus, scored: ClipScored) -> None:
        """A clip was scored."""
        status.set_score(scored.ended, scored.smoothed)
        self._metrics.score_latency.labels(scored.camera).observe(scored.latency_s)
        if self._score_log is not None:
            self._score_log.write(scored.ended, scored.camera, scored.score, scored.smoothed, status.event_id,
                                  scored.file, scored.file_s)  # fmt: skip

    def state(self, status: CameraStatus, state: CameraState, reason: str) -> None:
        """The camera is in this state."""
        if status.set_state(state, reason):
            log.log(logging.INFO if state in ("connecting", "running", "stopped") else logging.WARNING,
                    "%s: %s%s", status.name, state, f" ({reason})" if reason else "")  # fmt: skip
        self._store.set_camera_state(status.name, state, reason)
        self._publisher.state(status.name, state)

    def event(self, status: CameraStatus, event: CameraEvent) -> None:
        """An event of the camera is so."""
        is_new = event.state == "open" and status.event_id != event.event_id
        self._store.save_event(event)
        self._publisher.event(event)
        self._on_event(event)
        if is_new:
            latency_s = (datetime.now(UTC) - event.started).total_seconds()
            self._metrics.event_latency.labels(event.camera).observe(max(0.0, latency_s))
            log.warning("%s: event %s opened, score %.3f%s", event.camera, event.event_id, event.peak_score,
                        f", in {event.place}" if event.place else "")  # fmt: skip
        if event.state != "open" and status.event_id == event.event_id:
            log.warning("%s: event %s %s, peak %.3f%s", event.camera, event.event_id, event.state, event.peak_score,
                        f"; {event.problem}" if event.problem else "")  # fmt: skip
        status.follow(event.event_id, is_open=event.state == "open")
