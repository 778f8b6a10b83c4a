"""Decoded pictures to RGB arrays."""

import math
from typing import TypeAlias

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from amiss.errors import VideoError

Image: TypeAlias = NDArray[np.uint8]

_SAME_AS = {"nv12": "yuv420p"}
"""NVDEC's format, and the processor's with the same values, of which libav makes RGB in another, coarser way."""


def as_from_processor(picture: av.VideoFrame, reformatter: VideoReformatter) -> av.VideoFrame:
    """A decoded picture in the format in which the processor would have decoded it."""
    same = _SAME_AS.get(picture.format.name)
    return picture if same is None else reformatter.reformat(picture, format=same, threads=1)


class RgbConverter:
    """Turns decoded pictures into upright RGB arrays [H, W, 3] of one size, that of the first picture.

    Args:
        first: the first picture of the video.
        height: height of the arrays; the width follows. None keeps the video's own size.
        at_most: pixels of the arrays; larger ones are shrunk to so many. None: all are kept.
    """

    def __init__(self, first: av.VideoFrame, height: int | None = None, at_most: int | None = None) -> None:
        self._quarter_turns = round(first.rotation / 90) % 4
        sideways = self._quarter_turns % 2 == 1
        stored_h, stored_w = first.height, first.width
        scale = 1.0 if height is None else height / (stored_w if sideways else stored_h)
        if at_most is not None:
            scale = min(scale, math.sqrt(at_most / (stored_h * stored_w)))
        is_scaled = height is not None or scale < 1
        if is_scaled:
            stored_h, stored_w = max(1, round(stored_h * scale)), max(1, round(stored_w * scale))
        self._stored = stored_h, stored_w
        self.height, self.width = (stored_w, stored_h) if sideways else (stored_h, stored_w)
        self._interpolation = Interpolation.AREA if is_scaled else Interpolation.BILINEAR
        self._reformatter = VideoReformatter()
        self._to_planar = VideoReformatter()

    def __call__(self, picture: av.VideoFrame) -> Image:
        """One picture as an array.

        Raises:
            VideoError: its pixel format can't be converted.
        """
        height, width = self._stored
        try:
            picture = as_from_processor(picture, self._to_planar)
            # One scaler for the whole video and one thread: starting threads for each picture costs more than it saves.
            rgb = self._reformatter.reformat(
                picture, width=width, height=height, format="rgb24", interpolation=self._interpolation, threads=1
            )
        except av.FFmpegError as error:
            name = picture.format.name
            raise VideoError(f"pixel format {name} can't be converted to RGB: {error.strerror}") from None
        image: Image = rgb.to_ndarray()  # type: ignore[assignment]  # rgb24 is uint8
        if self._quarter_turns:
            image = np.rot90(image, self._quarter_turns)
        return np.ascontiguousarray(image)
