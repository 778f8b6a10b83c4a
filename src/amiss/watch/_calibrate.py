"""`amiss calibrate`: thresholds of one camera from normal footage of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amiss.detection import Detector, causal_offline_scores, false_alarm_threshold
from amiss.engines import Engine
from amiss.errors import ConfigError, EvaluationError, UsageError
from amiss.features import extract_video
from amiss.watch._camera import CameraWorker, ClipScored
from amiss.watch._config import CameraConfig, Config
from amiss.watch._models import Models, model_key
from amiss.watch._parts import alarm_settings, camera_settings
from amiss.watch._pool import EnginePool
from amiss.watch._thresholds import OFF_SHARE, CameraCalibration, Thresholds, write_calibration

OnProgress = Callable[[float, float, str], None]
Scores = NDArray[np.float64]
MISSING_S = 2.0  # clips that are missing for longer begin another recording
_STEPS = 10_000


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
    on_progress: OnProgress,
) -> tuple[Calibrated, Path]:
    """Find a camera's thresholds and keep them in the state folder, from where `amiss watch` takes them.

    Args:
        config: of the watcher.
        camera: its name.
        per_hour: false alarms an hour, at most.
        hours: watch the camera for so long.
        videos: or score this footage of it.
        on_progress: told (done, total, what).

    Raises:
        UsageError: no such camera, or the videos have different frame rates.
        EvaluationError: the footage gives no scores.
    """
    if camera not in config.cameras:
        raise UsageError(f"there is no camera {camera!r}; there are {', '.join(config.cameras)}")
    settings = config.cameras[camera]
    if settings.detector is None:
        raise ConfigError(f"camera {camera} has no detector")
    key = model_key(settings.detector, settings.weights)
    models = Models(config.workers)
    detector, pool = models.detector(key), models.pool(key)
    if hours is None:
        recordings, clip_s = _score_videos(detector, pool.engine, settings, videos, on_progress)
    else:
        recordings, clip_s = _score_live(camera, settings, detector, pool, hours, on_progress)
    alarm = settings.alarm
    on = alarm.on if alarm.on is not None else detector.calibration.threshold
    off = min(alarm.off, on) if alarm.off is not None else OFF_SHARE * on
    start = alarm_settings(alarm, Thresholds(on, off, ""))
    found = false_alarm_threshold(recordings, clip_s, per_hour, start)
    # Rounded up: times differ by microseconds from run to run, and smoothed scores with them.
    threshold = math.ceil(found.settings.on * _STEPS) / _STEPS
    calibration = CameraCalibration(
        camera=camera,
        detector_sha256=key.sha256,
        threshold=threshold,
        off=found.settings.off,
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
    return Calibrated(calibration, found.message), write_calibration(config.state, calibration)


def _score_videos(
    detector: Detector, engine: Engine, settings: CameraConfig, videos: Sequence[Path], on_progress: OnProgress
) -> tuple[list[Scores], float]:
    recordings, clip_lengths = [], []
    for i, video in enumerate(videos):
        on_progress(i, len(videos), video.name)

        def on_share(share: float, done: int = i, name: str = video.name) -> None:
            on_progress(done + share, len(videos), name)

        extracted = extract_video(video, engine, on_share)
        recordings.append(
            causal_offline_scores(
                detector, extracted.features, window=settings.window_clips, lookahead=settings.lookahead_clips
            )
        )
        clip_lengths.append(detector.spec.stride / (detector.spec.frame_rate or extracted.fps))
    on_progress(len(videos), len(videos), "")
    if max(clip_lengths) > 1.02 * min(clip_lengths):
        rates = sorted({round(detector.spec.stride / length, 2) for length in clip_lengths})
        raise UsageError(f"the videos have different frame rates ({rates}); footage of one camera has one")
    return recordings, float(np.median(clip_lengths))


def _score_live(
    camera: str, settings: CameraConfig, detector: Detector, pool: EnginePool, hours: float, on_progress: OnProgress
) -> tuple[list[Scores], float]:
    """Scores of the camera as it is now; where it was lost, another recording begins."""
    scored: list[ClipScored] = []
    never = Thresholds(2.0, 2.0, "")
    worker = CameraWorker(
        camera_settings(camera, settings, never), detector, pool, None,
        on_event=lambda _: None, on_score=scored.append,
    )  # fmt: skip
    worker.start()
    begin = time.monotonic()
    try:
        while worker.is_alive() and (passed_s := time.monotonic() - begin) < hours * 3600:
            on_progress(passed_s / 3600, hours, f"hours, {len(scored)} clips")
            worker.join(1.0)
    finally:
        worker.stop()
        worker.join(settings.source.read_timeout_s + 5)
    if worker.error is not None:
        raise worker.error
    on_progress(hours, hours, f"hours, {len(scored)} clips")
    if len(scored) < 2:
        raise EvaluationError(f"{camera} gave {len(scored)} clips in {hours:g} h; is it there?")
    clip_s = float(np.median([(b.ended - a.ended).total_seconds() for a, b in pairwise(scored)]))
    recordings: list[list[float]] = [[]]
    for before, clip in pairwise([scored[0], *scored]):
        if (clip.started - before.ended).total_seconds() > max(MISSING_S, settings.alarm.merge_gap_s):
            recordings.append([])
        recordings[-1].append(clip.score)
    return [np.array(values) for values in recordings], clip_s
