"""Tasks in this process."""

from collections import deque
from collections.abc import Generator, Iterator
from typing import Any

from amiss.errors import AmissError
from amiss.executors._base import Executor, Job, Outcome, Perform, Run, Tell


class InProcess(Executor):
    """Runs tasks in this process."""

    is_here = True

    def start(self, job: Job, on_share: Tell = lambda *_: None) -> Run:
        return _Run(job, on_share)


class _Run(Run):
    def __init__(self, job: Job, on_share: Tell) -> None:
        self._job, self._on_share = job, on_share
        self._perform: Perform | None = None
        self._results: Generator[tuple[str, Any], None, None] | None = None
        self._waiting: deque[tuple[str, Any]] = deque()
        self._n_left = 0  # not finished, or finished and not yet dealt with by who iterates

    def add(self, task: str, work: Any) -> None:
        self._n_left += 1
        self._waiting.append((task, work))

    def __iter__(self) -> Iterator[Outcome]:
        if not self._n_left:
            return
        if self._perform is None:
            self._perform = self._job.start(None)
        perform, feed, on_share = self._perform, self._feed(), self._on_share
        self._results = (one for one in perform(feed, on_share))  # one that can be closed
        for task, result in self._results:
            is_error = isinstance(result, AmissError)
            try:
                yield Outcome(task, error=result) if is_error else Outcome(task, result)
            finally:
                self._n_left -= 1

    def _feed(self) -> Iterator[tuple[str, Any] | None]:
        while self._n_left:
            yield self._waiting.popleft() if self._waiting else None

    def close(self) -> None:
        self._waiting.clear()
        if self._results is not None:
            self._results.close()
