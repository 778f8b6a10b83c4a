"""Extraction: videos → features. Decoding, preprocessing and the backbone overlap; memory doesn't grow with the video.

Readers, each a thread with a video of its own that a process decodes, prepare clips; the caller's thread runs the
backbone over the clips of all of them, in batches that reach from one video to the next. A queue in between, bounded in
clips and in bytes, keeps the readers some clips ahead. Large videos are read by fewer readers at once: a clip of 4K
frames takes 400 MB.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import Empty, Full, Queue
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from amiss.engines import Engine, Prepared
from amiss.errors import VideoError
from amiss.video import ClipReader, FrameTimes

PathLike = str | os.PathLike[str]
_VIEWS_AHEAD = 8  # clips times crops that wait for the engine, beside a batch
_DECODED_BYTES = 1 << 30  # of decoded frames that all readers hold
_CPU_READERS = 2  # a third one gained nothing: the backbone needs the cores
_GPU_READERS = 16  # each is a process that decodes; never more than there are cores


@dataclass(frozen=True)
class ExtractedVideo:
    """Features of one video."""

    features: NDArray[np.float32]
    """[T, C, D] clips x crops x dim."""
    times: FrameTimes
    """When each native frame is shown."""
    problem: str | None
    """What is missing where it could be decoded only in part."""

    @property
    def n_frames(self) -> int:
        """Native frames decoded."""
        return self.times.n_frames

    @property
    def fps(self) -> float:
        """Native frames per second, on average."""
        return self.times.rate


def extract_video(path: PathLike, engine: Engine, on_progress: Callable[[float], None] | None = None) -> ExtractedVideo:
    """Decode a video and run the engine's backbone over its clips.

    Args:
        path: the video file.
        engine: runs the backbone; its spec says clip length, stride, frame rate and tail rule.
        on_progress: called with the share of the video that is done, 0..1, as far as its header tells.

    Raises:
        VideoError: nothing of it decodes, or it is shorter than a clip and the spec's tail rule is `drop`.
    """
    told = (lambda _, share: on_progress(share)) if on_progress is not None else None
    for _, result in extract_videos([("", path)], engine, told):
        if isinstance(result, VideoError):
            raise result
        return result
    raise AssertionError("every video gives a result")


def extract_videos(
    videos: Iterable[tuple[str, PathLike]], engine: Engine, on_progress: Callable[[str, float], None] | None = None
) -> Iterator[tuple[str, ExtractedVideo | VideoError]]:
    """Decode videos, several at once, and run the engine's backbone over their clips.

    Args:
        videos: ids and files.
        engine: runs the backbone.
        on_progress: called with a video's id and the share of it that is done, 0..1, as far as its header tells.

    Yields:
        Id and features, or what was wrong, of each video as soon as it is done: not always in the order given.
    """
    with _Readers(videos, engine) as readers:
        waiting: list[tuple[_Video, Prepared]] = []
        read: list[_Video] = []  # to their end; some of their clips may still wait
        for video, prepared in readers:
            if prepared is None:
                read.append(video)
            else:
                if waiting and _shapes(prepared) != _shapes(waiting[0][1]):
                    _run(engine, waiting)
                waiting.append((video, prepared))
                video.n_waiting += 1
                if len(waiting) >= engine.batch:
                    _run(engine, waiting)
                if on_progress is not None and video.share is not None:
                    on_progress(video.id, video.share)
            yield from _done(read, engine)
        if waiting:
            _run(engine, waiting)
        yield from _done(read, engine)


def _done(read: list["_Video"], engine: Engine) -> Iterator[tuple[str, ExtractedVideo | VideoError]]:
    """Those of the videos read whose clips have all been run; they leave the list."""
    for video in [video for video in read if not video.n_waiting]:
        read.remove(video)
        yield video.id, video.result(engine)


@dataclass
class _Video:
    """A video under way."""

    id: str
    path: PathLike
    rows: list[NDArray[np.float32]] = field(default_factory=list)
    n_waiting: int = 0
    """Clips that wait for a batch to be full."""
    times: FrameTimes = FrameTimes(0, None)  # noqa: RUF009  # frozen
    share: float | None = None
    problem: str | None = None
    error: VideoError | None = None

    def result(self, engine: Engine) -> ExtractedVideo | VideoError:
        if self.error is not None:
            return self.error
        if not self.rows:
            spec = engine.spec
            preset = (spec.parts or (spec,))[0].preset
            resampled = "" if spec.frame_rate is None else f", taken at {spec.frame_rate:g} a second,"
            return VideoError(
                f"{self.path}: {self.times.n_frames} frames{resampled} are fewer than a clip of {spec.clip_len}; tail "
                f"rule is 'drop' (preset {preset!r}): leave out the video, or extract with a preset that pads it "
                "(`amiss presets`; 'default' does)"
            )
        return ExtractedVideo(np.stack(self.rows), self.times, self.problem)


def _run(engine: Engine, waiting: list[tuple[_Video, Prepared]]) -> None:
    for (video, _), row in zip(waiting, engine.run([prepared for _, prepared in waiting]), strict=True):
        video.rows.append(row)
        video.n_waiting -= 1
    waiting.clear()


def _shapes(prepared: Prepared) -> list[torch.Size]:
    return [tensor.shape for tensor in prepared]


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


class _Readers:
    """Threads that decode and preprocess. Iterating gives each video's clips in order, then None for its end."""

    def __init__(self, videos: Iterable[tuple[str, PathLike]], engine: Engine) -> None:
        self._videos = iter(videos)
        self._engine = engine
        self._queue: Queue[tuple[_Video, Prepared | None] | BaseException | None] = Queue(
            max(2, _VIEWS_AHEAD // engine.spec.crops) + engine.batch
        )
        self._taking = threading.Lock()
        self._stop = threading.Event()
        self._prepared = _Budget(engine.bytes_ahead, self._stop)
        self._decoded = _Budget(_DECODED_BYTES, self._stop)
        count = min(_GPU_READERS, os.cpu_count() or 1) if "cuda" in engine.device else _CPU_READERS
        self._threads = [threading.Thread(target=self._read, name="amiss-decode", daemon=True) for _ in range(count)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def __iter__(self) -> Iterator[tuple[_Video, Prepared | None]]:
        reading = len(self._threads)
        while reading:
            try:
                item = self._queue.get(timeout=1)  # so that Ctrl-C comes through
            except Empty:
                continue
            if item is None:
                reading -= 1
            elif isinstance(item, BaseException):
                raise item
            else:
                self._prepared.give_back(_bytes_of(item[1]))
                yield item

    def _read(self) -> None:
        try:
            while not self._stop.is_set():
                with self._taking:
                    taken = next(self._videos, None)
                if taken is None:
                    break
                video = _Video(*taken)
                try:
                    self._read_video(video)
                except VideoError as error:
                    video.error = error
                self._put((video, None))
            self._put(None)
        except BaseException as error:
            self._put(error)

    def _read_video(self, video: _Video) -> None:
        spec = self._engine.spec
        how = spec.clip_len, spec.stride, spec.tail, spec.frame_rate
        with ClipReader(video.path, *how, stop=self._stop) as reader:
            two_clips = 2 * spec.clip_len * reader.height * reader.width * 3  # one is filled, one is preprocessed
            with self._decoded.taken(two_clips) as go_on:
                if not go_on:
                    return
                for clip in reader:
                    prepared = self._engine.prepare(clip.images)
                    del clip  # while the next one is read
                    if reader.stated_frames:
                        video.share = min(1.0, reader.n_frames / reader.stated_frames)
                    if not (self._prepared.take(_bytes_of(prepared)) and self._put((video, prepared))):
                        return
                    del prepared
            video.times, video.problem = reader.times, reader.problem

    def _put(self, item: tuple[_Video, Prepared | None] | BaseException | None) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0.1)
            except Full:
                continue
            return True
        return False
