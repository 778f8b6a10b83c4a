"""Detector: backbone + head + calibration; scores, events.

What needs torch is imported when it is first used: a watcher's configuration has alarm settings, and is checked in a
moment.
"""

import importlib
import typing

from amiss.detection._alarms import Alarm, AlarmChange, AlarmSettings, AlarmTracker, find_alarms

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
    from amiss.detection._false_alarms import FalseAlarms, FalseAlarmThreshold, false_alarm_threshold, poisson_upper
    from amiss.detection._normalisation import Normalisation, NormalisationKind
    from amiss.detection._online import OnlineScorer, causal_offline_scores
    from amiss.detection._score_result import ClipScore, Event, ScoreResult, find_events, read_score_result

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
    "calibrate",
    "causal_offline_scores",
    "detector_digest",
    "false_alarm_threshold",
    "find_alarms",
    "find_events",
    "operating_point",
    "poisson_upper",
    "read_score_result",
    "threshold_from_normal",
]

_HOME = {
    "Calibration": "_calibration",
    "ClipScore": "_score_result",
    "Detector": "_detector",
    "Event": "_score_result",
    "FalseAlarmThreshold": "_false_alarms",
    "FalseAlarms": "_false_alarms",
    "NormalFootage": "_calibration",
    "Normalisation": "_normalisation",
    "NormalisationKind": "_normalisation",
    "OnlineScorer": "_online",
    "OperatingPoint": "_calibration",
    "ScoreMap": "_calibration",
    "ScoreResult": "_score_result",
    "calibrate": "_calibration",
    "causal_offline_scores": "_online",
    "detector_digest": "_detector",
    "false_alarm_threshold": "_false_alarms",
    "find_events": "_score_result",
    "operating_point": "_calibration",
    "poisson_upper": "_false_alarms",
    "read_score_result": "_score_result",
    "threshold_from_normal": "_calibration",
}


def __getattr__(name: str) -> typing.Any:
    if name not in _HOME:
        raise AttributeError(f"module 'amiss.detection' has no attribute {name!r}")
    return getattr(importlib.import_module(f"amiss.detection.{_HOME[name]}"), name)
