"""Extraction: videos → feature set. Decoding and the backbone overlap; memory doesn't grow with the video."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from queue import Full, Queue
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from amiss.engines import Engine
from amiss.errors import VideoError
from amiss.video import VideoReader, iter_clips

T = TypeVar("T")
_CLIPS_PER_CALL = 4  # clips given to the engine at once
_CLIPS_AHEAD = 8  # prepared clips that wait for the engine: bounds memory


@dataclass(frozen=True)
class ExtractedVideo:
    """Features of one video."""

    features: NDArray[np.float32]
    """[T, C, D] clips x crops x dim."""
    n_frames: int
    """Native frames decoded."""
    fps: float
    """Native frames per second."""
    problem: str | None
    """What is missing where it could be decoded only in part."""


def extract_video(
    path: str | os.PathLike[str], engine: Engine, on_progress: Callable[[float], None] | None = None
) -> ExtractedVideo:
    """Decode a video and run the engine's backbone over its clips.

    Decoding and preprocessing run in a thread of their own, so that they and the backbone don't wait for each other.

    Args:
        path: the video file.
        engine: runs the backbone; its spec says clip length, stride, frame rate and tail rule.
        on_progress: called with the share of the video that is done, 0..1, as far as its header tells.

    Raises:
        VideoError: nothing of it decodes, or it is shorter than a clip and the spec's tail rule is `drop`.
    """
    spec = engine.spec
    with VideoReader(path, frame_rate=spec.frame_rate) as reader:
        clips = iter_clips(reader, spec.clip_len, spec.stride, spec.tail)
        parts = []
        with _Prefetch((engine.prepare(clip.images) for clip in clips), _CLIPS_AHEAD) as prepared:
            for batch in _batches(prepared, _CLIPS_PER_CALL):
                parts.append(engine.run(batch))
                if on_progress is not None and reader.stated_frames:
                    on_progress(min(1.0, reader.n_frames / reader.stated_frames))
        if not parts:
            raise VideoError(
                f"{path}: {reader.n_frames} frames are fewer than a clip of {spec.clip_len}; tail rule is 'drop'"
            )
        return ExtractedVideo(np.concatenate(parts), reader.n_frames, reader.fps, reader.problem)


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


class _Prefetch(Iterable[T]):
    """Run an iterator in a thread, at most `size` items ahead. Its exceptions are raised where it is consumed."""

    _END = object()

    def __init__(self, items: Iterable[T], size: int) -> None:
        self._items = items
        self._queue: Queue[object] = Queue(size)
        self._error: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="amiss-decode", daemon=True)

    def __enter__(self) -> "_Prefetch[T]":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._put(item):
                    return
        except BaseException as error:
            self._error = error
        self._put(self._END)

    def _put(self, item: object) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0.1)
            except Full:
                continue
            return True
        return False

    def __iter__(self) -> Iterator[T]:
        while (item := self._queue.get()) is not self._END:
            yield item  # type: ignore[misc]  # only items and the end mark are put
        if self._error is not None:
            raise self._error
