"""Decoding a video file into libav pictures with times: the part that knows containers, timestamps and damage."""

import stat
import statistics
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import av
import numpy as np
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from amiss.errors import VideoError
from amiss.storage import StorageError
from amiss.video._file_clock import FileClock, Stamped, too_long
from amiss.video._times import FrameTimes
from amiss.video.opening import (
    FALLBACK_FPS,
    accelerator,
    allowed,
    bound_pictures,
    not_accelerated,
    open_container,
    video_bounds,
)

if TYPE_CHECKING:
    from amiss.video._pictures import PictureDecoder

PLAUSIBLE_FPS = (1e-3, 500.0)
MISSING_SHARE = 0.02  # headers are often off by a frame or two; more than this is a truncated file
MAX_READ_ERRORS = 100  # in a row, before the rest of a file is given up

# Containers whose header states the duration. Elsewhere libav estimates it from the bytes that are there, which says
# nothing about what is missing (for AVI too, but an AVI's header states the number of frames).
STATES_DURATION = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "flv", "asf"})


class Decoder:
    """One pass over the main video stream of a file.

    Iterating yields `(picture, seconds)`. Seconds count from the first picture and never decrease. Damaged packets are
    skipped and counted. Not to be used from two threads at once.

    Raises:
        VideoError: missing, a directory, empty, not a video, without a video stream, or of an unknown codec.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        self.path = path
        hwaccel = accelerator()
        self._container, self.stream = open_video(path, hwaccel)
        self.stream.thread_type = "AUTO"
        self.stream.codec_context.thread_count = threads if hwaccel is None else 1
        self.stated_frames: int | None = self.stream.frames or None
        self._duration_is_stated = self._container.format.name in STATES_DURATION
        # A sound track that goes on after the pictures is no sign of missing pictures; where the header doesn't count
        # the frames, this is seen only by reading it too.
        self._read_streams: tuple[Stream, ...] = (self.stream,)
        if self._duration_is_stated and not self.stated_frames:
            self._read_streams = tuple(self._container.streams)
        self._others_end_s = 0.0
        self.codec = self.stream.codec_context.name
        self.fps = _header_fps(self.stream) or _measured_fps(path) or FALLBACK_FPS
        # AVI counts ticks of its own clock, most of which are empty where the rate varies.
        self._stated_fps = float(self.stream.average_rate or self.fps)
        self.clock = FileClock(self._container, self.stream, self.fps)
        self.time_base = self.clock.time_base
        self.stated_duration_s = self.clock.stated_s
        self.n_frames = 0
        self.n_damaged = 0
        self.first_error: str | None = None
        self._closed = False
        self._starts_s = array("d")
        self._gaps: list[tuple[int, float]] = []  # frame after the gap, second at which the one before it ends

    def __iter__(self) -> Iterator[tuple[av.VideoFrame, float]]:
        for picture in self._pictures():
            time_s = self.place(picture)
            if time_s is None:
                return
            self.n_damaged += picture.is_corrupt
            yield picture, time_s
            if self._closed:  # libav would crash when asked for more
                return

    def place(self, picture: Stamped) -> float | None:
        """When the next picture is shown; None where that is beyond the longest video that is decoded."""
        time_s = self.clock.at(picture)
        if self.clock.is_too_long:
            return None
        if self.clock.gap_s:
            self._gaps.append((self.n_frames, time_s - self.clock.gap_s))
        self._starts_s.append(time_s)
        self.n_frames += 1
        return time_s

    @property
    def end_s(self) -> float:
        """Where the last picture so far ends."""
        return self.clock.end_s

    @property
    def gaps_s(self) -> float:
        """Seconds of all gaps so far."""
        return self.clock.gaps_s

    def times(self) -> FrameTimes:
        """After a complete pass: when the frames are shown."""
        tolerance_s = max(self.time_base, 1e-3) + 1e-9
        return FrameTimes.of_frames(self._starts_s, self.end_s, self.fps, tolerance_s=tolerance_s, gaps=self._gaps)

    def gaps(self) -> str | None:
        """After a complete pass: the gaps in one line; None where there are none."""
        if not self._gaps:
            return None
        longest_s = max(self._starts_s[frame] - end_s for frame, end_s in self._gaps)
        gaps = f"{len(self._gaps)} gaps" if len(self._gaps) > 1 else "a gap"
        bound_s = video_bounds().max_gap_s
        return f"{gaps} of more than {bound_s:g} s without a picture, the longest of {longest_s:.0f} s"

    def seek(self, pts: int) -> None:
        """Make the next iteration begin at the last keyframe not after `pts` (in units of the stream's time base)."""
        try:
            self._container.seek(pts, stream=self.stream)
        except av.FFmpegError as error:
            raise VideoError(f"{self.path} can't be sought: {error.strerror}") from None

    def close(self) -> None:
        """Close the file; an iteration under way ends at its next step."""
        self._closed = True
        self._container.close()

    def problem(self) -> str | None:
        """After a complete pass: what is missing or damaged, in one line; None where all is well."""
        if self.clock.is_too_long:
            return f"decoding stopped at frame {self.n_frames}: {too_long()}"
        damage = f"{self.n_damaged} damaged packet{'s' if self.n_damaged > 1 else ''}" if self.n_damaged else ""
        stated_frames_s = self.stated_frames / self._stated_fps if self.stated_frames else None
        end_s = self._others_end_s if self._duration_is_stated else None
        if missing := missing_at_end(self.clock, self.n_frames, self.fps, stated_frames_s, end_s):
            return missing + (f" ({damage})" if damage else "")
        if damage:
            return f"{damage}: some of the {self.n_frames} frames may be distorted, others missing"
        return None

    def nothing_decodes(self) -> VideoError:
        """The error for a file that opens as a video but gives no frame."""
        reason = f": {self.first_error}" if self.first_error else ""
        if reason and not self.stream.codec_context.width:  # so it is where the decoder refused a size
            reason += f" (too large? {allowed(video_bounds())})"
        return VideoError(f"{self.path}: no frame of its {self.codec} video can be decoded{reason}")

    def _pictures(self) -> Iterator[av.VideoFrame]:
        held: Packet[VideoStream] | None = None
        for packet in self.packets():
            if held is not None:
                yield from self._decode(held)
            held = packet
        # A last packet that is cut off is left out: whether the pictures just before it survive its error would depend
        # on the number of threads.
        if held is not None and held.is_corrupt:
            self.n_damaged += 1
        elif held is not None:
            yield from self._decode(held)
        yield from self._decode(None)

    def _decode(self, packet: "Packet[VideoStream] | None") -> list[av.VideoFrame]:
        try:
            pictures = self.stream.codec_context.decode(packet)
        except av.FFmpegError as error:
            self._note(error)
            return []
        self.n_damaged += packet is not None and packet.is_corrupt
        return pictures

    def packets(self) -> "Iterator[Packet[VideoStream]]":
        """The stream's packets, in the order of the file; errors in reading are counted as damage."""
        errors = 0
        while errors < MAX_READ_ERRORS:
            try:
                for packet in self._container.demux(self._read_streams):
                    errors = 0
                    if not packet.size:  # an empty packet would tell the decoder that the stream ends
                        continue
                    if packet.stream_index == self.stream.index:
                        yield cast("Packet[VideoStream]", packet)
                    elif packet.pts is not None:
                        end_s = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                        self._others_end_s = max(self._others_end_s, end_s)
            except av.FFmpegError as error:
                errors += 1
                self._note(error)
            except StorageError as error:  # no damage: what comes after it may be there
                raise VideoError(f"{self.path} can't be read: {error.strerror}") from None
            else:
                return

    def _note(self, error: av.FFmpegError) -> None:
        self.n_damaged += 1
        if self.first_error is None:
            self.first_error = error.strerror


def problem_of(decoder: "Decoder | PictureDecoder", is_resampled: bool) -> str | None:
    """After a complete pass: what is missing, damaged or left out, in one line; None where all is well."""
    gaps = decoder.gaps() if is_resampled else None
    return "; ".join(filter(None, [decoder.problem(), gaps and f"left out: {gaps}"])) or None


def missing_at_end(
    clock: FileClock, n_frames: int, fps: float, stated_frames_s: float | None, others_end_s: float | None
) -> str | None:
    """After all of a file was decoded: what is missing at its end by the most lenient of its headers, in one line.

    Args:
        clock: of its pictures.
        n_frames: pictures that decoded.
        fps: their usual rate.
        stated_frames_s: how long as many pictures last as the header states; None = it doesn't.
        others_end_s: stamp at which its other streams end; None = the duration is not stated, but estimated.
    """
    # Where frames were left out on purpose (AVI), or cut off by an edit list (MP4), one of the two is still right.
    stated: list[tuple[float, float]] = []
    if stated_frames_s is not None:
        stated.append((max(n_frames / fps, clock.end_s), stated_frames_s))
    if clock.stated_length_s and others_end_s is not None:
        stated.append((max(clock.end_s, others_end_s - clock.first_s), clock.stated_length_s))
    one_and_a_half_s = 1.5 / fps
    shares = [(1 - there / all_ if all_ - there > one_and_a_half_s else 0.0, all_) for there, all_ in stated]
    share, stated_s = min(shares, default=(0.0, 0.0))
    if share <= MISSING_SHARE:
        return None
    stopped = f"decoding stopped at frame {n_frames} ({clock.end_s:.1f} s)"
    return f"{stopped}: about {100 * share:.0f} % of the stated {stated_s:.1f} s is missing"


def open_video(path: Path, hwaccel: HWAccel | None = None) -> tuple[InputContainer, VideoStream]:
    """Open a file and choose its main video stream; cover pictures of sound files don't count.

    Args:
        path: the file.
        hwaccel: decodes it; None: the processor.

    Raises:
        VideoError: see Decoder.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        raise VideoError(f"{path} does not exist") from None
    except (OSError, ValueError) as error:
        raise VideoError(f"{path} can't be read: {getattr(error, 'strerror', None) or error}") from None
    if stat.S_ISDIR(status.st_mode):
        raise VideoError(f"{path} is a directory, not a video")
    if not stat.S_ISREG(status.st_mode):
        raise VideoError(f"{path} is not a file")
    if status.st_size == 0:
        raise VideoError(f"{path} is empty (0 bytes)")
    bounds = video_bounds()
    try:
        container = open_container(path, bounds, hwaccel)
    except av.FFmpegError as error:
        if _is_mp4_without_index(path):
            raise VideoError(f"{path} is cut off: its index (moov box) is missing, so nothing can be decoded") from None
        raise VideoError(f"{path} can't be read as a video: {error.strerror}") from None
    except StorageError as error:
        raise VideoError(f"{path} can't be read: {error.strerror}") from None
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        kinds = sorted({stream.type for stream in container.streams})
        container.close()
        raise VideoError(f"{path} has no video stream" + (f", only {' and '.join(kinds)}" if kinds else ""))
    best = container.streams.best("video")
    stream = best if best in streams else streams[0]
    if getattr(stream, "codec_context", None) is None:  # libav has no decoder for it
        container.close()
        raise VideoError(f"{path}: its video codec is unknown, so it can't be decoded")
    try:
        if hwaccel is not None and (reason := not_accelerated(stream)) is not None:
            raise VideoError(f"{path}: {reason}")
        bound_pictures(path, stream, bounds)
    except VideoError:
        container.close()
        raise
    return container, stream


def _is_mp4_without_index(path: Path) -> bool:
    """Whether the file starts as an MP4 and its chain of boxes has no `moov` (it was cut off while being written)."""
    position = 0
    with path.open("rb") as file:
        while header := file.read(16):
            size, kind = int.from_bytes(header[:4]), header[4:8]
            if position == 0 and kind != b"ftyp":
                return False
            if kind == b"moov":
                return False
            if size == 1:
                size = int.from_bytes(header[8:16])
            if size < 8:
                break
            position += size
            file.seek(position)
    return True


def _header_fps(stream: VideoStream) -> float | None:
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate and PLAUSIBLE_FPS[0] <= rate <= PLAUSIBLE_FPS[1]:
            return float(rate)
    return None


def _measured_fps(path: Path) -> float | None:
    """One over the median time between the first pictures, for headers without a plausible rate."""
    container, stream = open_video(path)
    stamps: list[int] = []
    with container:
        try:
            for packet in container.demux(stream):
                if packet.pts is not None:
                    stamps.append(packet.pts)
                if len(stamps) == 100:
                    break
        except av.FFmpegError:
            pass  # what was read so far will do
        steps = np.diff(sorted(stamps))
        if not (steps > 0).any() or not stream.time_base:
            return None
        return 1 / float(statistics.median(steps[steps > 0].tolist()) * stream.time_base)
