"""Readers: threads that prepare the clips of videos, which processes decode.

Each has a video of its own. A queue, bounded in clips and in bytes, keeps them some clips ahead of the backbone. Large
videos are read by fewer at once: a clip of 4K frames takes 400 MB.

Where fewer videos are left than there are readers, as on a GPU, a long one is split, and its parts are read at once.
Their clips come in any order, and each says which one it is. Where a part turns out not to be decodable by itself, the
video is read again in one go, which a notice says.
"""

import os
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import Empty, Full, Queue
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from amiss.engines import Engine, Prepared
from amiss.errors import Notice, VideoError
from amiss.reading.apart import is_used
from amiss.video import ClipReader, FrameTimes, NotSplitError, PartProof, SplitVideo, VideoPart, Yuv, split_video

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class SplittableVideo:
    """A video that is split, where it is long, for others to read its ranges; else it is read."""

    path: PathLike
    range_frames: int
    """Native frames of a range, about; a video of fewer than two ranges is read."""


@dataclass(frozen=True)
class VideoRange:
    """A part of a long video, which is read by itself."""

    path: PathLike
    part: VideoPart


Source = PathLike | SplittableVideo | VideoRange

_VIEWS_AHEAD = 8  # clips times crops that wait for the engine, beside a batch
_DECODED_BYTES = 1 << 30  # of decoded frames that all readers hold
_PATIENCE_S = 0.2  # without a clip
_CPU_READERS = 2  # a third one gained nothing: the backbone needs the cores
_GPU_READERS = 16  # each is a process that decodes; never more than there are cores
_PART_FRAMES = 3000  # of a part of a video, at least: two minutes, beside which starting a process is little
_SPLITS_FROM = 3  # readers; two parts took longer than one process with two threads (benchmarks/extraction.py --parts)


@dataclass
class VideoUnderWay:
    """A video that is read, or whose clips wait for the backbone."""

    id: str
    source: Source
    rows: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    """Clip → its features."""
    n_waiting: int = 0
    """Clips that wait for a batch to be full."""
    times: FrameTimes = FrameTimes(0, None)  # noqa: RUF009  # frozen
    share: float | None = None
    """Of it that is read, 0..1, as far as its header tells."""
    problem: str | None = None
    error: VideoError | None = None
    proof: PartProof | None = None
    """Of a range."""
    size: tuple[int, int] = (0, 0)
    """Height and width of its pictures."""
    split: SplitVideo | None = None
    """What is handed back of a long video, instead of its features."""

    @property
    def path(self) -> PathLike:
        """Its file."""
        return self.source.path if isinstance(self.source, SplittableVideo | VideoRange) else self.source

    @property
    def part(self) -> VideoPart | None:
        """Where only a range is read."""
        return self.source.part if isinstance(self.source, VideoRange) else None


class _Parts:
    """A video whose parts are read."""

    def __init__(self, video: VideoUnderWay, split: SplitVideo, size: tuple[int, int]) -> None:
        self.video, self.split = video, split
        self.size = size
        """Height and width of its pictures."""
        self.proofs: list[PartProof | None] = [None] * len(split.parts)
        self.n_read = [0] * len(split.parts)
        """Frames of each part."""
        self.n_left = len(split.parts)
        self.refused: str | None = None
        """Why the parts can't be used."""


class _Budget:
    """Bytes that are in use at once, at most so many. What is larger than that waits until nothing else is in use."""

    def __init__(self, limit: int, stop: threading.Event) -> None:
        self._limit, self._stop = limit, stop
        self._used = 0
        self._changed = threading.Condition()

    def take(self, n_bytes: int) -> bool:
        """Wait until they are free; False where the work is stopped."""
        with self._changed:
            while self._used and self._used + n_bytes > self._limit:
                if self._stop.is_set():
                    return False
                self._changed.wait(0.1)
            self._used += n_bytes
        return True

    def give_back(self, n_bytes: int) -> None:
        with self._changed:
            self._used -= n_bytes
            self._changed.notify_all()

    @contextmanager
    def taken(self, n_bytes: int) -> Iterator[bool]:
        """Take them for a block of code; gives False where the work is stopped."""
        there = self.take(n_bytes)
        try:
            yield there
        finally:
            if there:
                self.give_back(n_bytes)


def _bytes_of(prepared: Prepared | None) -> int:
    return sum(tensor.nbytes for tensor in prepared or ())


