"""Tasks in processes of this machine."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import connection, resource_tracker
from multiprocessing.connection import Connection
from typing import Any

from amiss.errors import UsageError
from amiss.executors._base import Executor, Job, Run, Tell
from amiss.executors._dispatch import Pool, PoolRun, Worker
from amiss.executors._worker import Inbox, Message, sendable, work

_IS_WINDOWS = os.name == "nt"
_NAME = "amiss "  # of a worker's process begins so
_UNGUARDED = 78  # exit code of a worker that was asked for workers before it was one
_GUARD = (
    "each worker reads the script that was started, so it would start workers, too: put what the script does below "
    '`if __name__ == "__main__":`'
)


class LocalProcesses(Executor):
    """Runs tasks in processes of this machine. A script makes it below `if __name__ == "__main__":`, as each process
    reads the script, too.

    Args:
        count: most processes at a time.
        cpus: of each; None = all that are there.

    Raises:
        UsageError: `count` is below 1, or a script makes it for everybody who reads it.
    """

    def __init__(self, count: int, cpus: int | None = None) -> None:
        if count < 1:
            raise UsageError(f"workers is {count}; it must be at least 1")
        process = multiprocessing.current_process()
        if getattr(process, "_inheriting", False):  # it reads its script; Python refuses to start others meanwhile
            if process.name.startswith(_NAME):
                raise SystemExit(_UNGUARDED)  # whoever started it tells
            raise UsageError(_GUARD)
        self._count, self._cpus = count, cpus

    def start(self, job: Job, on_share: Tell = lambda *_: None) -> Run:
        return PoolRun(_Processes(job, self._count, self._cpus), job, on_share)


class _Process(Worker):
    def __init__(self, number: int, process: multiprocessing.process.BaseProcess, pipe: Connection) -> None:
        super().__init__(number)
        self.process, self.pipe = process, pipe


class _Processes(Pool):
    where = "this machine"

    def __init__(self, job: Job, count: int, cpus: int | None) -> None:
        self._job, self.size, self._cpus = job, count, cpus
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Process] = []

    def start(self, number: int) -> Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_main, args=(theirs, self._job, self._cpus), name=f"{_NAME}{self._job.name} {number}", daemon=True
        )
        with _interrupts_held():
            process.start()
        theirs.close()
        worker = _Process(number, process, ours)
        self._workers.append(worker)
        return worker

    def give(self, worker: Worker, task: str, work: Any) -> None:
        assert isinstance(worker, _Process)
        with suppress(OSError):  # it has died
            worker.pipe.send((task, work))

    def wait(self, timeout_s: float) -> list[tuple[Worker, Message]]:
        heard: list[tuple[Worker, Message]] = []
        by_pipe = {worker.pipe: worker for worker in self._workers}
        for pipe in connection.wait(list(by_pipe), timeout_s):
            assert isinstance(pipe, Connection)
            worker = by_pipe[pipe]
            try:
                heard.append((worker, pipe.recv()))
            except (EOFError, OSError):
                heard.append((worker, self._end_of(worker)))
        return heard

    def _end_of(self, worker: _Process) -> Message:
        self._workers.remove(worker)
        worker.pipe.close()
        worker.process.join(5)
        worker.process.kill()
        worker.process.join()
        code = worker.process.exitcode or 0
        with suppress(ValueError):
            if code < 0:
                return Message("died", value=f"killed by {signal.Signals(-code).name}")
        if code == _UNGUARDED:
            return Message("unable", value=UsageError(_GUARD))
        return Message("died", value=f"exit code {code}")

    def close(self) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            worker.pipe.close()
        self._workers.clear()


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """While a worker starts, Ctrl-C waits: one that still imports then ends in `_main`, without a traceback."""
    if _IS_WINDOWS:
        yield
        return
    resource_tracker.ensure_running()  # where it is started later, Python 3.11 lets interrupts through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _main(pipe: Connection, job: Job, cpus: int | None) -> None:
    """A worker's process."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends workers at once; files are whole or not there
    if not _IS_WINDOWS:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    inbox, sending = Inbox(), threading.Lock()

    def send(message: Message) -> None:
        with sending, suppress(BrokenPipeError):
            pipe.send(message)

    def receive() -> None:
        try:
            while True:
                inbox.put(*pipe.recv())
        except (EOFError, OSError):
            os._exit(1)  # whoever gave the tasks has ended
        except Exception as error:  # such as a function of a module that can't be imported here
            send(Message("broken", value=sendable(error)))

    threading.Thread(target=receive, daemon=True).start()
    work(job, cpus, inbox, send)
