"""The clips of a video, decoded in a process of its own."""

import os
import threading
from collections.abc import Generator, Iterator
from types import TracebackType
from typing import Self

import numpy as np

from amiss.errors import VideoError
from amiss.video._clips import Clip, Tail, iter_clips
from amiss.video._reader import VideoReader
from amiss.video._times import FrameTimes
from amiss.video.opening import video_bounds
from amiss.video.worker._process import Message, is_used, run

CLIPS_AT_ONCE = 2  # one is filled while one is used


class ClipReader:
    """Clips of a video, one after the other; decoded by a worker where the system can bound one.

    Iterate it once. A clip holds until the next one is asked for. Pictures are shrunk as `VideoBounds.clip_pixels`
    says.

    Args:
        path: the file, or folder of pictures.
        clip_len: see `iter_clips`, as the next two.
        stride: frames from one clip to the next.
        tail: of an incomplete last clip.
        frame_rate: see `VideoReader`.
        stop: ends it early, also where the worker is silent.

    Raises:
        VideoError: as VideoReader; also where the file ends the process that decodes it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        clip_len: int,
        stride: int,
        tail: Tail,
        frame_rate: float | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self.problem: str | None = None
        """After a complete iteration, see VideoReader."""
        self.n_frames = 0
        """Native frames decoded so far."""
        self.times = FrameTimes(0, None)
        """Of all native frames, after a complete iteration."""
        self._how = clip_len, stride, tail
        self._reader: VideoReader | None = None
        self._answers: Generator[Message, None, None] | None = None
        if is_used():
            request = {"do": "clips", "clip_len": clip_len, "stride": stride, "tail": tail, "frame_rate": frame_rate}
            self._answers = run(request, path, CLIPS_AT_ONCE, stop or threading.Event())
            if (first := next(self._answers, None)) is None:
                raise VideoError(f"{path}: reading it was stopped")
            begin = first.values
            self.height, self.width = begin["height"], begin["width"]
            self.stated_frames = begin["stated_frames"]
        else:
            self._reader = reader = VideoReader(path, frame_rate=frame_rate, at_most=video_bounds().clip_pixels)
            self.height, self.width = reader.height, reader.width
            self.stated_frames = reader.stated_frames

    def __iter__(self) -> Iterator[Clip]:
        if self._reader is not None:
            for clip in iter_clips(self._reader, *self._how):
                self.n_frames = self._reader.n_frames
                yield clip
            self.times, self.problem = self._reader.times(), self._reader.problem
            self.n_frames = self.times.n_frames
            return
        assert self._answers is not None
        for answer in self._answers:
            if answer.kind == "clip":
                self.n_frames = answer.values.pop("n_frames")
                if answer.image is None:
                    raise VideoError("a clip came without its pictures")
                yield Clip(images=answer.image, **answer.values)
            else:
                self.times, self.problem = times_of(answer), answer.values["problem"]
                self.n_frames = self.times.n_frames

    def close(self) -> None:
        """End what is under way."""
        if self._reader is not None:
            self._reader.close()
        if self._answers is not None:
            self._answers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def times_of(answer: Message) -> FrameTimes:
    """Of the frames of a video, from the last answer about it."""
    knots = np.frombuffer(answer.data, np.float64).reshape(-1, 2) if answer.data else None
    return FrameTimes(answer.values["n_frames"], answer.values["fps"], knots)
