"""amiss detect: videos → scores, figures, marked videos, event clips."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from amiss.backbones import check_same_features
from amiss.datasets import Manifest, Video, read_manifest
from amiss.detection import ScoreResult, check_detector_folder
from amiss.errors import AmissError, OutputError, UsageError
from amiss.executors import Executor, InProcess, RunMetrics, executor_for
from amiss.features import FeatureSet, open_feature_set
from amiss.files import NamesInFolder, atomic_path, is_about_name
from amiss.jobs._detection import Detection, DetectorChoice
from amiss.jobs._progress import JobReport, OnProgress, TaskProgress, silent
from amiss.jobs._report import PageReport, report_results
from amiss.jobs._targets import video_files
from amiss.storage import located
from amiss.video import FrameTimes, annotate_video, check_video, cut_clip, read_frames_at, warm_up

if TYPE_CHECKING:  # torch and matplotlib take seconds: a wrong path is told before
    from matplotlib.figure import Figure

    from amiss.detection import Detector

_THUMBNAILS = 7
_THUMBNAIL_HEIGHT = 120


@dataclass(frozen=True, kw_only=True)
class DetectOutputs:
    """What `detect` writes for each video besides JSON and CSV."""

    plot: bool = False
    annotate: bool = False
    clips: bool = False
    page: bool = False
    """One for all of them, at the end; see `report_results`."""
    previews: bool = False
    """With the page: small copies of videos that browsers don't play."""


def detect_targets(
    targets: Sequence[str | os.PathLike[str]],
    detector: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | None = None,
    outputs: DetectOutputs | None = None,
    features: str | os.PathLike[str] | None = None,
    threshold: float | None = None,
    per_hour: float | None = None,
    weights: str | os.PathLike[str] | None = None,
    engine: str = "auto",
    precision: str = "auto",
    compiled: bool = False,
    fps: float | None = None,
    cluster: str | None = None,
    workers: int | None = None,
    metrics: RunMetrics | None = None,
    on_progress: OnProgress = silent,
    on_result: Callable[[str, ScoreResult], object] = lambda *_: None,
    on_page: Callable[[PageReport], object] = lambda _: None,
) -> JobReport:
    """Score files, folders, a manifest, or stored features; see `detect`.

    Args:
        targets: video files, folders of them, or a manifest; none = all videos of `features`.
        detector: its directory.
        out: see `detect`, as the next.
        outputs: further outputs.
        features: folder of a feature set, scored instead of running the backbone.
        threshold: from which score on frames are an event, 0..1; None = the detector's.
        per_hour: or the lowest one that gives at most so many false alarms an hour, see `Calibration.at_rate`.
        weights: file of the backbone's weights, where they are not found by name.
        engine: see `amiss.engines.create_engine`, as the next.
        precision: of the backbone.
        compiled: by torch, see `amiss.engines.create_engine`.
        fps: native frames per second of folders of pictures, see `video_files`; with `features`, of videos of which
            nobody says it.
        cluster: of Ray, see `executor_for`, as the next; videos, detector and weights must have the same paths on its
            machines. Not with `features`.
        workers: processes that score; None = this one, or what the cluster has room for.
        metrics: count videos and clips, see `amiss.executors.serve_metrics`.
        on_progress: told videos done, of how many, and which one it is.
        on_result: given each video's id and result as soon as it is there.
        on_page: given what the page shows, when it is written.

    Raises:
        DetectorError, FeatureError, VideoError, ManifestError: one of the paths is missing or wrong.
        UsageError: no target and no features; also as `detect`, like the rest.
    """
    check_detector_folder(detector)
    stored = open_feature_set(features) if features is not None else None
    notes: list[str] = []
    videos, manifest = _targets_of(targets, stored, notes, fps)
    if stored is not None and (cluster is not None or workers is not None):
        raise UsageError("stored features are scored in a moment: leave out --cluster and --workers, or --features")
    executor = executor_for(cluster, workers, metrics=metrics)
    if targets and executor.is_here:
        warm_up()  # while torch is imported
    choice = DetectorChoice(
        folder=Path(detector),
        threshold=threshold,
        per_hour=per_hour,
        weights=None if weights is None else Path(weights),
        engine=engine,
        precision=precision,
        compiled=compiled,
    )
    loaded = choice.load()
    if (threshold, per_hour) != (None, None) and (doubt := loaded.calibration.doubt()):
        warnings.warn(doubt, stacklevel=2)
    if stored is None and executor.is_here:
        choice.prepare(loaded)
    report = _detect(
        videos,
        loaded,
        executor,
        Detection(loaded if executor.is_here else choice),
        out=out,
        outputs=outputs,
        features=stored,
        manifest=manifest,
        fps=fps,
        on_progress=on_progress,
        on_result=on_result,
        on_page=on_page,
    )
    report.notes = notes
    return report


