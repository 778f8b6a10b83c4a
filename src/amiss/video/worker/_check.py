"""Looking at a file in a process of its own."""

import os

from amiss.video import _reader
from amiss.video._reader import StatedLength, VideoCheck
from amiss.video.worker._clips import times_of
from amiss.video.worker._process import is_used, run


def check_video(path: str | os.PathLike[str]) -> VideoCheck:
    """Decode a whole file, or folder of pictures, without making pictures of it.

    Raises:
        VideoError: it can't be read, nothing in it can be decoded, or not be shown in RGB; or it ends the process that
            decodes it.
    """
    if not is_used():
        return _reader.check_video(path)
    (end,) = run({"do": "check"}, path, 0)
    return VideoCheck(times_of(end), end.values["problem"])


def read_stated(path: str | os.PathLike[str]) -> StatedLength:
    """What a video states of its length, and its rate.

    Raises:
        VideoError: it is missing, or not even its first frame can be decoded; or it ends the process that decodes it.
    """
    if not is_used():
        return _reader.read_stated(path)
    (end,) = run({"do": "stated"}, path, 0)
    return StatedLength(**end.values)
