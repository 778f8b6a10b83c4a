"""What an executor is, and what it runs."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

from amiss.errors import AmissError

Feed = Iterator[tuple[str, Any] | None]
"""Tasks as (id, work). None: nothing waits at the moment, so finish what is begun, and ask again. It ends when nothing
will come any more. It may be asked from any thread, by one at a time."""

Tell = Callable[[str, float], None]
"""Called with a task's id and the share of it that is done, 0..1."""

Perform = Callable[[Feed, Tell], Iterator[tuple[str, Any]]]
"""Works on tasks as they come, several at once if it likes; gives (id, result) as they are finished, in any order. The
result of a task that failed is the AmissError. Any other exception ends the whole run."""


class TaskLostError(AmissError):
    """A task was set aside, since the workers that took it ended: it crashes them, or fills their memory."""


class Job(ABC):
    """What workers do. It is pickled to each of them."""

    name: str = "task"
    """One word: what is done with a task. Workers and tasks are called by it, also on Ray's dashboard."""
    ahead: int = 1
    """How many tasks a worker gets while it works on one: as many as it takes at once, so that it never waits."""

    @abstractmethod
    def start(self, cpus: int | None) -> Perform:
        """Load what all tasks need, once on each worker; returns the function that does them.

        Args:
            cpus: that the worker may use; None = all that are there.

        Raises:
            AmissError: no worker could do anything; it ends the run.
        """

    def clips_of(self, result: Any) -> int:
        """How many clips are in a result; for metrics."""
        return 0


@dataclass(frozen=True)
class Outcome:
    """What became of a task."""

    id: str
    result: Any = None
    error: AmissError | None = None
    """Why there is no result."""
    worker: int = 1
    """The number of the worker that had it."""


class Run(ABC):
    """A job under way. Iterating gives the outcomes of all tasks added so far, and of those added meanwhile; after that
    more can be added, and it can be iterated again: workers stay. They end with the block.

    Raises:
        AmissError: while iterating, where no worker can do the job, or what it raised itself where that is no
            AmissError.
    """

    n_workers: int = 1
    """That are working."""

    @abstractmethod
    def add(self, task: str, work: Any) -> None:
        """Add a task.

        Args:
            task: its id, which no other task under way has.
            work: what the job gets; it can be pickled.
        """

    @abstractmethod
    def __iter__(self) -> Iterator[Outcome]: ...

    @abstractmethod
    def close(self) -> None:
        """End the workers, at once."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Executor(ABC):
    """Where tasks are run."""

    is_here: bool = False
    """Whether that is this process."""

    @abstractmethod
    def start(self, job: Job, on_share: Tell = lambda *_: None) -> Run:
        """Begin a job. Workers are started when there are tasks for them.

        Args:
            job: what is done with the tasks.
            on_share: told how far tasks are.

        Raises:
            UsageError: there is no such place, or a package for it is missing.
        """


def one_by_one(function: Callable[[Any], Any]) -> Perform:
    """Works on one task after the other; what `function` returns for the work is the result."""

    def perform(feed: Feed, tell: Tell) -> Iterator[tuple[str, Any]]:
        for item in feed:
            if item is None:
                continue
            task, work = item
            try:
                result = function(work)
            except AmissError as error:
                result = error
            yield task, result

    return perform
