"""What the parts of the camera watcher hand to each other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

EventState = Literal["open", "closed", "interrupted"]
"""`interrupted`: the process ended while the event was open."""

CameraState = Literal["connecting", "running", "stalled", "reconnecting", "stopped"]


@dataclass(frozen=True)
class CameraEvent:
    """One stretch of a camera's time in which its smoothed score stayed above the alarm thresholds.

    Attributes:
        event_id: A uuid in hex, made when the event opens; the idempotency key of everything that follows from it.
        camera: The camera's name.
        state: Open, closed or interrupted.
        started: Time of the first frame of the event, aware, UTC.
        ended: Time of the end of its last frame, aware, UTC; None while the event is open.
        peak: Middle of the clip with the best score, aware, UTC.
        peak_score: The best score, 0 to 1.
        threshold_on: Score at which the event opened.
        threshold_off: Score below which it closes.
        detector: The detector's name.
        detector_sha256: Checksum of the detector's head.safetensors and detector.json together.
        feature_spec: The hash of the detector's FeatureSpec.
        trace: (seconds since `started`, score) of every clip, pre-roll included (negative seconds).
        clip: The event's video, relative to the media folder; None if there is none (yet).
        snapshot: The event's picture, relative to the media folder; None if there is none (yet).
        file: Of a folder or a replayed file: name of the file that the event is in; None for cameras and loops.
        file_s: Seconds from that file's first frame to the event's first; None where `file` is.
        problem: What went wrong with this event's files, such as "no clip: disk full"; None if nothing did.
    """

    event_id: str
    camera: str
    state: EventState
    started: datetime
    ended: datetime | None
    peak: datetime
    peak_score: float
    threshold_on: float
    threshold_off: float
    detector: str
    detector_sha256: str
    feature_spec: str
    trace: tuple[tuple[float, float], ...]
    clip: str | None = None
    snapshot: str | None = None
    problem: str | None = None
    file: str | None = None
    file_s: float | None = None

    @property
    def place(self) -> str | None:
        """Where in which file the event begins, as `night.mp4 at 1:02:03`; None for cameras."""
        return None if self.file is None else f"{self.file} at {timedelta(seconds=int(self.file_s or 0))}"
