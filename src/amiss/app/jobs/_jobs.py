"""Jobs that people start: they wait for each other, tell how far they are, and can be stopped.

Jobs that work wait for each other. Those that mostly wait themselves, such as for what a camera shows, run beside them,
and wait for their own kind alone.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from amiss.errors import AmissError, UsageError
from amiss.video import redact

log = logging.getLogger("amiss.app")

JobState = Literal["waiting", "running", "done", "failed", "stopped"]

_REMEMBERED = 100  # jobs that are over
_MOST_WAITING = 50
_TELL_S = 0.5  # progress is told this often at most


class StoppedError(Exception):
    """Somebody stopped the job."""


@dataclass(frozen=True)
class Job:
    """What somebody started, as it is now."""

    job_id: str
    kind: str
    """Such as `score` or `retrain`."""
    title: str
    """What it is about, in words."""
    who: str
    """Name of who started it."""
    created: datetime
    """Aware, UTC, as the next."""
    state: JobState = "waiting"
    started: datetime | None = None
    ended: datetime | None = None
    n_done: float = 0.0
    """How much of it is done, in its own unit …"""
    n_total: float = 0.0
    """… and of how much; 0 = nobody knows."""
    what: str = ""
    """What is being done."""
    problem: str | None = None
    """Why it failed."""
    result: dict[str, Any] | None = None
    """What it gave; ready for JSON."""


@dataclass
class Work:
    """A job's side of it: handed to the function that does it."""

    on_progress: Callable[[float, float, str], None]
    stop: threading.Event = field(default_factory=threading.Event)
    """Set when the job is to end."""

    def progress(self, done: float, total: float, what: str = "") -> None:
        """Tell how far it is; an `OnProgress` of `amiss.jobs`.

        Raises:
            StoppedError: it is to end.
        """
        if self.stop.is_set():
            raise StoppedError
        self.on_progress(done, total, what)


@dataclass
class _Entry:
    job: Job
    does: Callable[[Work], dict[str, Any] | None]
    work: Work


class Jobs:
    """Runs jobs one after the other, in one thread those that work, and in one those that watch.

    Args:
        on_change: told of a job whenever it is another one; from any thread.
    """

    def __init__(self, on_change: Callable[[Job], None] = lambda _: None) -> None:
        self._on_change = on_change
        self._entries: dict[str, _Entry] = {}
        self._queues: dict[bool, deque[str]] = {False: deque(), True: deque()}
        self._came = threading.Condition()
        self._told_s = 0.0
        self._is_closed = False
        self._threads: dict[bool, threading.Thread] = {}

    def submit(
        self, kind: str, title: str, who: str, does: Callable[[Work], dict[str, Any] | None], *, watches: bool = False
    ) -> Job:
        """Start a job when those before it are over.

        Args:
            kind: see `Job`, as the next.
            title: of the job.
            who: starts it.
            does: does it, in another thread; gives its result.
            watches: it mostly waits, perhaps for hours: others don't wait for it.

        Raises:
            UsageError: too many wait already.
        """
        job_id = uuid.uuid4().hex
        work = Work(lambda done, total, what: self._progress(job_id, done, total, what))
        job = Job(job_id, kind, title, who, datetime.now(UTC))
        with self._came:
            queue = self._queues[watches]
            if len(queue) >= _MOST_WAITING:
                raise UsageError(f"{len(queue)} jobs are waiting already: let them end, or stop some")
            self._entries[job_id] = _Entry(job, does, work)
            self._forget_old()
            queue.append(job_id)
            if watches not in self._threads:
                thread = threading.Thread(target=self._run, args=(queue,), name="amiss-jobs", daemon=True)
                self._threads[watches] = thread
                thread.start()
            self._came.notify_all()
        self._on_change(job)
        return job

    def all(self) -> list[Job]:
        """The newest first."""
        with self._came:
            return [entry.job for entry in reversed(self._entries.values())]

    def get(self, job_id: str) -> Job | None:
        """One; None = no such one, or forgotten."""
        with self._came:
            entry = self._entries.get(job_id)
            return None if entry is None else entry.job

    def stop(self, job_id: str) -> Job | None:
        """Ask a job to end; one that waits doesn't begin."""
        with self._came:
            entry = self._entries.get(job_id)
            if entry is None:
                return None
            entry.work.stop.set()
            if entry.job.state == "waiting":
                for queue in self._queues.values():
                    with suppress(ValueError):
                        queue.remove(job_id)
                self._set(job_id, state="stopped", ended=datetime.now(UTC))
            job = entry.job
        self._on_change(job)
        return job

    def close(self, timeout_s: float = 5.0) -> None:
        """Stop all; those that run are given so long to end."""
        with self._came:
            self._is_closed = True
            for queue in self._queues.values():
                queue.clear()
            for entry in self._entries.values():
                entry.work.stop.set()
            self._came.notify_all()
            threads = list(self._threads.values())
        for thread in threads:
            thread.join(timeout_s)

    def _run(self, queue: deque[str]) -> None:
        while True:
            with self._came:
                self._came.wait_for(lambda: queue or self._is_closed)
                if self._is_closed:
                    return
                entry = self._entries[queue.popleft()]
                job_id = entry.job.job_id
                job = self._set(job_id, state="running", started=datetime.now(UTC))
            self._on_change(job)
            self._end(job_id, **self._do(entry))

    def _do(self, entry: _Entry) -> dict[str, Any]:
        """What changes in the job by doing it."""
        try:
            return {"state": "done", "result": entry.does(entry.work), "what": ""}
        except StoppedError:
            return {"state": "stopped"}
        except AmissError as error:
            return {"state": "failed", "problem": redact(str(error))}
        except Exception as error:
            log.exception("job %s failed", entry.job.title)
            return {"state": "failed", "problem": f"{type(error).__name__}; the log says more"}

    def _end(self, job_id: str, **changes: Any) -> None:
        with self._came:
            job = self._set(job_id, ended=datetime.now(UTC), **changes)
        self._on_change(job)

    def _set(self, job_id: str, **changes: Any) -> Job:
        entry = self._entries[job_id]
        entry.job = replace(entry.job, **changes)
        return entry.job

    def _progress(self, job_id: str, done: float, total: float, what: str) -> None:
        with self._came:
            is_new = self._entries[job_id].job.what != what
            job = self._set(job_id, n_done=done, n_total=total, what=what)
            now_s = time.monotonic()
            if not is_new and now_s - self._told_s < _TELL_S:
                return
            self._told_s = now_s
        self._on_change(job)

    def _forget_old(self) -> None:
        over = [job_id for job_id, entry in self._entries.items() if entry.job.ended is not None]
        for job_id in over[: max(0, len(over) - _REMEMBERED)]:
            del self._entries[job_id]
