"""amiss extract: videos → feature set."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from amiss.backbones import check_backbone_name
from amiss.errors import AmissError, FeatureError, OutputError, VideoError
from amiss.executors import Executor, InProcess, RunMetrics, TaskLostError, executor_for
from amiss.features import FeatureSetWriter
from amiss.files import is_about_name
from amiss.jobs._extraction import EngineChoice, Extraction, extract_on, video_of
from amiss.jobs._progress import JobReport, OnProgress, TaskProgress, silent
from amiss.jobs._targets import video_files
from amiss.video import warm_up

if TYPE_CHECKING:  # torch takes seconds: a wrong path is told before
    from amiss.engines import Engine


def extract_targets(
    targets: Sequence[str | os.PathLike[str]],
    choice: EngineChoice | str,
    out: str | os.PathLike[str],
    *,
    picture_fps: float | None = None,
    cluster: str | None = None,
    workers: int | None = None,
    metrics: RunMetrics | None = None,
    on_start: Callable[[Engine], object] = lambda _: None,
    on_progress: OnProgress = silent,
) -> JobReport:
    """Extract features of files, folders or a manifest into a feature set; see `extract`.

    Args:
        targets: video files, folders of them, or a manifest.
        choice: what extracts; or the name of a backbone, the rest by default.
        out: folder of the feature set, new or of the same spec.
        picture_fps: see `video_files`.
        cluster: of Ray, see `executor_for`, as the next; videos and weights must have the same paths on its machines.
        workers: processes that extract; None = this one, or what the cluster has room for.
        metrics: count videos and clips, see `amiss.executors.serve_metrics`.
        on_start: given the engine before the first video; not where other processes work, which have their own.
        on_progress: told videos done, of how many, and what is being done.

    Raises:
        UsageError: no target, an unknown name, no such cluster, or another process is writing into `out`.
        VideoError, ManifestError: a target is missing or wrong.
        WeightsError: the weights are missing or damaged.
        FeatureError: `out` holds features of another spec.
        OutputError: it can't be written.
    """
    if isinstance(choice, str):
        choice = EngineChoice(backbone=choice)
    notes: list[str] = []
    check_backbone_name(choice.backbone)
    videos = video_files(targets, notes.append, picture_fps)
    warm_up()  # while torch is imported
    choice.check()
    executor = executor_for(cluster, workers, choice.threads, metrics)
    built = choice.create_backbone()
    if executor.is_here:
        chosen = choice.create_engine(built)
        on_start(chosen)
        job = Extraction(chosen, chosen.spec)
    else:
        job = Extraction(choice, built.spec)
    with FeatureSetWriter(out, built.spec) as writer:
        report = _extract(videos, job, executor, writer, on_progress)
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
        return _extract(videos, Extraction(engine, engine.spec), InProcess(), writer, on_progress)


def _extract(
    videos: Mapping[str, Path], job: Extraction, executor: Executor, writer: FeatureSetWriter, on_progress: OnProgress
) -> JobReport:
    report = JobReport(skipped=[video_id for video_id in videos if video_id in writer.done])
    todo = {video_id: path for video_id, path in videos.items() if video_id not in writer.done}
    progress = TaskProgress(len(todo), report, on_progress, video_of)
    engines = set[str]()
    with executor.start(job, progress.share) as run:
        progress.run = run
        for video_id, video, engine in extract_on(run, todo, splits=not executor.is_here, on_split=progress.split):
            progress.finished(video_id)
            if engine and engine not in engines:
                _tell_others(writer, engine, engines)
            try:
                if isinstance(video, AmissError):
                    raise video
                writer.add(video_id, video.features, video.n_frames, video.fps, engine, times=video.times)
            except (VideoError, FeatureError, TaskLostError) as error:  # FeatureError: values that aren't finite
                report.failed[video_id] = str(error)
            except OutputError as error:
                if not is_about_name(error):
                    raise  # the next video would fail alike
                report.failed[video_id] = str(error)
            else:
                report.done.append(video_id)
                progress.n_clips += len(video.features)
                if video.problem:
                    report.warnings[video_id] = video.problem
            progress.show(video_id)
    progress.end()
    return report


def _tell_others(writer: FeatureSetWriter, engine: str, engines: set[str]) -> None:
    """Whether others than this one made features of the set; this one is added to those that are known."""
    if others := sorted((writer.engines | engines) - {engine}):
        warnings.warn(
            f"{writer.folder} has features from {', '.join(others)}; the rest comes from {engine}, which differs a "
            "little. For one kind throughout, choose engine and precision, or another folder",
            stacklevel=3,
        )
    engines.add(engine)
