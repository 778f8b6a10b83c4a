"""`amiss serve`: as a process with cameras, and over a folder of videos."""

# what can't be imported skips the tests

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

pytest.importorskip("argon2", reason="needs amiss[web]")

from amiss.app import MediaService, media_database, new_password
from amiss.cli import app as command
from amiss.errors import UsageError
from amiss.watch.config import HttpSettings
from helpers.motion import write_scene
from helpers.service import Watch, wait_for, watching
from helpers.streams import Connection, FakeCamera, transport_stream


def play_on(connection: Connection) -> None:
    connection.answer()
    for n in range(20):
        connection.play(transport_stream(start_s=2.0 * n), speed=1.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_scene(tmp_path / "scene.mp4", [(1, 150), (9, 100), (1, 400)])
    return tmp_path


@contextmanager
def logged_in(watch: Watch, password: str) -> Iterator[httpx.Client]:
    url, headers = f"http://127.0.0.1:{watch.port}/api/v1", {"Sec-Fetch-Site": "same-origin"}
    with httpx.Client(base_url=url, timeout=20, headers=headers) as client:
        assert client.post("login", json={"name": "admin", "password": password}).status_code == 200
        yield client


@pytest.mark.slow
def test_cameras_are_watched_behind_a_login_and_another_is_added(detector: Path, folder: Path) -> None:
    config = f"detector: {detector}\n" + (
        "cameras: {gate: {url: 'replay:scene.mp4?speed=4', alarm: {on: 0.5, off: 0.4, smoothing_s: 0}}}"
    )
    with watching(folder, config, command="serve", http="allow_cameras_at: [127.0.0.0/8]") as watch:
        found: Any = wait_for(lambda: re.search(r"name admin, password (\S+) ", watch.text()), 90, "the first login")
        wait_for(lambda: "open http" in watch.text(), 90, "serving")
        assert watch.get("/api/v1/cameras").status_code == 401
        assert watch.get("/health/live").text == "ok"
        with logged_in(watch, found[1]) as boss:
            event: Any = wait_for(
                lambda: [e for e in boss.get("events").json()["events"] if e["has_clip"]], 90, "an event with its clip"
            )[0]
            clip = boss.get(f"events/{event['event_id']}/clip.mp4", headers={"Range": "bytes=0-99"})
            assert (clip.status_code, clip.content[4:8]) == (206, b"ftyp")
            trace = boss.get(f"events/{event['event_id']}/trace").json()
            (begins,) = trace["clip_begins"]
            assert -8 < begins <= 0
            assert max(score for _, score in trace["points"]) == pytest.approx(event["peak_score"], abs=1e-3)
            with FakeCamera(play_on) as camera:
                assert boss.put("settings/cameras/yard", json={"address": camera.url}).status_code == 200
                wait_for(lambda: boss.get("cameras/yard").json().get("state") == "running", 30, "the new camera")
                assert wait_for(
                    lambda: boss.get("cameras/yard/picture.jpg").content[:2] == b"\xff\xd8", 20, "its picture"
                )
            assert boss.delete("settings/cameras/yard").status_code == 204
        assert watch.stop() == 0
        first = len(re.findall("password", watch.text()))
    with watching(folder, config, command="serve") as watch:
        wait_for(lambda: watch.text().count("open http") == 2, 90, "serving again")
        assert len(re.findall("password", watch.text())) == first
        told = CliRunner().invoke(command, ["users", "password", "admin", str(watch.file)])
        assert told.exit_code == 0
        with logged_in(watch, told.stdout.strip()) as boss:
            assert boss.get("me").json()["role"] == "admin"
        assert watch.stop() == 0


def test_a_folder_of_videos_is_served_without_cameras(tmp_path: Path) -> None:
    first: list[tuple[str, str]] = []
    service = MediaService(
        tmp_path, HttpSettings(port=0), on_first=lambda name, password: first.append((name, password))
    )
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        wait_for(lambda: is_served(service.url), 20, "serving")
        with httpx.Client(base_url=service.url, headers={"Sec-Fetch-Site": "same-origin"}) as client:
            assert client.post("/api/v1/login", json=dict(zip(("name", "password"), first[0], strict=True))).is_success
            assert client.get("/api/v1/cameras").json() == {"cameras": []}
            for page in ("/", "/review", "/search", "/teach", "/calibrate"):  # they make no sense without cameras
                assert client.get(page).headers["location"] == "/videos", page
            shown = client.get("/videos").text
            assert ("/system" in shown, "Live" in shown, "/calibrate" in shown) == (True, False, False)
            assert client.get("/api/v1/settings/cameras").status_code == 404
            assert client.get("/api/v1/system").json()["database"] == "sqlite"
            other = new_password(media_database(tmp_path), "admin")
            assert client.get("/api/v1/me").status_code == 401
            assert client.post("/api/v1/login", json={"name": "admin", "password": other}).is_success
        with pytest.raises(UsageError, match="there is no user 'eve'; there are: admin"):
            new_password(media_database(tmp_path), "eve")
    finally:
        service.ask_to_stop()
        thread.join()


def is_served(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/live").is_success
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "give a configuration, or --media"),
        (["--media", "nowhere"], "no such folder"),
        (["watch.yaml", "--media", "."], "give a configuration, or --media"),
        (["nowhere.yaml"], "can't be read"),
    ],
)
def test_a_wrong_command_line_is_one_line(options: list[str], said: str) -> None:
    ran = CliRunner().invoke(command, ["serve", *options])
    assert ran.exit_code in (1, 2)
    assert said in ran.stderr
