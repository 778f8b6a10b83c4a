"""Parts of a long video, each decoded from a keyframe of its own, whose clips are together those of the whole.

A file's packets say which pictures it has and when they are shown; `split` reads them without decoding. Whether that is
so, and whether pictures after a keyframe really don't need those before it, shows where parts meet: each goes on into
the next one, and both must have decoded the same there. What can't be trusted has to be decoded in one go.
"""

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream

from amiss.errors import VideoError
from amiss.video._decode import Decoder, problem_of
from amiss.video._file_clock import too_long
from amiss.video._resample import Resampler, tick_tolerance_s
from amiss.video._times import FrameTimes

COMMON = 32  # pictures that two parts both decode: more than a decoder keeps to predict others from
_LEAST_CLIPS = 3  # of a part, so that its last clip can be filled up from the one before
_DAMAGED = "it is damaged"
_NOT_BY_ITSELF = "pictures after a keyframe need those before it"


class NotSplitError(VideoError):
    """The parts of a video wouldn't give what the whole gives, or nobody knows: it has to be decoded in one go."""


@dataclass(frozen=True)
class VideoPart:
    """Some clips of a video, and the keyframe from which they can be decoded."""

    pts: int
    """Stamp of its first picture, the keyframe."""
    seek: int | None
    """Where to seek it: pictures may be decoded before they are shown. None: at the beginning of the file."""
    frame: int
    """The keyframe's index among the native frames."""
    tick: int
    """Index of the first frame that it gives: the same, or a tick of the target rate."""
    clock: dict[str, Any]
    """State of the file's clock before it."""
    first_clip: int
    end_clip: int | None
    """After the last one; None: all that follow."""
    until: int | None
    """Stamp of the next part's keyframe; None: it is the last part."""
    stamps: int
    """CRC-32 of the stamps and durations of its pictures."""


@dataclass(frozen=True)
class SplitVideo:
    """A video in parts, and what is known of the whole without decoding it."""

    parts: tuple[VideoPart, ...]
    times: FrameTimes
    problem: str | None
    """See `VideoReader`."""

    def check(self, proofs: "Sequence[PartProof | None]") -> None:
        """Whether parts that meet decoded the same.

        Args:
            proofs: of all parts.

        Raises:
            NotSplitError: they didn't, or one is missing.
        """
        for part, following in pairwise(proofs):
            if part is None or following is None or part.tail != following.head:
                raise NotSplitError(_NOT_BY_ITSELF)


@dataclass(frozen=True)
class PartProof:
    """What decoding a part showed: parts that meet must agree."""

    head: int
    """CRC-32 of its first pictures."""
    tail: int | None
    """The same of the next part's first pictures, as this one decodes them; None: there is no next one."""


class PartDecoder(Decoder):
    """One pass over the pictures of a part; it goes on into the next one, for clips that begin in this one.

    Raises:
        NotSplitError: also while iterating: what comes isn't what the packets of the file promised.
        VideoError: as Decoder.
    """

    def __init__(self, path: Path, part: VideoPart, threads: int = 1) -> None:
        super().__init__(path, threads)
        self._part = part
        self._read_streams = (self.stream,)
        self.clock.resume(part.clock)
        self.n_frames = part.frame
        if part.seek is not None:
            self.seek(part.seek)
        self._n_head = self._n_tail = 0
        self._tail = self._stamps = 0
        self.head = 0
        """CRC-32 of the first pictures so far."""

    def packets(self) -> "Iterator[Packet[VideoStream]]":
        has_begun = self._part.seek is None
        for packet in super().packets():
            has_begun = has_begun or (packet.pts == self._part.pts and packet.is_keyframe)
            if has_begun:
                yield packet

    def _decode(self, packet: "Packet[VideoStream] | None") -> list[av.VideoFrame]:
        pictures = super()._decode(packet)
        if self.n_damaged:
            raise NotSplitError(_DAMAGED)
        return pictures

    def __iter__(self) -> Iterator[tuple[av.VideoFrame, float]]:
        part = self._part
        for picture in self._pictures():
            if picture.pts is None or picture.is_corrupt:
                raise NotSplitError(_DAMAGED)
            if picture.pts < part.pts:  # shown before the keyframe: the part before has it
                continue
            if part.until is not None and picture.pts >= part.until:
                if self._n_tail < COMMON:
                    self._tail = zlib.crc32(_values(picture), self._tail)
                    self._n_tail += 1
            else:
                if self._n_head < COMMON:
                    self.head = zlib.crc32(_values(picture), self.head)
                    self._n_head += 1
                self._stamps = zlib.crc32(np.array([picture.pts, picture.duration], "<i8").tobytes(), self._stamps)
            time_s = self.place(picture)
            if time_s is None:
                return
            yield picture, time_s
            if self._closed:
                return

    def gaps(self) -> None:
        """`split` tells those of the whole."""

    def problem(self) -> None:
        """`split` tells that of the whole."""

    def proof(self, rest: Iterator[tuple[av.VideoFrame, float]]) -> PartProof:
        """Decode as far as the next part is needed to know what this one is worth.

        Args:
            rest: the iteration under way.

        Raises:
            NotSplitError: it had other pictures than the packets of the file promised.
        """
        is_last = self._part.until is None
        while is_last or self._n_tail < COMMON:
            if next(rest, None) is None:
                break
        if self._stamps != self._part.stamps or not (is_last or self._n_tail == COMMON):
            raise NotSplitError("its pictures aren't those that its packets promise")
        return PartProof(self.head, None if is_last else self._tail)


