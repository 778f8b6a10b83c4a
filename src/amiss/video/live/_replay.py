"""A video file as if it were a camera."""

import math
import os
import time
import uuid
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import parse_qsl, unquote_to_bytes

from amiss.errors import UsageError, VideoError, showable
from amiss.video._redact import redact
from amiss.video.live._files import open_file
from amiss.video.live._items import LiveFrame, LiveItem
from amiss.video.live._options import SourceOptions
from amiss.video.live._source import LiveSource
from amiss.video.opening import PictureFolder


class ReplaySource(LiveSource):
    """One file or folder of numbered pictures, `replay:FILE?loop=1&speed=1&fps=25`: once or in a loop, at its own
    speed, another, or as fast as it is consumed (speed 0). `fps` is the rate of pictures, which don't tell it.

    Raises:
        VideoError: while it is iterated: the file can't be read, or nothing in it can be decoded.
    """

    form = "replay:FILE[?loop=1&speed=1&fps=25]"
    is_live = False

    def __init__(self, url: str, options: SourceOptions = SourceOptions()) -> None:  # noqa: B008  # frozen
        super().__init__(url, options)
        self._path, self._loops, self._speed, self._fps = _parts(url)

    def _items(self) -> Generator[LiveItem, None, str]:
        while not self._stop.is_set():
            frames = self.counters.frames
            try:
                yield from self._play()
            except VideoError as error:  # a name may be anything
                raise type(error)(showable(str(error))) from error
            if self.counters.frames == frames and not self._stop.is_set():
                raise VideoError(showable(f"{self._path}: no frame can be decoded"))
            if not self._loops:
                return "end of file"
        return ""

    def _play(self) -> Generator[LiveItem, None, None]:
        path = PictureFolder(self._path, self._fps) if self._path.is_dir() else self._path
        with closing(open_file(path, self._decoder, self.options, self._stop)) as file:
            for item in self._paced(file.items(self._reading())):
                if isinstance(item, LiveFrame) and self._last.state != "running":
                    yield self._state("running", file.size)
                yield item

    def _paced(self, items: Iterator[LiveItem]) -> Iterator[LiveItem]:
        """Each frame when it is due, and nothing more after `stop`."""
        began: tuple[float, float] | None = None  # now, and the time of the first frame
        for item in items:
            if isinstance(item, LiveFrame) and self._speed:
                now_s = time.monotonic()
                began = began or (now_s, item.monotonic_s)
                self._stop.wait(max(0.0, began[0] + (item.monotonic_s - began[1]) / self._speed - now_s))
            if self._stop.is_set():
                return
            yield item

    def _reading(self) -> str:
        """What tells this reading from others."""
        if self._loops:  # seconds into a loop say nothing
            return ""
        return f"{showable(self._path.name)} replayed {self.options.reading or uuid.uuid4().hex}"


def _parts(url: str) -> tuple[Path, bool, float, float]:
    """File, whether it is looped, speed, pictures per second."""
    path, _, query = url.partition(":")[2].partition("?")
    if not path:
        raise UsageError(f"{redact(url)!r} has no file; the form is {ReplaySource.form}")
    given = dict(parse_qsl(query, keep_blank_values=True))
    loop, speed, fps = given.pop("loop", "0"), given.pop("speed", "1"), given.pop("fps", "25")
    try:
        speed_x, fps_x = float(speed), float(fps)
    except ValueError:
        speed_x = fps_x = math.nan
    if given or loop not in ("0", "1") or not (0 <= speed_x < math.inf and 0 < fps_x < math.inf):
        raise UsageError(
            f"{redact(url)}: after the ? come loop=0|1, speed=NUMBER (0: as fast as it can be scored) and fps=NUMBER "
            "(of pictures in a folder)"
        )
    path = path.removeprefix("//") if path.startswith("///") else path
    if "%" in path and not Path(path).exists():
        path = os.fsdecode(unquote_to_bytes(os.fsencode(path)))  # a name may be no text
    return Path(path), loop == "1", speed_x, fps_x
