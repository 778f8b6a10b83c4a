"""Extraction as a job of an executor: one video is one task; a long one is split into ranges, a task each."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from amiss.backbones import check_same_features
from amiss.errors import AmissError, Notice, UsageError, VideoError
from amiss.executors import Feed, Job, Perform, Run, Tell
from amiss.video import NotSplitError, SplitVideo

if TYPE_CHECKING:
    from amiss.backbones import Backbone, FeatureSpec
    from amiss.engines import Engine
    from amiss.features import Extracted, ExtractedVideo

RANGE_FRAMES = 15_000
"""Of a range of a long video: ten minutes at 25 frames a second."""
_RANGE = "\n"  # before the number of a range, in ids of tasks: no id of a video has it


@dataclass(frozen=True, kw_only=True)
class EngineChoice:
    """What an engine is made of, on any machine."""

    backbone: str
    """See `amiss.create_backbone`, as the next six."""
    weights: str | Mapping[str, str] = "default"
    crops: int = 1
    """Spatial views of each clip."""
    stride: int | None = None
    """Frames from one clip to the next; None = the preset's."""
    frame_rate: float | None = None
    """That videos are resampled to; None = their own."""
    preset: str = "default"
    """Preprocessing of a named project."""
    output: Literal["features", "logits"] = "features"
    """`logits`: of the network's classifier."""
    engine: str = "auto"
    """See `amiss.engines.create_engine`, as the next two."""
    precision: str = "auto"
    compiled: bool = False
    threads: int | None = None
    """Of the CPU, in each process; None = all, or what Ray gives a worker. A network's last digits depend on it."""

    def check(self) -> None:
        """Refuse names that nothing has, before weights are fetched for them.

        Raises:
            UsageError: no such engine or precision, or not one thread.
        """
        from amiss.engines import check_names

        if self.threads is not None and self.threads < 1:
            raise UsageError(f"threads is {self.threads}; it must be at least 1")
        check_names(self.engine, self.precision)

    def create_backbone(self) -> Backbone:
        """The network with its weights."""
        from amiss.backbones import create_backbone

        return create_backbone(
            self.backbone,
            self.weights,
            crops=self.crops,
            stride=self.stride,
            frame_rate=self.frame_rate,
            preset=self.preset,
            output=self.output,
        )

    def create_engine(self, backbone: Backbone, cpus: int | None = None) -> Engine:
        """What runs it here, on so many CPUs where `threads` says nothing."""
        from amiss.engines import create_engine

        return create_engine(
            backbone,
            threads=self.threads or cpus,
            engine=self.engine,
            precision=self.precision,
            compiled=self.compiled,
        )


@dataclass(frozen=True)
class Done:
    """What a worker hands back of a task."""

    found: Extracted
    engine: str
    """What ran the backbone, in words."""


class Extraction(Job):
    """Videos, or ranges of them → features.

    Args:
        engine: runs the backbone in this process; or what it is made of, elsewhere.
        spec: of the features that are wanted.
    """

    name = "extract"
    ahead = 3  # two are read at a time; on a GPU as many as there are readers pay, see `features/_readers.py`

    def __init__(self, engine: Engine | EngineChoice, spec: FeatureSpec) -> None:
        self._engine, self._spec = engine, spec

    def start(self, cpus: int | None) -> Perform:
        """Build the engine.

        Raises:
            SpecMismatchError: its features would be others, since a file of weights is another one here.
            UsageError, WeightsError: see `create_engine` and `create_backbone`.
        """
        engine = self._engine
        if isinstance(engine, EngineChoice):
            engine = engine.create_engine(engine.create_backbone(), cpus)
            check_same_features(engine.spec, self._spec, f"worker on {platform.node()}")

        def perform(feed: Feed, tell: Tell) -> Iterator[tuple[str, Any]]:
            from amiss.features import extract_videos

            for task, found in extract_videos(feed, engine, tell):
                yield task, found if isinstance(found, VideoError) else Done(found, engine.description)

        return perform

    def clips_of(self, result: Any) -> int:
        """Rows of features; a video that is only split has none yet."""
        return len(getattr(result.found, "features", ()))


def extract_on(
    run: Run, videos: Mapping[str, Path], *, splits: bool, on_split: Callable[[str, int], object] = lambda *_: None
) -> Iterator[tuple[str, ExtractedVideo | AmissError, str]]:
    """Extract videos, and put those together whose ranges were extracted by themselves.

    Args:
        run: of an `Extraction`.
        videos: id → file.
        splits: whether long videos are split; else each is a task.
        on_split: told of a video that was, and into how many tasks.

    Yields:
        Id, features or what was wrong, and the engine in words, of each video as soon as it is done.
    """
    from amiss.features import ExtractedVideo, RangedVideo, SplittableVideo

    ranged: dict[str, RangedVideo] = {}
    for video_id, path in videos.items():
        run.add(video_id, SplittableVideo(path, RANGE_FRAMES) if splits else path)
    for outcome in run:
        video_id, index = _parsed(outcome.id)
        found = outcome.error or outcome.result.found
        engine = "" if outcome.result is None else outcome.result.engine
        if isinstance(found, SplitVideo):
            video = ranged[video_id] = RangedVideo(videos[video_id], found)
            on_split(video_id, len(video.ranges))
            for number, one in enumerate(video.ranges):
                run.add(f"{video_id}{_RANGE}{number}", one)
        elif index is None:
            assert isinstance(found, ExtractedVideo | AmissError)
            yield video_id, found, engine
        elif ranged[video_id].add(index, found):
            try:
                yield video_id, ranged.pop(video_id).join(), engine
            except NotSplitError as error:
                warnings.warn(
                    f"{videos[video_id]} is extracted in one go, by one worker: {error}", Notice, stacklevel=2
                )
                on_split(video_id, 1)
                run.add(video_id, videos[video_id])
            except AmissError as error:
                yield video_id, error, engine


def video_of(task: str) -> str:
    """The video of a task."""
    return _parsed(task)[0]


def _parsed(task: str) -> tuple[str, int | None]:
    """Video id, and which range of it."""
    video_id, sign, number = task.rpartition(_RANGE)
    return (video_id, int(number)) if sign else (task, None)