Item = tuple[VideoUnderWay, int, Prepared | None]
"""A clip of a video, its index; prepared, or None for the end of the video."""


class Readers:
    """Threads that decode and preprocess. Iterating gives the clips of videos, then None for the end of each; None
    instead of all that where nothing is read, since no video is there at the moment.

    Args:
        videos: ids and files, or ranges of them; None where there is none at the moment.
        engine: prepares the clips; its spec says which.
    """

    def __init__(self, videos: Iterable[tuple[str, Source] | None], engine: Engine) -> None:
        spec = engine.spec
        self._videos = iter(videos)
        self._is_over = False
        self._engine = engine
        self._stop = threading.Event()
        self._how = spec.clip_len, spec.stride, spec.tail, spec.frame_rate
        self._reading: dict[str, Any] = {"stop": self._stop, "planes": engine.takes_planes}
        self._queue: Queue[Item | BaseException | None] = Queue(max(2, _VIEWS_AHEAD // spec.crops) + engine.batch)
        self._prepared = _Budget(engine.bytes_ahead, self._stop)
        self._decoded = _Budget(_DECODED_BYTES, self._stop)
        count = min(_GPU_READERS, os.cpu_count() or 1) if "cuda" in engine.device else _CPU_READERS
        self._threads = [threading.Thread(target=self._read, name="amiss-decode", daemon=True) for _ in range(count)]
        self._changed = threading.Condition()  # guards the next five
        self._ahead: deque[tuple[str, Source]] = deque()  # videos that come next, as many as there are readers
        self._parts: deque[tuple[_Parts, int]] = deque()  # that nobody has taken
        self._n_opened = 0  # videos of which it isn't known yet whether they are split
        self._n_read = 0  # videos and parts that are read
        self._is_starved = False  # nothing is read, and no video is there at the moment
        self._splits = count >= _SPLITS_FROM

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def __iter__(self) -> Iterator[Item | None]:
        reading = len(self._threads)
        while reading:
            try:
                item = self._queue.get(timeout=_PATIENCE_S)  # so that Ctrl-C comes through
            except Empty:
                if self._is_starved and self._queue.empty():
                    yield None
                continue
            if item is None:
                reading -= 1
            elif isinstance(item, BaseException):
                raise item
            else:
                self._prepared.give_back(_bytes_of(item[2]))
                yield item

    def _read(self) -> None:
        try:
            while (work := self._take()) is not None:
                if isinstance(work, VideoUnderWay):
                    self._read_video(work)
                else:
                    self._read_part(*work)
                with self._changed:
                    self._n_read -= 1
            self._put(None)
        except BaseException as error:
            self._put(error)

    def _take(self) -> VideoUnderWay | tuple[_Parts, int] | None:
        """What is to be read next; None where nothing is left, or all is stopped."""
        with self._changed:
            while not self._stop.is_set():
                if self._parts:
                    self._n_read += 1
                    return self._parts.popleft()
                self._look_ahead()
                self._is_starved = not self._ahead and not self._n_read
                if self._ahead:
                    self._n_opened += 1
                    self._n_read += 1
                    return VideoUnderWay(*self._ahead.popleft())
                if self._is_over and not self._n_opened:
                    return None
                self._changed.wait(0.1)
        return None

    def _look_ahead(self) -> None:
        while not self._is_over and len(self._ahead) < len(self._threads):
            try:
                video = next(self._videos)
            except StopIteration:
                self._is_over = True
                return
            if video is None:
                return
            self._ahead.append(video)

    def _read_video(self, video: VideoUnderWay) -> None:
        reader = None
        try:
            reader = self._open(video)
        except VideoError as error:
            video.error = error
            self._put((video, 0, None))
        finally:
            with self._changed:
                self._n_opened -= 1
                self._changed.notify_all()
        if reader is not None:
            self._read_in_one_go(video, reader)

    def _open(self, video: VideoUnderWay) -> ClipReader | None:
        """Begin to read a video; None where its parts are to be read."""
        reader = ClipReader(video.path, *self._how, **self._reading, part=video.part)
        video.size = reader.height, reader.width
        if video.part is not None:
            return reader
        if isinstance(video.source, SplittableVideo):
            return self._split_apart(video, reader, video.source.range_frames)
        count = len(self._threads)
        some_are_free = len(self._ahead) < count - 1
        if not (self._splits and some_are_free) or (reader.stated_frames or 0) < 2 * _PART_FRAMES:
            return reader
        if not is_used():
            self._splits = False
            reason = "processes would decode their parts, and none are used (on Windows, or AMISS_DECODE_WORKER=0)"
            warnings.warn(f"long videos are decoded in one go: {reason}", Notice, stacklevel=2)
            return reader
        clip_len, stride, _, rate = self._how
        try:
            split = split_video(video.path, count, _PART_FRAMES, clip_len, stride, rate, self._stop)
        except VideoError as error:
            self._tell_one_go(video, error)
            return reader
        with self._changed:
            parts = _Parts(video, split, (reader.height, reader.width))
            self._parts.extend((parts, index) for index in range(len(split.parts)))
        reader.close()
        return None

    def _split_apart(self, video: VideoUnderWay, reader: ClipReader, frames: int) -> ClipReader | None:
        """Find the ranges of a long video, which others read; where it has none it is read here."""
        clip_len, stride, _, rate = self._how
        n_parts = (reader.stated_frames or 0) // frames
        if n_parts < 2 or not is_used():
            return reader
        try:
            video.split = split_video(video.path, n_parts, frames // 2, clip_len, stride, rate, self._stop)
        except VideoError as error:
            self._tell_one_go(video, error)
            return reader
        reader.close()
        self._put((video, 0, None))
        return None

    def _read_in_one_go(self, video: VideoUnderWay, reader: ClipReader) -> None:
        def told() -> bool:
            if reader.stated_frames and video.part is None:
                video.share = min(1.0, reader.n_frames / reader.stated_frames)
            return True

        try:
            with reader:
                self._read_clips(video, reader, told)
            video.times, video.problem, video.proof = reader.times, reader.problem, reader.proof
        except VideoError as error:
            video.error = error
        self._put((video, 0, None))

    def _read_part(self, parts: _Parts, index: int) -> None:
        video, part = parts.video, parts.split.parts[index]

        def told() -> bool:
            parts.n_read[index] = reader.n_frames - part.frame
            video.share = min(1.0, sum(parts.n_read) / parts.split.times.n_frames)
            return parts.refused is None

        try:
            if parts.refused is None:
                with ClipReader(video.path, *self._how, **self._reading, part=part) as reader:
                    if (reader.height, reader.width) != parts.size:
                        raise NotSplitError("its pictures change their size")
                    self._read_clips(video, reader, told)
                parts.proofs[index] = reader.proof
        except VideoError as error:
            parts.refused = str(error)
        with self._changed:
            parts.n_left -= 1
            is_last = not parts.n_left
        if is_last and not self._stop.is_set():
            self._join(parts)

    def _join(self, parts: _Parts) -> None:
        """All parts are read: they are the video, or it is read again."""
        video = parts.video
        try:
            if parts.refused is not None:
                raise NotSplitError(parts.refused)
            parts.split.check(parts.proofs)
        except NotSplitError as error:
            self._tell_one_go(video, error)
            again = VideoUnderWay(video.id, video.source)
            try:
                reader = ClipReader(again.path, *self._how, **self._reading)
            except VideoError as error:
                again.error = error
                self._put((again, 0, None))
            else:
                self._read_in_one_go(again, reader)
        else:
            video.times, video.problem = parts.split.times, parts.split.problem
            self._put((video, 0, None))

    def _tell_one_go(self, video: VideoUnderWay, error: VideoError) -> None:
        if not self._stop.is_set():
            warnings.warn(f"{video.path} is decoded in one go, by one process: {error}", Notice, stacklevel=2)

    def _read_clips(self, video: VideoUnderWay, reader: ClipReader, told: Callable[[], bool]) -> None:
        """Prepare clips, as long as `told` says to go on."""
        of_a_pixel = 3.0 if reader.yuv is None else 1.5
        two_clips = int(2 * self._how[0] * reader.height * reader.width * of_a_pixel)  # one is filled, one preprocessed
        with self._decoded.taken(two_clips) as go_on:
            if not go_on:
                return
            for clip in reader:
                index, prepared = clip.index, self._prepare(clip.images, reader.yuv)
                del clip  # while the next one is read
                if not (told() and self._prepared.take(_bytes_of(prepared)) and self._put((video, index, prepared))):
                    return
                del prepared

    def _prepare(self, images: NDArray[np.uint8], yuv: Yuv | None) -> Prepared:
        return self._engine.prepare(images) if yuv is None else self._engine.prepare_planes(images, yuv)

    def _put(self, item: Item | BaseException | None) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0.1)
            except Full:
                continue
            return True
        return False
