"""Calls on an executor: one thread each, so that numbers don't depend on how many there are."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import Any, Self, TypeVar

import torch

from amiss.errors import AmissError
from amiss.executors import Executor, Feed, Job, Perform, Tell, one_by_one

Task = TypeVar("Task")
Result = TypeVar("Result")


class Workers:
    """Calls functions with what they are given, on the workers of an executor, which stay until the block ends."""

    def __init__(self, executor: Executor) -> None:
        self._run = executor.start(_Calls())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._run.close()

    def each(
        self, function: Callable[[Task], Result], tasks: Sequence[Task], names: Sequence[str] | None = None
    ) -> Iterator[tuple[int, Result | AmissError]]:
        """(number of the task, what the function returned, or the AmissError), as they are finished.

        Args:
            function: one that can be imported.
            tasks: what it is called with.
            names: of the tasks, each another one; None = their numbers.
        """
        ids = [str(number) for number in range(len(tasks))] if names is None else list(names)
        numbers = {name: number for number, name in enumerate(ids)}
        for name, task in zip(ids, tasks, strict=True):
            self._run.add(name, (function, task))
        for outcome in self._run:
            yield numbers[outcome.id], outcome.error or outcome.result

    def map(self, function: Callable[[Task], Result], tasks: Sequence[Task]) -> list[Result]:
        """What the function returned, in the order of the tasks.

        Raises:
            AmissError: of the first one that failed, when all are finished: what is under way would be taken for the
                results of the next call.
        """
        found: list[Result] = []
        for _, result in sorted(self.each(function, tasks), key=itemgetter(0)):
            if isinstance(result, AmissError):
                raise result
            found.append(result)
        return found


class _Calls(Job):
    name = "bench"

    def start(self, cpus: int | None) -> Perform:
        return _perform


def _perform(feed: Feed, tell: Tell) -> Iterator[tuple[str, Any]]:
    with _one_thread():
        yield from one_by_one(_call)(feed, tell)


def _call(work: tuple[Callable[[Any], Any], Any]) -> Any:
    function, task = work
    return function(task)


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
