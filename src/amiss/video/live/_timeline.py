"""Times of live frames: a stream's own clock, tied to this machine's clocks."""

from datetime import UTC, datetime, timedelta

AHEAD_S = 2.0  # more than this from one frame to the next, beyond the time that passed here: the stream's clock jumped
STEP_S = 2.0  # the wall clock and what was made of it are further apart: the wall clock was set
LEAK = 1e-3  # s/s by which a slower clock of the camera is followed
TICK = timedelta(microseconds=1)
BETWEEN_FILES_S = 10.0  # so that no clip and no event reaches from one into the next


class Timeline:
    """Gives every frame a time that strictly rises, whatever the stream's clock and the network do.

    UTC is read once per connection and then advances with the monotonic clock. Within a connection, frames are as far
    apart as their stamps say, and none is from the future: the least delayed frames fix how the two clocks lie to each
    other. A stamp that goes back or jumps ahead starts anew at the present. Where the wall clock is set (by more than
    2 s: a machine without a clock of its own has started), UTC is read anew; only then can times go back, the
    monotonic ones not even then.
    """

    def __init__(self) -> None:
        self._last: tuple[datetime, float] | None = None  # the last frame's times
        self._anchor: tuple[datetime, float] | None = None
        self._stamp_s: float | None = None
        self._now_s = 0.0
        self._offset_s = 0.0

    def connect(self, wall: datetime, now_s: float) -> None:
        """A new connection: the stream's clock is forgotten; UTC is read, unless it would go back a little."""
        self._stamp_s = None
        if self._anchor is None or (not self.was_set(wall, now_s) and wall > self._utc(now_s)):
            self._anchor = wall, now_s

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
        """Time of the last frame."""
        return self._last[0] if self._last else None

    def lag_s(self, stamp_s: float, now_s: float) -> float:
        """How old a frame with this stamp is."""
        return now_s - stamp_s - self._offset_s if self._stamp_s is not None else 0.0

    def at(self, stamp_s: float | None, now_s: float) -> tuple[datetime, float]:
        """UTC and monotonic time of the frame that was received at `now_s`, later than those of any before."""
        mono_s = now_s if stamp_s is None else self._follow(stamp_s, now_s)
        time = self._utc(mono_s)
        if self._last is not None:
            time, mono_s = max(time, self._last[0] + TICK), max(mono_s, self._last[1] + 1e-6)
        self._last = time, mono_s
        return self._last

    def _follow(self, stamp_s: float, now_s: float) -> float:
        offset_s = now_s - stamp_s
        if self._stamp_s is not None:
            passed_s = now_s - self._now_s
            if 0 < stamp_s - self._stamp_s <= passed_s + AHEAD_S:
                offset_s = min(offset_s, self._offset_s + LEAK * passed_s)
        self._stamp_s, self._now_s, self._offset_s = stamp_s, now_s, offset_s
        return stamp_s + offset_s

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

    def lag_s(self, stamp_s: float, now_s: float) -> float:
        """Nothing is late."""
        return 0.0

    def _follow(self, stamp_s: float, now_s: float) -> float:
        return self._start_s + stamp_s


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)
