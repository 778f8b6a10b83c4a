"""A small copy of a video that every browser plays."""

import os
from collections.abc import Callable
from itertools import chain

from amiss.video._pictures import open_decoder
from amiss.video._rgb import RgbConverter
from amiss.video._writer import VideoWriter

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
        VideoError: the source can't be read.
        OutputError: the copy can't be written.
    """
    decoder = open_decoder(source)
    try:
        pictures = iter(decoder)
        first = next(pictures, None)
        if first is None:
            raise decoder.nothing_decodes()
        convert = RgbConverter(first[0])
        if convert.height > height:
            convert = RgbConverter(first[0], height)
        with VideoWriter(destination, decoder.fps, convert.width, convert.height) as writer:
            for picture, time_s in chain([first], pictures):
                writer.write(convert(picture), time_s)
                if on_progress is not None and decoder.stated_frames:
                    on_progress(min(1.0, decoder.n_frames / decoder.stated_frames))
    finally:
        decoder.close()
