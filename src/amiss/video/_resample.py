"""Another frame rate: which picture is shown at each of its ticks, in files and in live sources alike."""

from typing import Generic, TypeVar

Picture = TypeVar("Picture")


def tick_tolerance_s(time_base: float) -> float:
    """Of a file's stamps, which are rounded to its time base (1 ms in Matroska)."""
    return min(time_base, 1e-3) + 1e-9


class Resampler(Generic[Picture]):
    """At each tick k / rate, the latest picture that isn't after it: pictures are repeated or left out.

    Args:
        rate: ticks per second; tick 0 is at 0 seconds, where the first picture is.
        tolerance_s: stamps are rounded; a tick so little before a stamp is meant to be on it.
        tick: that comes first; above 0 where pictures before were left out.
    """

    def __init__(self, rate: float, tolerance_s: float, tick: int = 0) -> None:
        self._rate, self._tolerance_s = rate, tolerance_s
        self.tick = tick
        """The next one."""
        self._held: Picture | None = None

    def push(self, picture: Picture, time_s: float) -> tuple[Picture, range] | None:
        """Add a picture.

        Returns:
            The picture before it and the ticks at which that one is shown; None where there are none.
        """
        shown, self._held = self._until(time_s), picture
        return shown

    def finish(self, end_s: float) -> tuple[Picture, range] | None:
        """The last picture ends at `end_s`: it, and the ticks at which it is shown; None where there are none."""
        return self._until(end_s)

    def _until(self, time_s: float) -> tuple[Picture, range] | None:
        if self._held is None:
            return None
        first = self.tick
        while self.tick / self._rate < time_s - self._tolerance_s:
            self.tick += 1
        return (self._held, range(first, self.tick)) if self.tick > first else None
