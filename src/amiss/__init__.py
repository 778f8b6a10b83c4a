"""amiss: weakly supervised video anomaly detection.

    detector = amiss.Detector.load("run/selected")
    result = detector.score("video.mp4")

The names below are imported when they are first used: torch takes seconds, and `amiss --version` doesn't need it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from amiss._version import __version__

if TYPE_CHECKING:
    from amiss import convert
    from amiss.backbones import create_backbone
    from amiss.detection import Detector
    from amiss.heads import create_head

__all__ = ["Detector", "__version__", "convert", "create_backbone", "create_head"]

_HOME = {"Detector": "amiss.detection", "create_backbone": "amiss.backbones", "create_head": "amiss.heads"}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name == "convert":
        return import_module("amiss.convert")
    raise AttributeError(f"module 'amiss' has no attribute {name!r}")
