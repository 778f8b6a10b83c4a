"""Gives tasks to workers elsewhere, and sees to it that none is lost with them."""

import time
import warnings
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from amiss.backoff import Backoff
from amiss.errors import AmissError, Notice
from amiss.executors._base import Job, Outcome, Run, TaskLostError, Tell
from amiss.executors._worker import Message

_DEATHS = 3  # of workers with a task, before it is set aside
_UNABLE = 3  # workers in a row that end before they are ready: then no more are started
_TRIES = 6  # of a task whose error says that it may go away
_AGAIN = Backoff(first_s=1.0, jitter=0)  # before such a try
_TELL_WAITING_S = 30.0


@dataclass(eq=False)
class Worker:
    """A worker, as the side sees it that gives it tasks."""

    number: int
    is_ready: bool = False
    tasks: dict[str, "_Task"] = field(default_factory=dict)
    """That it has."""


@dataclass(eq=False)
class _Task:
    id: str
    work: Any
    n_deaths: int = 0
    n_tries: int = 0
    not_before_s: float = 0.0


class Pool(ABC):
    """Workers of one kind, which live somewhere else."""

    size: int
    """Most workers at a time; becomes less where they can't be started."""
    where: str
    """In words, for messages: where they are."""

    @abstractmethod
    def start(self, number: int) -> Worker:
        """Begin to start a worker."""

    @abstractmethod
    def give(self, worker: Worker, task: str, work: Any) -> None:
        """Hand it a task; where it is dead, `wait` tells."""

    @abstractmethod
    def wait(self, timeout_s: float) -> list[tuple[Worker, Message]]:
        """What workers have told; `died`, with the reason as value, of one that ended."""

    @abstractmethod
    def close(self) -> None:
        """End all workers."""


