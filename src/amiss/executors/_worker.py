"""The side of a worker: takes tasks as they come, and tells what becomes of them. The same in a process and on Ray."""

import pickle
import queue
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from amiss.errors import AmissError, Notice
from amiss.executors._base import Job

_STEP_S = 0.02  # who asks may hold up others meanwhile
_SHARES_S = 0.5  # at least between two messages of how far a task is


@dataclass(frozen=True)
class Message:
    """What a worker tells."""

    kind: str
    """`ready`, `done`, `failed`, `share`, `warning`, `notice`, `unable` (the job can't be started here) or `broken`
    (it raised what is no AmissError, or a task can't be read here)."""
    task: str = ""
    value: Any = None


class Inbox:
    """Tasks that were given to this worker: a feed, see `Feed`."""

    def __init__(self) -> None:
        self._queue: queue.Queue[tuple[str, Any] | None] = queue.Queue()
        self._is_closed = False

    def put(self, task: str, work: Any) -> None:
        self._queue.put((task, work))

    def close(self) -> None:
        """Nothing comes any more."""
        self._queue.put(None)

    def __iter__(self) -> "Inbox":
        return self

    def __next__(self) -> tuple[str, Any] | None:
        if self._is_closed:
            raise StopIteration
        try:
            item = self._queue.get(timeout=_STEP_S)
        except queue.Empty:
            return None
        if item is None:
            self._is_closed = True
            raise StopIteration
        return item


def work(job: Job, cpus: int | None, inbox: Inbox, send: Callable[[Message], None]) -> None:
    """Do tasks until the inbox is closed."""
    tell_share = _Shares(send)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning = lambda message, category, *_, **__: send(
            Message("notice" if issubclass(category, Notice) else "warning", value=str(message))
        )
        try:
            perform = job.start(cpus)
        except Exception as error:
            send(Message("unable", value=sendable(error)))
            return
        send(Message("ready"))
        try:
            for task, result in perform(inbox, tell_share):
                if isinstance(result, AmissError):
                    send(Message("failed", task, sendable(result)))
                else:
                    send(Message("done", task, result))
        except Exception as error:
            send(Message("broken", value=sendable(error)))


def sendable(error: Exception) -> Exception:
    """The error, with its traceback as a note; as an AmissError where the other side couldn't read it."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return AmissError(f"{type(error).__name__}: {error}")
    if not isinstance(error, AmissError):
        error.add_note("on a worker:\n" + "".join(traceback.format_exception(error)))
    return error


class _Shares:
    """Tells how far tasks are, not too often."""

    def __init__(self, send: Callable[[Message], None]) -> None:
        self._send = send
        self._told_s: dict[str, float] = {}

    def __call__(self, task: str, share: float) -> None:
        now = time.monotonic()
        if now - self._told_s.get(task, 0.0) >= _SHARES_S:
            self._told_s[task] = now
            self._send(Message("share", task, share))
