"""Encoded packets: kept for a while, and copied into files without decoding."""

import io
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import av
from av.video.stream import VideoStream

from amiss.errors import OutputError, VideoError
from amiss.files import atomic_path

# In fragments until it is finished, each on disk at once: a killed process leaves what plays.
OPTIONS = {"movflags": "hybrid_fragmented", "flush_packets": "1"}
FIRST_PICTURE = "first picture at "  # in the comment: MP4's own creation_time has whole seconds
CLOCK_AHEAD_S = 10  # a longer step between packets is a jump of the stream's clock
# codec: how far right and under which mask the first byte of a unit tells its kind, and the kinds that are meant
_PARAMETER_SETS: dict[str, tuple[int, int, set[int]]] = {"h264": (0, 0x1F, {7, 8}), "hevc": (1, 0x3F, {32, 33, 34})}


@dataclass(frozen=True)
class EncodedPacket:
    """One encoded picture as the camera sent it."""

    data: bytes
    """Of the codec."""
    time: datetime
    """Of about this picture: aware, UTC."""
    is_keyframe: bool
    """Whether a file can begin with it."""
    pts: int | None
    """When it is shown, on the stream's own clock, in units of `time_base`; None: not said."""
    dts: int | None
    """When it is decoded, likewise."""
    duration: int
    """For how long it is shown, likewise; 0: not said."""
    time_base: Fraction
    """Seconds."""


class EncodedStream:
    """What a file needs to know besides the packets. Outlives the connection that it came from.

    Args:
        source: the camera's stream, open.
        size: width and height, if they are no longer those of the source.
        keyframe: packet whose parameter sets replace those of the source (H.264 and H.265 send them again and again).
    """

    def __init__(self, source: VideoStream, size: tuple[int, int], keyframe: bytes = b"") -> None:
        self.codec = source.codec_context.name
        self.width, self.height = size
        # A container in memory, never written: it keeps the codec's parameters after the camera's own is closed.
        self._container = av.open(io.BytesIO(), "w", format="matroska")
        self.template = self._container.add_stream_from_template(source, opaque=True)
        if size != (source.codec_context.width, source.codec_context.height) or not source.codec_context.extradata:
            self.template.codec_context.extradata = parameter_sets(self.codec, keyframe) or None
        self.template.codec_context.width, self.template.codec_context.height = size


def parameter_sets(codec: str, packet: bytes) -> bytes:
    """The parameter sets in an H.264 or H.265 packet with start codes (Annex B), with start codes; empty if none."""
    if codec not in _PARAMETER_SETS or not packet.startswith((b"\0\0\1", b"\0\0\0\1")):
        return b""
    shift, mask, wanted = _PARAMETER_SETS[codec]
    units = [unit.rstrip(b"\0") for unit in packet.split(b"\0\0\1")[1:]]
    return b"".join(b"\0\0\0\1" + unit for unit in units if unit and unit[0] >> shift & mask in wanted)


class PacketWriter:
    """Copies packets into an MP4, which appears under its name when it is finished.

    Until then it lies beside it under a temporary name, in fragments that play as far as they were written. Times
    count from the first packet; where the stream's clock jumps or is missing, the times of receipt fill in. The file
    says when its first picture was taken, see `VideoHeader.first_picture`.

    Args:
        path: the file; its folder is made.
        stream: of the packets.

    Raises:
        VideoError: MP4 can't hold this codec.
        OutputError: the file can't be written (permissions, disk full).
    """

    def __init__(self, path: Path, stream: EncodedStream) -> None:
        self.path = path
        self.n_packets = 0
        self._last: EncodedPacket | None = None
        self._last_dts = -1
        self._shift = 0
        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(path))
            self._container = av.open(f"file:{temporary}", "w", format="mp4", options=OPTIONS)
            stack.callback(self._let_go)
            try:
                self._stream = self._container.add_stream_from_template(stream.template, opaque=True)
            except (ValueError, av.FFmpegError):
                raise VideoError(f"{stream.codec} video can't be copied into an MP4 file") from None
            self._stack = stack.pop_all()

    def write(self, packet: EncodedPacket) -> None:
        """Append a packet; the first must be a keyframe.

        Raises:
            OutputError: it can't be written.
        """
        if self._last is None:
            taken = packet.time.astimezone(UTC).isoformat()
            self._container.metadata.update(creation_time=taken, comment=f"{FIRST_PICTURE}{taken}")
        copy = av.Packet(packet.data)
        copy.dts, copy.pts = self._times(packet)
        copy.duration, copy.time_base, copy.is_keyframe = packet.duration, packet.time_base, packet.is_keyframe
        copy.stream = self._stream
        try:
            self._container.mux(copy)
        except (av.FFmpegError, ValueError) as error:
            raise self._error(error) from error
        self._last = packet
        self.n_packets += 1

    def _times(self, packet: EncodedPacket) -> tuple[int, int]:
        dts = packet.pts if packet.dts is None else packet.dts
        if self._last is None:
            self._shift = -(dts or 0)
            moved = 0
        else:
            ticks_per_s = 1 / packet.time_base
            moved = self._last_dts + 1 if dts is None else dts + self._shift
            if dts is None or not self._last_dts < moved <= self._last_dts + CLOCK_AHEAD_S * ticks_per_s:
                step_s = min((packet.time - self._last.time).total_seconds(), CLOCK_AHEAD_S)
                moved = self._last_dts + max(1, round(step_s * ticks_per_s))
                self._shift = moved - (dts or 0)
        self._last_dts = moved
        return moved, moved if packet.pts is None else max(moved, packet.pts + self._shift)

    def finish(self) -> None:
        """Complete the file and give it its name.

        Raises:
            OutputError: it can't be written. VideoError: nothing was.
        """
        with self._stack:
            if not self.n_packets:
                raise VideoError(f"{self.path}: no packet to write")
            try:
                self._container.close()
            except av.FFmpegError as error:
                raise self._error(error) from error

    def abandon(self) -> None:
        """Leave no file."""
        with suppress(Exception):
            self._stack.__exit__(RuntimeError, RuntimeError("abandoned"), None)

    def _let_go(self) -> None:
        with suppress(av.FFmpegError):
            self._container.close()

    def _error(self, error: Exception) -> OutputError:
        return OutputError(f"can't write {self.path}: {getattr(error, 'strerror', None) or error}")
