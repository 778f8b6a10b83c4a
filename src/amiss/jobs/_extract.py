"""amiss extract: videos → feature set."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from amiss.backbones import check_backbone_name
from amiss.errors import FeatureError, OutputError, VideoError
from amiss.features import FeatureSetWriter
from amiss.files import is_about_name
from amiss.jobs._progress import JobReport, OnProgress, silent
from amiss.jobs._targets import video_files
from amiss.video import warm_up

if TYPE_CHECKING:  # torch takes seconds: a wrong path is told before
    from amiss.engines import Engine


def extract_targets(
    targets: Sequence[str | os.PathLike[str]],
    backbone: str,
    out: str | os.PathLike[str],
    *,
    weights: str | Mapping[str, str] = "default",
    crops: int = 1,
    stride: int | None = None,
    frame_rate: float | None = None,
    preset: str = "default",
    logits: bool = False,
    engine: str = "auto",
    precision: str = "auto",
    compiled: bool = False,
    picture_fps: float | None = None,
    on_start: Callable[[Engine], object] = lambda _: None,
    on_progress: OnProgress = silent,
) -> JobReport:
    """Extract features of files, folders or a manifest into a feature set; see `extract`.

    Args:
        targets: video files, folders of them, or a manifest.
        backbone: see `amiss.create_backbone`, as the next six.
        out: folder of the feature set, new or of the same spec.
        weights: which.
        crops: spatial views of each clip.
        stride: frames from one clip to the next; None = the preset's.
        frame_rate: that videos are resampled to; None = their own.
        preset: preprocessing of a named project.
        logits: of the network's classifier, instead of features.
        engine: see `amiss.engines.create_engine`, as the next.
        precision: of the network.
        compiled: by torch, see `amiss.engines.create_engine`.
        picture_fps: see `video_files`.
        on_start: given the engine before the first video.
        on_progress: told videos done, of how many, and which one it is.

    Raises:
        UsageError: no target, an unknown name, or another process is writing into `out`.
        VideoError, ManifestError: a target is missing or wrong.
        WeightsError: the weights are missing or damaged.
        FeatureError: `out` holds features of another spec.
        OutputError: it can't be written.
    """
    notes: list[str] = []
    check_backbone_name(backbone)
    videos = video_files(targets, notes.append, picture_fps)
    warm_up()  # while torch is imported
    from amiss.backbones import create_backbone
    from amiss.engines import check_names, create_engine

    check_names(engine, precision)
    output: Literal["features", "logits"] = "logits" if logits else "features"
    built = create_backbone(
        backbone, weights, crops=crops, stride=stride, frame_rate=frame_rate, preset=preset, output=output
    )
    chosen = create_engine(built, engine=engine, precision=precision, compiled=compiled)
    on_start(chosen)
    report = extract(videos, chosen, out, on_progress)
    report.notes = notes
    return report


def extract(
    videos: Mapping[str, Path], engine: Engine, out: str | os.PathLike[str], on_progress: OnProgress = silent
) -> JobReport:
    """Extract the features of videos into a feature set; videos that are already in it are skipped.

    A video that can't be read, or whose features aren't finite, is reported and the rest goes on. A kill leaves whole
    files only. A warning says where the set holds features that another engine or precision made: they differ in the
    last digits.

    Args:
        videos: video id → file.
        engine: runs the backbone.
        out: folder of the feature set, new or of the same spec.
        on_progress: told videos done, of how many, and which one it is.

    Raises:
        UsageError: another process is writing into `out`.
        FeatureError: `out` holds features of another spec.
        OutputError: it can't be written.
    """
    with FeatureSetWriter(out, engine.spec) as writer:
        return _extract(videos, engine, writer, on_progress)


def _extract(
    videos: Mapping[str, Path], engine: Engine, writer: FeatureSetWriter, on_progress: OnProgress
) -> JobReport:
    from amiss.features import extract_videos

    report = JobReport(skipped=[video_id for video_id in videos if video_id in writer.done])
    todo = {video_id: path for video_id, path in videos.items() if video_id not in writer.done}
    if todo and (others := sorted(writer.engines - {engine.description})):
        warnings.warn(
            f"{writer.folder} has features from {', '.join(others)}; the rest comes from {engine.description}, which "
            "differs a little. For one kind throughout, choose engine and precision, or another folder",
            stacklevel=3,
        )
    shares: dict[str, float] = {}  # of the videos under way

    def tell(video_id: str, share: float) -> None:
        shares[video_id] = share
        on_progress(len(report.done) + len(report.failed) + sum(shares.values()), len(todo), video_id)

    for video_id, video in extract_videos(todo.items(), engine, tell):
        shares.pop(video_id, None)
        try:
            if isinstance(video, VideoError):
                raise video
            writer.add(video_id, video.features, video.n_frames, video.fps, engine.description, times=video.times)
        except (VideoError, FeatureError) as error:  # FeatureError: values that aren't finite
            report.failed[video_id] = str(error)
        except OutputError as error:
            if not is_about_name(error):
                raise  # the next video would fail alike
            report.failed[video_id] = str(error)
        else:
            report.done.append(video_id)
            if video.problem:
                report.warnings[video_id] = video.problem
        tell(video_id, 0.0)
        del shares[video_id]
    on_progress(len(todo), len(todo), "")
    return report
