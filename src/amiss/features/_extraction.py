"""Extraction: videos → features. Decoding, preprocessing and the backbone overlap; memory doesn't grow with the video.

Readers prepare clips (see `_readers.py`); the caller's thread runs the backbone over the clips of all videos under way,
in batches that reach from one video to the next.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from amiss.engines import Engine, Prepared
from amiss.errors import VideoError
from amiss.features._readers import PathLike, Readers, Source, VideoUnderWay
from amiss.video import FrameTimes, PartProof, SplitVideo


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


@dataclass(frozen=True)
class ExtractedRange:
    """Features of a part of a video."""

    rows: NDArray[np.float32]
    """[N, C, D]: of the clips that begin in it."""
    proof: PartProof | None
    """What decoding it showed, see `SplitVideo.check`."""
    size: tuple[int, int]
    """Height and width of its pictures."""


Extracted = ExtractedVideo | ExtractedRange | SplitVideo | VideoError
"""What one task of extraction gives: a whole video, a part of one, how one is split, or why there is nothing."""


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
        assert isinstance(result, ExtractedVideo)
        return result
    raise AssertionError("every video gives a result")


def extract_videos(
    videos: Iterable[tuple[str, Source] | None],
    engine: Engine,
    on_progress: Callable[[str, float], None] | None = None,
) -> Iterator[tuple[str, Extracted]]:
    """Decode videos, several at once, and run the engine's backbone over their clips.

    Args:
        videos: ids and files, files that may be split, or ranges of them. None where there is none at the moment: what
            is begun is finished, and they are asked again.
        engine: runs the backbone.
        on_progress: called with a video's id and the share of it that is done, 0..1, as far as its header tells.

    Yields:
        Id and features, or what was wrong, of each video as soon as it is done: not always in the order given. Of a
        range its rows, of a video that was split its parts.
    """
    with Readers(videos, engine) as readers:
        waiting: list[tuple[VideoUnderWay, int, Prepared]] = []
        read: list[VideoUnderWay] = []  # to their end; some of their clips may still wait
        for item in readers:
            if item is None:
                if waiting:
                    _run(engine, waiting)
                yield from _done(read, engine)
                continue
            video, clip, prepared = item
            if prepared is None:
                read.append(video)
            else:
                if waiting and _shapes(prepared) != _shapes(waiting[0][2]):
                    _run(engine, waiting)
                waiting.append((video, clip, prepared))
                video.n_waiting += 1
                if len(waiting) >= engine.batch:
                    _run(engine, waiting)
                if on_progress is not None and video.share is not None:
                    on_progress(video.id, video.share)
            yield from _done(read, engine)
        if waiting:
            _run(engine, waiting)
        yield from _done(read, engine)


def _done(read: list["VideoUnderWay"], engine: Engine) -> Iterator[tuple[str, Extracted]]:
    """Those of the videos read whose clips have all been run; they leave the list."""
    for video in [video for video in read if not video.n_waiting]:
        read.remove(video)
        yield video.id, _result(video, engine)


def _result(video: VideoUnderWay, engine: Engine) -> Extracted:
    if video.error is not None:
        return video.error
    if video.split is not None:
        return video.split
    rows = [video.rows[clip] for clip in sorted(video.rows)]
    if video.part is not None:
        return ExtractedRange(np.stack(rows), video.proof, video.size)
    if not rows:
        spec = engine.spec
        preset = (spec.parts or (spec,))[0].preset
        resampled = "" if spec.frame_rate is None else f", taken at {spec.frame_rate:g} a second,"
        return VideoError(
            f"{video.path}: {video.times.n_frames} frames{resampled} are fewer than a clip of {spec.clip_len}; tail "
            f"rule is 'drop' (preset {preset!r}): leave out the video, or extract with a preset that pads it "
            "(`amiss presets`; 'default' does)"
        )
    return ExtractedVideo(np.stack(rows), video.times, video.problem)


def _run(engine: Engine, waiting: list[tuple[VideoUnderWay, int, Prepared]]) -> None:
    for (video, clip, _), row in zip(waiting, engine.run([prepared for *_, prepared in waiting]), strict=True):
        video.rows[clip] = row
        video.n_waiting -= 1
    waiting.clear()


def _shapes(prepared: Prepared) -> list[torch.Size]:
    return [tensor.shape for tensor in prepared]
