"""By which detector a camera is watched."""

from dataclasses import dataclass
from pathlib import Path

from amiss.detection import Detector, detector_digest


@dataclass(frozen=True)
class DetectorIdentity:
    """What made a score."""

    name: str
    """Its folder."""
    sha256: str
    """Of head.safetensors and detector.json, one after the other."""
    feature_spec: str
    """Hash of the FeatureSpec."""


def identify(detector: Detector) -> DetectorIdentity:
    """Who a detector is.

    Raises:
        DetectorError: it wasn't loaded from a directory, or that can't be read any more.
    """
    return DetectorIdentity(detector.name, detector_digest(Path(detector.name)), detector.spec.hash)
