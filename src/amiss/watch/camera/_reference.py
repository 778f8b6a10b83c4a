"""Reference clips: in a still scene one clip is run, and its features are those of the clips after it."""

import threading

import numpy as np
from numpy.typing import NDArray

from amiss.video import StillnessGate
from amiss.watch.camera._clips import LiveClip


class ReferenceClips:
    """Which clips are spared, and what the features of their reference clip are.

    The reading thread asks which clips are spared before features are known; the scoring thread hands in the features
    later. Clips between the two may be dropped or fail: a reference that is lost ends the still scene.

    Args:
        gate: looks whether anything moves; None: every clip is run.
    """

    def __init__(self, gate: StillnessGate | None) -> None:
        self._gate = gate
        self._number = 0  # of the last reference clip; reading thread
        self._kept: tuple[int | None, NDArray[np.float32]] | None = None  # scoring thread
        self._is_lost = threading.Event()

    # The reading thread

    def spare(self, clip: LiveClip) -> int | None:
        """The number of the reference clip whose features are those of `clip`; None: it has to be run."""
        if self._gate is None:
            return None
        if self._is_lost.is_set():
            self._is_lost.clear()
            self._gate.reset()
        return self._number if self._gate.is_still(clip.images, clip.started.timestamp()) else None

    def refer(self) -> int | None:
        """The clip asked about last is run: its number if it is a reference clip from now on."""
        if self._gate is None or not self._gate.is_reference:
            return None
        self._number += 1
        return self._number

    def reset(self) -> None:
        """A gap: the next clip isn't compared with the last."""
        if self._gate is not None:
            self._gate.reset()

    # Any thread

    def lose(self) -> None:
        """A clip was dropped or failed that may be the reference of others."""
        self._is_lost.set()

    # The scoring thread

    def keep(self, number: int | None, features: NDArray[np.float32]) -> None:
        """The features of a clip that was run, and its number if it is a reference clip."""
        self._kept = number, features

    def forget(self) -> None:
        """The features of the last clip are not to be had."""
        self._kept = None
        self.lose()

    def features(self, number: int | None) -> NDArray[np.float32] | None:
        """The features of a reference clip, [C, D]; None where it was dropped."""
        return self._kept[1] if self._kept is not None and self._kept[0] == number else None
