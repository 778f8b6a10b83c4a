"""The clips of a video, decoded in a process of its own."""

import os
import threading
from collections.abc import Generator, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from amiss.errors import VideoError
from amiss.reading.apart import Message, is_used
from amiss.video._clips import Clip, Tail, iter_clips
from amiss.video._closing import Closing
from amiss.video._parts import NotSplitError, PartProof, SplitVideo, VideoPart
from amiss.video._planes import Yuv
from amiss.video._reader import VideoReader
from amiss.video._times import FrameTimes
from amiss.video.opening import video_bounds
from amiss.video.worker._process import run

CLIPS_AT_ONCE = 2  # one is filled while one is used


class ClipReader(Closing):
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
        part: only the clips of this part, see `split_video`; a worker decodes it.
        planes: see `VideoReader`.

    Raises:
        VideoError: as VideoReader; also where the file ends the process that decodes it. Of a part, also where it
            can't be decoded by itself.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        clip_len: int,
        stride: int,
        tail: Tail,
        frame_rate: float | None = None,
        stop: threading.Event | None = None,
        part: VideoPart | None = None,
        planes: bool = False,
    ) -> None:
        self.problem: str | None = None
        """After a complete iteration, see VideoReader."""
        self.n_frames = 0
        """Native frames decoded so far."""
        self.times = FrameTimes(0, None)
        """Of all native frames, after a complete iteration."""
        self.proof: PartProof | None = None
        """Of a part, after a complete iteration."""
        self._how = clip_len, stride, tail
        self._reader: VideoReader | None = None
        self._answers: Generator[Message, None, None] | None = None
        if is_used():
            request: dict[str, Any] = {"clip_len": clip_len, "stride": stride, "tail": tail}
            request |= {"frame_rate": frame_rate, "part": part and asdict(part), "planes": planes}
            self._answers = run("clips", request, path, CLIPS_AT_ONCE, stop or threading.Event())
            if (first := next(self._answers, None)) is None:
                raise VideoError(f"{path}: reading it was stopped")
            begin = first.values
            self.height, self.width = begin["height"], begin["width"]
            self.stated_frames: int | None = begin["stated_frames"]
            """Frames by the header's number or duration; often wrong."""
            self.yuv = None if begin["yuv"] is None else Yuv(**begin["yuv"])
            """What the planes mean that it gives; None where it gives RGB."""
        elif part is not None:
            raise NotSplitError(f"{path}: no process is used that decodes (AMISS_DECODE_WORKER)")
        else:
            at_most = video_bounds().clip_pixels
            self._reader = reader = VideoReader(path, frame_rate=frame_rate, at_most=at_most, planes=planes)
            self.height, self.width = reader.height, reader.width
            self.stated_frames, self.yuv = reader.stated_frames, reader.yuv

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
            elif "proof" in answer.values:
                self.proof = PartProof(**answer.values["proof"])
            else:
                self.times, self.problem = times_of(answer), answer.values["problem"]
                self.n_frames = self.times.n_frames

    def close(self) -> None:
        """End what is under way."""
        if self._reader is not None:
            self._reader.close()
        if self._answers is not None:
            self._answers.close()


def split_video(
    path: str | os.PathLike[str],
    n_parts: int,
    least_frames: int,
    clip_len: int,
    stride: int,
    frame_rate: float | None = None,
    stop: threading.Event | None = None,
) -> SplitVideo:
    """Find parts of a video that can be decoded at once; all its packets are read for it.

    Args:
        path: the file.
        n_parts: at most so many.
        least_frames: native frames of a part, at least.
        clip_len: see `ClipReader`, as the next two.
        stride: frames from one clip to the next.
        frame_rate: that the video is resampled to.
        stop: ends it early.

    Raises:
        NotSplitError: it has to be decoded in one go, with the reason.
        VideoError: as ClipReader.
    """
    if not is_used():
        raise NotSplitError("no process is used that decodes (AMISS_DECODE_WORKER)")
    request: dict[str, Any] = {"n_parts": n_parts, "least_frames": least_frames, "clip_len": clip_len}
    request |= {"stride": stride, "frame_rate": frame_rate}
    answers = list(run("parts", request, path, 0, stop or threading.Event()))
    if not answers:
        raise NotSplitError("it was stopped")
    (end,) = answers
    if "refused" in end.values:
        raise NotSplitError(end.values["refused"])
    parts = tuple(VideoPart(**part) for part in end.values["parts"])
    return SplitVideo(parts, times_of(end), end.values["problem"])


def times_of(answer: Message) -> FrameTimes:
    """Of the frames of a video, from the last answer about it."""
    knots = np.frombuffer(answer.data, np.float64).reshape(-1, 2) if answer.data else None
    return FrameTimes(answer.values["n_frames"], answer.values["fps"], knots)
