"""The supervisor: one worker per camera, started again when it fails, replaced when its settings change."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Generic, Protocol, TypeVar

from amiss.errors import AmissError
from amiss.video import redact
from amiss.watch.camera._counters import CameraCounters, Progress, total
from amiss.watch.camera._restarts import ProcessLostError, RestartPolicy
from amiss.watch.camera._status import CameraStatus
from amiss.watch.config import WorkerSettings

log = logging.getLogger("amiss.watch")


class Worker(Protocol):
    """What the supervisor needs of a camera's worker, a thread."""

    error: Exception | None
    """What it ended with; None while it runs, and when it ended well (a file's end, `stop`)."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """Ask it to end; returns at once."""

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end."""

    def is_alive(self) -> bool:
        """Whether it runs."""

    def counters(self) -> CameraCounters:
        """Its counters, since it began."""

    def progress(self) -> Progress:
        """How far it is."""


SettingsT = TypeVar("SettingsT")


@dataclass
class _Watched(Generic[SettingsT]):
    settings: SettingsT
    status: CameraStatus
    policy: RestartPolicy
    worker: Worker | None = None
    earlier: CameraCounters = field(default_factory=CameraCounters)
    """Of workers that ended."""
    next_start: float = 0.0
    done: bool = False
    """It ended well: the end of a file."""
    told: str = ""
    """The failure that was told last; empty since something was scored."""
    retiring: list[Worker] = field(default_factory=list)
    """Workers that were asked to end; a new one starts only when they have."""


class Supervisor(Generic[SettingsT]):
    """Keeps one worker per camera running. A camera's failures never touch another camera.

    Args:
        make_worker: (camera, its settings, its status) → a worker that isn't started yet.
        make_status: (camera, its settings) → its status. Settings are all that decides how a camera is watched: a
            worker goes on as long as they stay equal.
        workers: how often a worker is started again.
        restart: start failed workers again; False: a failure is an end, but for a ProcessLostError.
        now: a monotonic clock in seconds.
    """

    def __init__(
        self,
        make_worker: Callable[[str, SettingsT, CameraStatus], Worker],
        make_status: Callable[[str, SettingsT], CameraStatus],
        workers: WorkerSettings,
        *,
        restart: bool = True,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make_worker, self._make_status, self._workers, self._now = make_worker, make_status, workers, now
        self._restart = restart
        self._watched: dict[str, _Watched[SettingsT]] = {}
        self._leaving: list[Worker] = []
        self.last_tick = now()

    @property
    def statuses(self) -> list[CameraStatus]:
        """The cameras' states."""
        return [watched.status for watched in list(self._watched.values())]

    def status(self, camera: str) -> CameraStatus | None:
        """A camera's state; None = no such camera."""
        watched = self._watched.get(camera)
        return watched.status if watched else None

    @property
    def all_done(self) -> bool:
        """Whether every camera was a file that has been scored to its end."""
        return all(watched.done for watched in self._watched.values())

    @property
    def is_changing(self) -> bool:
        """Whether a worker that was asked to end still runs."""
        return bool(self._leaving) or any(watched.retiring for watched in self._watched.values())

    def set_cameras(self, wanted: Mapping[str, SettingsT]) -> None:
        """Watch these cameras, name → settings; those whose settings stay equal go on as they are."""
        for name in [name for name in self._watched if name not in wanted]:
            leaving = self._watched.pop(name)
            self._retire(leaving)
            self._leaving += leaving.retiring
            log.info("%s: no longer watched", name)
        for name, settings in wanted.items():
            watched = self._watched.get(name)
            if watched is not None and watched.settings == settings:
                continue
            policy = RestartPolicy(self._workers.max_restarts, self._workers.restarts_within_s)
            new = _Watched(settings, self._make_status(name, settings), policy)
            if watched is not None:
                self._retire(watched)
                new.retiring, new.earlier = watched.retiring, watched.earlier
                new.status.counts, new.status.restarts = watched.status.counts, watched.status.restarts
            log.info("%s: watched%s", name, "" if watched is None else " with new settings")
            self._watched[name] = new

    def tick(self) -> None:
        """Look after every worker once."""
        self.last_tick = self._now()
        self._leaving = [worker for worker in self._leaving if worker.is_alive()]
        for name, watched in self._watched.items():
            self._look_after(name, watched)

    def _look_after(self, name: str, watched: _Watched[SettingsT]) -> None:
        watched.retiring = [worker for worker in watched.retiring if worker.is_alive()]
        worker = watched.worker
        if worker is not None:
            watched.status.counts = total(watched.earlier, worker.counters())
            watched.status.progress = worker.progress()
            if watched.status.progress.scored_s is not None:
                watched.told = ""
            if worker.is_alive():
                return
            self._forget(watched)
            if worker.error is None:
                watched.done = True
                watched.status.problem = ""
                watched.status.set_state("stopped", "ended")
                log.info("%s: ended", name)
                return
            self._failed(name, watched, worker.error)
        if watched.done or watched.retiring or self._now() < watched.next_start:
            return
        try:
            watched.worker = self._make_worker(name, watched.settings, watched.status)
            watched.worker.start()
        except Exception as error:  # whatever it is, it concerns this camera only
            watched.worker = None
            self._failed(name, watched, error)

    def _failed(self, name: str, watched: _Watched[SettingsT], error: Exception) -> None:
        now = self._now()
        watched.next_start = watched.policy.next_start(now)
        watched.status.restarts += 1
        text = redact(str(error) or type(error).__name__)
        watched.status.problem = text if isinstance(error, AmissError) else f"{type(error).__name__}: {text}"
        watched.status.event_id = None
        watched.status.set_state("stopped", watched.status.problem)
        is_again = self._restart or isinstance(error, ProcessLostError)
        watched.done = not is_again
        if watched.status.problem == watched.told:
            return
        watched.told = watched.status.problem
        again = f"; started again in {watched.next_start - now:.0f} s, and told anew when it fails of something else"
        unforeseen = None if isinstance(error, AmissError) else error
        log.error("%s: its worker failed: %s%s", name, watched.told, again if is_again else "", exc_info=unforeseen)

    def _forget(self, watched: _Watched[SettingsT]) -> None:
        if watched.worker is not None:
            watched.earlier = watched.status.counts = total(watched.earlier, watched.worker.counters())
            watched.status.progress = replace(watched.status.progress, lag_s=0.0)  # nothing waits any more
        watched.worker = None

    def _retire(self, watched: _Watched[SettingsT]) -> None:
        if watched.worker is not None:
            watched.worker.stop()
            watched.retiring.append(watched.worker)
            self._forget(watched)

    def stop(self, timeout_s: float) -> list[str]:
        """Ask all workers to end and wait for them; names of those that didn't in time."""
        for watched in self._watched.values():
            self._retire(watched)
        until = self._now() + timeout_s
        late = []
        for worker in self._leaving:
            worker.join(max(0.0, until - self._now()))
        for name, watched in self._watched.items():
            for worker in watched.retiring:
                worker.join(max(0.0, until - self._now()))
            if any(worker.is_alive() for worker in watched.retiring):
                late.append(name)
            else:
                watched.status.set_state("stopped", "")
        return late
