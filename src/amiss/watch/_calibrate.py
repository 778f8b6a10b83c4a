"""`amiss calibrate`: thresholds of one camera from normal footage of it."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from amiss.backbones import check_same_features, clip_spans
from amiss.detection import Detector, causal_offline_scores, false_alarm_threshold
from amiss.engines import Engine
from amiss.errors import AmissError, ConfigError, DetectorError, EvaluationError, FeatureError, OutputError, UsageError
from amiss.features import Features, FeatureSet, FeatureSpec, extract_video, open_feature_set
from amiss.jobs import video_files
from amiss.video import FolderSource, FrameTimes, open_source
from amiss.watch.camera import CameraWorker, ClipScored, EnginePool, Models, model_key
from amiss.watch.config import (
    CameraCalibration,
    CameraSettings,
    Config,
    calibration_file,
    check_calibration,
    read_calibration,
    write_calibration,
)
from amiss.watch.teach import promoted_detector

log = logging.getLogger("amiss.watch")

OnProgress = Callable[[float, float, str], None]
Clip = tuple[float, float, float]
"""Start and end in seconds, and the score."""
MISSING_S = 2.0  # clips that are missing for longer begin another recording
STOP_S = 5.0  # longest wait for the last clips; for threads to end, beyond their camera's timeouts
ALMOST = 0.9  # of an earlier calibration's hours may replace it though they are too few
_STEPS = 10_000
_DOES_NOT_FIT = (
    "either something did happen in this footage, or the detector doesn't fit this camera: train with videos of it"
)


@dataclass(frozen=True)
class Calibrated:
    """What was found, and in words what it is worth."""

    calibration: CameraCalibration
    message: str


def calibrate_camera(
    config: Config,
    camera: str,
    per_hour: float,
    *,
    hours: float | None = None,
    videos: Sequence[Path] = (),
    features: Path | None = None,
    on_progress: OnProgress,
) -> tuple[Calibrated, Path]:
    """Find a camera's thresholds and keep them in the state folder, from where `amiss watch` takes them.

    What can be wrong is found out first. What was scored before Ctrl-C, or before the camera's worker or a video
    failed, is used, and the log says so. An earlier calibration of the same detector stays where it rests on more hours
    and these are too few for the rate.

    Args:
        config: of the watcher.
        camera: its name.
        per_hour: false alarms an hour, at most.
        hours: watch the camera for so long.
        videos: or score this footage of it: files, or folders of them.
        features: or these stored features of such footage, all of them or those of `videos`.
        on_progress: told (done, total, what).

    Raises:
        UsageError: no such camera, or a number that makes no sense.
        VideoError: a video can't be opened.
        OutputError: the state folder can't be written.
        EvaluationError: the footage gives no scores, is too little to replace the earlier calibration, or scores so
            high that a camera with its threshold could never raise an alarm.
    """
    if not 0 < per_hour < math.inf or (hours is not None and not 0 < hours < math.inf):
        raise UsageError(f"alarms an hour ({per_hour:g}) and hours ({hours}) must be above 0")
    if camera not in config.cameras:
        raise UsageError(f"there is no camera {camera!r}; there are {', '.join(config.cameras)}")
    settings = config.cameras[camera]
    if settings.detector is None:
        raise ConfigError(f"camera {camera} has no detector")
    if hours is not None and isinstance(open_source(settings.url.get_secret_value()), FolderSource):
        raise UsageError(f"camera {camera} is a folder, whose files would count as scored: give them as videos")
    check_calibration(config.state, camera)
    # a file that is named twice was still seen once
    named = {path.resolve(): (name, path) for target in videos for name, path in video_files([target]).items()}
    names, files = [name for name, _ in named.values()], [path for _, path in named.values()]
    key = model_key(promoted_detector(config.state, settings.detector), settings.weights)
    models = Models(config.workers)
    detector = models.detector(key)
    alarm = settings.alarm
    on = alarm.on if alarm.on is not None else detector.calibration.threshold
    start = alarm.with_thresholds(on, None if alarm.off is None else min(alarm.off, on))
    with ExitStack() as ends:
        ends.callback(models.close)
        if features is not None:
            clips = _score_features(detector, open_feature_set(features), settings, names)
        elif hours is None:
            clips = _score_videos(detector, models.pool(key).engine, settings, files, on_progress)
        else:
            clips = _score_live(camera, settings, detector, models.pool(key), hours, on_progress, ends)
        found = false_alarm_threshold(_uninterrupted(clips, alarm.merge_gap_s), per_hour, start)
        # Rounded up: times differ by microseconds from run to run, and smoothed scores with them.
        on, off = found.settings.thresholds
        threshold = math.ceil(on * _STEPS) / _STEPS
        if (doubt := detector.calibration.doubt(threshold)) is not None:
            raise EvaluationError(f"{camera}: {doubt}. {found.message}. Nothing is kept: {_DOES_NOT_FIT}")
        calibration = CameraCalibration(
            camera=camera,
            detector_sha256=key.sha256,
            threshold=threshold,
            off=off,
            per_hour=per_hour,
            hours=found.hours,
            alarms=found.n_alarms,
            upper_per_hour=found.upper_per_hour,
            is_enough=found.is_enough,
            smoothing_s=alarm.smoothing_s,
            min_length_s=alarm.min_length_s,
            merge_gap_s=alarm.merge_gap_s,
            made=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        lines = f"alarm: {{on: {threshold}, off: {calibration.off:.4f}}}"
        stated = f"What was found: {found.message}. In the configuration: {lines}"
        _check_earlier(config.state, calibration, stated)
        if not found.is_enough:
            same = len({score for recording in clips for _, _, score in recording}) == 1
            seen = "its scores, which were all the same" if same else "the highest score that it gave"
            log.warning("%s: too little footage: the threshold is just above %s; calibrate with more", camera, seen)
        try:
            return Calibrated(calibration, found.message), write_calibration(config.state, calibration)
        except OutputError as error:
            raise OutputError(f"{error}. {stated}") from error


def _close(worker: CameraWorker) -> None:
    """Wait for its threads: one that is in torch when Python ends would abort the process."""
    source = worker.settings.source
    with suppress(KeyboardInterrupt):  # of somebody who waits for no silent camera
        worker.close(source.open_timeout_s + source.read_timeout_s + STOP_S)


def _check_earlier(state: Path, found: CameraCalibration, stated: str) -> None:
    """A few seconds don't replace hours: raises EvaluationError."""
    try:
        earlier = read_calibration(state, found.camera)
    except DetectorError as error:
        log.warning("it is replaced: %s", error)
        return
    if found.is_enough or earlier is None or earlier.detector_sha256 != found.detector_sha256:
        return
    if found.hours < ALMOST * earlier.hours:
        raise EvaluationError(
            f"{found.camera}: {found.hours:.3g} h are too little, the calibration of {earlier.made} on "
            f"{earlier.hours:.3g} h is kept (remove {calibration_file(state, found.camera)} to replace it). {stated}"
        )


