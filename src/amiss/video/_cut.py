"""Cutting clips out of videos, exact to the frame."""

import os
from contextlib import suppress

from amiss.errors import UsageError
from amiss.video._frames import CannotSeek
from amiss.video._writer import VideoWriter
from amiss.video.worker import FrameReader

SEEK_FROM = 500  # frames; decoding fewer takes no longer than looking for a keyframe


def cut_clip(source: str | os.PathLike[str], destination: str | os.PathLike[str], start: int, end: int) -> None:
    """Write the frames `[start, end)` of a video as an MP4 of its own, at their own times, without sound.

    Far into a video, decoding begins at the last keyframe before `start` if the file's packets tell the number of every
    frame; otherwise, or as soon as a decoded frame contradicts them, it begins at the first frame. (Where damage before
    `start` makes the decoder lose frames, numbers found by seeking count the lost ones too.)

    Args:
        source: the video.
        destination: the MP4; appears complete or not at all.
        start: first frame, 0-based, as VideoReader counts.
        end: the frame after the last one.

    Raises:
        UsageError: not 0 <= start < end.
        VideoError: the source can't be read or has fewer than `end` frames; or it ends the process that decodes it.
        OutputError: the clip can't be written.
    """
    if not 0 <= start < end:
        raise UsageError(f"frames {start} to {end} can't be cut out: it must be 0 <= start < end")
    if start >= SEEK_FROM:
        with suppress(CannotSeek):
            _cut(source, destination, start, end, seek=True)
            return
    _cut(source, destination, start, end, seek=False)


def _cut(
    source: str | os.PathLike[str], destination: str | os.PathLike[str], start: int, end: int, *, seek: bool
) -> None:
    with (
        FrameReader(source, start, end, seek=seek) as reader,
        VideoWriter(destination, reader.fps, reader.width, reader.height) as writer,
    ):
        first_s: float | None = None
        for frame in reader:
            first_s = frame.time_s if first_s is None else first_s
            writer.write(frame.image, frame.time_s - first_s)
