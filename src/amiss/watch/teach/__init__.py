"""The loop: reviewed events become labelled bags, bags a new detector, and people choose which one watches."""

import typing

from amiss.late import import_late as _import_late

if typing.TYPE_CHECKING:  # training needs scikit-learn, which takes a second; watching doesn't
    from amiss.watch.teach._bags import BagReport, export_reviews
    from amiss.watch.teach._event_export import EventExport, export_events, walk_events
    from amiss.watch.teach._retrain import Retrained, Teacher, load_promoted, retrain, teacher_of
    from amiss.watch.teach._shelf import DetectorVersion, Shelf, as_json, promoted_detector, promotions_file

__getattr__ = _import_late(__name__)

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
