"""News for browsers: published from any thread, and taken by each listener at its own pace."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

_MOST_WAITING = 256  # news that wait for one listener; the oldest go


@dataclass(frozen=True)
class News:
    """Something that happened."""

    kind: str
    """`event` or `job`."""
    camera: str | None
    """Only who may see this camera is told; None = only who may see all."""
    data: dict[str, Any]
    """Ready for JSON."""


@dataclass(eq=False)
class Listener:
    """Who listens, on an event loop."""

    loop: asyncio.AbstractEventLoop
    came: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: deque[News] = field(default_factory=lambda: deque(maxlen=_MOST_WAITING))

    async def take(self, timeout_s: float) -> list[News]:
        """What came, after at most so long; may be nothing."""
        try:
            async with asyncio.timeout(timeout_s):
                await self.came.wait()
        except TimeoutError:
            return []
        self.came.clear()
        taken = []
        while self.waiting:
            taken.append(self.waiting.popleft())
        return taken


class Feed:
    """Carries news to all who listen; nobody who doesn't read holds anybody up."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()
        self._lock = threading.Lock()

    def publish(self, news: News) -> None:
        """Tell all; from any thread, never waits."""
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener.waiting.append(news)
            try:
                listener.loop.call_soon_threadsafe(listener.came.set)
            except RuntimeError:  # its loop has ended
                with self._lock:
                    self._listeners.discard(listener)

    @property
    def n_listeners(self) -> int:
        """How many listen."""
        with self._lock:
            return len(self._listeners)

    @contextmanager
    def listening(self) -> Iterator[Listener]:
        """A listener of the running loop, for as long as this lasts."""
        listener = Listener(asyncio.get_running_loop())
        with self._lock:
            self._listeners.add(listener)
        try:
            yield listener
        finally:
            with self._lock:
                self._listeners.discard(listener)