def _score_videos(
    detector: Detector, engine: Engine, settings: CameraSettings, videos: Sequence[Path], on_progress: OnProgress
) -> list[list[Clip]]:
    """The clips of each video; one that can't be read to its end is left out."""
    recordings: list[list[Clip]] = []
    rates: set[float] = set()
    error: AmissError | None = None
    try:
        for i, video in enumerate(videos):
            on_progress(i, len(videos), video.name)

            def on_share(share: float, done: int = i, name: str = video.name) -> None:
                on_progress(done + share, len(videos), name)

            try:
                extracted = extract_video(video, engine, on_share)
            except AmissError as caught:
                error = caught
                log.warning("left out: %s", caught)
                continue
            recordings.append(_clips(detector, settings, extracted.features, extracted.times, engine.spec))
            rates.add(round(extracted.times.rate, 2))
    except KeyboardInterrupt:
        log.warning("stopped: %d of %d videos are used", len(recordings), len(videos))
    if not recordings:
        raise error or EvaluationError("stopped before the first video was scored")
    if detector.spec.frame_rate is None and max(rates) > 1.02 * min(rates):
        log.warning(
            "the videos have different frame rates (%s a second): their clips are as long as their frames say; if the "
            "camera has one rate, give footage of that rate", ", ".join(f"{rate:g}" for rate in sorted(rates)),
        )  # fmt: skip
    on_progress(len(videos), len(videos), "")
    return recordings


