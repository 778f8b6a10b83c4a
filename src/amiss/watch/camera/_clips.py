"""Live frames to clips with times."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from amiss.backbones import FeatureSpec
from amiss.video import LiveFrame

Image = NDArray[np.uint8]
TOLERANCE = timedelta(milliseconds=1)  # stamps are rounded


@dataclass(frozen=True)
class Origin:
    """Which file a clip is from, and where in it; of a folder's file, the same whenever it is scored."""

    key: str
    """The file's name and two more words, see LiveFrame."""
    n_clip: int
    """From 1."""
    seconds: float
    """Of its first frame, since the file's first."""

    @property
    def file(self) -> str:
        """The file's name."""
        return self.key.rsplit(" ", 2)[0]


@dataclass(frozen=True)
class LiveClip:
    """Consecutive frames of one connection."""

    images: Image
    """[T, H, W, 3] RGB, always a whole clip."""
    started: datetime
    """Of its first frame."""
    ended: datetime
    """When its last frame ends."""
    monotonic_s: float
    """Of its last frame, on this machine's `time.monotonic()`."""
    picture: Image
    """The frame in its middle."""
    connection: int
    """Of its frames."""
    origin: Origin | None = None
    """Of a folder's or a replayed file."""


class ClipAssembler:
    """Groups live frames as the FeatureSpec says: clips never cross from one connection to the next.

    With a frame rate in the spec, the latest frame not after each tick is taken; otherwise every frame.
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self._spec = spec
        self._connection = 0
        self._clear()

    def _clear(self) -> None:
        self._frames: deque[LiveFrame] = deque()
        self._skip = 0
        self._n_new = 0
        self._n_clips = 0
        self._held: LiveFrame | None = None
        self._held_for = timedelta(0)
        self._began: datetime | None = None
        self._tick = 0

    def push(self, frame: LiveFrame) -> Iterator[LiveClip]:
        """The clips that this frame completes; where it is of another connection, those before it end."""
        if frame.connection != self._connection:
            yield from self.finish()
            self._connection = frame.connection
        if self._began is None:
            self._began = frame.time
        if self._spec.frame_rate is None:
            yield from self._add(frame)
            return
        if self._held is not None:
            self._held_for = frame.time - self._held.time
            yield from self._ticks(self._held, frame.time)
        self._held = frame

    def finish(self) -> Iterator[LiveClip]:
        """The connection is over: its last, incomplete clip, if the spec's tail rule is to pad it."""
        if self._held is not None:
            yield from self._ticks(self._held, self._held.time + self._held_for)
        if self._spec.tail == "pad" and self._n_new:
            yield self._clip()
        self._clear()

    def _ticks(self, frame: LiveFrame, until: datetime) -> Iterator[LiveClip]:
        """Take `frame` at every tick before `until`."""
        assert self._began is not None
        while (time := self._began + timedelta(seconds=self._tick / (self._spec.frame_rate or 1))) < until - TOLERANCE:
            yield from self._add(replace(frame, time=time))
            self._tick += 1

    def _add(self, frame: LiveFrame) -> Iterator[LiveClip]:
        if self._skip:
            self._skip -= 1
            return
        self._frames.append(frame)
        self._n_new += 1
        if len(self._frames) == self._spec.clip_len:
            yield self._clip()
            self._n_new = 0
            self._skip = max(self._spec.stride - self._spec.clip_len, 0)
            for _ in range(min(self._spec.stride, self._spec.clip_len)):
                self._frames.popleft()

    def _clip(self) -> LiveClip:
        first, last = self._frames[0], self._frames[-1]
        step = (last.time - first.time) / max(len(self._frames) - 1, 1)
        images = [frame.image for frame in self._frames]
        middle = images[len(images) // 2]
        images += images[-1:] * (self._spec.clip_len - len(images))
        self._n_clips += 1
        origin = None
        if first.file and self._began is not None:
            origin = Origin(first.file, self._n_clips, (first.time - self._began).total_seconds())
        return LiveClip(
            np.stack(images), first.time, last.time + step, last.monotonic_s, middle, first.connection, origin
        )
