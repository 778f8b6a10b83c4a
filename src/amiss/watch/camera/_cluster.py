"""Cameras on a Ray cluster: what is told of them comes here, and one whose process has gone is watched in another."""

import contextlib
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from amiss.detection import Detector, OnlineScorer, detector_files
from amiss.errors import AmissError
from amiss.executors import connect_ray, reason_of_loss
from amiss.files import atomic_path
from amiss.video import LiveFrame, SourceState
from amiss.watch._event import CameraEvent, interrupted
from amiss.watch.camera._counters import CameraCounters, Progress
from amiss.watch.camera._host import CameraHost, MediaFile, News, Order, Report, StateTold
from amiss.watch.camera._identity import DetectorIdentity
from amiss.watch.camera._models import ModelKey
from amiss.watch.camera._restarts import ProcessLostError
from amiss.watch.camera._thread import OwnedThread
from amiss.watch.camera._worker import ClipScored
from amiss.watch.config import CameraSettings, ClusterSettings, WorkerSettings

_WAIT_S = 2.0  # of a call for news
_PATIENCE_S = 60.0  # with a process that doesn't answer
_ROOM_S = 10.0  # without room: then it is told
_PICTURE_S = 2.0
_KNOWN = 200  # files
_CALLS = 4  # at a time for each camera: news, a picture, `stop`, and one that is just ending
_LOST = "its process on the cluster has gone"


class _UnreachableError(ProcessLostError):
    """It may come back."""


@dataclass(eq=False)
class _Process:
    """An actor, and the cameras in it."""

    handle: Any
    cameras: set[str] = field(default_factory=set)


class CameraCluster:
    """Processes on a Ray cluster in which cameras are watched; they end with this one.

    Args:
        settings: which cluster, and how much of it.
        workers: how backbones run.

    Raises:
        UsageError: no such cluster, or Ray is not installed.
    """

    def __init__(self, settings: ClusterSettings, workers: WorkerSettings) -> None:
        self.ray, self._is_ours = connect_ray(settings.address)
        self._settings = settings
        self._workers = workers.model_copy(update={"threads": workers.threads or max(1, int(settings.cpus))})
        self._environment = {name: value for name, value in os.environ.items() if name.startswith("AMISS_")}
        self._processes: list[_Process] = []
        self._lock = threading.Lock()

    def worker(
        self,
        camera: str,
        settings: CameraSettings,
        detector: Detector,
        key: ModelKey,
        media: Path,
        *,
        once: bool,
        reading: str,
        identity: DetectorIdentity,
        on_event: Callable[[CameraEvent], None],
        on_state: Callable[[str, SourceState, str], None],
        on_score: Callable[[ClipScored], None],
    ) -> "ClusterWorker":
        """A camera's worker, see CameraWorker.

        Args:
            key: of the detector.

        Raises:
            DetectorError: its files can't be read.
        """
        files = detector_files(key.folder)
        order = Order(uuid.uuid4().hex, camera, settings, files, key.weights, identity, once, reading)
        scorer = OnlineScorer(detector, window=settings.window_clips, lookahead=settings.lookahead_clips)
        return ClusterWorker(
            self,
            order,
            media,
            lookahead_clips=scorer.lookahead_clips,
            on_event=on_event,
            on_state=on_state,
            on_score=on_score,
        )

    def enter(self, camera: str) -> _Process:
        """A process with room for a camera; Ray may still have to find room for the process.

        Raises:
            AmissError: Ray's client has lost the cluster.
        """
        with self._lock:
            for process in self._processes:
                if len(process.cameras) < self._settings.cameras_per_process and camera not in process.cameras:
                    break
            else:
                try:
                    process = _Process(self._start())
                except ConnectionError as error:
                    where = f"the Ray cluster {self._settings.address!r}"
                    raise AmissError(f"{where} was lost ({error}): see that its first machine runs") from error
                self._processes.append(process)
            process.cameras.add(camera)
            return process

    def leave(self, process: _Process, camera: str, *, is_lost: bool) -> None:
        """The camera isn't watched there any more. A process without cameras ends, and one that is lost for sure."""
        with self._lock:
            process.cameras.discard(camera)
            if process in self._processes and (is_lost or not process.cameras):
                self._processes.remove(process)
                self._kill(process)

    def close(self) -> None:
        """End all processes."""
        with self._lock:
            for process in self._processes:
                self._kill(process)
            self._processes.clear()
        if self._is_ours:
            with contextlib.suppress(Exception):
                self.ray.shutdown()

    def _kill(self, process: _Process) -> None:
        with contextlib.suppress(Exception):  # of a cluster that was lost, and the process with it
            self.ray.kill(process.handle)

    def _start(self) -> Any:
        return (
            self.ray.remote(CameraHost)
            .options(
                name=f"amiss watch {uuid.uuid4().hex[:8]}",
                num_cpus=self._settings.cpus,
                num_gpus=self._settings.gpus,
                max_concurrency=_CALLS * self._settings.cameras_per_process,
                max_restarts=0,  # whoever lost it starts another one, and says what was lost
                scheduling_strategy="SPREAD",
            )
            .remote(self._workers, self._environment)
        )


