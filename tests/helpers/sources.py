"""Live sources, and what they said and gave."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import pairwise

import pytest

from amiss.video import (
    Backoff,
    EncodedPacket,
    EncodedStream,
    FileBegan,
    FileEnded,
    LiveFrame,
    LivePacket,
    SourceSettings,
    StateChange,
    open_source,
)

FAST = Backoff(first_s=0.05, cap_s=0.2)


class Watched:
    """A source with what it said and gave. Iterating it gives its frames."""

    def __init__(self, url: str, **options: object) -> None:
        self.states: list[tuple[str, str]] = []
        self.packets: list[tuple[EncodedStream, EncodedPacket]] = []
        self.begun: list[str] = []
        self.ended: list[FileEnded] = []
        timeouts = {name: options.pop(name, 0.6) for name in ("open_timeout_s", "read_timeout_s")}
        self.source = open_source(
            url,
            SourceSettings(**timeouts),  # type: ignore[arg-type]
            **{"backoff": FAST, "with_packets": True, **options},  # type: ignore[arg-type]
        )
        self._frames = self._taken()

    def __iter__(self) -> Iterator[LiveFrame]:
        return self._frames

    def _taken(self) -> Iterator[LiveFrame]:
        for item in self.source:
            match item:
                case LiveFrame():
                    yield item
                case LivePacket():
                    self.packets.append((item.stream, item.packet))
                case StateChange():
                    self.states.append((item.state, item.reason))
                case FileBegan():
                    self.begun.append(item.name)
                case FileEnded():
                    self.ended.append(item)
                    item.acknowledge()

    def frames(
        self, n: int, until: Callable[[LiveFrame], bool] = lambda frame: False, limit_s: float = 20
    ) -> list[LiveFrame]:
        """Take n frames, or up to one that `until` says; fails after `limit_s`."""
        timer = threading.Timer(limit_s, self.source.stop)
        timer.start()
        found = []
        try:
            for frame in self:
                found.append(frame)
                if len(found) == n or until(frame):
                    self.source.stop()
                    list(self)  # what it says to the end
                    break
            else:
                if timer.finished.is_set():
                    pytest.fail(f"{len(found)} frames after {limit_s} s; states {self.states}")
        finally:
            timer.cancel()
        times = [frame.time for frame in found]
        assert all(a < b for a, b in pairwise(times))
        assert all(time.utcoffset() == timedelta(0) for time in times)
        return found

    @property
    def words(self) -> list[str]:
        return [state for state, _ in self.states]
