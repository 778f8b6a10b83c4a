"""What all live sources have in common."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Generator
from typing import ClassVar

from amiss.errors import AmissError, showable
from amiss.video._redact import redact
from amiss.video.live._decoding import LiveDecoder
from amiss.video.live._items import LiveCounters, LiveItem, SourceState, StateChange
from amiss.video.live._options import SourceOptions
from amiss.video.live._timeline import MediaTimeline, Timeline


class LiveSource(ABC):
    """Gives all that happens at a camera, a replayed file or a folder, as one stream of items, in its order.

    Iterate it once, in one thread. States: `connecting` → `running` → (`stalled` →) `reconnecting` → `running` …, and
    `stopped` at last, unless the iteration is left before. Sound is not read. libav's own messages, which have
    addresses in them, are never printed.

    A kind of source says what its addresses look like and whether it is live, checks its address when it is made,
    without opening anything, and gives all else in `_items`. It waits by `self._stop.wait`, and tells of states by
    `yield self._state(…)`.

    Args:
        url: the address; what it may be is told by `form`.
        options: how it is read.
        timeline: gives times to frames; None: Timeline where it is live, else MediaTimeline.

    Raises:
        UsageError: the address makes no sense; without credentials.
    """

    form: ClassVar[str]
    """How its addresses look, for people."""
    is_live: ClassVar[bool]
    """Whether time passes without the consumer: False for files, which wait."""

    def __init__(self, url: str, options: SourceOptions, timeline: Timeline | None = None) -> None:
        self.name = redact(url)
        """The address without credentials."""
        self.options = options
        timeline = timeline or (Timeline() if self.is_live else MediaTimeline())
        self._decoder = LiveDecoder(timeline, options, follows_clock=self.is_live)
        self._stop = threading.Event()
        self._last = StateChange("connecting")

    @property
    def counters(self) -> LiveCounters:
        """What was seen so far. May be asked for in any thread."""
        return self._decoder.counters

    @property
    def lag_s(self) -> float:
        """For how long the oldest picture that came has been waiting for the consumer; files wait by themselves."""
        return 0.0

    @property
    def drift(self) -> float | None:
        """Seconds that the source's clock gains on ours per second (negative: it loses); None where that isn't known,
        or it has none."""
        return self._decoder.drift

    def stop(self) -> None:
        """End the iteration at its next step; one that waits for a silent camera ends within its timeout."""
        self._stop.set()

    def __iter__(self) -> Generator[LiveItem, None, None]:
        yield self._state("connecting")
        try:
            reason = yield from self._items()
        except AmissError as error:
            yield self._state("stopped", str(error))
            raise
        yield self._state("stopped", reason)

    @abstractmethod
    def _items(self) -> Generator[LiveItem, None, str]:
        """All between the first state and the last; returns why it ends, in words or empty."""

    def _state(self, state: SourceState, reason: str = "") -> StateChange:
        self._last = StateChange(state, showable(redact(reason)))
        return self._last
