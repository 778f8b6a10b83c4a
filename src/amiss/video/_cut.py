"""Cutting clips out of videos, exact to the frame."""

import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path

import av

from amiss.errors import UsageError, VideoError
from amiss.video._decode import Decoder, open_video
from amiss.video._pictures import PictureDecoder, open_decoder
from amiss.video._rgb import RgbConverter
from amiss.video._writer import VideoWriter

SEEK_FROM = 500  # frames; decoding fewer takes no longer than looking for a keyframe
REORDERING = 32  # packets; no codec moves a frame further between decoding and display
PROGRESSIVE = (0, 1)  # AV_FIELD_UNKNOWN, AV_FIELD_PROGRESSIVE


class _CannotSeek(Exception):  # noqa: N818  # never leaves this module
    """The packets of this file don't tell the numbers of its frames."""


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
        VideoError: the source can't be read or has fewer than `end` frames.
        OutputError: the clip can't be written.
    """
    if not 0 <= start < end:
        raise UsageError(f"frames {start} to {end} can't be cut out: it must be 0 <= start < end")
    if start >= SEEK_FROM:
        with suppress(_CannotSeek):
            _cut(source, Path(destination), start, end, seek=True)
            return
    _cut(source, Path(destination), start, end, seek=False)


def _cut(source: str | os.PathLike[str], destination: Path, start: int, end: int, *, seek: bool) -> None:
    decoder = open_decoder(source)
    try:
        pictures = _sought(decoder, start, end) if seek else islice(decoder, start, end)
        first = next(pictures, None)
        if first is None:
            raise _too_short(decoder, start, end)
        convert = RgbConverter(first[0])
        with VideoWriter(destination, decoder.fps, convert.width, convert.height) as writer:
            for picture, time_s in chain([first], pictures):
                writer.write(convert(picture), time_s - first[1])
            if writer.n_frames < end - start:
                raise _too_short(decoder, start, end)
    finally:
        decoder.close()


def _too_short(decoder: Decoder | PictureDecoder, start: int, end: int) -> VideoError:
    if not decoder.n_frames:
        return decoder.nothing_decodes()
    return VideoError(f"{decoder.path} has no frames {start} to {end}: only {decoder.n_frames} decode")


def _sought(decoder: Decoder | PictureDecoder, start: int, end: int) -> Iterator[tuple[av.VideoFrame, float]]:
    """The frames `[start, end)`, decoded from the last keyframe before them and checked against the packets."""
    if isinstance(decoder, PictureDecoder):
        raise _CannotSeek
    stamps, number = _frame_stamps(decoder.path, start, end)
    first = stamps[number]
    try:
        decoder.seek(first)
    except VideoError:
        raise _CannotSeek from None
    for picture, time_s in decoder:
        if picture.pts is not None and picture.pts < first:
            continue
        if decoder.n_damaged or number >= len(stamps) or picture.pts != stamps[number]:
            raise _CannotSeek
        if number >= start:
            yield picture, time_s
        number += 1
        if number == end:
            return
    raise _CannotSeek


def _frame_stamps(path: Path, start: int, end: int) -> tuple[list[int], int]:
    """The timestamps of the frames up to `end`, from the packets alone, and the number of the last keyframe by `start`.

    Raises:
        _CannotSeek: some packet is not one frame with a time of its own.
    """
    container, stream = open_video(path)
    stamps: list[int] = []
    keyframes: list[int] = []
    with container:
        try:
            for packet in islice(container.demux(stream), end + REORDERING):
                if not packet.size:
                    break
                if packet.pts is None or packet.is_corrupt or packet.is_discard:
                    raise _CannotSeek
                stamps.append(packet.pts)
                if packet.is_keyframe:
                    keyframes.append(packet.pts)
        except av.FFmpegError:
            raise _CannotSeek from None
        interlaced = stream.codec_context.field_order not in PROGRESSIVE
    # A stream that doesn't begin with its first keyframe begins with frames that don't decode.
    if interlaced or len(stamps) < end or not keyframes or not stamps[0] == keyframes[0] == min(stamps):
        raise _CannotSeek
    stamps.sort()
    if len(set(stamps)) < len(stamps):
        raise _CannotSeek
    keyframe = max(stamp for stamp in keyframes if stamp <= stamps[start])
    return stamps, stamps.index(keyframe)
