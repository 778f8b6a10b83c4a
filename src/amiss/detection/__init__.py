"""Detector: backbone + head + calibration; scores, events."""

from amiss.detection._calibration import Calibration, threshold_from_normal
from amiss.detection._detector import Detector
from amiss.detection._normalisation import Normalisation, NormalisationKind
from amiss.detection._result import ClipScore, Event, ScoreResult, find_events

__all__ = [
    "Calibration",
    "ClipScore",
    "Detector",
    "Event",
    "Normalisation",
    "NormalisationKind",
    "ScoreResult",
    "find_events",
    "threshold_from_normal",
]
