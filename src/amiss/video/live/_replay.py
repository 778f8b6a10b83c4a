"""A video file as if it were a camera."""

import math
import os
import uuid
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from urllib.parse import parse_qsl, unquote_to_bytes

from amiss.errors import UsageError, VideoError
from amiss.video._decode import open_video
from amiss.video._redact import redact, showable
from amiss.video.live._errors import words_of
from amiss.video.live._items import LiveFrame, LiveItem
from amiss.video.live._options import SourceOptions
from amiss.video.live._source import LiveSource


class ReplaySource(LiveSource):
    """One file, `replay:FILE?loop=1&speed=1`: once or in a loop, at its own speed, another, or as fast as it is
    consumed (speed 0).

    Raises:
        VideoError: while it is iterated: the file can't be read, or nothing in it can be decoded.
    """

    form = "replay:FILE[?loop=1&speed=1]"
    is_live = False

    def __init__(self, url: str, options: SourceOptions = SourceOptions()) -> None:  # noqa: B008  # frozen
        super().__init__(url, options)
        self._path, self._loops, self._speed = _parts(url)

    def _items(self) -> Generator[LiveItem, None, str]:
        while not self._stop.is_set():
            frames = self.counters.frames
            yield from self._play()
            if self.counters.frames == frames and not self._stop.is_set():
                raise VideoError(showable(f"{self._path}: no frame can be decoded"))
            if not self._loops:
                return "end of file"
        return ""

    def _play(self) -> Generator[LiveItem, None, None]:
        try:
            container, stream = open_video(self._path)
        except (OSError, VideoError) as error:
            raise VideoError(showable(words_of(error, self._path))) from None
        # Seconds into a loop say nothing; what is read once more has other events than before.
        file = "" if self._loops else f"{showable(self._path.name)} replayed {uuid.uuid4().hex}"
        self._decoder.begin(stream, file=file)
        with container, closing(self._decoder.file_items(container, self._stop, self._speed)) as items:
            for item in items:
                if isinstance(item, LiveFrame) and self._last.state != "running":
                    yield self._state("running", f"{stream.codec_context.width}x{stream.codec_context.height}")
                yield item


def _parts(url: str) -> tuple[Path, bool, float]:
    """File, whether it is looped, speed."""
    path, _, query = url.partition(":")[2].partition("?")
    if not path:
        raise UsageError(f"{redact(url)!r} has no file; the form is {ReplaySource.form}")
    given = dict(parse_qsl(query, keep_blank_values=True))
    loop, speed = given.pop("loop", "0"), given.pop("speed", "1")
    try:
        speed_x = float(speed)
    except ValueError:
        speed_x = math.nan
    if given or loop not in ("0", "1") or not 0 <= speed_x < math.inf:
        raise UsageError(f"{redact(url)}: after the ? come loop=0|1 and speed=NUMBER (0: as fast as it can be scored)")
    path = path.removeprefix("//") if path.startswith("///") else path
    if "%" in path and not Path(path).exists():
        path = os.fsdecode(unquote_to_bytes(os.fsencode(path)))  # a name may be no text
    return Path(path), loop == "1", speed_x
