"""One video file as if it were a camera, without a configuration; its scores may come from stored features."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from pydantic import SecretStr

from amiss.backbones import check_same_features
from amiss.detection import AlarmSettings, check_detector_folder
from amiss.errors import FeatureError, UsageError, VideoError
from amiss.features import open_feature_set
from amiss.watch.config import CameraSettings, Config, HttpSettings

if TYPE_CHECKING:  # torch takes seconds: a wrong path is told before
    from amiss.watch._stored_features import StoredFeatures


def single_video(
    video: Path,
    detector: Path,
    features: Path | None,
    out: Path,
    threshold: float | None = None,
    per_hour: float | None = None,
    picture_fps: float | None = None,
) -> tuple[Config, StoredFeatures | None]:
    """A configuration that watches one file, and the engine of its stored features.

    Args:
        video: the file, or folder of numbered pictures; it is played at its own speed.
        detector: detector directory.
        features: feature set that has the video; None = run the detector's backbone.
        out: folder for database, clips and snapshots.
        threshold: from which smoothed score on there is an event; None = the detector's.
        per_hour: or false alarms an hour, see `Calibration.at_rate`.
        picture_fps: rate of a folder of pictures; None: 25.

    Raises:
        VideoError: there is no such file. DetectorError: no such detector.
        UsageError: no score reaches the threshold, or the detector can't say which one keeps to so many an hour.
        FeatureError: the feature set doesn't have the video, has segments instead of clips, or is of another kind.
    """
    if not video.exists():
        raise VideoError(f"{video} does not exist")
    if picture_fps is not None and not video.is_dir():
        raise UsageError("--fps is the rate of folders of pictures: videos tell their own")
    rate = "" if picture_fps is None else f"?fps={picture_fps:g}"
    own_name = video.name if video.is_dir() else video.stem
    check_detector_folder(detector)
    found = None if features is None else open_feature_set(features)
    stored = None
    if found is not None:
        from amiss.detection import Detector
        from amiss.watch._stored_features import StoredFeatures

        check_same_features(found.spec, Detector.load(detector).spec, str(features))
        if found.spec.segments is not None:
            raise FeatureError(f"{features} has {found.spec.segments} segments per video; live scores need its clips")
        matches = [video_id for video_id in found.records if video_id.split("__")[-1] == own_name]
        if len(matches) != 1:
            raise FeatureError(f"{features} has {len(matches)} videos named {own_name!r}; it needs exactly one")
        stored = StoredFeatures(found, matches[0])
    root = out.resolve()
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", own_name).lstrip("_.-")[:64] or "video"
    camera = CameraSettings(
        url=SecretStr(f"replay:{quote(os.fsencode(video.resolve()))}{rate}"),
        detector=detector.resolve(),
        alarm=_alarm(detector, threshold, per_hour),
    )
    config = Config(
        cameras={name: camera},
        database=SecretStr(f"sqlite:///{root / 'amiss.db'}"),
        media=root / "media",
        state=root / "state",
        http=HttpSettings(port=0),
    )
    return config, stored


def _alarm(detector: Path, threshold: float | None, per_hour: float | None) -> AlarmSettings:
    if threshold is None and per_hour is None:
        return AlarmSettings()
    from amiss.detection import Detector

    return AlarmSettings(on=Detector.load(detector).calibration.chosen(threshold, per_hour).threshold)
