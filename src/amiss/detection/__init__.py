"""Detector: backbone + head + calibration; scores, events.

What needs torch is imported when it is first used: a watcher's configuration has alarm settings, and is checked in a
moment.
"""

import typing

from amiss.detection._alarms import Alarm, AlarmChange, AlarmSettings, AlarmTracker, find_alarms
from amiss.detection._shipped import shipped_detector
from amiss.late import import_late as _import_late

if typing.TYPE_CHECKING:
    from amiss.detection._calibration import (
        Calibration,
        NormalFootage,
        OperatingPoint,
        ScoreMap,
        calibrate,
        operating_point,
        threshold_from_normal,
    )
    from amiss.detection._detector import Detector, detector_digest
    from amiss.detection._detector_folder import check_detector_folder, detector_files
    from amiss.detection._false_alarms import FalseAlarms, FalseAlarmThreshold, false_alarm_threshold, poisson_upper
    from amiss.detection._normalisation import Normalisation, NormalisationKind
    from amiss.detection._online import OnlineScorer, causal_offline_scores
    from amiss.detection._score_result import ClipScore, Event, ScoreResult, clip_scores, find_events, read_score_result
    from amiss.detection._score_track import ScoreTrack
    from amiss.detection._scoring import Scoring

__all__ = [
    "Alarm",
    "AlarmChange",
    "AlarmSettings",
    "AlarmTracker",
    "Calibration",
    "ClipScore",
    "Detector",
    "Event",
    "FalseAlarmThreshold",
    "FalseAlarms",
    "NormalFootage",
    "Normalisation",
    "NormalisationKind",
    "OnlineScorer",
    "OperatingPoint",
    "ScoreMap",
    "ScoreResult",
    "ScoreTrack",
    "Scoring",
    "calibrate",
    "causal_offline_scores",
    "check_detector_folder",
    "clip_scores",
    "detector_digest",
    "detector_files",
    "false_alarm_threshold",
    "find_alarms",
    "find_events",
    "operating_point",
    "poisson_upper",
    "read_score_result",
    "shipped_detector",
    "threshold_from_normal",
]

__getattr__ = _import_late(__name__)
