"""Cameras in a process elsewhere: the same workers, whose news wait here until they are taken and kept."""

import os
import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from amiss.errors import AmissError
from amiss.files import atomic_path, lock
from amiss.video import LiveFrame, SourceState
from amiss.watch._event import CameraEvent, clip_parts
from amiss.watch.camera._counters import CameraCounters, Progress
from amiss.watch.camera._identity import DetectorIdentity
from amiss.watch.camera._models import ModelKey, Models
from amiss.watch.camera._worker import CameraWorker, ClipScored
from amiss.watch.config import CameraSettings, WorkerSettings

_MOST_NEWS = 10_000  # that wait; scores beyond are left out
_LOOK_S = 0.25
_PART_BYTES = 8 << 20
_FOLDER, _LOCK = "amiss-watch-", "lock"


@dataclass(frozen=True)
class Order:
    """All that it takes to watch a camera."""

    id: str
    """Of this watch; no other has it."""
    camera: str
    """Its name."""
    settings: CameraSettings
    """With both thresholds."""
    detector: Mapping[str, bytes]
    """Its files."""
    weights: Path | None
    """Of its backbone, on every machine; None = found by name there."""
    identity: DetectorIdentity
    """Of the detector."""
    once: bool
    """See CameraWorker, as the next."""
    reading: str


@dataclass(frozen=True)
class StateTold:
    """The camera is in this state."""

    state: SourceState
    reason: str


@dataclass(frozen=True)
class MediaFile:
    """A clip's part, or a picture, as it is now."""

    path: str
    """Relative to the media folder."""
    size: int
    changed_ns: int


@dataclass(frozen=True)
class News:
    """Something that a camera's worker told."""

    number: int
    """From 1, without gaps."""
    told: CameraEvent | StateTold | ClipScored
    files: tuple[MediaFile, ...] = ()
    """Of an event: what is there of its clip and picture."""


@dataclass(frozen=True)
class Report:
    """What is new of a camera."""

    news: tuple[News, ...]
    counters: CameraCounters
    progress: Progress
    """`scored_s` is so long ago, instead of a time of this machine's clock."""
    is_over: bool
    """Nothing more comes."""
    problem: str = ""
    """What it ended with."""


class CameraHost:
    """Watches cameras in its process, which share backbones. Nothing here depends on Ray.

    A folder or file goes on after an event only when whoever asks for news has it on disk. So the note that a folder's
    file was scored never comes before its events.

    Args:
        workers: how backbones run.
        environment: variables that hold here, where this machine doesn't say otherwise.
    """

    def __init__(self, workers: WorkerSettings, environment: Mapping[str, str]) -> None:
        for name, value in environment.items():
            os.environ.setdefault(name, value)
        self._folder = Path(tempfile.mkdtemp(prefix=_FOLDER))
        _remove_leftovers(self._folder.parent)
        descriptor = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT)
        lock(descriptor, self._folder)  # until the process ends
        os.write(descriptor, b"\n")  # from here on it is locked, or left over
        self._models = Models(workers)
        self._watches: dict[str, _Watch] = {}
        self._starting = threading.Lock()

    def watch(self, order: Order) -> str:
        """Begin to watch a camera; a second time changes nothing. Returns why it can't be done; empty: it is."""
        with self._starting:
            if order.id in self._watches:
                return ""
            try:
                self._watches[order.id] = _Watch(order, self._key(order), self._models, self._folder / order.id)
            except Exception as error:  # whatever it is, it concerns this camera only
                return _in_words(error)
        return ""

    def told(self, watch: str, after: int, wait_s: float) -> Report:
        """The news after this number, which with all before are kept by now; waits so long for some."""
        return self._watches[watch].told(after, wait_s)

    def read(self, watch: str, path: str, offset: int) -> bytes | None:
        """Up to 8 MiB of a file of an event; None: it can't be read."""
        try:
            with (self._folder / watch / path).open("rb") as file:
                file.seek(offset)
                return file.read(_PART_BYTES)
        except OSError:
            return None

    def picture(self, watch: str, after_s: float) -> LiveFrame | None:
        """The camera's last frame, where it is later than this on its own clock."""
        frame = self._watches[watch].worker.latest
        return frame if frame is not None and frame.monotonic_s > after_s else None

    def stop(self, watch: str) -> None:
        """Ask a camera's worker to end; what it still tells is to be taken."""
        if (found := self._watches.get(watch)) is not None:
            found.worker.stop()

    def forget(self, watch: str) -> None:
        """Its news aren't taken any more."""
        with self._starting:
            if (found := self._watches.pop(watch, None)) is not None:
                found.give_up()
            self._models.keep(other.key for other in self._watches.values())
        shutil.rmtree(self._folder / watch, ignore_errors=True)

    def _key(self, order: Order) -> ModelKey:
        folder = self._folder / order.identity.sha256
        folder.mkdir(exist_ok=True)
        for name, data in order.detector.items():
            if not (folder / name).exists():
                with atomic_path(folder / name) as temporary:  # where the disk is full, it is tried again later
                    temporary.write_bytes(data)
        return ModelKey(folder, order.weights, order.identity.sha256)


