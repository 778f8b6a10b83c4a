"""Live frames to clips with times."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from amiss.backbones import FeatureSpec
from amiss.video import FrameGroup, FrameGrouper, LiveFrame, Resampler

Image = NDArray[np.uint8]
TOLERANCE_S = 1e-3  # stamps are rounded


@dataclass(frozen=True)
class Origin:
    """Which file a clip is from, and where in it; of a folder's file, the same whenever it is scored."""

    key: str
    """The file's name and two more words, see LiveFrame."""
    n_clip: int
    """From 1."""
    seconds: float
    """Of its first frame, since the file's first, gaps included."""

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


class _Stamp(NamedTuple):
    """What is known of a frame besides its picture."""

    time: datetime
    monotonic_s: float
    connection: int
    file: str
    file_s: float


class ClipAssembler:
    """Groups live frames as the FeatureSpec says, as files' frames are grouped: every connection is a recording.

    With a frame rate in the spec, the latest frame not after each tick is taken; otherwise every frame.
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self._rate = spec.frame_rate
        self._grouper = FrameGrouper[_Stamp](spec.clip_len, spec.stride, spec.tail)
        self._connection = 0
        self._clear()

    def _clear(self) -> None:
        self._n_clips = 0
        self._began: datetime | None = None
        self._last_s = self._step_s = 0.0  # of the last frame, and since the one before it
        self._resampler = None if self._rate is None else Resampler[LiveFrame](self._rate, TOLERANCE_S)

    def push(self, frame: LiveFrame) -> Iterator[LiveClip]:
        """The clips that this frame completes; where it is of another connection, those before it end."""
        if frame.connection != self._connection:
            yield from self.finish()
            self._connection = frame.connection
        if self._began is None:
            self._began = frame.time
        if self._resampler is None:
            yield from self._add(frame, frame.time)
            return
        seconds = (frame.time - self._began).total_seconds()
        if shown := self._resampler.push(frame, seconds):
            yield from self._take(*shown)
        self._last_s, self._step_s = seconds, seconds - self._last_s

    def finish(self) -> Iterator[LiveClip]:
        """The connection is over: its last, incomplete clip, unless the spec's tail rule drops it."""
        if self._resampler is not None and (shown := self._resampler.finish(self._last_s + self._step_s)):
            yield from self._take(*shown)
        if (group := self._grouper.finish()) is not None:
            yield self._clip(group)
        self._clear()

    def _take(self, frame: LiveFrame, ticks: range) -> Iterator[LiveClip]:
        assert self._began is not None
        assert self._rate is not None
        for tick in ticks:
            yield from self._add(frame, self._began + timedelta(seconds=tick / self._rate))

    def _add(self, frame: LiveFrame, time: datetime) -> Iterator[LiveClip]:
        assert self._began is not None
        began_s = (frame.time - self._began).total_seconds() if frame.file_s is None else frame.file_s
        file_s = began_s + (time - frame.time).total_seconds()
        stamp = _Stamp(time, frame.monotonic_s, frame.connection, frame.file, file_s)
        if (group := self._grouper.push(frame.image, stamp)) is not None:
            yield self._clip(group)

    def _clip(self, group: FrameGroup[_Stamp]) -> LiveClip:
        first, last, n_real = group.stamps[0], group.stamps[-1], len(group.stamps)
        step = (last.time - first.time) / max(n_real - 1, 1)
        self._n_clips += 1
        origin = None
        if first.file:
            origin = Origin(first.file, self._n_clips, first.file_s)
        picture = group.images[group.first + n_real // 2].copy()  # not the whole clip with it
        return LiveClip(group.images, first.time, last.time + step, last.monotonic_s, picture, first.connection, origin)
