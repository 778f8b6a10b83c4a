"""Tasks in processes of their own: one thread each, so that numbers don't depend on how many there are."""

import signal
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import TypeVar

import torch
from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky import get_reusable_executor

from amiss.errors import AmissError

Task = TypeVar("Task")
Outcome = TypeVar("Outcome")


class Workers:
    """Up to so many worker processes, as many as there are tasks at a time; none where one is enough.

    They are started by the first tasks that need them, and ended with the block.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._n_started = 0
        self._warnings = warnings.catch_warnings()

    def __enter__(self) -> "Workers":
        self._warnings.__enter__()
        # joblib starts a worker anew that has come to hold much more memory than at first; no one need know
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given", UserWarning)
        return self

    def __exit__(self, *_: object) -> None:
        if self._n_started:
            get_reusable_executor(reuse=True, kill_workers=True).shutdown(wait=True, kill_workers=True)
        self._warnings.__exit__(None, None, None)

    def each(self, function: Callable[[Task], Outcome], tasks: Sequence[Task]) -> Iterator[tuple[int, Outcome]]:
        """(number of the task, its outcome) as they are finished.

        Raises:
            AmissError: a worker died.
        """
        if self.count == 1 or len(tasks) < 2:
            with _one_thread():
                yield from ((number, function(task)) for number, task in enumerate(tasks))
            return
        self._n_started = max(self._n_started, min(self.count, len(tasks)))
        # One at a time and no arrays in shared files: a task is minutes long, its outcome small.
        options = {"batch_size": 1, "pre_dispatch": "all", "return_as": "generator_unordered", "max_nbytes": None}
        outcomes: Generator[tuple[int, Outcome], None, None] | None = None
        with parallel_config("loky", n_jobs=self._n_started, initializer=_start_worker):
            try:
                with _interrupts_held():
                    calls = (delayed(_numbered)(function, number, task) for number, task in enumerate(tasks))
                    outcomes = Parallel(**options)(calls)
                yield from outcomes
            except BrokenProcessPool:
                raise AmissError(
                    "a worker process died, most likely for want of memory: run again with fewer --workers; "
                    "what was finished is kept"
                ) from None
            finally:
                if outcomes is not None:
                    with warnings.catch_warnings(action="ignore"):  # that tasks are cancelled: it is what is wanted
                        outcomes.close()

    def map(self, function: Callable[[Task], Outcome], tasks: Sequence[Task]) -> list[Outcome]:
        """Outcomes in the order of the tasks.

        Raises:
            AmissError: a worker died.
        """
        return [outcome for _, outcome in sorted(self.each(function, tasks), key=lambda pair: pair[0])]


def _numbered(function: Callable[[Task], Outcome], number: int, task: Task) -> tuple[int, Outcome]:
    return number, function(task)


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """While workers start, Ctrl-C waits: one that still imports then ends in `_start_worker`, without a traceback."""
    resource_tracker.ensure_running()  # where joblib starts it, Python 3.11 lets interrupts through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker() -> None:
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends workers at once; files are whole or not there
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
