"""How a camera is watched, and by which detector."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from amiss.detection import AlarmSettings, Detector
from amiss.errors import DetectorError
from amiss.video import Backoff, GateSettings


@dataclass(frozen=True, kw_only=True)
class CameraSettings:
    """How one camera is watched."""

    name: str
    url: str
    """See LiveSource."""
    alarm: AlarmSettings
    window: int = 32
    """Clips that the head sees at once."""
    lookahead: int = 0
    """Clips to wait for before a clip is scored."""
    open_timeout_s: float = 10.0
    read_timeout_s: float = 10.0
    transport: str = "tcp"
    backoff: Backoff = field(default_factory=Backoff)
    height: int | None = None
    """Frames are scaled to this height first: less memory with large cameras, slightly other features."""
    gate: GateSettings | None = None
    """Spares the backbone in still scenes; None = every clip is run."""
    once: bool = False
    """End when a folder is worked off."""
    queue_clips: int = 4
    """Clips that may wait for the engine."""
    pre_roll_s: float = 5.0
    """Of the score trace; the recorder has its own."""
    update_s: float = 10.0
    """An open event that goes on is reported this often, and where its score rises."""


@dataclass(frozen=True)
class DetectorIdentity:
    """What made a score."""

    name: str
    sha256: str
    """Of head.safetensors and detector.json, one after the other."""
    feature_spec: str
    """Hash of the FeatureSpec."""


def identify(detector: Detector) -> DetectorIdentity:
    """Who a detector is.

    Raises:
        DetectorError: it wasn't loaded from a directory, or that can't be read any more.
    """
    folder = Path(detector.name)
    digest = hashlib.sha256()
    try:
        for name in ("head.safetensors", "detector.json"):
            digest.update((folder / name).read_bytes())
    except OSError as error:
        raise DetectorError(f"{folder} can't be read: {error.strerror}") from None
    return DetectorIdentity(detector.name, digest.hexdigest(), detector.spec.hash)
