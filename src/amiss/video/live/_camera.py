"""A camera or a stream: connected to anew for ever."""

import time
from collections.abc import Callable, Generator, Iterator
from datetime import datetime
from typing import cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from amiss.video._backoff import Backoff
from amiss.video._source_settings import SourceSettings
from amiss.video.live._address import Address
from amiss.video.live._decoding import LiveDecoder
from amiss.video.live._errors import LostError, StalledError
from amiss.video.live._items import LiveItem
from amiss.video.live._source import LiveSource
from amiss.video.live._timeline import Timeline, utc_now

LAG_S = 5.0  # a consumer that is further behind skips to a keyframe
STEADY_S = 10.0  # a connection that gave frames for so long was good: the next wait is short again


class CameraSource(LiveSource):
    """A camera or a stream.

    One that gives no picture for `read_timeout_s` is stalled and is connected to anew. Every connection has its own
    decoder, so nothing from before comes after. Where the consumer is more than 5 s behind, pictures up to the next
    timely keyframe are left out and counted; packets are not. A change of the picture's size goes on in the first size.

    Args:
        address: of the kind `network` or `device`.
        settings: how it is read.
        backoff: waits between attempts.
        threads: decoder threads; more than one delay frames.
        with_packets: give encoded packets too.
        wall: the wall clock, aware.
    """

    is_live = True

    def __init__(
        self,
        address: Address,
        settings: SourceSettings = SourceSettings(),  # noqa: B008  # frozen
        *,
        backoff: Backoff = Backoff(),  # noqa: B008  # frozen
        threads: int = 1,
        with_packets: bool = False,
        wall: Callable[[], datetime] = utc_now,
    ) -> None:
        decoder = LiveDecoder(
            Timeline(), wall,
            height=settings.height, threads=threads, with_packets=with_packets, follows_clock=True,
        )  # fmt: skip
        super().__init__(address.shown, decoder)
        self._address, self._backoff = address, backoff
        self._timeouts = settings.open_timeout_s, settings.read_timeout_s

    def _items(self) -> Generator[LiveItem, None, str]:
        attempt = 0
        while not self._stop.is_set():
            began_s = time.monotonic()
            frames = self.counters.frames
            try:
                with self._open() as container:
                    yield from self._connection(container, _main_stream(container))
                lost = "the stream ended"
            except LostError as error:
                lost = str(error)
                if error.stalled:
                    self._decoder.count(stalls=1)
                    yield self._state("stalled", lost)
            if self._stop.is_set():
                break
            self._decoder.count(reconnects=1)
            was_steady = self.counters.frames > frames and time.monotonic() - began_s >= STEADY_S
            attempt = 1 if was_steady else attempt + 1
            wait_s = self._backoff.wait_s(attempt)
            yield self._state("reconnecting", f"{lost}; next attempt in {wait_s:.1f} s")
            self._stop.wait(wait_s)
        return ""

    def _open(self) -> InputContainer:
        try:
            return av.open(
                self._address.where,
                format=self._address.format,
                options=self._address.options,
                timeout=self._timeouts,
                metadata_errors="replace",
            )
        except av.FFmpegError as error:
            raise LostError(self._words(error, self._timeouts[0], "can't connect: ")) from None
        except (OSError, ValueError) as error:
            raise LostError(f"can't connect: {error}") from None

    def _connection(self, container: InputContainer, stream: VideoStream) -> Iterator[LiveItem]:
        """All of one connection, until the stream ends or is lost."""
        decoder, timeout_s = self._decoder, self._timeouts[1]
        decoder.begin(stream)
        is_running = is_skipping = False
        last_picture_s = time.monotonic()
        for packet in self._packets(container):
            now_s = time.monotonic()
            if self._stop.is_set():
                return
            if now_s - last_picture_s > timeout_s:
                raise StalledError(f"no picture for {timeout_s:g} s, though data comes")
            if packet.stream_index != stream.index or not packet.size:
                continue
            if is_skipping:
                is_skipping = not packet.is_keyframe or decoder.lag_at(packet, now_s) > LAG_S / 2
                last_picture_s = now_s
            if is_skipping:
                decoder.count(dropped=1)
                yield from decoder.packets(packet)
                continue
            if (pictures := decoder.decode(packet)) is None:
                continue
            yield from decoder.packets(packet)
            for picture in pictures:
                last_picture_s = now_s
                frame = decoder.frame(picture, decoder.stamp_s(picture.pts))
                if not is_running:
                    is_running = True
                    yield self._state("running", f"{picture.width}x{picture.height}")
                yield frame
            if self.lag_s > LAG_S:
                is_skipping = True
                decoder.forget()

    def _packets(self, container: InputContainer) -> "Iterator[Packet[VideoStream]]":
        try:
            for packet in container.demux():
                yield cast("Packet[VideoStream]", packet)
        except av.error.ExitError as error:
            raise StalledError(f"no data for {self._timeouts[1]:g} s") from error
        except av.FFmpegError as error:
            raise LostError(self._words(error, self._timeouts[1], "connection lost: ")) from error

    def _words(self, error: av.FFmpegError, timeout_s: float, before: str) -> str:
        if isinstance(error, av.error.ExitError):
            return f"{before}no answer within {timeout_s:g} s"
        hint = ""
        if "@" in self._address.where.partition("//")[2].partition("/")[2]:
            hint = " (in a password, / is written %2F and @ is written %40)"
        return f"{before}{error.strerror or type(error).__name__}{hint}"


def _main_stream(container: InputContainer) -> VideoStream:
    streams = [s for s in container.streams.video if getattr(s, "codec_context", None) is not None]
    if not streams:
        raise LostError("there is no video in the stream")
    best = container.streams.best("video")
    return best if isinstance(best, VideoStream) and best in streams else streams[0]
