"""A part of a video's frames, one after the other; far into a video they are found by the keyframe before them."""

import os
from collections.abc import Callable, Iterator
from itertools import chain, islice

import av

from amiss.errors import VideoError
from amiss.video._closing import Closing
from amiss.video._decode import Decoder, open_video
from amiss.video._pictures import open_decoder
from amiss.video._reader import Frame
from amiss.video._rgb import RgbConverter

REORDERING = 32  # packets; no codec moves a frame further between decoding and display
PROGRESSIVE = (0, 1)  # AV_FIELD_UNKNOWN, AV_FIELD_PROGRESSIVE


class CannotSeek(Exception):  # noqa: N818  # never leaves this room
    """The packets of this file don't tell the numbers of its frames."""


class FramePass(Closing):
    """One pass over the frames `[start, end)` of a video, as RGB in the size of the first of them. Iterate it once.

    Args:
        path: the file, or folder of pictures.
        start: first frame, 0-based, as VideoReader counts.
        end: the frame after the last one; None: all that there are.
        height: of the frames at most; the width follows. None: as they are.
        seek: begin at the last keyframe before `start`, if the file's packets tell the number of every frame.
        on_picture: called with each that was decoded.

    Raises:
        CannotSeek: they don't, or a decoded frame contradicts them (also while it is iterated).
        VideoError: the file can't be read, or has fewer frames (likewise).
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        start: int = 0,
        end: int | None = None,
        height: int | None = None,
        *,
        seek: bool = False,
        on_picture: Callable[[], object] = lambda: None,
    ) -> None:
        self._start, self._end, self._on_picture = start, end, on_picture
        self._decoder = open_decoder(path)
        try:
            if seek and end is not None:
                self._pictures = self._sought(end)
            else:
                self._pictures = islice(self._told(), start, end)
            if (first := next(self._pictures, None)) is None:
                raise self._too_short()
        except BaseException:
            self.close()
            raise
        self._first = first
        self._convert = RgbConverter(first[0])
        if height is not None and self._convert.height > height:
            self._convert = RgbConverter(first[0], height)
        self.height, self.width = self._convert.height, self._convert.width
        self.fps = self._decoder.fps
        self.stated_frames = self._decoder.stated_frames

    def __iter__(self) -> Iterator[Frame]:
        index = self._start
        for picture, time_s in chain([self._first], self._pictures):
            yield Frame(index, time_s, self._convert(picture))
            index += 1
        if self._end is not None and index < self._end:
            raise self._too_short()

    def close(self) -> None:
        """Close the file."""
        self._decoder.close()

    def _too_short(self) -> VideoError:
        decoder = self._decoder
        if not decoder.n_frames:
            return decoder.nothing_decodes()
        return VideoError(f"{decoder.path} has no frames {self._start} to {self._end}: only {decoder.n_frames} decode")

    def _told(self) -> Iterator[tuple[av.VideoFrame, float]]:
        for picture in self._decoder:
            self._on_picture()
            yield picture

    def _sought(self, end: int) -> Iterator[tuple[av.VideoFrame, float]]:
        """The frames, decoded from the last keyframe before them and checked against the packets."""
        decoder = self._decoder
        if not isinstance(decoder, Decoder):
            raise CannotSeek
        stamps, number = _frame_stamps(decoder, self._start, end)
        first = stamps[number]
        try:
            decoder.seek(first)
        except VideoError:
            raise CannotSeek from None
        for picture, time_s in self._told():
            if picture.pts is not None and picture.pts < first:
                continue
            if decoder.n_damaged or number >= len(stamps) or picture.pts != stamps[number]:
                raise CannotSeek
            if number >= self._start:
                yield picture, time_s
            number += 1
            if number == end:
                return
        raise CannotSeek


def _frame_stamps(decoder: Decoder, start: int, end: int) -> tuple[list[int], int]:
    """The timestamps of the frames up to `end`, from the packets alone, and the number of the last keyframe by `start`.

    Raises:
        CannotSeek: some packet is not one frame with a time of its own.
    """
    container, stream = open_video(decoder.path)
    stamps: list[int] = []
    keyframes: list[int] = []
    with container:
        try:
            for packet in islice(container.demux(stream), end + REORDERING):
                if not packet.size:
                    break
                if packet.pts is None or packet.is_corrupt or packet.is_discard:
                    raise CannotSeek
                stamps.append(packet.pts)
                if packet.is_keyframe:
                    keyframes.append(packet.pts)
        except av.FFmpegError:
            raise CannotSeek from None
        interlaced = stream.codec_context.field_order not in PROGRESSIVE
    # A stream that doesn't begin with its first keyframe begins with frames that don't decode.
    if interlaced or len(stamps) < end or not keyframes or not stamps[0] == keyframes[0] == min(stamps):
        raise CannotSeek
    stamps.sort()
    if len(set(stamps)) < len(stamps):
        raise CannotSeek
    keyframe = max(stamp for stamp in keyframes if stamp <= stamps[start])
    return stamps, stamps.index(keyframe)
