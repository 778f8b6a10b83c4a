"""A video file as if it were a camera."""

import uuid
from collections.abc import Callable, Generator
from contextlib import closing
from datetime import datetime
from pathlib import Path

from amiss.errors import VideoError
from amiss.video._decode import open_video
from amiss.video._redact import showable
from amiss.video._source_settings import SourceSettings
from amiss.video.live._address import Address
from amiss.video.live._decoding import LiveDecoder
from amiss.video.live._errors import words_of
from amiss.video.live._items import LiveFrame, LiveItem
from amiss.video.live._source import LiveSource
from amiss.video.live._timeline import MediaTimeline, utc_now


class ReplaySource(LiveSource):
    """One file, once or in a loop, at its own speed, another, or as fast as it is consumed.

    Args:
        address: of the kind `replay`.
        settings: how it is read.
        threads: decoder threads.
        with_packets: give encoded packets too.
        wall: the wall clock, aware: when the first frame is said to be.

    Raises:
        VideoError: while it is iterated: the file can't be read, or nothing in it can be decoded.
    """

    is_live = False

    def __init__(
        self,
        address: Address,
        settings: SourceSettings = SourceSettings(),  # noqa: B008  # frozen
        *,
        threads: int = 1,
        with_packets: bool = False,
        wall: Callable[[], datetime] = utc_now,
    ) -> None:
        decoder = LiveDecoder(
            MediaTimeline(), wall,
            height=settings.height, threads=threads, with_packets=with_packets, follows_clock=False,
        )  # fmt: skip
        super().__init__(address.shown, decoder)
        self._path, self._loops, self._speed = Path(address.where), address.loop, address.speed

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
