"""amiss detect: videos → scores, figures, marked videos, event clips."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from amiss.backbones import check_same_features
from amiss.detection import ScoreResult, check_detector_folder
from amiss.errors import AmissError, FeatureError, OutputError, UsageError
from amiss.features import FeatureSet, open_feature_set
from amiss.files import atomic_path, is_about_name
from amiss.jobs._progress import JobReport, OnProgress, silent
from amiss.jobs._report import PageReport, report_results
from amiss.jobs._targets import video_files
from amiss.video import FrameTimes, annotate_video, check_video, cut_clip, read_frames_at, warm_up

if TYPE_CHECKING:  # torch and matplotlib take seconds: a wrong path is told before
    from matplotlib.figure import Figure

    from amiss.detection import Detector

_THUMBNAILS = 7
_THUMBNAIL_HEIGHT = 120
_ASSUMED_FPS = 30.0  # of features that others made; their datasets are nearly all at that rate


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
    picture_fps: float | None = None,
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
        picture_fps: see `video_files`.
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
    videos: dict[str, Path | None] = dict.fromkeys(stored.records) if stored is not None and not targets else {}
    if not videos:
        videos |= video_files(targets, notes.append, picture_fps)
        warm_up()  # while torch is imported
    from amiss.detection import Detector

    loaded = Detector.load(detector)
    loaded.calibration = loaded.calibration.chosen(threshold, per_hour)
    if threshold is not None and (doubt := loaded.calibration.doubt()):
        warnings.warn(doubt, stacklevel=2)
    if stored is None:
        loaded.prepare(weights, engine=engine, precision=precision)
    report = detect(
        videos,
        loaded,
        out=out,
        outputs=outputs,
        features=stored,
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
        on_progress: told videos done, of how many, and which one it is.
        on_result: given each video's id and result as soon as it is there.
        on_page: given what the page shows, when it is written.

    Raises:
        WeightsError: the backbone's weights are missing.
        UsageError: marked videos or event clips of a video of which only features are at hand.
        SpecMismatchError: `features` are of another kind than the detector's.
        OutputError: `out` can't be written.
    """
    wanted = outputs or DetectOutputs()
    if features is not None:
        check_same_features(features.spec, detector.spec, str(features.folder))
    else:
        detector.prepare()
    if without := [video_id for video_id, path in videos.items() if path is None and (wanted.annotate or wanted.clips)]:
        raise UsageError(f"marked videos and event clips need the video itself: give the file of {without[0]}")
    report = JobReport()
    for count, (video_id, path) in enumerate(videos.items()):
        on_progress(count, len(videos), video_id)
        try:
            if features is None:

                def on_share(share: float, done: int = count, name: str = video_id) -> None:
                    on_progress(done + share, len(videos), name)

                result = detector.score(path or video_id, on_share)
            else:
                result = _score_stored(video_id, path, detector, features)
        except AmissError as error:
            report.failed[video_id] = str(error)
            continue
        on_result(video_id, result)
        try:
            if out is not None:
                _write(Path(out), video_id, path, result, wanted)
        except AmissError as error:
            if isinstance(error, OutputError) and not is_about_name(error):
                raise  # the next video would fail alike
            report.failed[video_id] = str(error)
            continue
        report.done.append(video_id)
        if result.problem:
            report.warnings[video_id] = result.problem
    on_progress(len(videos), len(videos), "")
    if out is not None and wanted.page and report.done:
        on_page(report_results(out, videos=videos, preview=wanted.previews, problems=report.failed))
    return report


def _score_stored(video_id: str, path: Path | None, detector: Detector, features: FeatureSet) -> ScoreResult:
    rows = features.load(video_id)
    record, spec = features.records[video_id], features.spec
    times = features.times(video_id)
    if path is not None and (times is None or times.fps is None):  # features that others made; the video is at hand
        times = check_video(path).times
    if times is not None and times.fps is not None:
        return detector.result_of(str(path or video_id), rows, times, spec=spec)
    if spec.segments is not None:
        raise FeatureError(
            f"{video_id}: {features.folder} doesn't say how many frames it has and at what rate; name its video, too"
        )
    n_frames, fps = record.n_frames or len(rows) * spec.stride, record.fps or spec.frame_rate or _ASSUMED_FPS
    problem = f"its features don't tell length and frame rate: taken as {n_frames} frames at {fps:g} per second"
    return detector.result_of(str(path or video_id), rows, FrameTimes(n_frames, fps), problem, spec)


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
        indices = np.linspace(0, result.n_frames - 1, _THUMBNAILS + 2).round().astype(int)[1:-1].tolist()
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
    )
