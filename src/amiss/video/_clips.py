"""Frames to clips."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from amiss.errors import UsageError
from amiss.video._convert import Image
from amiss.video._reader import Frame


@dataclass(frozen=True)
class Clip:
    """A fixed number of consecutive frames."""

    index: int
    """0-based."""
    start: int
    """Index of its first frame."""
    end: int
    """Index after its last real frame; `end - start` is below the clip length only where the clip is padded."""
    images: Image
    """[T, H, W, 3] RGB, always a whole clip."""


def iter_clips(
    frames: Iterable[Frame], clip_len: int = 16, stride: int = 16, tail: Literal["pad", "drop"] = "pad"
) -> Iterator[Clip]:
    """Group frames into clips: clip i covers frames `[i * stride, i * stride + clip_len)`.

    Holds at most `clip_len` frames. A video of n > 0 frames gives with `pad` 1 + ceil(max(n - clip_len, 0) / stride)
    clips (for stride ≤ clip_len; ceil(n / stride) for larger strides, which leave gaps), and with `drop`
    1 + (n - clip_len) // stride of them, or none where n < clip_len. With 16 and 16 this is ceil(n / 16) and n // 16.

    Args:
        frames: of one size.
        clip_len: frames per clip.
        stride: frames from the start of one clip to the start of the next.
        tail: `pad` repeats the last frame, so that every frame is covered; `drop` leaves out an incomplete clip.

    Raises:
        UsageError: `clip_len` or `stride` is below 1, or `tail` is unknown.
    """
    if clip_len < 1 or stride < 1:
        raise UsageError(f"clip_len is {clip_len} and stride is {stride}; both must be at least 1")
    if tail not in ("pad", "drop"):
        raise UsageError(f"tail is {tail!r}; allowed are 'pad' and 'drop'")
    return _clips(frames, clip_len, stride, tail == "pad")


def _clips(frames: Iterable[Frame], clip_len: int, stride: int, pad: bool) -> Iterator[Clip]:
    held: list[Frame] = []
    index = 0
    skip = 0  # frames still to be passed over before the next clip starts
    n_new = 0  # frames held that no clip has covered yet
    for frame in frames:
        if skip:
            skip -= 1
            continue
        held.append(frame)
        n_new += 1
        if len(held) == clip_len:
            yield _clip(index, held, clip_len)
            index += 1
            n_new = 0
            skip = max(stride - clip_len, 0)
            del held[:stride]
    if pad and n_new:
        yield _clip(index, held, clip_len)


def _clip(index: int, frames: list[Frame], clip_len: int) -> Clip:
    images = [frame.image for frame in frames]
    images += images[-1:] * (clip_len - len(images))
    return Clip(index, frames[0].index, frames[-1].index + 1, np.stack(images))
