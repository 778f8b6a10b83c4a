"""What the HTTP server and the metrics show of a watcher."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amiss.errors import StoreError
from amiss.reading import shown
from amiss.watch._event import clip_part, clip_parts
from amiss.watch.camera import CameraStatus
from amiss.watch.http._metrics import Metrics
from amiss.watch.http._preview import Preview
from amiss.watch.http._shown import ShownEvent
from amiss.watch.store import Store

_STANDSTILL_S = 30.0
_MAX_REASON = 10_000


@dataclass(frozen=True)
class Health:
    """How a watcher is."""

    started: bool = True
    """Its cameras are watched."""
    since_tick_s: float = 0.0
    """How long ago the supervisor went round."""
    config_problem: str = ""
    """What is wrong with the configuration on disk, so that it isn't the one in use."""
    config_slowness: str = ""
    """That reading it takes long."""
    log_problem: str = ""
    """Why scores aren't logged."""
    media_bytes: int = 0
    """Size of all clips and snapshots."""


@dataclass(frozen=True)
class Watched:
    """What a watcher gives to be shown; the functions are asked at every request, from any thread."""

    store: Store
    media: Path
    """Folder of clips and snapshots."""
    state: Path
    """Folder with the spool."""
    cameras: Callable[[], Sequence[CameraStatus]]
    preview: Callable[[str], Preview | None]
    """A camera's live pictures; None = no such camera."""
    health: Callable[[], Health]


class WatcherView:
    """What the server shows of a watcher. Everything in it is redacted."""

    def __init__(self, watched: Watched) -> None:
        self.watched = watched
        self.metrics = Metrics(watched.cameras, self.gauges, self.deliveries)

    def cameras(self) -> list[dict[str, Any]]:
        """The cameras' states."""
        return [status.to_dict() for status in self.watched.cameras()]

    def alive(self) -> bool:
        """Whether the supervisor still goes round."""
        health = self.watched.health()
        return not health.started or health.since_tick_s < _STANDSTILL_S

    def not_ready(self) -> list[str]:
        """What keeps the watcher from being ready; empty = nothing.

        A camera that is away is no reason: nothing can be done here about it.
        """
        health = self.watched.health()
        reasons = [] if health.started else ["starting"]
        status = self.watched.store.status()
        if status.problem:
            reasons.append(f"the database can't be written, events wait on disk: {status.problem}")
        if status.in_memory:
            reasons.append(
                f"the disk of the spool takes nothing, {status.in_memory} records are in memory only: make room in "
                f"{self.watched.state}"
            )
        if health.config_problem:
            reasons.append(f"the configuration is wrong, the one before is in use: {health.config_problem}")
        if health.config_slowness:
            reasons.append(f"the configuration is still being read, the one before is in use: {health.config_slowness}")
        if health.log_problem:
            reasons.append(health.log_problem)
        return [shown(reason, quoted=False, most=_MAX_REASON) for reason in reasons]  # a path may be no text

    def metrics_text(self) -> bytes:
        """Prometheus' text format."""
        return self.metrics.text()

    def preview(self, camera: str) -> Preview | None:
        """A camera's live pictures; None = no such camera."""
        return self.watched.preview(camera)

    def event(self, event_id: str) -> ShownEvent | None:
        """An event; None = no such one."""
        stored = self.watched.store.get_event(event_id)
        if stored is None:
            return None
        clip = self.media_file(event_id, "clip")
        return ShownEvent(stored.event, stored.protected, 0 if clip is None else len(clip_parts(clip)))

    def media_file(self, event_id: str, kind: str, part: int = 1) -> Path | None:
        """The file of an event's `clip` (of several, which part) or `snapshot`, inside the media folder.

        None = there is none.
        """
        stored = self.watched.store.get_event(event_id)
        name = getattr(stored.event, kind) if stored is not None and kind in ("clip", "snapshot") else None
        if name is None:
            return None
        path = clip_part(self.watched.media / name, part).resolve()
        return path if path.is_relative_to(self.watched.media.resolve()) and path.is_file() else None

    def gauges(self) -> dict[str, tuple[str, float]]:
        """Numbers for the metrics: name → (help, value)."""
        status, health = self.watched.store.status(), self.watched.health()
        gauges = {
            "amiss_spool_records": ("Records that wait for the database", float(status.waiting)),
            "amiss_spool_bytes": ("Size of the records that wait for the database", float(status.waiting_bytes)),
            "amiss_spool_wait_seconds": ("For how long they have been waiting", status.waiting_s),
            "amiss_spool_in_memory": (
                "Of the records that wait, those that the disk did not take: lost with the process",
                float(status.in_memory),
            ),
            "amiss_spool_rejected": ("Records put aside in rejected.jsonl since the start", float(status.rejected)),
            "amiss_spool_dropped": ("States of open events given up for want of room", float(status.dropped)),
            "amiss_database_up": ("1 while the database can be written", float(status.problem is None)),
            "amiss_media_bytes": ("Size of all clips and snapshots", float(health.media_bytes)),
            "amiss_config_ok": ("1 unless the configuration on disk is wrong", float(not health.config_problem)),
        }
        with suppress(OSError):
            free = float(shutil.disk_usage(self.watched.media).free)
            gauges["amiss_media_free_bytes"] = ("Free space on the disk of clips and snapshots", free)
        return gauges

    def deliveries(self) -> Mapping[str, int]:
        """Number of deliveries by state."""
        try:
            return dict(self.watched.store.count_deliveries())
        except StoreError:
            return {}
