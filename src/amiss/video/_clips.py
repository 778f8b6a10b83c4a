"""Frames to clips: of files and of live sources alike, so that both are scored in the same way."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar, get_args

import numpy as np

from amiss.errors import UsageError
from amiss.video._reader import Frame
from amiss.video._rgb import Image

Stamp = TypeVar("Stamp")
Tail = Literal["last", "pad", "drop"]
Allocate = Callable[[tuple[int, ...]], Image]


def _allocate(shape: tuple[int, ...]) -> Image:
    return np.empty(shape, np.uint8)


@dataclass(frozen=True)
class FrameGroup(Generic[Stamp]):
    """The frames of one clip."""

    images: Image
    """[T, H, W, 3] RGB (or planes), always a whole clip; what the tail rule says stands where frames are missing."""
    stamps: tuple[Stamp, ...]
    """What was given with each of its own frames; fewer than T only where the last clip was filled up."""
    first: int = 0
    """Where in `images` its own frames begin; above 0 only where frames before them fill it up."""


class FrameGrouper(Generic[Stamp]):
    """Groups frames as they come: clip i of a recording has its frames `[i * stride, i * stride + clip_len)`.

    Holds one clip, into which every frame is copied, and no frame; with `last` also the clip before it.

    Args:
        clip_len: frames per clip.
        stride: frames from the start of one clip to the start of the next.
        tail: of a recording's last clip, where it is incomplete: `last` fills it up from before, so that it shows the
            recording's last `clip_len` frames; `pad` repeats its last frame; `drop` leaves it out. `last` pads where
            the recording is shorter than a clip, and with a stride beyond the clip's length, where frames between
            clips aren't held.
        allocate: makes the array of a clip from its shape; each is used once, and must hold until the next clip ends.

    Raises:
        UsageError: `clip_len` or `stride` is below 1, or `tail` is unknown.
    """

    def __init__(self, clip_len: int, stride: int, tail: Tail, allocate: Allocate = _allocate) -> None:
        if clip_len < 1 or stride < 1:
            raise UsageError(f"clip_len is {clip_len} and stride is {stride}; both must be at least 1")
        if tail not in get_args(Tail):
            raise UsageError(f"tail is {tail!r}; allowed are {list(get_args(Tail))}")
        self._clip_len, self._stride, self._tail = clip_len, stride, tail
        self._allocate = allocate
        self._clear()

    def _clear(self) -> None:
        self._images: Image | None = None  # of the clip under way
        self._stamps: list[Stamp] = []  # of the frames in it
        self._n_new = 0  # those of them that no clip has covered yet
        self._before: Image | None = None  # the clip before, where it may have to fill up the last one
        self._skip = 0  # frames still to be passed over before the next clip starts

    def push(self, image: Image, stamp: Stamp) -> FrameGroup[Stamp] | None:
        """Add a frame; returns the clip that it completes.

        Args:
            image: [H, W, 3] RGB, or planes; of the same size as those before.
            stamp: comes back with the clips that the frame is in.
        """
        if self._skip:
            self._skip -= 1
            return None
        if self._images is None:
            self._images = self._allocate((self._clip_len, *image.shape))
        self._images[len(self._stamps)] = image
        self._stamps.append(stamp)
        self._n_new += 1
        if len(self._stamps) < self._clip_len:
            return None
        group = FrameGroup(self._images, tuple(self._stamps))
        self._clear()
        if self._tail == "last" and self._stride <= self._clip_len:
            self._before = group.images
        self._skip = max(self._stride - self._clip_len, 0)
        if kept := group.stamps[self._stride :]:
            self._images = self._allocate(group.images.shape)
            self._images[: len(kept)] = group.images[self._stride :]
            self._stamps = list(kept)
        return group

    def finish(self) -> FrameGroup[Stamp] | None:
        """The recording ends: its last, incomplete clip, unless that is dropped. What comes next is another one."""
        group = None
        if self._tail != "drop" and self._n_new and self._images is not None:
            n_real, n_new = len(self._stamps), self._n_new
            if self._before is not None:  # its last frame is the one before the new ones
                self._images[-n_new:] = self._images[n_real - n_new : n_real].copy()
                self._images[:-n_new] = self._before[n_new:]
                group = FrameGroup(self._images, tuple(self._stamps), self._clip_len - n_real)
            else:
                self._images[n_real:] = self._images[n_real - 1]
                group = FrameGroup(self._images, tuple(self._stamps))
        self._clear()
        return group


@dataclass(frozen=True)
class Clip:
    """A fixed number of consecutive frames of a file."""

    index: int
    """0-based."""
    start: int
    """Index of its first frame."""
    end: int
    """Index after its last frame; `end - start` is below the clip length only where the last clip was filled up."""
    images: Image
    """[T, H, W, 3] RGB, always a whole clip; or planes, see `VideoReader`."""


def iter_clips(
    frames: Iterable[Frame],
    clip_len: int = 16,
    stride: int = 16,
    tail: Tail = "pad",
    allocate: Allocate = _allocate,
) -> Iterator[Clip]:
    """Group frames into clips: clip i covers frames `[i * stride, i * stride + clip_len)`.

    Holds at most two clips: the one that was given last and the one under way. A video of n > 0 frames gives with
    `last` and with `pad` 1 + ceil(max(n - clip_len, 0) / stride) clips (for stride ≤ clip_len; ceil(n / stride) for
    larger strides, which leave gaps), and with `drop` 1 + (n - clip_len) // stride of them, or none where n < clip_len.
    With 16 and 16 this is ceil(n / 16) and n // 16.

    Args:
        frames: of one size.
        clip_len: frames per clip.
        stride: frames from the start of one clip to the start of the next.
        tail: of an incomplete last clip, as `FrameGrouper` has it; `last` and `pad` cover every frame, `drop` doesn't.
        allocate: see FrameGrouper.

    Raises:
        UsageError: `clip_len` or `stride` is below 1, or `tail` is unknown.
    """
    return _clips(frames, FrameGrouper[int](clip_len, stride, tail, allocate))


def _clips(frames: Iterable[Frame], grouper: FrameGrouper[int]) -> Iterator[Clip]:
    index = 0
    for frame in frames:
        if (group := grouper.push(frame.image, frame.index)) is not None:
            yield Clip(index, group.stamps[0], group.stamps[-1] + 1, group.images)
            index += 1
            del group  # while the next one is filled
    if (group := grouper.finish()) is not None:
        yield Clip(index, group.stamps[0], group.stamps[-1] + 1, group.images)
