"""Camera events for tests."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from amiss.watch import CameraEvent

START = datetime(2026, 3, 1, 12, 0, 0, 250000, tzinfo=UTC)


def make_event(**changes: Any) -> CameraEvent:
    """An event of 20 s, closed unless told otherwise."""
    started = changes.get("started", START)
    state = changes.get("state", "closed")
    values: dict[str, Any] = {
        "event_id": uuid.uuid4().hex, "camera": "gate", "state": state, "started": started,
        "ended": None if state == "open" else started + timedelta(seconds=20),
        "peak": started + timedelta(seconds=7), "peak_score": 0.9, "threshold_on": 0.6, "threshold_off": 0.4,
        "detector": "street", "detector_sha256": "ab" * 32, "feature_spec": "spec1",
        "trace": ((-5.0, 0.1), (0.0, 0.7), (7.0, 0.9), (19.5, 0.3)),
    }  # fmt: skip
    return CameraEvent(**(values | changes))
