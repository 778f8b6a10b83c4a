"""Where a camera's thresholds come from: its configuration, its calibration, or its detector."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from amiss.detection import AlarmSettings
from amiss.errors import DetectorError
from amiss.files import write_json, write_text
from amiss.reading import check_values, read_json, refusing
from amiss.settings import Score

_FORMAT = 1


@dataclass(frozen=True)
class CameraCalibration:
    """What `amiss calibrate` found for a camera; holds for one detector and one way of making events of scores."""

    camera: str
    detector_sha256: str
    threshold: Score
    off: Score
    per_hour: Annotated[float, Field(gt=0)]
    """False alarms an hour that were asked for."""
    hours: Annotated[float, Field(ge=0)]
    """Of footage that it was found on."""
    alarms: int
    """In that footage, at the threshold."""
    upper_per_hour: float
    """95 % upper bound of the rate, given so many alarms in so many hours."""
    is_enough: bool
    """Whether the hours can show the rate that was asked for."""
    smoothing_s: float
    min_length_s: float
    merge_gap_s: float
    made: str
    """When, ISO 8601."""


def calibration_file(state: Path, camera: str) -> Path:
    """Where a camera's calibration is kept."""
    return state / "calibration" / f"{camera}.json"


def write_calibration(state: Path, calibration: CameraCalibration) -> Path:
    """Keep it in the state folder, from where `amiss watch` takes it; returns the file.

    Raises:
        OutputError: it can't be written.
    """
    path = calibration_file(state, calibration.camera)
    write_json(path, {"format": _FORMAT, **asdict(calibration)})
    return path


def check_calibration(state: Path, camera: str) -> None:
    """Find out whether a calibration could be kept, before hours are spent on it.

    Raises:
        OutputError: it couldn't be written.
    """
    trial = calibration_file(state, camera).with_suffix(".try")
    write_text(trial, "")
    trial.unlink(missing_ok=True)


def read_calibration(state: Path, camera: str) -> CameraCalibration | None:
    """The camera's calibration; None where there is none.

    Raises:
        DetectorError: the file is damaged.
    """
    path = calibration_file(state, camera)
    if not path.exists():
        return None
    with refusing(DetectorError, str(path), advice="calibrate again, or remove it"):
        values = read_json(path)
        if values.pop("format") != _FORMAT:
            raise ValueError("it is of another format")
        return check_values(CameraCalibration, values)


def resolve_thresholds(
    alarm: AlarmSettings, calibration: CameraCalibration | None, detector_sha256: str, detector_threshold: float
) -> tuple[AlarmSettings, str]:
    """Stated thresholds first, then the camera's calibration if it is of this detector, then the detector's own.

    Returns:
        The settings with both thresholds, and where they come from, in words.
    """
    off = alarm.off
    if alarm.on is not None:
        on, source = alarm.on, "the configuration"
    elif calibration is not None and calibration.detector_sha256 == detector_sha256 and calibration.threshold < 1:
        on = calibration.threshold
        source = f"its calibration ({_worth(calibration)})"
        if (alarm.smoothing_s, alarm.min_length_s, alarm.merge_gap_s) != (
            calibration.smoothing_s,
            calibration.min_length_s,
            calibration.merge_gap_s,
        ):
            source += "; smoothing, length or gap have changed since: calibrate again"
        off = calibration.off if off is None else off
    else:
        on, source = detector_threshold, "the detector"
        if calibration is not None and calibration.detector_sha256 == detector_sha256:
            source += f" (no score reaches its calibration's, {calibration.threshold:.4f}: calibrate again)"
        elif calibration is not None:
            source += " (its calibration is of another one: calibrate again)"
    return alarm.with_thresholds(on, None if off is None else min(off, on)), source


def _worth(calibration: CameraCalibration) -> str:
    bound = f"at most {_digits(calibration.upper_per_hour)} false alarms an hour, {_digits(calibration.hours)} h seen"
    if calibration.is_enough:
        return bound
    return f"{bound}: too little footage for {calibration.per_hour:g} an hour, calibrate again"


def _digits(value: float) -> str:
    """Three digits, without an exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
