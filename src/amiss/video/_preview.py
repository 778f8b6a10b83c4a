"""A small copy of a video that every browser plays."""

import os
from collections.abc import Callable

from amiss.video._writer import VideoWriter
from amiss.video.worker import FrameReader

_HEIGHT = 360


def write_preview(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    height: int = _HEIGHT,
    on_progress: Callable[[float], None] | None = None,
) -> None:
    """Write a copy of a video as an H.264 MP4, every frame at its own time, without sound.

    Args:
        source: the video.
        destination: the MP4; appears complete or not at all.
        height: of its pictures at most; the width follows.
        on_progress: called with the share of it that is done, 0..1, as far as its header tells.

    Raises:
        VideoError: the source can't be read, or ends the process that decodes it.
        OutputError: the copy can't be written.
    """
    with (
        FrameReader(source, height=height) as reader,
        VideoWriter(destination, reader.fps, reader.width, reader.height) as writer,
    ):
        for frame in reader:
            writer.write(frame.image, frame.time_s)
            if on_progress is not None and reader.stated_frames:
                on_progress(min(1.0, (frame.index + 1) / reader.stated_frames))
