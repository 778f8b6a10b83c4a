"""A camera or a stream: connected to anew for ever."""

import platform
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from amiss.errors import UsageError
from amiss.video._redact import redact
from amiss.video.live._errors import LostError, StalledError
from amiss.video.live._items import LiveItem
from amiss.video.live._options import SourceOptions
from amiss.video.live._receiver import PacketReceiver
from amiss.video.live._source import LiveSource
from amiss.video.opening import accelerator, not_accelerated

LAG_S = 5.0  # a consumer for whom pictures wait longer skips to a keyframe
POLL_S = 0.25
_NO_TIMESTAMPS = 0x0080  # libav's AVFMT_NOTIMESTAMPS
STEADY_S = 10.0  # a connection that gave frames for so long was good: the next wait is short again


@dataclass(frozen=True)
class _Input:
    """What libav is told."""

    where: str
    format: str | None = None
    options: dict[str, str] = field(default_factory=dict)


class CameraSource(LiveSource):
    """A camera or a stream: `rtsp://`, `rtsps://`, `http://`, `https://` (MPEG-TS, HLS, MJPEG), `device:0`,
    `/dev/video0`.

    One that gives no picture for `read_timeout_s`, whatever else it sends, is stalled and is connected to anew. Every
    connection has its own decoder, so nothing from before comes after. Where pictures that came wait for the consumer
    for more than 5 s, those up to the next timely keyframe are left out and counted; packets are not. A change of the
    picture's size goes on in the first size.
    """

    form = "rtsp://…, rtsps://…, http://…, https://…, device:0"
    is_live = True

    def __init__(self, url: str, options: SourceOptions = SourceOptions()) -> None:  # noqa: B008  # frozen
        super().__init__(url, options)
        self._input = _input(url, options.settings.transport)
        self._timeouts = options.settings.open_timeout_s, options.settings.read_timeout_s
        self._receiver: PacketReceiver | None = None  # of the last connection

    @property
    def lag_s(self) -> float:
        """For how long the oldest picture that came has been waiting."""
        return self._receiver.waiting_s if self._receiver is not None else 0.0

    def _items(self) -> Generator[LiveItem, None, str]:
        attempt = 0
        while not self._stop.is_set():
            began_s = time.monotonic()
            frames = self.counters.frames
            try:
                with self._open() as container:
                    stream = _main_stream(container)
                    with PacketReceiver(self._packets(container), stream.index) as self._receiver:
                        self._decoder.begin(stream, is_stamped=_is_stamped(container))
                        yield from self._connection(self._receiver)
                break
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
            wait_s = self.options.backoff.wait_s(attempt)
            yield self._state("reconnecting", f"{lost}; next attempt in {wait_s:.1f} s")
            self._stop.wait(wait_s)
        return ""

    def _open(self) -> InputContainer:
        try:
            return av.open(
                self._input.where,
                format=self._input.format,
                options=self._input.options,
                timeout=self._timeouts,
                metadata_errors="replace",
                hwaccel=accelerator(),
            )
        except av.FFmpegError as error:
            raise LostError(self._words(error, self._timeouts[0], "can't connect: ")) from None
        except (OSError, ValueError) as error:
            raise LostError(f"can't connect: {error}") from None

    def _connection(self, receiver: PacketReceiver) -> Iterator[LiveItem]:
        """All of one connection, until it is lost or ends, which LostError says."""
        decoder, timeout_s = self._decoder, self._timeouts[1]
        is_running = is_skipping = False
        given_s = time.monotonic()  # when the consumer was done with the last picture
        while not self._stop.is_set():
            arrived = receiver.next(POLL_S)
            now_s = time.monotonic()
            if now_s - given_s > timeout_s:
                if now_s - receiver.heard_s > timeout_s:
                    raise StalledError(f"no data for {timeout_s:g} s")
                raise StalledError(f"no picture for {timeout_s:g} s, though data comes")
            if arrived is None:
                continue
            packet, lag_s = arrived.packet, now_s - arrived.at_s
            if is_skipping:
                is_skipping = not packet.is_keyframe or lag_s > LAG_S / 2
            elif lag_s > LAG_S:
                is_skipping = True
                decoder.forget()
            if is_skipping:
                decoder.count(dropped=1)
                yield from decoder.packets(packet)
                continue
            if (pictures := decoder.decode(packet)) is None:
                continue
            yield from decoder.packets(packet)
            for picture in pictures:
                frame = decoder.frame(picture, decoder.stamp_s(picture.pts), came_s=arrived.at_s)
                if not is_running:
                    is_running = True
                    yield self._state("running", f"{picture.width}x{picture.height}")
                yield frame
                given_s = time.monotonic()

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
        if "@" in self._input.where.partition("//")[2].partition("/")[2]:
            hint = " (in a password, / is written %2F and @ is written %40)"
        return f"{before}{error.strerror or type(error).__name__}{hint}"


def _is_stamped(container: InputContainer) -> bool:
    """Whether time stamps come with the pictures; else libav makes them up from a rate that it supposes."""
    return not (container.format.flags & _NO_TIMESTAMPS or container.format.name.endswith("_pipe"))


def _main_stream(container: InputContainer) -> VideoStream:
    streams = [s for s in container.streams.video if getattr(s, "codec_context", None) is not None]
    if not streams:
        raise LostError("there is no video in the stream")
    best = container.streams.best("video")
    stream = best if isinstance(best, VideoStream) and best in streams else streams[0]
    if (reason := not_accelerated(stream)) is not None:
        raise LostError(reason)
    return stream


def _input(url: str, transport: str) -> _Input:
    scheme, _, rest = url.partition(":")
    scheme = scheme.lower()
    if url.startswith("/dev/"):
        return _device(url)
    if scheme == "device" and rest:
        return _device(rest)
    if not rest.startswith("//") or len(rest) < 3:
        raise UsageError(f"{redact(url)!r} is no address of a camera; known forms are {CameraSource.form}")
    if any(c.isspace() or c in '"<>' or not c.isprintable() for c in url):
        raise UsageError(f"{redact(url)}: an address has no blanks, quotes or brackets; write them as %20, %22, …")
    # A stream (an HLS playlist, a redirect) must not make libav read local files.
    if scheme in ("http", "https"):
        return _Input(url, None, {"protocol_whitelist": "http,https,httpproxy,tcp,tls,crypto,data"})
    return _Input(
        url,
        None,
        {
            "rtsp_transport": transport,
            "allowed_media_types": "video",
            "protocol_whitelist": "rtsp,rtsps,rtp,udp,tcp,tls,crypto,http,https",
        },
    )


def _device(name: str) -> _Input:
    if platform.system() == "Linux":
        return _Input(f"/dev/video{name}" if name.isdigit() else name, "v4l2")
    if platform.system() == "Darwin":
        return _Input(f"{name}:none", "avfoundation", {"framerate": "30"})
    return _Input(name if name.startswith("video=") else f"video={name}", "dshow")
