"""Live sources: cameras, streams and files as if live, for ever, as frames with times that strictly rise."""

import random as random_module
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from amiss.errors import VideoError
from amiss.video._backoff import Backoff
from amiss.video._convert import RgbConverter
from amiss.video._decode import open_video
from amiss.video._live_errors import LostError, StalledError, is_read_error
from amiss.video._live_inputs import POLL_S, Address, DropBox, parse_address, showable
from amiss.video._live_types import FileFate, LiveCounters, LiveFrame, SourceState
from amiss.video._packets import EncodedPacket, EncodedStream
from amiss.video._redact import redact
from amiss.video._source_settings import SourceSettings
from amiss.video._timeline import LONGEST_FRAME_S, FileSeconds, MediaTimeline, Timeline, utc_now

LAG_S = 5.0  # a consumer that is further behind skips to a keyframe
IDLE = "waiting for files"
STEADY_S = 10.0  # a connection that gave frames for so long was good: the next wait is short again


class LiveSource:
    """Frames of a camera, reconnecting for ever; also of files as if live. Iterate it in one thread.

    Addresses: `rtsp://` and `rtsps://`, `http://` and `https://` (MPEG-TS, HLS, MJPEG), `device:0` or `/dev/video0`,
    `replay:FILE?loop=1&speed=1` (a file as if it were a camera; speed 0: as fast as it is consumed), `folder:DIR` (each
    finished file once, oldest first, see DropBox).

    States: `connecting` → `running` → (`stalled` →) `reconnecting` → `running` …, and `stopped` at last. A camera that
    gives no picture for `read_timeout_s` is stalled and is connected to anew. Every connection has its own decoder, so
    nothing from before comes after. Where the consumer is more than 5 s behind a camera, pictures up to the next
    timely keyframe are left out and counted. A change of the picture's size goes on in the first size.

    Sound is not read. libav's own messages, which have addresses in them, are never printed.

    Args:
        url: the address.
        settings: how it is read.
        backoff: waits between attempts.
        threads: decoder threads; more than one delay frames.
        on_state: called with state and reason at every change, in the iterating thread; without credentials.
        on_packet: called with every encoded packet before its frames are given; a new stream object begins with every
            connection and every change of size.
        once: of a folder: end when no file is left, instead of waiting for more.
        on_file_begin: of a folder: called with a file's name before it is opened, in the iterating thread.
        on_file_end: of a folder: called after a file's last frame, in the iterating thread, with its name, what was
            wrong with it ("": nothing) and what should become of it. It says what becomes of it, see FileFate.
        wall: the wall clock, aware.
        monotonic: the monotonic clock in seconds.
        random: 0..1, for the jitter.

    Raises:
        UsageError: the address has no known form.
    """

    def __init__(
        self,
        url: str,
        settings: SourceSettings = SourceSettings(),  # noqa: B008  # frozen
        *,
        backoff: Backoff = Backoff(),  # noqa: B008  # frozen
        threads: int = 1,
        on_state: Callable[[SourceState, str], None] | None = None,
        on_packet: Callable[[EncodedStream, EncodedPacket], None] | None = None,
        once: bool = False,
        on_file_begin: Callable[[str], None] = lambda name: None,
        on_file_end: Callable[[str, str, FileFate], FileFate] = lambda name, problem, fate: fate,
        wall: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        self._address: Address = parse_address(url, settings.transport)
        self.name = self._address.shown
        """The address without credentials."""
        self.state: SourceState = "connecting"
        self.reason = ""
        self.counters = LiveCounters()
        self.lag_s = 0.0
        """How old the last frame was when it was decoded."""
        self._timeouts = settings.open_timeout_s, settings.read_timeout_s
        self._backoff, self._height, self._threads = backoff, settings.height, threads
        self._on_state, self._on_packet = on_state, on_packet
        self._on_file_begin, self._on_file_end = on_file_begin, on_file_end
        self._once = once
        self._file_key = ""
        self._wall, self._monotonic, self._random = wall, monotonic, random
        pause_s = LONGEST_FRAME_S if self._address.kind == "folder" else 0.0  # no clip reaches into the next file
        self._timeline = Timeline() if self.is_live else MediaTimeline(pause_s)
        self._convert: RgbConverter | None = None
        self._connection = 0
        self._connected_s = 0.0
        self._ran = False
        self._stop = threading.Event()

    @property
    def is_live(self) -> bool:
        """Whether time passes without the consumer: False for files, which wait."""
        return self._address.kind in ("network", "device")

    def stop(self) -> None:
        """End the iteration at its next step; one that waits for a silent camera ends within its timeout."""
        self._stop.set()

    def __iter__(self) -> Iterator[LiveFrame]:
        self._set("connecting", "")
        try:
            if self._address.kind == "replay":
                yield from self._replay()
            elif self._address.kind == "folder":
                yield from self._folder()
            else:
                yield from self._camera()
        finally:
            if self.state != "stopped":
                self._set("stopped", "")

    def _set(self, state: SourceState, reason: str) -> None:
        self.state, self.reason = state, showable(redact(reason))
        if self._on_state is not None:
            self._on_state(state, self.reason)

    def _count(self, **more: int) -> None:
        self.counters = replace(self.counters, **{k: getattr(self.counters, k) + n for k, n in more.items()})

    def _camera(self) -> Iterator[LiveFrame]:
        attempt = 0
        while not self._stop.is_set():
            lost = ""
            self._ran = False
            began_s = self._monotonic()
            try:
                with self._open() as container:
                    yield from self._pictures(container, _main_stream(container))
                lost = "the stream ended"
            except LostError as error:
                lost = str(error)
                if error.stalled:
                    self._count(stalls=1)
                    self._set("stalled", lost)
            if self._stop.is_set():
                return
            self._count(reconnects=1)
            attempt = 1 if self._ran and self._monotonic() - began_s >= STEADY_S else attempt + 1
            wait_s = self._backoff.wait_s(attempt, self._random)
            self._set("reconnecting", f"{lost}; next attempt in {wait_s:.1f} s")
            self._stop.wait(wait_s)

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

    def _words(self, error: av.FFmpegError, timeout_s: float, before: str = "") -> str:
        if isinstance(error, av.error.ExitError):
            return f"{before}no answer within {timeout_s:g} s"
        hint = ""
        if "@" in self._address.where.partition("//")[2].partition("/")[2]:
            hint = " (in a password, / is written %2F and @ is written %40)"
        return f"{before}{error.strerror or type(error).__name__}{hint}"

    def _begin(self) -> None:
        self._connection += 1
        self._connected_s = self._monotonic()
        self._timeline.connect(self._wall(), self._connected_s)

    def _pictures(
        self, container: InputContainer, stream: VideoStream, pace: Callable[[float], None] | None = None
    ) -> Iterator[LiveFrame]:
        """Decode until the stream ends or is lost."""
        self._begin()
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = self._threads
        time_base = float(stream.time_base or 0)
        seconds = (
            FileSeconds(float(rate) if (rate := stream.average_rate or stream.guessed_rate) else None)
            if not self.is_live
            else None
        )
        copied: EncodedStream | None = None
        now_s = last_picture_s = self._monotonic()
        skipping = False
        for packet in self._packets(container):
            now_s = self._monotonic()
            if self._stop.is_set():
                return
            if self.is_live and now_s - last_picture_s > self._timeouts[1]:
                raise StalledError(f"no picture for {self._timeouts[1]:g} s, though data comes")
            if packet.stream_index != stream.index or not packet.size:
                continue
            stamp = packet.dts if packet.dts is not None else packet.pts
            if pace is not None and stamp is not None and seconds is not None:
                pace(seconds.peek(stamp * time_base))
            if skipping and self.is_live:
                lag_s = self._timeline.lag_s((stamp or 0) * time_base, now_s)
                skipping = not packet.is_keyframe or lag_s > LAG_S / 2
                last_picture_s = now_s
            if not skipping:
                try:
                    pictures = stream.codec_context.decode(packet)
                except av.FFmpegError:
                    self._count(damaged=1)
                    continue
                if seconds is not None and (packet.is_corrupt or any(picture.is_corrupt for picture in pictures)):
                    self._count(damaged=1)
            else:
                self._count(dropped=1)
                pictures = []
            if self._on_packet is not None:
                copied = self._hand_on(packet, stream, copied)
            for picture in pictures:
                last_picture_s = now_s
                stamp_s = None if picture.pts is None else picture.pts * time_base
                if seconds is not None:
                    stamp_s = seconds.of(stamp_s)
                yield self._frame(picture, stamp_s)
            if self.is_live and not skipping and self.lag_s > LAG_S:
                skipping = True
                stream.codec_context.flush_buffers()
        if seconds is not None:  # a file's last pictures; those of a lost camera would be late
            with suppress(av.FFmpegError):
                for picture in stream.codec_context.decode(None):
                    yield self._frame(picture, seconds.of(None if picture.pts is None else picture.pts * time_base))

    def _packets(self, container: InputContainer) -> "Iterator[Packet[VideoStream]]":
        try:
            for packet in container.demux():
                yield cast("Packet[VideoStream]", packet)
        except av.error.ExitError as error:
            raise StalledError(f"no data for {self._timeouts[1]:g} s") from error
        except av.FFmpegError as error:
            before = "connection lost: " if self.is_live else ""
            raise LostError(self._words(error, self._timeouts[1], before)) from error

    def _frame(self, picture: av.VideoFrame, stamp_s: float | None) -> LiveFrame:
        now_s = self._monotonic()
        if self.is_live and self._timeline.was_set(self._wall(), now_s):
            self._connection += 1
        time_, mono_s = self._timeline.at(stamp_s, now_s)
        self.lag_s = max(0.0, now_s - mono_s)
        if self._convert is None:
            self._convert = RgbConverter(picture, self._height)
        image = self._convert(picture)
        if self.state != "running":
            self._set("running", f"{picture.width}x{picture.height}")
        self._ran = True
        self._count(frames=1)
        return LiveFrame(self.counters.frames - 1, time_, mono_s, image, self._connection, self._file_key)

    def _hand_on(
        self, packet: "Packet[VideoStream]", stream: VideoStream, copied: EncodedStream | None
    ) -> EncodedStream | None:
        size = stream.codec_context.width, stream.codec_context.height
        data = bytes(packet)
        if copied is None or (copied.width, copied.height) != size:
            if not packet.is_keyframe:
                return copied
            try:
                copied = EncodedStream(stream, size, data)
            except (ValueError, av.FFmpegError):
                return None
        time_ = self._timeline.latest or self._wall()
        assert self._on_packet is not None
        self._on_packet(
            copied,
            EncodedPacket(data, time_, packet.is_keyframe, packet.pts, packet.dts, packet.duration or 0,
                          packet.time_base or Fraction(1, 90_000)),
        )  # fmt: skip
        return copied

    def _replay(self) -> Iterator[LiveFrame]:
        path = Path(self._address.where)
        while not self._stop.is_set():
            try:
                container, stream = open_video(path)
            except (OSError, VideoError) as error:
                problem = showable(_words_of(error, path))
                self._set("stopped", problem)
                raise VideoError(problem) from None
            if not self._address.loop:  # seconds into a loop say nothing
                self._file_key = f"{showable(path.name)} replayed {uuid.uuid4().hex}"  # its events are new ones
            before = self.counters.frames
            with container:
                yield from self._file(container, stream, self._address.speed)
            if self.counters.frames == before and not self._stop.is_set():
                raise VideoError(showable(f"{path}: no frame can be decoded"))
            if not self._address.loop:
                self._set("stopped", "end of file")
                return

    def _file(
        self, container: InputContainer, stream: VideoStream, speed: float
    ) -> Generator[LiveFrame, None, LostError | None]:
        """Its frames; returns why the rest of it can't be read, if it can't."""
        began_s = self._monotonic()

        def pace(media_s: float) -> None:
            self._stop.wait(max(0.0, began_s + media_s / speed - self._monotonic()))

        try:
            yield from self._pictures(container, stream, pace if speed else None)
        except LostError as error:
            self._count(damaged=1)
            return error
        return None

    def _folder(self) -> Iterator[LiveFrame]:
        box = DropBox(Path(self._address.where))
        attempt = 0
        while not self._stop.is_set():
            try:
                for path, self._file_key in box.finished():
                    name = showable(path.name)
                    self._on_file_begin(name)
                    problem, is_unread = yield from self._dropped_file(path, name)
                    if self._stop.is_set():
                        return
                    if problem:
                        self._set("running", f"{name}: {problem}")
                    fate: FileFate = "done"
                    if is_unread:  # is it the file, or has the whole folder gone?
                        fate = "skip" if box.still_has(path) else "again"
                    if (fate := self._on_file_end(name, problem, fate)) == "stop":
                        return
                    if fate == "again":
                        break
                    attempt = 0
                    box.remember(for_good=fate == "done")
            except OSError as error:
                if self._once and not box.was_read:
                    raise VideoError(f"{box.folder} can't be read: {error.strerror}") from None
                attempt += 1
                wait_s = self._backoff.wait_s(attempt, self._random)
                self._set("reconnecting", f"{error.filename or box.folder}: {error.strerror}; again in {wait_s:.1f} s")
                self._stop.wait(wait_s)
            else:
                if self._once and box.is_worked_off:
                    return
                if (self.state, self.reason) != ("running", IDLE):
                    self._set("running", IDLE)
                self._stop.wait(POLL_S)

    def _dropped_file(self, path: Path, name: str) -> Generator[LiveFrame, None, tuple[str, bool]]:
        """Its frames; returns what is wrong with it ("": nothing), and whether it, or its rest, couldn't be read."""
        frames, damaged = self.counters.frames, self.counters.damaged
        try:
            container, stream = open_video(path)
        except (OSError, VideoError) as error:
            self._count(damaged=1)
            problem = _words_of(error, path).removeprefix(str(path)).lstrip(": ")
            return problem, is_read_error(error) or is_read_error(error.__context__)
        self._set("running", name)
        self._convert = None  # every file has its own size
        try:
            with container:
                lost = yield from self._file(container, stream, speed=0)
        except VideoError as error:  # its pictures are of a kind that can't be converted
            self._count(damaged=1)
            return str(error), False
        if lost is not None:
            return f"it can't be read to its end: {lost}", is_read_error(lost.__cause__)
        if self.counters.frames == frames:
            return "no frame can be decoded", False
        damaged = self.counters.damaged - damaged
        return f"{damaged} damaged packet{'s' if damaged > 1 else ''}" if damaged else "", False


def _words_of(error: OSError | VideoError, path: Path) -> str:
    return f"{path} can't be read: {error.strerror}" if isinstance(error, OSError) else str(error)


def _main_stream(container: InputContainer) -> VideoStream:
    streams = [s for s in container.streams.video if getattr(s, "codec_context", None) is not None]
    if not streams:
        raise LostError("there is no video in the stream")
    best = container.streams.best("video")
    return best if isinstance(best, VideoStream) and best in streams else streams[0]
