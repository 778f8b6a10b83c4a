"""Jobs that executors are tested with."""

import os
import signal
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amiss.errors import AmissError, Notice
from amiss.executors import Feed, Job, Perform, Tell
from helpers.waiting import wait_until


def threads(_: Any) -> int:
    import torch  # takes seconds in each worker, and most jobs don't need it

    return torch.get_num_threads()


class BusyError(AmissError):
    transient = True


@dataclass
class Trouble(Job):
    """Squares numbers; other work is trouble of the kind that it names."""

    folder: Path
    """Where attempts are counted."""

    name = "square"
    ahead = 1

    def start(self, cpus: int | None) -> Perform:
        self._cpus = cpus
        self._count("starts")
        if (self.folder / "unable").exists():
            raise AmissError("the weights are missing")

        def perform(feed: Feed, tell: Tell) -> Iterator[tuple[str, Any]]:
            for item in feed:
                if item is not None:
                    tell(item[0], 0.5)
                    yield item[0], self.do(*item)

        return perform

    def do(self, task: str, work: Any) -> Any:
        attempt = self._count(task)
        match work:
            case int():
                return work * work
            case "slow":
                time.sleep(0.3)
                return "slept"
            case "wrong":
                return AmissError("it is wrong")
            case "busy":
                return BusyError("not now") if attempt == 1 else "then"
            case "kills once" if attempt > 1:
                return "survived"
            case "kills" | "kills once":
                os.kill(os.getpid(), signal.SIGKILL)
            case "warns":
                warnings.warn("look here", Notice, stacklevel=1)
                return None
            case "process":
                return os.getpid()
            case "device":
                self._count(f"by {os.getpid()}")
                wait_until(lambda: len(list(self.folder.glob("by *"))) >= 2, 120)  # another worker has one, too
                return os.environ.get("CUDA_VISIBLE_DEVICES"), self._cpus
        raise KeyError(f"no work {work!r}")

    def _count(self, what: str) -> int:
        """How often it has happened, on all workers."""
        path = self.folder / what
        with path.open("ab") as file:
            file.write(b".")
        return path.stat().st_size

    def attempts(self, what: str) -> int:
        path = self.folder / what
        return path.stat().st_size if path.exists() else 0
