"""Times of live frames: a stream's own clock, tied to this machine's clocks."""

import statistics
from collections import deque
from datetime import UTC, datetime, timedelta
from itertools import combinations

AHEAD_S = 2.0  # more than this from one frame to the next, beyond the time that passed here: the stream's clock jumped
STEP_S = 2.0  # the wall clock and what was made of it are further apart: the wall clock was set
SPAN_S = 5.0  # of each so long (first shorter) the frame that came with the least delay says how the clocks lie …
NEAR = 3  # … now: of the last spans
FAR = 12  # … and how the stream's drifts: of the last minute
TICK = timedelta(microseconds=1)
BETWEEN_FILES_S = 10.0  # so that no clip and no event reaches from one into the next


class StreamClock:
    """How a stream's clock lies to ours, and how it drifts, by when its stamps came.

    Networks only delay. So the frame that came with the least delay in a span of time lies nearest to the truth, and
    the median slope between such frames is the drift (Theil and Sen's estimate, which some late spans don't move).
    Spans are a quarter of what was seen long, up to 5 s, so that a clock far off is followed from the start.
    """

    def __init__(self) -> None:
        self.drift: float | None = None
        """Seconds that it gains per second; None: not known yet."""
        self._least: deque[tuple[float, float]] = deque(maxlen=FAR)  # of each span: (when it came, that less its stamp)
        self._began_s = self._span_s = 0.0  # when the first and the last span began

    def jumped(self) -> None:
        """It was set: what it showed says nothing any more; how it drifts holds."""
        self._least.clear()

    def offset_s(self, stamp_s: float, now_s: float) -> float:
        """Our time less the stream's, by the frame that came at `now_s` and those before; never more than its own."""
        own_s = now_s - stamp_s
        if not self._least:
            self._began_s = now_s
        length_s = min(SPAN_S, max(SPAN_S / 10, (now_s - self._began_s) / 4))
        if not self._least or now_s - self._span_s >= length_s:
            pairs = combinations(self._least, 2)
            slopes = [(b - a) / (t - s) for (s, a), (t, b) in pairs if t - s >= length_s / 2]
            self.drift = -statistics.median(slopes) if slopes else self.drift
            self._least.append((now_s, own_s))
            self._span_s = now_s
        elif own_s < self._forecast_s(self._least[-1], now_s):
            self._least[-1] = now_s, own_s
        return min(own_s, *(self._forecast_s(least, now_s) for least in list(self._least)[-NEAR:]))

    def _forecast_s(self, least: tuple[float, float], now_s: float) -> float:
        """What the least delayed frame's offset is by now. One that gains needs none: its last frames say it."""
        came_s, offset_s = least
        return offset_s + max(0.0, -(self.drift or 0.0)) * (now_s - came_s)


class Timeline:
    """Gives every frame a time that strictly rises, whatever the stream's clock and the network do.

    UTC is read once per connection and then advances with the monotonic clock. Within a connection, frames are as far
    apart as their stamps say, and none is from the future: the least delayed frames fix how the two clocks lie to each
    other, and the stream's may run slower or faster (StreamClock). A stamp that goes back or jumps ahead starts anew at
    the present. Frames without stamps have the time at which they came. Where the wall clock is set (by more than
    2 s: a machine without a clock of its own has started), UTC is read anew; only then can times go back, the
    monotonic ones not even then.
    """

    def __init__(self) -> None:
        self._last: tuple[datetime, float] | None = None  # the last frame's times
        self._begun: datetime | None = None  # when the connection began, until its first frame
        self._anchor: tuple[datetime, float] | None = None
        self._stamp: tuple[float, float] | None = None  # the last frame's, and when it came
        self._clock = StreamClock()

    def connect(self, wall: datetime, now_s: float) -> None:
        """A new connection: the stream's clock is forgotten; UTC is read, unless it would go back a little."""
        self._stamp, self._clock = None, StreamClock()
        if self._anchor is None or (not self.was_set(wall, now_s) and wall > self._utc(now_s)):
            self._anchor = wall, now_s
        self._begun = self._utc(now_s)

    def was_set(self, wall: datetime, now_s: float) -> bool:
        """Whether the wall clock was set since UTC was read. UTC is then read anew."""
        if abs((wall - self._utc(now_s)).total_seconds()) <= STEP_S:
            return False
        self._anchor = wall, now_s
        if self._last is not None:
            self._last = min(self._last[0], wall - TICK), self._last[1]
        return True

    @property
    def latest(self) -> datetime | None:
        """Time of the last frame; before the first one of a connection, when that began."""
        return self._begun or (self._last[0] if self._last else None)

    @property
    def drift(self) -> float | None:
        """Seconds that the stream's clock gains on ours per second; None: not known."""
        return self._clock.drift

    def at(self, stamp_s: float | None, now_s: float) -> tuple[datetime, float]:
        """UTC and monotonic time of the frame that came at `now_s`, later than those of any before."""
        self._begun = None
        mono_s = now_s if stamp_s is None else self._follow(stamp_s, now_s)
        time = self._utc(mono_s)
        if self._last is not None:
            time, mono_s = max(time, self._last[0] + TICK), max(mono_s, self._last[1] + 1e-6)
        self._last = time, mono_s
        return self._last

    def _follow(self, stamp_s: float, now_s: float) -> float:
        if self._stamp is not None and not 0 < stamp_s - self._stamp[0] <= now_s - self._stamp[1] + AHEAD_S:
            self._clock.jumped()
        self._stamp = stamp_s, now_s
        return stamp_s + self._clock.offset_s(stamp_s, now_s)

    def _utc(self, mono_s: float) -> datetime:
        assert self._anchor is not None
        wall, at_s = self._anchor
        return wall + timedelta(seconds=mono_s - at_s)


class MediaTimeline(Timeline):
    """For files: frames are as far apart as in the file, however fast it is read. Stamps count from its start.

    Args:
        pause_s: between the last frame of a file and the first of the next, at least.
    """

    def __init__(self, pause_s: float = 0.0) -> None:
        super().__init__()
        self._pause_s = pause_s

    def connect(self, wall: datetime, now_s: float) -> None:
        """A file begins: after the one before, or now if that is later."""
        super().connect(wall, now_s)
        self._start_s = max(now_s, self._last[1] + self._pause_s if self._last else now_s)
        self._begun = self._utc(self._start_s)

    def _follow(self, stamp_s: float, now_s: float) -> float:
        return self._start_s + stamp_s


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)
