"""What a file's name and header tell of a recording: when it began, and whether a browser plays it."""

import os
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from amiss.storage import located
from amiss.video._decode import open_video
from amiss.video._packets import FIRST_PICTURE
from amiss.video._pictures import open_decoder

_EARLIEST = 1990  # clocks that nobody set tell 1904, 1970 or 1980
_IN_NAME = re.compile(
    r"(?<!\d)(\d{4})([-_.]?)(\d\d)\2(\d\d)"  # 2024-03-01, 20240301
    r"(?:[-_ .]{1,3}|T)?"
    r"(\d\d)([-_.:h]?)(\d\d)(?:\6|m)(\d\d)(?!\d)"  # 12-30-05, 12h30m05, 123005
)
_PLAYED = {
    "mov,mp4,m4a,3gp,3g2,mj2": frozenset({"h264", "vp9", "av1"}),
    "matroska,webm": frozenset({"vp8", "vp9", "av1"}),
}
"""Container → codecs that the usual browsers play in it."""
_PLAYED_PIXELS = frozenset({"yuv420p", "yuvj420p"})


@dataclass(frozen=True)
class VideoHeader:
    """What is known of a video before it is decoded."""

    form: str
    """Codec and kind of file, such as `mpeg4 in .avi`."""
    plays_in_browsers: bool
    """Whether the usual browsers play it."""
    offset_s: float
    """Where a player's clock is at the first picture: above 0 where the sound begins earlier."""
    started: datetime | None
    """When the recording began, in local time, without a zone; None where nothing tells."""
    started_from: Literal["file name", "header"] | None
    """What tells: a date and time in the file's name, else `creation_time` in its header."""
    first_picture: datetime | None = None
    """When the first picture was taken, exactly, aware, UTC: in clips that `amiss watch` recorded."""


def read_header(path: str | os.PathLike[str]) -> VideoHeader:
    """Read a video's header; nothing is decoded.

    Raises:
        VideoError: missing, empty, not a video, or of an unknown codec.
    """
    file = located(path)
    if file.is_dir():
        open_decoder(file).close()
        return VideoHeader("pictures in a folder", False, 0.0, None, None)
    container, stream = open_video(file)
    with container:
        kind, codec, pixels = container.format.name, stream.codec_context.name, stream.codec_context.pix_fmt
        is_webm = kind != "matroska,webm" or file.suffix.lower() == ".webm"  # few browsers open .mkv
        plays = codec in _PLAYED.get(kind, ()) and pixels in _PLAYED_PIXELS and is_webm
        offset_s = 0.0
        if stream.start_time is not None and stream.time_base and container.start_time is not None:
            offset_s = max(0.0, float(stream.start_time * stream.time_base) - container.start_time / 1e6)
        stated = container.metadata.get("creation_time") or stream.metadata.get("creation_time")
        comment = container.metadata.get("comment", "")
    by_name, by_header = start_in_name(file.stem), _in_header(stated)
    return VideoHeader(
        form=f"{codec} in {file.suffix or kind}",
        plays_in_browsers=plays,
        offset_s=offset_s,
        started=by_name or by_header,
        started_from="file name" if by_name else "header" if by_header else None,
        first_picture=_first_picture(comment),
    )


def start_in_name(name: str) -> datetime | None:
    """A date and time in the name of a recording, such as `2024-03-01_12-30-05` or `ch01_20240301123005`."""
    for found in _IN_NAME.finditer(name):
        year, _, month, day, hour, _, minute, second = found.groups()
        try:
            time = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second))
        except ValueError:  # digits that are no date
            continue
        if _EARLIEST <= time.year <= datetime.now().year + 1:
            return time
    return None


def _first_picture(comment: str) -> datetime | None:
    if not comment.startswith(FIRST_PICTURE):
        return None
    try:
        time = datetime.fromisoformat(comment.removeprefix(FIRST_PICTURE))
    except ValueError:
        return None
    return time if time.tzinfo else None


def _in_header(stated: str | None) -> datetime | None:
    try:
        time = datetime.fromisoformat(stated) if stated else None
        local = time and time.astimezone().replace(tzinfo=None)  # headers tell UTC, and say so
    except (ValueError, OverflowError, OSError):
        return None
    return local if local and local.year >= _EARLIEST else None
