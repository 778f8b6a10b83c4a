"""What the cameras see: slow movement, and fast movement at known times. Only the fast one is an anomaly."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FPS = 12
QUIET_S, FAST_S = 16.0, 8.0
PERIOD_S = QUIET_S + FAST_S
SIZE = 72, 96  # height and width

_GROUND = np.random.default_rng(7).integers(60, 90, (*SIZE, 3), dtype=np.uint8)


@dataclass(frozen=True)
class Scene:
    """One camera's view."""

    offset_s: float
    """When its first period begins, on the clock of the machine."""

    def image(self, at_s: float) -> NDArray[np.uint8]:
        """The picture [H, W, 3] of a moment."""
        within_s = (at_s - self.offset_s) % PERIOD_S
        return picture(round(within_s * FPS), is_fast=within_s >= QUIET_S)

    def segments(self, from_s: float, until_s: float) -> Iterator[tuple[float, float]]:
        """When it moves fast: (start, end), of those that lie wholly within."""
        turn = int((from_s - self.offset_s) // PERIOD_S)
        while (start := self.offset_s + turn * PERIOD_S + QUIET_S) + FAST_S <= until_s:
            if start >= from_s:
                yield start, start + FAST_S
            turn += 1


def picture(index: int, *, is_fast: bool) -> NDArray[np.uint8]:
    """A bright square on a textured ground, which has moved for `index` frames."""
    image = _GROUND.copy()
    x = index * (9 if is_fast else 1) % (SIZE[1] - 16)
    image[30:46, x : x + 16] = 220
    return image


def now_s() -> float:
    """On the clock of the machine, as events are."""
    return time.time()