def split(
    path: Path,
    n_parts: int,
    least_frames: int,
    clip_len: int,
    stride: int,
    frame_rate: float | None,
    on_packet: Callable[[], object] = lambda: None,
) -> SplitVideo:
    """Find keyframes from which about equal parts of a video can be decoded.

    Args:
        path: the file.
        n_parts: at most so many.
        least_frames: native frames of a part, at least.
        clip_len: see `iter_clips`, as the next.
        stride: frames from one clip to the next.
        frame_rate: see `VideoReader`.
        on_packet: called with each that was read.

    Raises:
        NotSplitError: it can't be split, with the reason.
        VideoError: as Decoder.
    """
    if not path.is_file():
        raise NotSplitError("it is no file")
    decoder = Decoder(path, threads=1)
    try:
        packets = _read_packets(decoder, on_packet)
        n_parts = min(n_parts, len(packets.pts) // least_frames)
        chosen = packets.keyframes_near([i * len(packets.pts) // n_parts for i in range(1, n_parts)])
        begins, end_tick = _place_all(decoder, packets, [0, *chosen], frame_rate)
        kept = begins[:1]
        for begin in begins[1:]:
            if min(begin.tick - kept[-1].tick, end_tick - begin.tick) >= _LEAST_CLIPS * max(clip_len, stride):
                kept.append(begin)
        if len(kept) < 2:
            raise NotSplitError("it has too few keyframes that can be decoded by themselves")
        parts = _parts_of(packets, kept, stride)
        _check_keyframe(path, packets, parts[1])
        return SplitVideo(parts, decoder.times(), problem_of(decoder, frame_rate is not None))
    finally:
        decoder.close()


class _Packets:
    """What the packets of shown pictures say, in the order in which they are shown.

    Args:
        rows: stamp, duration, where to seek, whether it is a keyframe; in the order of decoding.
    """

    def __init__(self, rows: Sequence[tuple[int, int, int, bool]]) -> None:
        columns = np.array(rows, np.int64).reshape(-1, 4)
        latest_before = np.maximum.accumulate(np.append(np.iinfo(np.int64).min, columns[:-1, 0]))
        is_clean = (columns[:, 3] > 0) & (latest_before < columns[:, 0])  # nothing before it is shown after it
        order = np.argsort(columns[:, 0])
        self.pts, self.duration, self.seek, _ = columns[order].T
        self.keyframes = np.flatnonzero(is_clean[order])
        """Frames from which decoding can begin, if the file is right."""

    def keyframes_near(self, frames: Sequence[int]) -> list[int]:
        """The first one from each of these on."""
        found = np.searchsorted(self.keyframes, frames)
        chosen = np.unique(self.keyframes[found[found < len(self.keyframes)]])
        return [int(frame) for frame in chosen if 0 < frame < len(self.pts) - COMMON]

    def stamps(self, start: int, end: int) -> int:
        """CRC-32 of the stamps and durations of some frames."""
        return zlib.crc32(np.stack([self.pts[start:end], self.duration[start:end]], 1).astype("<i8").tobytes())


@dataclass(frozen=True)
class _Stamp:
    pts: int
    duration: int


@dataclass(frozen=True)
class _Begin:
    """What is known where a part begins."""

    frame: int
    tick: int
    clock: dict[str, Any]


def _read_packets(decoder: Decoder, on_packet: Callable[[], object]) -> _Packets:
    rows: list[tuple[int, int, int, bool]] = []
    for packet in decoder.packets():
        on_packet()
        if packet.pts is None:
            raise NotSplitError("not all of its packets say when they are shown")
        if decoder.n_damaged or packet.is_corrupt:
            raise NotSplitError(_DAMAGED)
        if not rows and not packet.is_keyframe:
            raise NotSplitError("it doesn't begin with a keyframe")
        if not packet.is_discard:  # those are cut off by an edit list: decoded, never shown
            seek = packet.pts if packet.dts is None else min(packet.pts, packet.dts)
            rows.append((packet.pts, packet.duration or 0, seek, packet.is_keyframe))
    if decoder.n_damaged:
        raise NotSplitError(_DAMAGED)
    packets = _Packets(rows)
    if not rows or (np.diff(packets.pts) == 0).any():
        raise NotSplitError("several of its pictures have the same time")
    return packets


def _place_all(
    decoder: Decoder, packets: _Packets, chosen: Sequence[int], frame_rate: float | None
) -> tuple[list[_Begin], int]:
    """Give all pictures their times, as decoding would; what is known at the chosen ones, and the tick at the end."""
    resampler = None if frame_rate is None else Resampler[int](frame_rate, tick_tolerance_s(decoder.time_base))
    begins: list[_Begin] = []
    wanted = set(chosen)
    for frame, (pts, duration) in enumerate(zip(packets.pts.tolist(), packets.duration.tolist(), strict=True)):
        clock = decoder.clock.state() if frame in wanted else None
        time_s = decoder.place(_Stamp(pts, duration))
        if time_s is None:
            raise NotSplitError(too_long())
        if resampler is not None:
            resampler.push(frame, time_s - decoder.gaps_s)
        if clock is not None:
            begins.append(_Begin(frame, frame if resampler is None else resampler.tick, clock))
    if resampler is None:
        return begins, len(packets.pts)
    resampler.finish(decoder.end_s - decoder.gaps_s)
    return begins, resampler.tick


def _parts_of(packets: _Packets, begins: Sequence[_Begin], stride: int) -> tuple[VideoPart, ...]:
    """Clips belong to the part in which they begin."""
    return tuple(
        VideoPart(
            pts=int(packets.pts[begin.frame]),
            seek=int(packets.seek[begin.frame]) if begin.frame else None,
            frame=begin.frame,
            tick=begin.tick,
            clock=begin.clock,
            first_clip=-(-begin.tick // stride),
            end_clip=None if after is None else -(-after.tick // stride),
            until=None if after is None else int(packets.pts[after.frame]),
            stamps=packets.stamps(begin.frame, len(packets.pts) if after is None else after.frame),
        )
        for begin, after in zip(begins, [*begins[1:], None], strict=True)
    )


def _check_keyframe(path: Path, packets: _Packets, part: VideoPart) -> None:
    """Look where a part begins before much is decoded: the keyframes of an encoder are all of one kind.

    Raises:
        NotSplitError: pictures after the keyframe need those before it.
    """
    before = int(packets.keyframes[max(int(np.searchsorted(packets.keyframes, part.frame)) - 1, 0)])
    stamps = packets.stamps(before, part.frame)
    seek = int(packets.seek[before]) if before else None
    coming = PartDecoder(path, replace(part, pts=int(packets.pts[before]), seek=seek, until=part.pts, stamps=stamps))
    beginning = PartDecoder(path, part)
    try:
        proof = coming.proof(iter(coming))
        for _ in islice(beginning, COMMON):
            pass
    finally:
        coming.close()
        beginning.close()
    if proof.tail != beginning.head:
        raise NotSplitError(_NOT_BY_ITSELF)


def _values(picture: av.VideoFrame) -> bytes:
    try:
        return picture.to_ndarray().tobytes()
    except ValueError:  # PyAV makes no array of such a format
        return picture.to_ndarray(format="rgb24").tobytes()