class PoolRun(Run):
    """Tasks on the workers of a pool.

    When a worker dies, what it had is done again elsewhere. Which of its tasks ended it isn't known, so each of them is
    then alone on a worker; one that had ended three workers is set aside. A task whose error is `transient` is tried
    again after a while. Where no more workers can be started, those that are there do all of it.
    """

    def __init__(self, pool: Pool, job: Job, on_share: Tell) -> None:
        self._pool, self._job, self._on_share = pool, job, on_share
        self._waiting: deque[_Task] = deque()
        self._suspects: deque[_Task] = deque()  # that were on a worker that died
        self._later: list[_Task] = []  # that are tried again after a while
        self._workers: list[Worker] = []
        self._heard: deque[tuple[Worker, Message]] = deque()  # stays where whoever iterates has left
        self._n_started = self._n_unable = self._n_left = 0
        self._reason = ""
        self._idle_since_s: float | None = None

    @property
    def n_workers(self) -> int:  # type: ignore[override]
        return sum(worker.is_ready for worker in self._workers)

    def add(self, task: str, work: Any) -> None:
        self._n_left += 1
        self._waiting.append(_Task(task, work))

    def close(self) -> None:
        self._pool.close()
        self._workers.clear()

    def __iter__(self) -> Iterator[Outcome]:
        while self._n_left:
            self._hire()
            self._hand_out()
            self._heard.extend(self._pool.wait(0.5))
            while self._heard:
                outcome = self._hear(*self._heard.popleft())
                if outcome is not None:
                    self._n_left -= 1
                    yield outcome
            self._tell_waiting()

    def _hire(self) -> None:
        """As many workers as there is work for."""
        n_tasks = len(self._waiting) + len(self._suspects) + sum(len(worker.tasks) for worker in self._workers)
        while len(self._workers) < min(self._pool.size, n_tasks):
            self._n_started += 1
            self._workers.append(self._pool.start(self._n_started))

    def _hand_out(self) -> None:
        now_s = time.monotonic()
        for task in [task for task in self._later if task.not_before_s <= now_s]:
            self._later.remove(task)
            self._waiting.append(task)
        ready = [worker for worker in self._workers if worker.is_ready]
        for worker in ready:
            if self._suspects and not worker.tasks:
                self._give(worker, self._suspects.popleft())
        for n_held in range(1 + self._job.ahead):  # each gets one before any gets two, those that are starting, too
            for worker in ready:
                n_idle = 0 if n_held == 0 else sum(not other.tasks for other in self._workers)
                is_alone = any(task.n_deaths for task in worker.tasks.values())
                if len(self._waiting) > n_idle and len(worker.tasks) <= n_held and not is_alone:
                    self._give(worker, self._waiting.popleft())

    def _give(self, worker: Worker, task: _Task) -> None:
        worker.tasks[task.id] = task
        self._pool.give(worker, task.id, task.work)

    def _hear(self, worker: Worker, message: Message) -> Outcome | None:
        match message.kind:
            case "ready":
                worker.is_ready, self._n_unable = True, 0
            case "share":
                self._on_share(message.task, message.value)
            case "warning" | "notice":
                warnings.warn(message.value, Notice if message.kind == "notice" else UserWarning, stacklevel=4)
            case "done" if (task := worker.tasks.pop(message.task, None)) is not None:
                return Outcome(task.id, message.value, worker=worker.number)
            case "failed" if (task := worker.tasks.pop(message.task, None)) is not None:
                return self._failed(worker, task, message.value)
            case "unable" | "broken":
                raise message.value
            case "died":
                return self._died(worker, message.value)
        return None

    def _failed(self, worker: Worker, task: _Task, error: AmissError) -> Outcome | None:
        task.n_tries += 1
        if not error.transient or task.n_tries >= _TRIES:
            return Outcome(task.id, error=error, worker=worker.number)
        task.not_before_s = time.monotonic() + _AGAIN.wait_s(task.n_tries)
        self._later.append(task)
        return None

    def _died(self, worker: Worker, reason: str) -> Outcome | None:
        if worker not in self._workers:
            return None
        self._workers.remove(worker)
        self._reason = reason
        if not worker.is_ready:
            self._n_unable += 1
            if self._n_unable >= _UNABLE:
                self._take_fewer(reason)
        had = list(worker.tasks.values())
        if not had:
            return None
        warnings.warn(
            f"a worker ended ({reason}); what it had is done again: {', '.join(sorted(task.id for task in had))}",
            Notice,
            stacklevel=4,
        )
        was_alone = len(had) == 1
        lost = None
        for task in had:
            task.n_deaths += was_alone or not task.n_deaths
            if task.n_deaths < _DEATHS:
                self._suspects.append(task)
            else:
                lost = Outcome(task.id, error=TaskLostError(_lost(task, reason)), worker=worker.number)
        return lost

    def _take_fewer(self, reason: str) -> None:
        """Those that are there go on by themselves; without any there is nothing to hope for."""
        what = f"{_UNABLE} workers in a row ended before they could do anything ({reason})"
        if not any(worker.is_ready for worker in self._workers):
            advice = "see that amiss runs there; where memory is short, take fewer workers (--workers)"
            raise AmissError(f"{what}: {advice}")
        self._n_unable, self._pool.size = 0, len(self._workers)
        warnings.warn(f"{what}; it goes on with at most {self._pool.size}", stacklevel=5)

    def _tell_waiting(self) -> None:
        """Once, where there has been no worker for long: on a cluster they wait for room."""
        if any(worker.is_ready for worker in self._workers) or not self._n_left:
            self._idle_since_s = None
            return
        now_s = time.monotonic()
        if self._idle_since_s is None:
            self._idle_since_s = now_s
        elif 0 <= self._idle_since_s < now_s - _TELL_WAITING_S:
            self._idle_since_s = float("inf")
            warnings.warn(f"waiting for workers: on {self._pool.where} none is ready yet", Notice, stacklevel=4)


def _lost(task: _Task, reason: str) -> str:
    return (
        f"set aside: {task.n_deaths} workers ended while they worked on it, the last one alone with it ({reason}). It "
        "crashes them, or needs more memory than they have"
    )
