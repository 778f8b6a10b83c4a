"""Deleting old clips and pictures: by days, by bytes, and when the disk is nearly full."""

import logging
import shutil
import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from amiss.files import TEMPORARY_PREFIX
from amiss.watch.config import RetentionSettings

log = logging.getLogger("amiss.watch.store")

_PERIOD_S = 30.0
ABANDONED = timedelta(days=1)  # temporary files older than this belong to nobody


@dataclass(frozen=True)
class RetentionReport:
    """What one run did."""

    n_events: int
    """That lost their media."""
    freed_bytes: int
    used_bytes: int
    """By the media folder, afterwards."""
    free_bytes: int
    """On its disk, afterwards."""
    problem: str | None = None
    """Why limits don't hold, or files couldn't be deleted."""


@dataclass(frozen=True)
class _Media:
    """Files of one event."""

    event_id: str
    day: date
    changed_s: float
    files: tuple[Path, ...]
    n_bytes: int


class Retention:
    """Keeps the media folder within its limits. Events that are protected keep their media, whatever the limits say.

    Args:
        media: the folder, with `YYYY-MM-DD/<camera>/<event_id>.mp4` and `.jpg`.
        settings: the limits.
        protected_ids: events to be kept, asked at every run; where it raises, nothing is deleted.
        forget: told which files go (paths relative to the folder), before they do; an event that was scored again may
            have later ones, which stay. Where it raises, nothing is deleted.
        disk_usage: of a path; as shutil's.
    """

    def __init__(
        self,
        media: Path,
        settings: RetentionSettings,
        *,
        protected_ids: Callable[[], Collection[str]],
        forget: Callable[[Sequence[str]], None],
        disk_usage: Callable[[Path], tuple[int, int, int]] = shutil.disk_usage,
    ) -> None:
        self.media, self.settings = media, settings
        self._protected_ids, self._forget, self._disk_usage = protected_ids, forget, disk_usage

    def run_once(self, now: datetime) -> RetentionReport:
        """Delete what must go.

        Args:
            now: aware; days are counted back from it.
        """
        if not self.media.is_dir():
            return RetentionReport(0, 0, 0, 0)
        self._remove_abandoned(now)
        events = self._scan()
        used = sum(event.n_bytes for event in events)
        free = self._disk_usage(self.media)[2]
        try:
            protected = set(self._protected_ids())
            going, problem = self._choose(events, protected, now, used, free)
            if going:
                self._forget([file.relative_to(self.media).as_posix() for event in going for file in event.files])
        except Exception as error:  # whatever the store raises: what is protected isn't known
            return RetentionReport(0, 0, used, free, f"nothing deleted: {error}")
        freed = 0
        for event in going:
            try:
                for file in event.files:
                    file.unlink(missing_ok=True)
                freed += event.n_bytes
            except OSError as error:
                problem = f"{event.files[0].parent} can't be cleared: {error.strerror}"
        self._remove_empty_folders(now)
        return RetentionReport(len(going), freed, used - freed, self._disk_usage(self.media)[2], problem)

    def _scan(self) -> list[_Media]:
        """All events with media, oldest first. Files of other names are left alone."""
        files: dict[tuple[date, str], list[Path]] = {}
        for day_folder in self.media.iterdir():
            try:
                day = date.fromisoformat(day_folder.name)
            except ValueError:
                continue
            for file in day_folder.glob("*/*"):
                event_id = file.stem.partition("-")[0]
                is_event = len(event_id) == 32 and set(event_id) <= set("0123456789abcdef")
                if is_event and file.suffix in (".mp4", ".jpg") and file.is_file() and not file.is_symlink():
                    files.setdefault((day, event_id), []).append(file)
        events = []
        for (day, event_id), found in files.items():
            with suppress(FileNotFoundError):
                status = [file.stat() for file in found]
                changed = max(s.st_mtime for s in status)
                events.append(_Media(event_id, day, changed, tuple(found), sum(s.st_size for s in status)))
        return sorted(events, key=lambda event: (event.day, event.changed_s))

    def _choose(
        self, events: list[_Media], protected: set[str], now: datetime, used: int, free: int
    ) -> tuple[list[_Media], str | None]:
        limits = self.settings
        candidates = [event for event in events if event.event_id not in protected]
        going: list[_Media] = []
        if limits.days is not None:
            limit_s = now.timestamp() - limits.days * 86400
            going = [event for event in candidates if event.changed_s < limit_s]
            candidates = [event for event in candidates if event.changed_s >= limit_s]
        gone = sum(event.n_bytes for event in going)
        excess = used - gone - limits.max_bytes if limits.max_bytes is not None else 0
        if free + gone < limits.min_free_bytes:
            excess = max(excess, 2 * limits.min_free_bytes - free - gone)
        while excess > 0 and candidates:
            event = candidates.pop(0)
            going.append(event)
            excess -= event.n_bytes
        if excess > 0:
            return going, f"{excess} bytes too many are left: protected events, or files that aren't of events"
        return going, None

    def _remove_abandoned(self, now: datetime) -> None:
        for file in self.media.glob(f"*/*/{TEMPORARY_PREFIX}*"):
            with suppress(OSError):
                if file.stat().st_mtime < (now - ABANDONED).timestamp():
                    file.unlink()

    def _remove_empty_folders(self, now: datetime) -> None:
        for day_folder in self.media.iterdir():
            if day_folder.name >= f"{now - timedelta(days=2):%Y-%m-%d}" or not day_folder.is_dir():
                continue
            with suppress(OSError):  # not empty
                for camera in day_folder.iterdir():
                    camera.rmdir()
                day_folder.rmdir()


class MediaKeeper:
    """Runs a retention twice a minute, in a thread of its own; what goes wrong is logged once."""

    def __init__(self, retention: Retention) -> None:
        self.retention = retention
        """May be replaced at any time."""
        self.used_bytes = 0
        """By the media folder, when it was last looked at."""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="amiss-retention", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end; returns at once."""
        self._stopping.set()

    def _work(self) -> None:
        said = None
        while not self._stopping.wait(_PERIOD_S):
            problem = self._run_once()
            if problem and problem != said:
                log.error("old clips and pictures: %s", problem)
            said = problem

    def _run_once(self) -> str | None:
        retention = self.retention
        try:
            report = retention.run_once(datetime.now(UTC))
        except OSError as error:
            return f"{retention.media}: {error.strerror}"
        self.used_bytes = report.used_bytes
        if report.n_events:
            log.info("clips and pictures of %d old events removed, %.1f MB", report.n_events, report.freed_bytes / 1e6)
        return report.problem