def _score_features(
    detector: Detector, features: FeatureSet, settings: CameraSettings, video_ids: Sequence[str]
) -> list[list[Clip]]:
    """The clips of stored videos, of all where none are named."""
    check_same_features(features.spec, detector.spec, str(features.folder))
    if features.spec.segments is not None:
        raise FeatureError(f"{features.folder} has {features.spec.segments} segments per video; a camera has clips")
    recordings = []
    for video_id in video_ids or features.records:
        rows, times = features.load(video_id), features.times(video_id)
        if times is None or times.fps is None:
            raise FeatureError(f"{features.folder} doesn't say how long {video_id} is: hours can't be counted")
        recordings.append(_clips(detector, settings, rows, times, features.spec))
    return recordings


def _clips(
    detector: Detector, settings: CameraSettings, features: Features, times: FrameTimes, spec: FeatureSpec
) -> list[Clip]:
    """The clips of a video as the camera would score them, from its features [T, C, D]."""
    window, lookahead = settings.window_clips, settings.lookahead_clips
    scores = causal_offline_scores(detector, features, window=window, lookahead=lookahead)
    spans = times.spans(clip_spans(spec, len(scores), times))
    return [(*span, score) for span, score in zip(spans, scores.tolist(), strict=True)]


def _uninterrupted(recordings: Sequence[Sequence[Clip]], merge_gap_s: float) -> list[list[Clip]]:
    """The same clips; where some are missing, or the clock was set back, another recording begins."""
    found: list[list[Clip]] = []
    for clips in recordings:
        found.append(list(clips[:1]))
        for before, clip in pairwise(clips):
            if clip[0] - before[1] > max(MISSING_S, merge_gap_s) or clip[0] < before[0]:
                found.append([])
            found[-1].append(clip)
    return found


def _score_live(
    camera: str,
    settings: CameraSettings,
    detector: Detector,
    pool: EnginePool,
    hours: float,
    on_progress: OnProgress,
    ends: ExitStack,
) -> list[list[Clip]]:
    """The clips of the camera as it is now. `ends` waits for its worker."""
    scored: list[ClipScored] = []
    deaf = settings.model_copy(update={"alarm": settings.alarm.with_thresholds(2.0, 2.0)})
    worker = CameraWorker(
        camera, deaf, detector, pool, None, on_event=lambda _: None, on_score=scored.append,
    )  # fmt: skip
    ends.callback(_close, worker)
    worker.start()
    begin = time.monotonic()
    passed_s = 0.0
    unit, unit_s = ("minutes", 60) if hours > 0.2 else ("seconds", 1)
    total = 3600 * hours / unit_s
    try:
        try:
            while worker.is_alive() and (passed_s := time.monotonic() - begin) < hours * 3600:
                on_progress(passed_s / unit_s, total, f"{unit}, {len(scored)} clips")
                worker.join(1.0)
        finally:
            worker.stop()
            worker.join(STOP_S)
    except KeyboardInterrupt:  # also a second one, meanwhile
        log.warning("stopped after %.3g of %g hours: what was seen is used", passed_s / 3600, hours)
    if len(scored) < 2:
        raise worker.error or EvaluationError(
            f"{camera} gave {len(scored)} clips in {passed_s / 3600:.2g} h; is it there?"
        )
    if worker.error is not None:
        log.warning("%s failed after %.3g hours, what was seen is used: %s", camera, passed_s / 3600, worker.error)
    on_progress(min(passed_s / unit_s, total), total, f"{unit}, {len(scored)} clips")
    return [[(clip.started.timestamp(), clip.ended.timestamp(), clip.score) for clip in scored]]
