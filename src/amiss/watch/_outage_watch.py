"""Which cameras are offline: of which nothing was scored for too long, whatever the reason."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from amiss.video import open_source
from amiss.watch._outage import Outage
from amiss.watch.camera import CameraStatus
from amiss.watch.config import CameraSettings
from amiss.watch.store import Store

log = logging.getLogger("amiss.watch")


@dataclass
class _Watch:
    settings: CameraSettings
    is_live: bool
    fine_s: float
    """When it was fine last; at first, since when it is watched."""
    is_lost: bool | None = None
    """None: not known yet; an earlier process may have noticed an outage that lasts."""
    offline_since: datetime | None = None

    def fine_at(self, status: CameraStatus, now: float) -> float | None:
        """When it was fine last, as far as its status says."""
        if self.is_live:
            return status.progress.scored_s
        has_failed = status.state == "stopped" and status.problem and status.reason == status.problem
        return now if status.state in ("running", "stopped") and not has_failed else None


class OutageWatch:
    """Notices when cameras give nothing, and when they are back, and tells the store, which tells people.

    A camera is fine when a clip of it is scored. A file or a folder is fine while it can be read: there need not be
    anything in it. Whether an outage was noticed before a restart is the store's to know.

    Args:
        store: is told.
        now: a monotonic clock in seconds.
        wall: the wall clock, aware.
    """

    def __init__(
        self,
        store: Store,
        *,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store, self._now, self._wall = store, now, wall
        self._watches: dict[str, _Watch] = {}

    def set_cameras(self, cameras: Mapping[str, CameraSettings]) -> None:
        """Look after these from now on. One that is lost stays so when its settings change."""
        before, self._watches = self._watches, {}
        for name, settings in cameras.items():
            known = before.get(name)
            if known is not None and known.settings == settings:
                self._watches[name] = known
                continue
            watch = _Watch(settings, open_source(settings.url.get_secret_value()).is_live, self._now())
            if known is not None and known.is_lost:
                watch.is_lost, watch.fine_s, watch.offline_since = True, known.fine_s, known.offline_since
            self._watches[name] = watch
        self._store.forget_cameras(self._watches)

    def look(self, status: CameraStatus) -> None:
        """See how a camera is."""
        watch = self._watches.get(status.name)
        if watch is None:
            return
        now = self._now()
        fine_s = watch.fine_at(status, now)
        if fine_s is not None and fine_s > watch.fine_s:
            if watch.is_lost is not False:
                if watch.is_lost:
                    log.warning("%s: back after %.0f s", status.name, fine_s - watch.fine_s)
                self._store.camera_back(status.name, self._wall())
            watch.is_lost, watch.fine_s, watch.offline_since = False, fine_s, None
        silent_s = now - watch.fine_s
        if silent_s >= watch.settings.offline_after_s and not watch.is_lost:
            noticed = self._wall()
            watch.is_lost, watch.offline_since = True, noticed - timedelta(seconds=silent_s)
            reason = f"{status.state}: {status.reason}" if status.reason else status.state
            missing = "nothing was scored" if watch.is_live else "it couldn't be read"
            log.warning("%s: offline, %s for %.0f s (%s)", status.name, missing, silent_s, reason)
            if status.state == "running":  # which says nothing of what is missing
                reason = f"{missing}, though it is {reason}"
            self._store.camera_lost(Outage(uuid.uuid4().hex, status.name, watch.offline_since, noticed, None, reason))
        status.offline_since = watch.offline_since
