"""Reading video files as RGB frames with times."""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import av

from amiss.errors import UsageError, VideoError
from amiss.storage import located
from amiss.video._closing import Closing
from amiss.video._decode import Decoder, problem_of
from amiss.video._parts import PartDecoder, PartProof, VideoPart
from amiss.video._pictures import PictureDecoder, open_decoder
from amiss.video._planes import PlanesConverter, Yuv
from amiss.video._resample import Resampler, tick_tolerance_s
from amiss.video._rgb import Image, RgbConverter
from amiss.video._times import FrameTimes


@dataclass(frozen=True)
class Frame:
    """One frame of a video."""

    index: int
    """0-based: counts the decoded frames, or the ticks of the target rate."""
    time_s: float
    """Seconds from the first frame; never decreases."""
    image: Image
    """[H, W, 3] RGB, upright; or planes (see VideoReader). Not to be written to: repeated frames share it."""


class VideoReader(Closing):
    """Frames of a video file or a folder of numbered pictures, one after the other, in bounded memory.

    An iterable: every iteration starts at the first frame. Frames are RGB in the size of the first one, turned as the
    file says (later frames of another size are scaled to it). Interlaced pictures come as they are stored, both fields
    woven together; pixels that aren't square stay so. Times come from the timestamps, so variable frame rates are kept;
    where stamps are missing, the average rate fills in.

    Damaged packets are skipped and a truncated file ends where decoding ends; `problem` then says what is missing.
    Transport streams and raw streams state no length, so a missing end can't be seen there.

    Args:
        path: the file; of pictures the folder, as a `PictureFolder` where their rate is known (else it is 25).
        frame_rate: target rate in frames per second. At each tick k / frame_rate the latest frame not after it is
            given, so frames are repeated or left out; in a gap (see VideoBounds) there are no ticks. None gives every
            decoded frame.
        threads: decoder threads; 0 = as many as there are cores.
        at_most: pixels of a frame; larger pictures are shrunk to so many. None: all are kept.
        planes: give the decoder's own planes, [H * 3 / 2, W], where the video's are such that `yuv` can say what they
            mean: 8 bits, chroma of half the size, even sides, neither turned nor shrunk. Else RGB.
        part: only its frames, which keep their index and time in the whole; see `split`.

    Raises:
        VideoError: the file is missing, empty, not a video, or nothing in it can be decoded.
        NotSplitError: the part can't be decoded by itself; also while iterating.
        UsageError: `frame_rate` isn't a number above 0.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        frame_rate: float | None = None,
        threads: int = 0,
        at_most: int | None = None,
        planes: bool = False,
        part: VideoPart | None = None,
    ) -> None:
        if frame_rate is not None and not (math.isfinite(frame_rate) and frame_rate > 0):
            raise UsageError(f"frame_rate is {frame_rate}; it must be a number above 0")
        self.path = located(path)
        self._source = self.path
        self.frame_rate = frame_rate
        self.problem: str | None = None
        """After a complete iteration: what is missing or damaged, in one line; None where all is well."""
        self._threads, self._at_most, self._planes, self._part = threads, at_most, planes, part
        self._closed = False
        self._fresh = self._start()

    def _start(self) -> bool:
        """Open the file and decode its first picture, which tells the size and whether it can be decoded at all."""
        if self._part is None:
            decoder: Decoder | PictureDecoder = open_decoder(self._source, self._threads)
        else:
            decoder = PartDecoder(self.path, self._part)
        pictures = iter(decoder)
        first = next(pictures, None)
        if first is None:
            decoder.close()
            raise decoder.nothing_decodes()
        self._decoder, self._pictures, self._first = decoder, pictures, first
        planes = PlanesConverter.of(first[0], self._at_most) if self._planes else None
        self._convert = planes or RgbConverter(first[0], at_most=self._at_most)
        return True

    @property
    def fps(self) -> float:
        """Native frames per second on average: as the header says, or measured where it says nothing plausible."""
        return self._decoder.fps

    @property
    def width(self) -> int:
        """Pixels, after rotation."""
        return self._convert.width

    @property
    def height(self) -> int:
        """Pixels, after rotation."""
        return self._convert.height

    @property
    def yuv(self) -> Yuv | None:
        """What the planes mean that it gives; None where it gives RGB."""
        return self._convert.yuv if isinstance(self._convert, PlanesConverter) else None

    @property
    def stated_frames(self) -> int | None:
        """Number of frames that the header states; often wrong."""
        return self._decoder.stated_frames

    @property
    def stated_duration_s(self) -> float | None:
        """Seconds that the header states, or that libav estimates; often wrong."""
        return self._decoder.stated_duration_s

    @property
    def n_frames(self) -> int:
        """Native frames decoded so far; the true number of frames after a complete iteration."""
        return self._decoder.n_frames

    def times(self) -> FrameTimes:
        """After a complete iteration: when each native frame is shown."""
        return self._decoder.times()

    def proof(self) -> PartProof:
        """Of a part, after its last clip; more can't be read then.

        Raises:
            NotSplitError: it isn't what its packets promised.
        """
        assert isinstance(self._decoder, PartDecoder)
        return self._decoder.proof(self._pictures)

    def __iter__(self) -> Iterator[Frame]:
        if self._closed:
            raise VideoError(f"{self.path}: the reader is closed")
        if not self._fresh:
            self._decoder.close()
            self._start()
        self._fresh = False
        self.problem = None
        return self._native() if self.frame_rate is None else self._resampled(self.frame_rate)

    def _decoded(self) -> Iterator[tuple[av.VideoFrame, float]]:
        decoder = self._decoder
        yield self._first
        yield from self._pictures
        if decoder is self._decoder and not self._closed:
            self.problem = problem_of(decoder, self.frame_rate is not None)

    def _native(self) -> Iterator[Frame]:
        for index, (picture, time_s) in enumerate(self._decoded(), self._part.tick if self._part else 0):
            yield Frame(index, time_s, self._convert(picture))

    def _resampled(self, rate: float) -> Iterator[Frame]:
        tolerance_s = tick_tolerance_s(self._decoder.time_base)
        resampler = Resampler[tuple[av.VideoFrame, float]](rate, tolerance_s, self._part.tick if self._part else 0)
        for picture, time_s in self._decoded():
            gaps_s = self._decoder.gaps_s
            if shown := resampler.push((picture, gaps_s), time_s - gaps_s):
                yield from self._shown(rate, *shown)
        if shown := resampler.finish(self._decoder.end_s - self._decoder.gaps_s):
            yield from self._shown(rate, *shown)

    def _shown(self, rate: float, held: tuple[av.VideoFrame, float], ticks: range) -> Iterator[Frame]:
        picture, gaps_s = held
        image = self._convert(picture)
        for tick in ticks:
            yield Frame(tick, tick / rate + gaps_s, image)

    def close(self) -> None:
        """Close the file. An iteration that is under way ends."""
        self._closed = True
        self._decoder.close()


@dataclass(frozen=True)
class VideoCheck:
    """What decoding a whole file showed."""

    times: FrameTimes
    """Of the frames that decode; headers are not asked how many there are."""
    problem: str | None
    """What is damaged, or missing at the end, in one line; None where all is well."""

    @property
    def n_frames(self) -> int:
        """Frames that decode."""
        return self.times.n_frames

    @property
    def fps(self) -> float:
        """Native frames per second on average."""
        return self.times.rate


@dataclass(frozen=True)
class StatedLength:
    """What a video states of itself, of which the first picture decodes."""

    n_frames: int | None
    """Often wrong; None: it says nothing."""
    fps: float
    """Native frames per second on average."""


def read_stated(path: str | os.PathLike[str]) -> StatedLength:
    """What a video states of its length, and its rate.

    Raises:
        VideoError: it is missing, or not even its first frame can be decoded.
    """
    with VideoReader(path, threads=1) as reader:
        return StatedLength(reader.stated_frames, reader.fps)


def check_video(path: str | os.PathLike[str], on_picture: Callable[[], object] = lambda: None) -> VideoCheck:
    """Decode a whole file, without making pictures of it.

    Args:
        path: the file, or folder of pictures.
        on_picture: called with each that was decoded.

    Raises:
        VideoError: the file can't be read, nothing in it can be decoded, or not be shown in RGB.
    """
    decoder = open_decoder(path)
    try:
        for index, (picture, _) in enumerate(decoder):
            on_picture()
            if index == 0:
                RgbConverter(picture)(picture)
    finally:
        decoder.close()
    if not decoder.n_frames:
        raise decoder.nothing_decodes()
    return VideoCheck(decoder.times(), decoder.problem())


def read_frames_at(
    path: str | os.PathLike[str],
    indices: Sequence[int],
    height: int | None = None,
    on_picture: Callable[[], object] = lambda: None,
) -> list[Image]:
    """Some frames of a video as [H, W, 3] RGB, in the order of `indices`, in one pass that ends at the last of them.

    Args:
        path: the file.
        indices: 0-based native frames, in any order.
        height: scale to this height; the width follows.
        on_picture: called with each that was decoded.

    Raises:
        VideoError: the file can't be read, or has fewer frames.
    """
    wanted = set(indices)
    if any(index < 0 for index in wanted):
        raise UsageError(f"frame {min(wanted)} was asked for; frames count from 0")
    images: dict[int, Image] = {}
    decoder = open_decoder(path)
    try:
        convert: RgbConverter | None = None
        for index, (picture, _) in enumerate(decoder):
            on_picture()
            convert = convert or RgbConverter(picture, height)
            if index in wanted:
                images[index] = convert(picture)
                if len(images) == len(wanted):
                    break
    finally:
        decoder.close()
    if missing := sorted(wanted - images.keys()):
        raise VideoError(f"{decoder.path}: frame {missing[0]} was asked for, but only {decoder.n_frames} frames decode")
    return [images[index] for index in indices]
