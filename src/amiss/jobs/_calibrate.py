"""amiss calibrate --detector: a threshold from recorded normal footage, or from stored features of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from amiss.datasets import first_names, read_manifest
from amiss.detection import check_detector_folder
from amiss.errors import EvaluationError, FeatureError, ManifestError, UsageError
from amiss.features import FeatureSet, open_feature_set
from amiss.jobs._progress import OnProgress, silent
from amiss.jobs._targets import video_files
from amiss.storage import located

if TYPE_CHECKING:  # torch takes seconds: a wrong path is told before
    from amiss.detection import Calibration, ScoreResult


@dataclass(frozen=True, kw_only=True)
class CalibratedDetector:
    """What was found for a detector on normal footage."""

    calibration: Calibration
    """With the threshold that was found, and the false alarms of the footage."""
    videos: tuple[str, ...]
    """Ids of the videos that it rests on."""
    left_out: dict[str, str]
    """Videos that can't be scored, and why."""
    trained_on: tuple[str, ...] = ()
    """Those of `videos` that have the id of a video which the detector was trained on."""

    @property
    def message(self) -> str:
        """It in a sentence."""
        n = len(self.videos)
        count = f"{n} video{'' if n == 1 else 's'}"
        return f"threshold {self.calibration.threshold:.4f}: {self.calibration.method} ({count})"


def calibrate_detector(
    detector: str | os.PathLike[str],
    per_hour: float,
    targets: Sequence[str | os.PathLike[str]] = (),
    *,
    features: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    weights: str | os.PathLike[str] | None = None,
    on_progress: OnProgress = silent,
) -> CalibratedDetector:
    """Find the lowest threshold of a detector with at most so many false alarms an hour on normal footage.

    Alarms are what `amiss detect` calls events. The promise is only made as far as the hours can show it, see
    `Calibration.at_rate`. A video that can't be scored is left out.

    Args:
        detector: its directory.
        per_hour: false alarms an hour, at most.
        targets: normal videos that the detector wasn't trained on, folders of them, or manifests, of which the normal
            test videos are taken; none = all videos of `features`.
        features: stored features of them, scored instead of running the backbone.
        out: directory for the detector with this threshold; may be its own. None: nothing is written.
        weights: file of the backbone's weights, where they are not found by name.
        on_progress: told videos done, of how many, and which one it is.

    Raises:
        DetectorError, FeatureError, VideoError, ManifestError: one of the paths is missing or wrong.
        UsageError: the hours are too few for so few alarms.
        EvaluationError: no video can be scored, or the threshold is so high that there would never be an alarm.
        OutputError: `out` can't be written.
    """
    check_detector_folder(detector)
    stored = open_feature_set(features) if features is not None else None
    videos = _normal_videos([located(target) for target in targets], stored)
    from amiss.detection import Detector, FalseAlarms
    from amiss.jobs._detect import detect

    loaded = Detector.load(detector)
    if stored is None:
        loaded.prepare(weights)
    found: dict[str, ScoreResult] = {}
    report = detect(videos, loaded, features=stored, on_progress=on_progress, on_result=found.__setitem__)
    if not found:
        raise EvaluationError(f"no video can be scored: {'; '.join(report.failed.values())}")
    scores = [np.array([clip.score for clip in result.clips]) for result in found.values()]
    hours = sum(result.times.until(result.n_frames) for result in found.values()) / 3600
    calibration = replace(loaded.calibration, alarms=FalseAlarms.of(scores, hours)).at_rate(per_hour)
    if (doubt := calibration.doubt()) is not None:
        raise EvaluationError(
            f"{detector}: {doubt}. Nothing is kept: something did happen in this footage, or the detector doesn't fit "
            "it: train with such videos"
        )
    if out is not None:
        loaded.calibration = calibration
        loaded.save(out)
    trained = loaded.provenance.get("videos")
    trained_on = tuple(sorted(name for name in found if isinstance(trained, list) and name in trained))
    return CalibratedDetector(
        calibration=calibration, videos=tuple(found), left_out=report.failed, trained_on=trained_on
    )


def _normal_videos(targets: Sequence[Path], features: FeatureSet | None) -> dict[str, Path | None]:
    """Video id → file, where there is one. Each is of a length that is known."""
    if not targets and features is None:
        raise UsageError("no footage: give normal videos, or stored features of them")
    videos: dict[str, Path | None] = {}
    for target in targets:
        if target.suffix.lower() == ".csv":
            normal = [video for video in read_manifest(target).split("test") if video.label == 0]
            if not normal:
                raise ManifestError(
                    f"{target} has no normal video (label 0) of split test: those of train and val were trained on"
                )
            videos |= {video.video_id: video.path for video in normal}
        else:
            videos |= video_files([target])
    if features is None:
        if without := [video_id for video_id, path in videos.items() if path is None]:
            raise ManifestError(f"{first_names(without)}: no file (column path), and no stored features were given")
        return videos
    videos = videos or dict.fromkeys(features.records)
    if lacking := [video_id for video_id in videos if video_id not in features]:
        raise FeatureError(f"{features.folder} has no features of {first_names(lacking)}")
    for video_id, path in videos.items():
        times = features.times(video_id)
        if path is None and (times is None or times.fps is None):
            raise FeatureError(
                f"{features.folder} doesn't say how long {video_id} is, so that hours can't be counted: extract it "
                "with amiss, or name the videos, too"
            )
    return videos