def detect(
    videos: Mapping[str, Path | None],
    detector: Detector,
    *,
    out: str | os.PathLike[str] | None = None,
    outputs: DetectOutputs | None = None,
    features: FeatureSet | None = None,
    manifest: Manifest | None = None,
    fps: float | None = None,
    on_progress: OnProgress = silent,
    on_result: Callable[[str, ScoreResult], object] = lambda *_: None,
    on_page: Callable[[PageReport], object] = lambda _: None,
) -> JobReport:
    """Score videos and write what was asked for; a video that fails is reported and the rest goes on.

    Args:
        videos: video id → file; None where only features are at hand.
        detector: scores them; `detector.prepare(weights)` first where its weights are not found by name.
        out: folder for `<video_id>.json`, `.csv` and the other outputs; None writes nothing.
        outputs: further outputs.
        features: stored features to score instead of running the backbone.
        manifest: says frames and frame rates of videos of which the features don't.
        fps: native frames per second of those of which neither does; None: clips are counted instead of seconds.
        on_progress: told videos done, of how many, and which one it is.
        on_result: given each video's id and result as soon as it is there.
        on_page: given what the page shows, when it is written.

    Raises:
        WeightsError: the backbone's weights are missing.
        UsageError: marked videos or event clips of a video of which only features are at hand.
        SpecMismatchError: `features` are of another kind than the detector's.
        OutputError: `out` can't be written.
    """
    if features is None:
        detector.prepare()
    return _detect(
        videos,
        detector,
        InProcess(),
        Detection(detector),
        out=out,
        outputs=outputs,
        features=features,
        manifest=manifest,
        fps=fps,
        on_progress=on_progress,
        on_result=on_result,
        on_page=on_page,
    )


def _detect(
    videos: Mapping[str, Path | None],
    detector: Detector,
    executor: Executor,
    job: Detection,
    *,
    out: str | os.PathLike[str] | None,
    outputs: DetectOutputs | None,
    features: FeatureSet | None,
    manifest: Manifest | None,
    fps: float | None,
    on_progress: OnProgress,
    on_result: Callable[[str, ScoreResult], object],
    on_page: Callable[[PageReport], object],
) -> JobReport:
    wanted = outputs or DetectOutputs()
    if features is not None:
        check_same_features(features.spec, detector.spec, str(features.folder))
    if without := [video_id for video_id, path in videos.items() if path is None and (wanted.annotate or wanted.clips)]:
        raise UsageError(f"marked videos and event clips need the video itself: give the file of {without[0]}")
    report = JobReport()
    names = NamesInFolder(out or ".")
    progress = TaskProgress(len(videos), report, on_progress)
    if features is None:
        scored = _scored(videos, executor, job, progress)
    else:
        scored = _scored_stored(videos, detector, features, manifest, fps, progress)
    for video_id, result in scored:
        progress.finished(video_id)
        if isinstance(result, AmissError):
            report.failed[video_id] = str(result)
            continue
        on_result(video_id, result)
        try:
            if out is not None:
                names.claim(video_id)
                _write(Path(out), video_id, videos[video_id], result, wanted)
        except AmissError as error:
            if isinstance(error, OutputError) and not is_about_name(error):
                raise  # the next video would fail alike
            report.failed[video_id] = str(error)
            continue
        report.done.append(video_id)
        progress.n_clips += len(result.clips) if features is None else 0
        if result.problem:
            report.warnings[video_id] = result.problem
    order = {video_id: number for number, video_id in enumerate(videos)}
    report.done.sort(key=order.__getitem__)
    progress.end()
    if out is not None and wanted.page and report.done:
        on_page(report_results(out, videos=videos, preview=wanted.previews, problems=report.failed))
    return report


def _scored(
    videos: Mapping[str, Path | None], executor: Executor, job: Detection, progress: TaskProgress
) -> Iterator[tuple[str, ScoreResult | AmissError]]:
    """As they are finished."""
    with executor.start(job, progress.share) as run:
        progress.run = run
        for video_id, path in videos.items():
            run.add(video_id, path or video_id)
        for outcome in run:
            yield outcome.id, outcome.error or outcome.result
            progress.show(outcome.id)


def _scored_stored(
    videos: Mapping[str, Path | None],
    detector: Detector,
    features: FeatureSet,
    manifest: Manifest | None,
    fps: float | None,
    progress: TaskProgress,
) -> Iterator[tuple[str, ScoreResult | AmissError]]:
    known = {} if manifest is None else {v.video_id: replace(v, fps=v.fps or fps) for v in manifest.videos}
    for video_id, path in videos.items():
        progress.share(video_id, 0.0)
        try:
            yield video_id, _score_stored(path, detector, features, known.get(video_id) or _unknown(video_id, fps))
        except AmissError as error:
            yield video_id, error


