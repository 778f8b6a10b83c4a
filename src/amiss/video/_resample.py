"""Another frame rate: which picture is shown at each of its ticks, in files and in live sources alike."""

from typing import Generic, TypeVar

Picture = TypeVar("Picture")


class Resampler(Generic[Picture]):
    """At each tick k / rate, the latest picture that isn't after it: pictures are repeated or left out.

    Args:
        rate: ticks per second; tick 0 is at 0 seconds, where the first picture is.
        tolerance_s: stamps are rounded; a tick so little before a stamp is meant to be on it.
    """

    def __init__(self, rate: float, tolerance_s: float) -> None:
        self._rate, self._tolerance_s = rate, tolerance_s
        self._tick = 0
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
        first = self._tick
        while self._tick / self._rate < time_s - self._tolerance_s:
            self._tick += 1
        return (self._held, range(first, self._tick)) if self._tick > first else None
