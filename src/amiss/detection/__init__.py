"""Detector: backbone + head + calibration; scores, events."""

from amiss.detection._alarms import Alarm, AlarmChange, AlarmSettings, AlarmTracker, find_alarms
from amiss.detection._calibration import Calibration, threshold_from_normal
from amiss.detection._detector import Detector, detector_digest
from amiss.detection._false_alarms import FalseAlarmThreshold, false_alarm_threshold, poisson_upper
from amiss.detection._normalisation import Normalisation, NormalisationKind
from amiss.detection._online import OnlineScorer, causal_offline_scores
from amiss.detection._score_result import ClipScore, Event, ScoreResult, find_events

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
    "Normalisation",
    "NormalisationKind",
    "OnlineScorer",
    "ScoreResult",
    "causal_offline_scores",
    "detector_digest",
    "false_alarm_threshold",
    "find_alarms",
    "find_events",
    "poisson_upper",
    "threshold_from_normal",
]
