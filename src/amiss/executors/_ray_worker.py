"""A worker as a Ray actor. Its calls are the tasks, so that Ray's dashboard shows each with its name and time."""

import os
import queue
import threading
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from amiss.executors._base import Job
from amiss.executors._worker import Inbox, Message, work

OTHER_CALLS = 2  # beside those of tasks: `ready` or `told`, and one that is just ending


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
        self._told: queue.Queue[Message] = queue.Queue()
        threading.Thread(target=work, args=(job, cpus, self._inbox, self._send), daemon=True).start()

    def __repr__(self) -> str:
        return f"amiss {self._name}"

    def ready(self) -> Message:
        """When it is ready, or can't ever be."""
        return self._begun.result()

    def do(self, task: str, work: Any) -> Message:
        """What becomes of a task, when it is finished."""
        call = self._calls[task] = Future()
        self._inbox.put(task, work)
        return call.result()

    def told(self, wait_s: float) -> list[Message]:
        """What else was told; waits so long for it."""
        messages = []
        try:
            messages.append(self._told.get(timeout=wait_s))
            while True:
                messages.append(self._told.get_nowait())
        except queue.Empty:
            return messages

    def _send(self, message: Message) -> None:
        match message.kind:
            case "ready" | "unable":
                self._begun.set_result(message)
            case "done" | "failed":
                self._calls.pop(message.task).set_result(message)
            case "broken":
                for call in self._calls.values():
                    call.set_result(message)
            case _:
                self._told.put(message)
