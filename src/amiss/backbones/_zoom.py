"""Which part of a clip's frames is worth a closer look: half as high and half as wide, where most moves.

People of a surveillance camera are small; squeezed into a network's square they have a few dozen pixels. Of half the
frame they have twice as many a side. Whatever moves says where: the absolute differences of successive frames, grey, at
56x56, averaged over the clip, less their median over the frame (noise, flicker). All frames of a clip have the same
part.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

_GRID = 56
_HALF = _GRID // 2


def zoomed(frames_THWK: NDArray[np.uint8]) -> tuple[slice, slice]:
    """Rows and columns of the part of a clip [T, H, W, 3] RGB in which most moves; its middle where nothing does."""
    height, width = frames_THWK.shape[1:3]
    top, left = _busiest(_movement(frames_THWK))
    top, left = round(top * height / _GRID), round(left * width / _GRID)
    return slice(top, top + max(1, height // 2)), slice(left, left + max(1, width // 2))


def _movement(frames_THWK: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean absolute difference of successive frames at each place [56, 56], less its median, 0 at least."""
    if len(frames_THWK) < 2:
        return np.zeros((_GRID, _GRID), np.float32)
    grey = [cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) for frame in frames_THWK]
    small = np.stack([cv2.resize(x, (_GRID, _GRID), interpolation=cv2.INTER_AREA) for x in grey]).astype(np.float32)
    movement = np.abs(np.diff(small, axis=0)).mean(0)
    return np.asarray(np.maximum(movement - np.median(movement), 0))


def _busiest(movement: NDArray[np.float32]) -> tuple[int, int]:
    """Top left corner of the 28x28 places with the largest sum; the first of equals."""
    if not movement.any():
        return _HALF // 2, _HALF // 2
    summed = cv2.integral(movement)
    within = summed[_HALF:, _HALF:] - summed[:-_HALF, _HALF:] - summed[_HALF:, :-_HALF] + summed[:-_HALF, :-_HALF]
    top, left = np.unravel_index(within.argmax(), within.shape)
    return int(top), int(left)
