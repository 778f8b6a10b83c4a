"""Looking at a file in a process of its own."""

import os
from collections.abc import Sequence
from datetime import datetime

import numpy as np

from amiss.reading.apart import is_used
from amiss.video import _header, _reader
from amiss.video._header import VideoHeader
from amiss.video._reader import StatedLength, VideoCheck
from amiss.video._rgb import Image
from amiss.video.worker._clips import times_of
from amiss.video.worker._process import run


def check_video(path: str | os.PathLike[str]) -> VideoCheck:
    """Decode a whole file, or folder of pictures, without making pictures of it.

    Raises:
        VideoError: it can't be read, nothing in it can be decoded, or not be shown in RGB; or it ends the process that
            decodes it.
    """
    if not is_used():
        return _reader.check_video(path)
    (end,) = run("check", {}, path)
    return VideoCheck(times_of(end), end.values["problem"])


def read_stated(path: str | os.PathLike[str]) -> StatedLength:
    """What a video states of its length, and its rate.

    Raises:
        VideoError: it is missing, or not even its first frame can be decoded; or it ends the process that decodes it.
    """
    if not is_used():
        return _reader.read_stated(path)
    (end,) = run("stated", {}, path)
    return StatedLength(**end.values)


def read_header(path: str | os.PathLike[str]) -> VideoHeader:
    """Read a video's header; nothing is decoded.

    Raises:
        VideoError: missing, empty, not a video, or of an unknown codec; or it ends the process that reads it.
    """
    if not is_used():
        return _header.read_header(path)
    (end,) = run("header", {}, path)
    stated, exact = end.values.pop("started"), end.values.pop("first_picture")
    started = None if stated is None else datetime.fromisoformat(stated)
    if started is not None and started.tzinfo is not None:
        started = started.astimezone().replace(tzinfo=None)
    first_picture = None if exact is None else datetime.fromisoformat(exact)
    return VideoHeader(started=started, first_picture=first_picture, **end.values)


def read_frames_at(path: str | os.PathLike[str], indices: Sequence[int], height: int | None = None) -> list[Image]:
    """Some frames of a video as [H, W, 3] RGB, in the order of `indices`, in one pass that ends at the last of them.

    Args:
        path: the file.
        indices: 0-based native frames, in any order.
        height: scale to this height; the width follows.

    Raises:
        UsageError: a negative index.
        VideoError: the file can't be read, or has fewer frames; or it ends the process that decodes it.
    """
    if not is_used() or any(index < 0 for index in indices):
        return _reader.read_frames_at(path, indices, height)
    answers = run("frames", {"indices": list(indices), "height": height}, path, 1)
    return [np.array(answer.image) for answer in answers if answer.image is not None]
