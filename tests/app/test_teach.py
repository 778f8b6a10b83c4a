"""Detectors and jobs over the API: retrain with reviews, promote, take back."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("argon2", reason="needs amiss[web]")

from amiss.app._application import create_app
from amiss.app._config_file import ConfigFile
from amiss.watch import load_config
from helpers.app import Application, application


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, shipped: Path) -> Iterator[Application]:
    folder = tmp_path_factory.mktemp("app")
    file = folder / "watch.yaml"
    file.write_text(
        f"detector: {shipped}\ndatabase: sqlite:///amiss.db\n"
        "cameras: {door: {url: 'rtsp://127.0.0.1/x'}, yard: {url: 'rtsp://127.0.0.1/y'}}\n"
    )
    with application(folder) as app:
        app.context = replace(app.context, config=lambda: load_config(file), config_file=ConfigFile(file))
        app.app = create_app(app.context)
        yield app


@pytest.fixture(scope="module")
def shipped() -> Path:
    from amiss.detection import shipped_detector

    return shipped_detector()


def wait(client: Any, job_id: str) -> dict[str, Any]:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        job: dict[str, Any] = client.get(f"/api/v1/jobs/{job_id}").json()
        if job["ended"] is not None:
            return job
        time.sleep(0.1)
    raise AssertionError(job)


def test_versions_are_promoted_and_taken_back(app: Application, shipped: Path) -> None:
    admin, reviewer, viewer = (app.browser(*who) for who in (app.first[0], ("reviewer",), ("viewer",)))
    (found,) = reviewer.get("/api/v1/detectors").json()["detectors"]
    assert (found["name"], found["cameras"]) == (shipped.name, ["door", "yard"])
    (own,) = found["versions"]
    assert (own["number"], own["promoted"], own["made_from"]) == (0, True, None)
    assert str(shipped.parent) not in str(found)
    shelf = teach_shelf(app, shipped)
    shelf.add(shipped, {"difference": 0.1}, "ann")
    version = f"{found['key']}-1"
    promote = f"/api/v1/detectors/{version}/promote"
    assert viewer.get("/api/v1/detectors").status_code == 403
    assert reviewer.post(promote).status_code == 403
    answer = admin.post(promote)
    assert (answer.status_code, answer.json()["promoted"], answer.json()["report"]) == (200, True, {"difference": 0.1})
    assert admin.post(promote).status_code == 400  # it watches already
    assert admin.post(f"/api/v1/detectors/{found['key']}-7/promote").status_code == 404
    assert admin.post("/api/v1/detectors/00000000-0/promote").status_code == 404
    assert reviewer.post("/api/v1/detectors/rollback", json={"key": found["key"]}).status_code == 403
    assert admin.post("/api/v1/detectors/rollback", json={"key": "00000000"}).status_code == 404
    assert admin.post("/api/v1/detectors/rollback", json={}).status_code == 422
    assert admin.post("/api/v1/detectors/rollback", json={"key": found["key"]}).json()["number"] == 0
    assert admin.post("/api/v1/detectors/rollback", json={"key": found["key"]}).status_code == 400
    assert [entry.action for entry in app.store.audit_log() if entry.actor == "admin"][:2] == ["roll-back", "promote"]


def teach_shelf(app: Application, detector: Path) -> Any:
    from amiss.watch.teach import Shelf

    config = app.context.config()
    assert config is not None
    return Shelf(config.state, detector)


def test_jobs_that_teach_are_an_admins_and_say_what_is_missing(app: Application) -> None:
    admin, reviewer = app.browser(*app.first[0]), app.browser("reviewer")
    assert reviewer.post("/api/v1/jobs", json={"kind": "retrain"}).status_code == 403
    assert admin.post("/api/v1/jobs", json={"kind": "retrain", "camera": "nowhere"}).status_code == 404
    assert admin.post("/api/v1/jobs", json={"kind": "calibrate", "camera": "door"}).status_code == 422
    answer = admin.post("/api/v1/jobs", json={"kind": "retrain"})
    assert answer.status_code == 202
    job = wait(admin, answer.json()["job_id"])
    assert (job["state"], job["who"]) == ("failed", "admin")
    assert "review first" in job["problem"]


def test_without_cameras_there_is_nothing_to_teach(app: Application) -> None:
    alone = replace(app.context, config=lambda: None, config_file=None)
    before, app.app = app.app, create_app(alone)
    try:
        admin = app.browser(*app.first[0])
        assert admin.get("/api/v1/detectors").json() == {"detectors": []}
        assert admin.post("/api/v1/jobs", json={"kind": "retrain"}).status_code == 400
    finally:
        app.app = before


def test_a_camera_is_snoozed_by_who_may_see_it(app: Application) -> None:
    reviewer, viewer = app.browser("reviewer"), app.browser("viewer")
    answer = reviewer.post("/api/v1/cameras/door/snooze", json={"minutes": 30})
    assert (answer.status_code, answer.json()["by"]) == (200, "reviewer")
    assert viewer.get("/api/v1/cameras/snoozed").json() == {"snoozed": {"door": answer.json()}}
    assert reviewer.post("/api/v1/cameras/nowhere/snooze", json={"minutes": 30}).status_code == 404
    assert reviewer.delete("/api/v1/cameras/door/snooze").status_code == 204
    assert viewer.get("/api/v1/cameras/snoozed").json() == {"snoozed": {}}


def test_calibration_is_asked_for_in_a_process_of_its_own(app: Application) -> None:
    admin = app.browser(*app.first[0])
    asked = {"kind": "calibrate", "camera": "door", "per_hour": 1, "hours": 1}
    job_id = admin.post("/api/v1/jobs", json=asked).json()["job_id"]
    assert admin.delete(f"/api/v1/jobs/{job_id}").status_code == 200
    assert wait(admin, job_id)["state"] == "stopped"