class ClusterWorker:
    """Watches one camera in a process of a cluster; to others it is a CameraWorker.

    News are taken one after the other. Each is kept here before the next call says so there, and one that comes twice
    is taken once. Clips and pictures come with their event, into the media folder of this machine.

    Where the process has gone, `error` is a ProcessLostError. Events that were open are `interrupted`, at the last clip
    that was told of.

    Args:
        cluster: has the processes.
        order: what is watched, and how.
        media: folder of clips and pictures.
        lookahead_clips: see CameraWorker.
        on_event, on_state, on_score: see CameraWorker; called by a thread of this worker.
    """

    def __init__(
        self,
        cluster: CameraCluster,
        order: Order,
        media: Path,
        *,
        lookahead_clips: int,
        on_event: Callable[[CameraEvent], None],
        on_state: Callable[[str, SourceState, str], None],
        on_score: Callable[[ClipScored], None],
    ) -> None:
        self.error: Exception | None = None
        self.lookahead_clips = lookahead_clips
        self._cluster, self._order = cluster, order
        self._media = _Media(media, self._read)
        self._on_event, self._on_state, self._on_score = on_event, on_state, on_score
        self._process: _Process | None = None
        self._stopping = threading.Event()
        self._counters, self._progress = CameraCounters(), Progress()
        self._unfinished: dict[str, CameraEvent] = {}  # open, or without the clip that is being written
        self._shown: LiveFrame | None = None
        self._thread = OwnedThread(self._run, f"amiss-camera-{order.camera}")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end; returns at once."""
        self._stopping.set()

    def join(self, timeout: float | None = None) -> None:
        """Wait until nothing more is told, at most so long."""
        self._thread.join(timeout)

    def is_alive(self) -> bool:
        """Whether it watches."""
        return self._thread.is_alive()

    def counters(self) -> CameraCounters:
        """What was seen so far."""
        return self._counters

    def progress(self) -> Progress:
        """How far it is."""
        return self._progress

    @property
    def latest(self) -> LiveFrame | None:
        """The last frame, for previews."""
        if (process := self._process) is not None and self.is_alive():
            shown_s = float("-inf") if self._shown is None else self._shown.monotonic_s
            with contextlib.suppress(Exception):  # it is only looked at
                call = process.handle.picture.remote(self._order.id, shown_s)
                self._shown = self._cluster.ray.get(call, timeout=_PICTURE_S) or self._shown
        return self._shown

    def _run(self) -> None:
        try:
            self._process = self._cluster.enter(self._order.camera)
            self._watch()
        except ProcessLostError as error:
            self.error = error
            self._end_unfinished()
            self._on_state(self._order.camera, "stopped", str(error))
        except Exception as error:
            self.error = error
            self._end_unfinished()
        finally:
            if self._process is not None:
                with contextlib.suppress(Exception):  # it is gone
                    self._process.handle.forget.remote(self._order.id)
                is_lost = isinstance(self.error, ProcessLostError)
                self._cluster.leave(self._process, self._order.camera, is_lost=is_lost)

    def _watch(self) -> None:
        if not self._begin():
            return
        n_kept, asked_to_stop = 0, False
        while True:
            if self._stopping.is_set() and not asked_to_stop:
                self._ask("stop", self._order.id)
                asked_to_stop = True
            report: Report = self._ask("told", self._order.id, n_kept, _WAIT_S)
            for news in report.news:
                if news.number > n_kept:
                    self._keep(news)
                    n_kept = news.number
            self._counters = report.counters
            ago_s = report.progress.scored_s
            scored_s = None if ago_s is None else time.monotonic() - ago_s
            self._progress = replace(report.progress, scored_s=scored_s)
            if report.is_over:
                if report.problem:
                    raise AmissError(report.problem)
                return

    def _begin(self) -> bool:
        """False: it was asked to stop before there was room."""
        assert self._process is not None
        began_s, is_told = time.monotonic(), False
        with self._reaching():
            call = self._process.handle.watch.remote(self._order)
        while True:
            with self._reaching():
                if self._cluster.ray.wait([call], timeout=0.5)[0]:
                    break
            if self._stopping.is_set():
                return False
            if not is_told and time.monotonic() - began_s > _ROOM_S:
                is_told = True
                self._on_state(self._order.camera, "connecting", "waits for room on the cluster")
        if problem := self._get(call, _PATIENCE_S):
            raise AmissError(problem)
        return True

    def _ask(self, method: str, *arguments: Any) -> Any:
        """The answer of a call that may be made twice."""
        assert self._process is not None
        until_s = time.monotonic() + _PATIENCE_S
        while True:
            try:
                with self._reaching():
                    call = getattr(self._process.handle, method).remote(*arguments)
                return self._get(call, max(1.0, until_s - time.monotonic()))
            except _UnreachableError:  # it may have got the call or not
                if time.monotonic() > until_s:
                    raise
                time.sleep(1.0)

    def _get(self, call: Any, patience_s: float) -> Any:
        errors = self._cluster.ray.exceptions
        try:
            with self._reaching():
                return self._cluster.ray.get(call, timeout=patience_s)
        except errors.GetTimeoutError:
            raise ProcessLostError(f"{_LOST}: it didn't answer for {patience_s:.0f} s") from None
        except errors.ActorUnavailableError:
            raise _UnreachableError(f"{_LOST}: it can't be reached") from None
        except errors.RayTaskError:
            raise
        except errors.RayError as error:
            raise ProcessLostError(f"{_LOST}: {reason_of_loss(error)}") from None

    @contextlib.contextmanager
    def _reaching(self) -> Iterator[None]:
        """Within, a plain error of Ray's client, which has lost the whole cluster, is the loss of this process."""
        try:
            yield
        except ConnectionError as error:
            if isinstance(error, self._cluster.ray.exceptions.RayTaskError):  # it was raised there
                raise
            raise ProcessLostError(f"{_LOST}: {error}") from None

    def _read(self, path: str, offset: int) -> bytes | None:
        data: bytes | None = self._ask("read", self._order.id, path, offset)
        return data

    def _keep(self, news: News) -> None:
        match news.told:
            case CameraEvent() as event:
                event = self._media.with_files(event, news.files)
                self._on_event(event)
                if event.state == "open" or (self._order.settings.record.enabled and _awaits_clip(event)):
                    self._unfinished[event.event_id] = event
                else:
                    self._unfinished.pop(event.event_id, None)
            case StateTold(state, reason):
                self._on_state(self._order.camera, state, reason)
            case ClipScored() as scored:
                self._on_score(scored)

    def _end_unfinished(self) -> None:
        for event in self._unfinished.values():
            problem = f"no clip: {_LOST}" if event.clip is None and self._order.settings.record.enabled else None
            ended = interrupted(event, problem)
            self._on_event(ended if event.state == "open" else replace(ended, state="closed"))


