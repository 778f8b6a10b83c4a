"""Decoded pictures as the decoder stores them, luma and chroma: half the bytes of RGB, for whoever makes colours of
them elsewhere. What they make must be what `RgbConverter` makes, which the tests compare.
"""

from dataclasses import dataclass
from typing import Self

import av
import numpy as np
from av.video.reformatter import ColorRange, VideoReformatter

from amiss.errors import VideoError
from amiss.video._rgb import Image, as_from_processor

_FORMATS = ("yuv420p", "yuvj420p")  # 8 bits, chroma of half the size; j: in the full range
_BT601, _BT709, _BT2020 = (0.299, 0.114), (0.2126, 0.0722), (0.2627, 0.0593)
_SHARES = {1: _BT709, 2: _BT601, 5: _BT601, 6: _BT601, 9: _BT2020}  # by AVColorSpace; 2 says nothing of it


@dataclass(frozen=True)
class Yuv:
    """What the values of planes mean (ITU-T H.273)."""

    red: float
    """Share of red in the luma."""
    blue: float
    is_full: bool
    """Values reach from 0 to 255; else luma from 16 to 235, chroma from 16 to 240."""


class PlanesConverter:
    """Turns decoded pictures into arrays [H * 3 / 2, W]: H rows of luma, then the two planes of chroma, half as high
    and half as wide, row after row. Made by `of`.

    Pictures that aren't like the first one in size, format or colours are brought to that by libav.
    """

    def __init__(self, first: av.VideoFrame, yuv: Yuv) -> None:
        self.height, self.width = first.height, first.width
        self.yuv = yuv
        self._format, self._colours = first.format.name, _colours(first)
        self._from_processor, self._to_first = VideoReformatter(), VideoReformatter()

    @classmethod
    def of(cls, first: av.VideoFrame, at_most: int | None = None) -> Self | None:
        """For a video with such a first picture; None where its planes wouldn't do.

        Args:
            first: the first picture.
            at_most: pixels; larger ones have to be shrunk.
        """
        shares = _SHARES.get(first.colorspace)
        is_small = at_most is None or first.width * first.height <= at_most
        is_upright = round(first.rotation / 90) % 4 == 0
        is_even = first.width % 2 == first.height % 2 == 0
        if shares is None or not (is_small and is_upright and is_even):
            return None
        first = as_from_processor(first, VideoReformatter())
        return cls(first, Yuv(*shares, is_full=_is_full(first))) if first.format.name in _FORMATS else None

    def __call__(self, picture: av.VideoFrame) -> Image:
        """One picture as an array.

        Raises:
            VideoError: its pixel format can't be converted.
        """
        try:
            picture = as_from_processor(picture, self._from_processor)
            if (picture.width, picture.height, _colours(picture)) != (self.width, self.height, self._colours):
                picture = self._to_first.reformat(
                    picture,
                    width=self.width,
                    height=self.height,
                    format=self._format,
                    dst_colorspace=self._colours[0],
                    dst_color_range=ColorRange.JPEG if self.yuv.is_full else ColorRange.MPEG,
                    threads=1,
                )
        except av.FFmpegError as error:
            name = picture.format.name
            raise VideoError(f"pixel format {name} can't be converted to YUV: {error.strerror}") from None
        found = np.empty((self.height * 3 // 2, self.width), np.uint8)
        left = found.reshape(-1)
        for plane in picture.planes:  # rows may be longer than the picture is wide, and begin with the lowest
            values = np.frombuffer(plane, np.uint8)  # type: ignore[call-overload]  # it is a buffer
            rows = values.reshape(plane.height, abs(plane.line_size))[:: np.sign(plane.line_size), : plane.width]
            left[: rows.size].reshape(rows.shape)[:] = rows
            left = left[rows.size :]
        return found


def _is_full(picture: av.VideoFrame) -> bool:
    return picture.format.name == "yuvj420p" or picture.color_range == ColorRange.JPEG


def _colours(picture: av.VideoFrame) -> tuple[int, bool, bool]:
    return picture.colorspace, _is_full(picture), picture.format.name in _FORMATS
