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

    Holds at most two clips: the one that was given last and the one under way. A video of n > 0 frames gives with `pad`
    1 + ceil(max(n - clip_len, 0) / stride) clips (for stride ≤ clip_len; ceil(n / stride) for larger strides, which
    leave gaps), and with `drop` 1 + (n - clip_len) // stride of them, or none where n < clip_len. With 16 and 16 this
    is ceil(n / 16) and n // 16.

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
    images: Image | None = None  # of the clip under way; frames go into it one by one, so that no other copy is held
    index = start = end = 0
    n_held = n_new = 0  # frames in it; those of them that no clip has covered yet
    skip = 0  # frames still to be passed over before the next clip starts
    for frame in frames:
        if skip:
            skip -= 1
            continue
        if images is None:
            images = np.empty((clip_len, *frame.image.shape), np.uint8)
        if n_held == 0:
            start = frame.index
        images[n_held] = frame.image
        end = frame.index + 1
        n_held += 1
        n_new += 1
        if n_held == clip_len:
            clip = Clip(index, start, end, images)
            n_held, n_new, skip = max(clip_len - stride, 0), 0, max(stride - clip_len, 0)
            images = None
            if n_held:
                images = np.empty_like(clip.images)
                images[:n_held] = clip.images[stride:]
            index += 1
            start += stride
            yield clip
            del clip
    if pad and n_new and images is not None:
        images[n_held:] = images[n_held - 1]
        yield Clip(index, start, end, images)