class _Watch:
    """A camera's worker and its news."""

    def __init__(self, order: Order, key: ModelKey, models: Models, media: Path) -> None:
        self.key = key
        self._media = media
        self._news: deque[News] = deque()
        self._n_told = self._n_kept = 0
        self._is_given_up = False
        self._changed = threading.Condition()
        self.worker = CameraWorker(
            order.camera,
            order.settings,
            models.detector(key),
            models.pool(key),
            media,
            once=order.once,
            reading=order.reading,
            on_event=self._on_event,
            on_state=self._on_state,
            on_score=self._on_score,
            identity=order.identity,
        )
        self.worker.start()

    def told(self, after: int, wait_s: float) -> Report:
        until_s = time.monotonic() + wait_s
        with self._changed:
            self._n_kept = max(self._n_kept, after)
            while self._news and self._news[0].number <= after:
                self._remove_clips(self._news.popleft())
            self._changed.notify_all()
            is_over = not self.worker.is_alive()
            while not self._news and not is_over and time.monotonic() < until_s:
                self._changed.wait(_LOOK_S)
                is_over = not self.worker.is_alive()
            news = tuple(self._news)
        progress = self.worker.progress()
        if progress.scored_s is not None:
            progress = replace(progress, scored_s=time.monotonic() - progress.scored_s)
        error = self.worker.error
        return Report(
            news, self.worker.counters(), progress, is_over and not news, "" if error is None else _in_words(error)
        )

    def give_up(self) -> None:
        with self._changed:
            self._is_given_up = True
            self._changed.notify_all()
        self.worker.stop()

    def _on_event(self, event: CameraEvent) -> None:
        paths = [] if event.clip is None else clip_parts(self._media / event.clip)
        paths += [] if event.snapshot is None else [self._media / event.snapshot]
        with self._changed:
            number = self._add(event, tuple(self._file(path) for path in paths if path.exists()))
            while not self.worker.is_live and self._n_kept < number and not self._is_given_up:
                self._changed.wait(1.0)

    def _file(self, path: Path) -> MediaFile:
        status = path.stat()
        return MediaFile(path.relative_to(self._media).as_posix(), status.st_size, status.st_mtime_ns)

    def _on_state(self, _: str, state: SourceState, reason: str) -> None:
        self._add(StateTold(state, reason))

    def _on_score(self, scored: ClipScored) -> None:
        if len(self._news) < _MOST_NEWS:
            self._add(scored)

    def _add(self, told: CameraEvent | StateTold | ClipScored, files: tuple[MediaFile, ...] = ()) -> int:
        with self._changed:
            self._n_told += 1
            self._news.append(News(self._n_told, told, files))
            self._changed.notify_all()
            return self._n_told

    def _remove_clips(self, news: News) -> None:
        """They are kept elsewhere by now; a picture may be told of once more."""
        for file in news.files:
            if file.path.endswith(".mp4"):
                (self._media / file.path).unlink(missing_ok=True)


def _remove_leftovers(root: Path) -> None:
    """Folders of processes that were killed: nobody holds their locks."""
    for folder in root.glob(f"{_FOLDER}*"):
        with suppress(OSError), (folder / _LOCK).open("r+b") as file:
            if lock(file.fileno(), folder) and file.read(1):
                shutil.rmtree(folder, ignore_errors=True)


def _in_words(error: Exception) -> str:
    return str(error) if isinstance(error, AmissError) else f"{type(error).__name__}: {error}"
