"""The loop: reviewed events become labelled bags, bags a new detector, and people choose which one watches."""

from amiss.watch.teach._bags import BagReport, export_reviews
from amiss.watch.teach._event_export import EventExport, export_events, walk_events
from amiss.watch.teach._retrain import Retrained, Teacher, load_promoted, retrain, teacher_of
from amiss.watch.teach._shelf import DetectorVersion, Shelf, as_json, promoted_detector, promotions_file

__all__ = [
    "BagReport",
    "DetectorVersion",
    "EventExport",
    "Retrained",
    "Shelf",
    "Teacher",
    "as_json",
    "export_events",
    "export_reviews",
    "load_promoted",
    "promoted_detector",
    "promotions_file",
    "retrain",
    "teacher_of",
    "walk_events",
]
