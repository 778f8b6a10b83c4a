"""A cheap look at a clip: does anything move?"""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from amiss.settings import Seconds, Settings
from amiss.video._rgb import Image

COLUMNS = 64  # of the small picture that is compared
LOOKS = 4  # frames of a clip that are compared


class GateSettings(Settings):
    """A cheap look at the pictures, so that a still scene doesn't cost the backbone's time."""

    enabled: bool = False
    """true: clips in which nothing moves take the features of the last still clip."""
    threshold: Annotated[float, Field(gt=0, le=255)] = 4.0
    """Largest change, in grey levels 0 to 255, of any part of a still scene."""
    refresh_s: Seconds = 10.0
    """A still scene is run through the backbone this often all the same."""


class StillnessGate:
    """Says of each clip whether the backbone can be spared, because the scene has been still since a clip it saw.

    Four frames of the clip, and the last of the clip before, are reduced to 64 columns of grey and compared. A change
    of the light over the whole picture, if it is even, counts as none. The first still clip after movement is never
    spared, and in a still scene one is let through every `refresh_s`: these are the reference clips, whose features the
    spared ones take.
    """

    def __init__(self, settings: GateSettings) -> None:
        self.settings = settings
        self._before: NDArray[np.float32] | None = None
        self._seen_s: float | None = None  # when a clip of this still scene was let through

    def is_still(self, images: Image, time_s: float) -> bool:
        """Whether the clip [T, H, W, 3] can be spared."""
        looks = np.stack([small(images[i]) for i in np.linspace(0, len(images) - 1, LOOKS).astype(int)])
        against = looks[:1] if self._before is None or self._before.shape != looks[0].shape else self._before[None]
        steps = np.diff(np.concatenate([against, looks]), axis=0)
        self._before = looks[-1]
        if np.abs(steps).max() > self.settings.threshold:
            self._seen_s = None
            return False
        if self._seen_s is not None and 0 <= time_s - self._seen_s < self.settings.refresh_s:
            return True
        self._seen_s = time_s
        return False

    @property
    def is_reference(self) -> bool:
        """Whether the last clip was still: if it was let through, it is the reference of the spared ones after it."""
        return self._seen_s is not None

    def reset(self) -> None:
        """A gap: the next clip isn't compared with the last."""
        self._before = self._seen_s = None


def small(image: Image) -> NDArray[np.float32]:
    """[H, W, 3] → [h, 64] mean grey of blocks, less the median over the picture."""
    side = max(1, image.shape[1] // COLUMNS)
    height, width = image.shape[0] // side * side, image.shape[1] // side * side
    green = image[:height:1, :width, 1]
    blocks = green.reshape(max(1, height // side), side, width // side, side).mean(axis=(1, 3), dtype=np.float32)
    result: NDArray[np.float32] = blocks - np.median(blocks)
    return result
