"""Asking for it."""

from __future__ import annotations

from pathlib import Path

from amiss.app.jobs import Job, Jobs, Work, run_apart
from amiss.app.teach._apart import MODULE


def ask_retrain(jobs: Jobs, config: Path, camera: str | None, who: str) -> Job:
    """Train the detector of a camera, or the only one, anew with what was reviewed.

    Raises:
        UsageError: too many jobs wait already.
    """
    request: dict[str, object] = {"do": "retrain", "config": str(config.absolute()), "camera": camera, "by": who}
    title = "the detector" if camera is None else f"the detector of {camera}"
    return jobs.submit("retrain", title, who, lambda work: _result(request, work))


def ask_calibrate(jobs: Jobs, config: Path, camera: str, per_hour: float, hours: float, who: str) -> Job:
    """Watch a camera for so many hours, and find its threshold for so many false alarms an hour.

    Raises:
        UsageError: too many jobs wait already.
    """
    request: dict[str, object] = {
        "do": "calibrate", "config": str(config.absolute()), "camera": camera, "per_hour": per_hour, "hours": hours,
    }  # fmt: skip
    return jobs.submit("calibrate", camera, who, lambda work: _result(request, work))


def _result(request: dict[str, object], work: Work) -> dict[str, object]:
    result: dict[str, object] = run_apart(MODULE, request, work)
    return result