def _targets_of(
    targets: Sequence[str | os.PathLike[str]], stored: FeatureSet | None, notes: list[str], fps: float | None
) -> tuple[dict[str, Path | None], Manifest | None]:
    """Video id → file, and the manifest where one was given with features: it may name no files."""
    if stored is None:
        return {**video_files(targets, notes.append, fps)}, None
    if not targets:
        return dict.fromkeys(stored.records), None
    if len(targets) == 1 and located(targets[0]).suffix.lower() == ".csv":
        manifest = read_manifest(targets[0])
        return {video.video_id: video.path for video in manifest.videos}, manifest
    return {**video_files(targets, notes.append)}, None


def _unknown(video_id: str, fps: float | None) -> Video:
    return Video(video_id=video_id, split="test", label=0, fps=fps)


def _score_stored(path: Path | None, detector: Detector, features: FeatureSet, video: Video) -> ScoreResult:
    rows, spec = features.load(video.video_id), features.spec
    times, unknown = _times_of_stored(path, features, video, len(rows))
    name, counts_clips = str(path or video.video_id), unknown is not None
    return detector.result_of(name, rows, times, unknown, spec, counts_clips=counts_clips)


def _times_of_stored(
    path: Path | None, features: FeatureSet, video: Video, n_rows: int
) -> tuple[FrameTimes, str | None]:
    """When the frames of a video are shown. Where nobody knows, a second for each row, and what is missing."""
    spec, record = features.spec, features.records[video.video_id]
    stored = features.times(video.video_id)
    if stored is not None and stored.knots is not None:
        return stored, None
    n_frames, fps = video.n_frames or record.n_frames, record.fps or video.fps
    if (n_frames is None or fps is None) and path is not None:
        return check_video(path).times, None
    if n_frames is None and spec.segments is None:
        n_frames = (n_rows - 1) * spec.stride + spec.clip_len
        fps = spec.frame_rate or fps  # these frames are counted at the rate that the video was resampled to
    if n_frames is None:
        return FrameTimes(n_rows, 1.0), (
            "nobody says how many frames it has: segments are counted instead of seconds (name its video, too, or "
            "give a manifest with n_frames and fps)"
        )
    if fps is None:
        rows = "clips" if spec.segments is None else "segments"
        per_row = spec.stride if spec.segments is None else n_frames / n_rows
        return FrameTimes(n_frames, per_row), (
            f"nobody says its frame rate: {rows} are counted instead of seconds (give it: --fps)"
        )
    return FrameTimes(n_frames, fps), None


def _write(out: Path, video_id: str, path: Path | None, result: ScoreResult, wanted: DetectOutputs) -> None:
    result.write_json(out / f"{video_id}.json")
    result.write_csv(out / f"{video_id}.csv")
    if wanted.plot:
        from amiss.evaluation import figure_png

        with atomic_path(out / f"{video_id}.png") as temporary:
            temporary.write_bytes(figure_png(score_figure(result, path)))
    if path is not None and wanted.annotate:
        spans, scores = [(c.start, c.end) for c in result.clips], [c.score for c in result.clips]
        events = [(event.start, event.end) for event in result.events]
        marked = out / f"{video_id}.annotated.mp4"
        annotate_video(path, marked, spans, scores, events, result.threshold, times=result.times)
    if path is not None and wanted.clips:
        for number, event in enumerate(result.events, 1):
            cut_clip(path, out / f"{video_id}.event{number:02d}.mp4", event.start, event.end)


def score_figure(
    result: ScoreResult, video: Path | None, truth: tuple[tuple[int, int], ...] | None = None, dark: bool = False
) -> Figure:
    """The score curve of a video, thumbnails above it where the video is at hand, events shaded.

    Args:
        result: of scoring it.
        video: its file, for the thumbnails.
        truth: frames [start, end) that are really anomalous, where known.
        dark: for a dark page.
    """
    from amiss.evaluation import plot_score_curve

    thumbnails = []
    if video is not None:
        last_s = float(result.times.starts(result.n_frames - 1))
        frames = result.times.frames_at(np.linspace(0, last_s, _THUMBNAILS + 2)[1:-1]).round(6).round()
        indices = np.unique(np.minimum(frames.astype(int), result.n_frames - 1)).tolist()
        thumbnails = list(zip(indices, read_frames_at(video, indices, _THUMBNAIL_HEIGHT), strict=True))
    return plot_score_curve(
        [(clip.start, clip.end) for clip in result.clips],
        [clip.score for clip in result.clips],
        result.times,
        events=[(event.start, event.end) for event in result.events],
        truth=truth,
        threshold=result.threshold,
        thumbnails=thumbnails,
        dark=dark,
        counts_clips=result.fps is None,
    )
