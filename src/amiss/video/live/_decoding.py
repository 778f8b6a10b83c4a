"""Encoded pictures to items of a live source: with times that strictly rise, in one size, counted."""

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from typing import cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from amiss.video._decode import STATES_DURATION, missing_at_end
from amiss.video._file_clock import FileClock, too_long
from amiss.video._packets import EncodedPacket, EncodedStream
from amiss.video._rgb import Image, RgbConverter
from amiss.video.live._errors import LostError
from amiss.video.live._items import LiveCounters, LiveFrame, LiveItem, LivePacket
from amiss.video.live._options import SourceOptions
from amiss.video.live._timeline import Timeline
from amiss.video.opening import FALLBACK_FPS, video_bounds

TIME_BASE = Fraction(1, 90_000)  # where the stream has none


class LiveDecoder:
    """Decodes all connections or files of one source, one after the other.

    Every connection has its own libav decoder, so nothing from before comes after. A change of the picture's size goes
    on in the first size.

    Args:
        timeline: gives times to frames.
        options: of the source.
        follows_clock: begin another connection where the wall clock is set.
    """

    def __init__(self, timeline: Timeline, options: SourceOptions, *, follows_clock: bool) -> None:
        self.counters = LiveCounters()
        self._timeline, self._options, self._follows_clock = timeline, options, follows_clock
        self._convert: RgbConverter | None = None
        self._copied: EncodedStream | None = None
        self._connection = 0
        self._file = ""

    def count(self, **more: int) -> None:
        """Add to the counters."""
        self.counters = replace(self.counters, **{k: getattr(self.counters, k) + n for k, n in more.items()})

    def begin(
        self, stream: VideoStream | None = None, *, file: str = "", new_size: bool = False, is_stamped: bool = True
    ) -> None:
        """A connection, or a file, begins.

        Args:
            stream: its pictures; None: they come from elsewhere, and go to `frame`.
            file: see LiveFrame.
            new_size: take on the size of its first picture.
            is_stamped: time stamps come with its pictures; else libav makes them up, and they are left aside.
        """
        self._file, self._copied, self._is_stamped = file, None, is_stamped
        self._connection += 1
        self._timeline.connect(self._options.wall(), time.monotonic())
        if new_size:
            self._convert = None
        if stream is not None:
            self._stream, self._time_base_s = stream, float(stream.time_base or 0)
            stream.thread_type = "AUTO"
            stream.codec_context.thread_count = self._options.threads

    def stamp_s(self, stamp: int | None) -> float | None:
        """A stamp on the stream's own clock, in seconds; None: it has none."""
        return None if stamp is None or not self._is_stamped else stamp * self._time_base_s

    def decode(self, packet: "Packet[VideoStream]") -> list[av.VideoFrame] | None:
        """The pictures that a packet completes; None where it is damaged."""
        try:
            return self._stream.codec_context.decode(packet)
        except av.FFmpegError:
            self.count(damaged=1)
            return None

    def forget(self) -> None:
        """Packets are left out: those that come have nothing to do with those that were decoded."""
        self._stream.codec_context.flush_buffers()

    def frame(
        self,
        picture: av.VideoFrame,
        stamp_s: float | None = None,
        file_s: float | None = None,
        *,
        came_s: float | None = None,
    ) -> LiveFrame:
        """A picture as a frame with its time.

        Args:
            picture: decoded, or made by `av.VideoFrame.from_ndarray`.
            stamp_s: on the stream's own clock; None: it was taken when it came.
            file_s: see LiveFrame.
            came_s: when it came, on `time.monotonic()`; None: now.

        Raises:
            VideoError: pictures of this kind can't be converted.
        """
        if self._convert is None:
            self._convert = RgbConverter(picture, self._options.settings.height, video_bounds().clip_pixels)
        return self.shown(self._convert(picture), stamp_s, file_s, came_s=came_s)

    def shown(
        self, image: Image, stamp_s: float | None = None, file_s: float | None = None, *, came_s: float | None = None
    ) -> LiveFrame:
        """A converted picture [H, W, 3] as a frame with its time; for the rest as `frame`."""
        now_s = time.monotonic()
        if self._follows_clock and self._timeline.was_set(self._options.wall(), now_s):
            self._connection += 1
        time_, mono_s = self._timeline.at(stamp_s, now_s if came_s is None else came_s)
        self.count(frames=1)
        return LiveFrame(self.counters.frames - 1, time_, mono_s, image, self._connection, self._file, file_s)

    @property
    def drift(self) -> float | None:
        """See LiveSource."""
        return self._timeline.drift

    def now(self) -> datetime:
        """The time of a packet: that of the last frame, or when the connection or file began."""
        return self._timeline.latest or self._options.wall()

    def packets(self, packet: "Packet[VideoStream]") -> Iterator[LivePacket]:
        """The packet as an item, if packets are wanted and those since a keyframe are there."""
        if not self._options.with_packets:
            return
        size = self._stream.codec_context.width, self._stream.codec_context.height
        data = bytes(packet)
        if self._copied is None or (self._copied.width, self._copied.height) != size:
            if not packet.is_keyframe:
                return
            self._copied = None
            with suppress(ValueError, av.FFmpegError):  # of a codec that can't be copied
                self._copied = EncodedStream(self._stream, size, data)
            if self._copied is None:
                return
        stamps = (packet.pts, packet.dts, packet.duration or 0, packet.time_base or TIME_BASE)
        if not self._is_stamped:
            stamps = (None, None, 0, TIME_BASE)
        yield LivePacket(self._copied, EncodedPacket(data, self.now(), packet.is_keyframe, *stamps))

    def file_items(
        self, container: InputContainer, stop: threading.Event
    ) -> Generator[LiveItem, None, LostError | None]:
        """What is in a file, after `begin`; returns why the rest of it can't be read, if it can't.

        Args:
            container: the file.
            stop: ends it.
        """
        rate = self._stream.average_rate or self._stream.guessed_rate
        clock = FileClock(container, self._stream, float(rate or FALLBACK_FPS))
        n_before, others_end_s = self.counters.frames, 0.0
        try:
            for packet in _file_packets(container):
                if stop.is_set():
                    return None
                if packet.stream_index != self._stream.index:
                    others_end_s = max(others_end_s, _end_s(packet))
                    continue
                if not packet.size:
                    continue
                if (pictures := self.decode(packet)) is None:
                    continue
                if packet.is_corrupt or any(picture.is_corrupt for picture in pictures):
                    self.count(damaged=1)
                yield from self.packets(packet)
                for picture in pictures:
                    frame = self._file_frame(picture, clock)
                    if clock.is_too_long:
                        return LostError(too_long())
                    yield frame
        except LostError as error:
            self.count(damaged=1)
            return error
        with suppress(av.FFmpegError):  # the last pictures
            for picture in self._stream.codec_context.decode(None):
                yield self._file_frame(picture, clock)
        is_stated = container.format.name in STATES_DURATION
        n_stated = self._stream.frames
        missing = missing_at_end(
            clock,
            self.counters.frames - n_before,
            float(rate or FALLBACK_FPS),
            n_stated / float(rate) if n_stated and rate else None,
            others_end_s if is_stated else None,
        )
        return LostError(missing) if missing else None

    def _file_frame(self, picture: av.VideoFrame, clock: FileClock) -> LiveFrame:
        time_s = clock.at(picture)
        return self.frame(picture, time_s - clock.gaps_s, time_s)


def _end_s(packet: "Packet[VideoStream]") -> float:
    return 0.0 if packet.pts is None else float((packet.pts + (packet.duration or 0)) * packet.time_base)


def _file_packets(container: InputContainer) -> "Iterator[Packet[VideoStream]]":
    try:
        for packet in container.demux():
            yield cast("Packet[VideoStream]", packet)
    except av.FFmpegError as error:
        raise LostError(error.strerror or type(error).__name__) from error
