"""Asking for it."""

from __future__ import annotations

from pathlib import Path

from amiss.app.jobs import Job, Jobs, Work, run_apart


def ask_retrain(jobs: Jobs, config: Path, camera: str | None, who: str) -> Job:
    """Train the detector of a camera, or the only one, anew with what was reviewed.

    Raises:
        UsageError: too many jobs wait already.
    """
    request: dict[str, object] = {"config": str(config.absolute()), "camera": camera, "by": who}
    title = "the detector" if camera is None else f"the detector of {camera}"
    return jobs.submit("retrain", title, who, lambda work: _result("retrain", request, title, work))


def ask_calibrate(jobs: Jobs, config: Path, camera: str, per_hour: float, hours: float, who: str) -> Job:
    """Watch a camera for so many hours, and find its threshold for so many false alarms an hour.

    Raises:
        UsageError: too many jobs wait already.
    """
    request: dict[str, object] = {
        "config": str(config.absolute()), "camera": camera, "per_hour": per_hour, "hours": hours,
    }  # fmt: skip
    return jobs.submit("calibrate", camera, who, lambda work: _result("calibrate", request, camera, work), watches=True)


def _result(do: str, request: dict[str, object], title: str, work: Work) -> dict[str, object]:
    result: dict[str, object] = run_apart(f"amiss.app.teach._apart:{do}", request, title, work)
    return result
