"""When a worker that failed is started again."""

from __future__ import annotations

from collections import deque

from amiss.errors import AmissError


class ProcessLostError(AmissError):
    """The process elsewhere in which a camera was watched has gone; that says nothing about the camera."""


class RestartPolicy:
    """At once (after a second), but after `most` failures within `within_s` only every `within_s`.

    A worker that fails at once and for ever then costs next to nothing, and one that fails now and then isn't missed.
    """

    def __init__(self, most: int, within_s: float) -> None:
        self._within_s = within_s
        self._failures: deque[float] = deque(maxlen=most)

    def next_start(self, now: float) -> float:
        """Note a failure at `now` (seconds of a monotonic clock); when to start again."""
        self._failures.append(now)
        often = len(self._failures) == self._failures.maxlen and now - self._failures[0] < self._within_s
        return now + (self._within_s if often else min(1.0, self._within_s))
