"""What the HTTP server and the metrics show of a service."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amiss.errors import StoreError
from amiss.watch.http._preview import Preview
from amiss.watch.store._records import event_json

if TYPE_CHECKING:
    from amiss.watch._service import WatchService

_STANDSTILL_S = 30.0


class ServiceView:
    """See `View`. Everything in it is redacted."""

    def __init__(self, service: WatchService) -> None:
        self._service = service

    def cameras(self) -> list[dict[str, Any]]:
        """See `View`."""
        return [status.to_dict() for status in self._service.supervisor.statuses]

    def alive(self) -> bool:
        """See `View`."""
        return not self._service.started or time.monotonic() - self._service.supervisor.last_tick < _STANDSTILL_S

    def not_ready(self) -> list[str]:
        """See `View`. A camera that is away is no reason: nothing can be done here about it."""
        reasons = [] if self._service.started else ["starting"]
        status = self._service.store.status()
        if status.problem:
            reasons.append(f"the database can't be written, events wait on disk: {status.problem}")
        if status.in_memory:
            reasons.append(
                f"the disk of the spool takes nothing, {status.in_memory} records are in memory only: make room in "
                f"{self._service.config.state}"
            )
        if self._service.reload_problem:
            reasons.append(f"the configuration is wrong, the one before is in use: {self._service.reload_problem}")
        if self._service.score_log is not None and self._service.score_log.problem:
            reasons.append(self._service.score_log.problem)
        return reasons

    def metrics_text(self) -> bytes:
        """See `View`."""
        return self._service.metrics.text()

    def preview(self, camera: str) -> Preview | None:
        """See `View`."""
        return self._service.previews.get(camera)

    def event(self, event_id: str) -> dict[str, Any] | None:
        """See `View`."""
        stored = self._service.store.get_event(event_id)
        if stored is None:
            return None
        clip = self.media_file(event_id, "clip")
        return event_json(stored.event) | {
            "place": stored.event.place, "trace": stored.event.trace, "protected": stored.protected,
            "clip_parts": 0 if clip is None else next(n for n in count(1) if not _clip_part(clip, n + 1).is_file()),
        }  # fmt: skip

    def media_file(self, event_id: str, kind: str, part: int = 1) -> Path | None:
        """See `View`."""
        stored = self._service.store.get_event(event_id)
        name = getattr(stored.event, kind) if stored is not None and kind in ("clip", "snapshot") else None
        if name is None:
            return None
        path = _clip_part(self._service.config.media / name, part).resolve()
        return path if path.is_relative_to(self._service.config.media.resolve()) and path.is_file() else None

    def gauges(self) -> dict[str, tuple[str, float]]:
        """Numbers for the metrics: name → (help, value)."""
        status = self._service.store.status()
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
            "amiss_media_bytes": ("Size of all clips and snapshots", float(self._service.media_bytes)),
            "amiss_config_ok": ("1 unless the configuration on disk is wrong", float(not self._service.reload_problem)),
        }
        with suppress(OSError):
            free = float(shutil.disk_usage(self._service.config.media).free)
            gauges["amiss_media_free_bytes"] = ("Free space on the disk of clips and snapshots", free)
        return gauges

    def deliveries(self) -> Mapping[str, int]:
        """Number of deliveries by state."""
        try:
            return dict(self._service.store.count_deliveries())
        except StoreError:
            return {}


def _clip_part(clip: Path, part: int) -> Path:
    """Where a clip goes on, from part 2 on; see the recorder."""
    return clip if part == 1 else clip.with_stem(f"{clip.stem}-{part}")
