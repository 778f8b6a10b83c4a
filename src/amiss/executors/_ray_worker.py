"""A worker as a Ray actor. Its calls are the tasks, so that Ray's dashboard shows each with its name and time."""

import os
import threading
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from amiss.executors._base import Job
from amiss.executors._worker import Inbox, Message, work

OTHER_CALLS = 2  # beside those of tasks: `ready` or `told`, and one that is just ending


@dataclass(frozen=True)
class Answer:
    """What a call gives back."""

    result: Message | None
    """What was asked for: whether the worker is ready, or what became of a task."""
    first: int
    """The number of the first of `told`."""
    told: list[Message]
    """Warnings, shares, and that it is broken. Every answer has all that nobody has confirmed yet: one that ends with
    the job may be the last that is read."""


class RayWorker:
    """Does a job's tasks; several calls at once.

    Args:
        job: what is done.
        cpus: see `Job.start`.
        environment: variables that hold here, where the node doesn't say otherwise.
        folder: that relative paths are meant from.
    """

    _name = ""  # Ray shows it also where the job can't be read

    def __init__(self, job: Job, cpus: int | None, environment: dict[str, str], folder: str) -> None:
        for name, value in environment.items():
            os.environ.setdefault(name, value)
        with suppress(OSError):  # it isn't there: paths are absolute then
            os.chdir(folder)
        self._name = job.name
        self._inbox = Inbox()
        self._begun: Future[Message] = Future()
        self._calls: dict[str, Future[Message]] = {}
        self._told: list[Message] = []  # that nobody has confirmed yet
        self._n_confirmed = 0
        self._changed = threading.Condition()
        threading.Thread(target=work, args=(job, cpus, self._inbox, self._send), daemon=True).start()

    def __repr__(self) -> str:
        return f"amiss {self._name}"

    def ready(self) -> Answer:
        """When it is ready, or can't ever be."""
        return self._answer(self._begun.result())

    def do(self, task: str, work: Any) -> Answer:
        """What becomes of a task, when it is finished."""
        call = self._calls[task] = Future()
        self._inbox.put(task, work)
        return self._answer(call.result())

    def told(self, n_heard: int, wait_s: float) -> Answer:
        """What else was told, after so many that were heard; waits so long for it."""
        with self._changed:
            del self._told[: n_heard - self._n_confirmed]
            self._n_confirmed = n_heard
            self._changed.wait_for(lambda: self._told, wait_s)
        return self._answer(None)

    def _answer(self, result: Message | None) -> Answer:
        with self._changed:
            return Answer(result, self._n_confirmed, list(self._told))

    def _send(self, message: Message) -> None:
        match message.kind:
            case "ready" | "unable":
                self._begun.set_result(message)
            case "done" | "failed":
                self._calls.pop(message.task).set_result(message)
            case _:  # also `broken`: there may be no call to tell it
                with self._changed:
                    self._told.append(message)
                    self._changed.notify()
