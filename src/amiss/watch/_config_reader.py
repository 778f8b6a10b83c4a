"""A configuration is read again, and all that it needs is made ready, in a thread of its own.

So whatever the file is, and however long its disk, a detector or a backbone takes: cameras are looked after, and a stop
isn't held up.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from amiss.errors import AmissError
from amiss.video import redact

log = logging.getLogger("amiss.watch")

_LOOK_S = 0.25  # between looks at the file: one that is still being written waits for the next
_LONG_S = 60.0  # of reading, with detectors and backbones, until it is said
T = TypeVar("T")


class ConfigReader(Generic[T]):
    """Makes a change ready when the file has changed, or when asked; the supervising thread makes it.

    Args:
        file: of the configuration.
        also: other files that count as changes of it.
        prepare: reads it and makes ready all that may fail; called in another thread, and never while a change that
            was made ready waits.
    """

    def __init__(self, file: Path, prepare: Callable[[], T], *also: Path) -> None:
        self.problem = ""
        """What is wrong with the file; empty = nothing."""
        self._files, self._prepare = (file, *also), prepare
        self._asked = self._stopped = False  # plain flags: a signal handler may set one
        self._busy = threading.Lock()
        self._busy_since: float | None = None
        self._ready: T | None = None
        self._taken = threading.Event()
        self._thread = threading.Thread(target=self._run, name="amiss-config", daemon=True)
        self._seen = self._stamps()

    def start(self) -> None:
        """Begin to look at the file."""
        self._thread.start()

    def ask(self) -> None:
        """Read the file, changed or not; may be called from a signal handler."""
        self._asked = True

    def take(self, make: Callable[[T], None]) -> None:
        """Make the change that is ready, if there is one."""
        if (ready := self._ready) is not None:
            self._ready = None
            self._try(lambda: make(ready))
            self._taken.set()

    def read_now(self, make: Callable[[T], None]) -> bool:
        """Read the file and make the change, in this thread; False, and said, where something is wrong."""
        with self._busy:
            return self._try(lambda: make(self._prepare()))

    def _try(self, step: Callable[[], None]) -> bool:
        try:
            step()
        except (Exception, SystemExit) as error:  # whatever it is, what was there before goes on
            self._say(error)
            return False
        self.problem = ""
        return True

    def _say(self, error: BaseException) -> None:
        text = redact(str(error))
        self.problem = text if isinstance(error, AmissError) else f"{type(error).__name__}: {text}"
        log.error("the configuration is kept as it was: %s", self.problem)

    @property
    def slowness(self) -> str:
        """That reading takes long; empty = it doesn't."""
        since = self._busy_since
        seconds = 0.0 if since is None else time.monotonic() - since
        return f"it has taken {seconds:.0f} s so far, with detectors and backbones" if seconds > _LONG_S else ""

    @contextmanager
    def idle(self, timeout_s: float = 0.0) -> Iterator[bool]:
        """Whether nothing is being read, nor in here; waits for that."""
        is_idle = self._busy.acquire(timeout=timeout_s)
        try:
            yield is_idle
        finally:
            if is_idle:
                self._busy.release()

    def stop(self) -> None:
        """Look no more; returns at once."""
        self._stopped = True
        self._taken.set()

    def _run(self) -> None:
        before = self._seen
        while not self._stopped:
            time.sleep(_LOOK_S)
            stamp = self._stamps()
            has_changed = stamp != self._seen and stamp == before
            before = stamp
            if self._asked or has_changed:
                self._asked, self._seen = False, stamp
                with self._busy:
                    self._busy_since = time.monotonic()
                    self._read()
                    self._busy_since = None

    def _stamps(self) -> list[tuple[int, int, int]]:
        return [_stamp(file) for file in self._files]

    def _read(self) -> None:
        try:
            ready = self._prepare()
        except (Exception, SystemExit) as error:
            self._say(error)
            return
        self._taken.clear()
        self._ready = ready
        while not self._stopped and not self._taken.wait(_LOOK_S):
            pass


def _stamp(file: Path) -> tuple[int, int, int]:
    """Changes with the file, also where there is none."""
    try:
        stat = file.stat()
    except OSError as error:
        return error.errno or 0, 0, 0
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
