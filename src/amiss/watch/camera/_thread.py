"""A thread that somebody owns."""

import threading
from collections.abc import Callable


class OwnedThread:
    """Runs `target` once. Unlike `Thread.join`, which then takes the thread for ended (Python 3.11, 3.12), its `join`
    may be interrupted by Ctrl-C and called again.

    Args:
        target: what it does.
        name: of the thread.
    """

    def __init__(self, target: Callable[[], None], name: str) -> None:
        self._target = target
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._is_started = False

    def start(self) -> None:
        """Begin."""
        self._thread.start()
        self._is_started = True

    def join(self, timeout_s: float | None = None) -> None:
        """Wait for its end, at most so long."""
        if self._is_started and self._ended.wait(timeout_s):
            self._thread.join()

    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._is_started and not self._ended.is_set()

    def _run(self) -> None:
        try:
            self._target()
        finally:
            self._ended.set()