def _awaits_clip(event: CameraEvent) -> bool:
    return event.clip is None and "clip" not in (event.problem or "")


class _Media:
    """The files of a camera's events, which come from elsewhere into a folder here.

    Args:
        folder: the media folder.
        read: gives what a file has from an offset on, empty at its end; None: it can't be read.
    """

    def __init__(self, folder: Path, read: Callable[[str, int], bytes | None]) -> None:
        self._folder, self._read = folder, read
        self._there: dict[str, MediaFile] = {}  # path → what it is, of the last ones
        self._problems: dict[str, str] = {}  # path → why it isn't there

    def with_files(self, event: CameraEvent, files: tuple[MediaFile, ...]) -> CameraEvent:
        """The event, with its files in the folder; what can't be had is a problem of the event."""
        for file in files:
            if self._there.get(file.path) != file:
                try:
                    self._fetch(file.path)
                except OSError as error:
                    self._problems[file.path] = error.strerror or str(error)
                else:
                    self._there[file.path] = file
        for known in (self._there, self._problems):
            while len(known) > _KNOWN:
                del known[next(iter(known))]
        problems = [event.problem]
        if (problem := self._problems.get(event.clip or "")) is not None:
            problems.append(f"no clip: {problem}")
            event = replace(event, clip=None)
        if (problem := self._problems.get(event.snapshot or "")) is not None:
            problems.append(f"no picture: {problem}")
            event = replace(event, snapshot=None)
        return replace(event, problem="; ".join(filter(None, problems)) or None)

    def _fetch(self, path: str) -> None:
        with atomic_path(self._folder / path) as temporary, temporary.open("wb") as file:
            while data := self._read(path, file.tell()):
                file.write(data)
            if data is None:
                raise OSError("it can't be read where it was written")
