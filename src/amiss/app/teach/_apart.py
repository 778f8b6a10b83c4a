"""What is done in a process of its own: retraining a detector, calibrating a camera."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from amiss.app.jobs import Told, answering
from amiss.watch import load_config, open_archive


def _retrain(request: dict[str, Any], asker: Told) -> dict[str, Any]:
    asker.progress(0, 1, "loading the detector")
    from amiss.watch import teach

    config = load_config(request["config"])
    archive = open_archive(config.database.get_secret_value())
    try:
        teacher = teach.teacher_of(config, request["camera"])
        done = teach.retrain(archive, config, teacher, by=request["by"], on_progress=asker.progress)
    finally:
        archive.close()
    left_out = len(done.bags.without_clip) + len(done.bags.failed)
    return {"detector": teacher.shelf.key, "version": done.version.number, "left_out": left_out, **done.version.report}


def _calibrate(request: dict[str, Any], asker: Told) -> dict[str, Any]:
    from amiss.watch import calibrate_camera

    config = load_config(request["config"])
    found, _ = calibrate_camera(
        config, request["camera"], request["per_hour"], hours=request["hours"], on_progress=asker.progress
    )
    return {"message": found.message, **asdict(found.calibration)}


retrain, calibrate = answering(_retrain), answering(_calibrate)
