"""Logging in and out, and what each role sees of cameras and events."""

# what can't be imported skips the tests

from collections.abc import Iterator

import pytest

pytest.importorskip("argon2", reason="needs amiss[web]")

from amiss.app.accounts import Passwords
from helpers.app import CLIP, PASSWORD, Application, application


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    with application(tmp_path_factory.mktemp("app")) as app:
        yield app


def test_the_first_admin_is_made_once_and_can_log_in(app: Application) -> None:
    ((name, password),) = app.first
    app.accounts.ensure_first()
    assert len(app.first) == 1
    browser = app.browser(name, password)
    assert browser.get("/api/v1/me").json() == {"name": "admin", "role": "admin", "cameras": None}


def test_a_session_is_a_cookie_that_scripts_and_other_sites_do_not_get(app: Application) -> None:
    client = app.client()
    answer = client.post("/api/v1/login", json={"name": " Viewer ", "password": PASSWORD})
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Max-Age=2592000" in cookie
    assert answer.json()["role"] == "viewer"
    secret = cookie.partition("=")[2].partition(";")[0]
    folder = app.media.parent
    assert not [file for file in folder.glob("amiss.db*") if secret.encode() in file.read_bytes()]


def test_passwords_are_kept_as_the_standard_says() -> None:
    passwords = Passwords()
    hashed = passwords.hash(PASSWORD)
    assert hashed.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert passwords.is_right(PASSWORD, hashed)
    assert not passwords.is_right(PASSWORD + " ", hashed)
    assert not passwords.is_right(PASSWORD, None)
    assert not passwords.is_right(PASSWORD, "no hash")


def test_who_logs_out_or_is_put_out_is_out(app: Application) -> None:
    first, second = app.browser("viewer"), app.browser("viewer")
    assert first.post("/api/v1/logout").status_code == 204
    assert first.get("/api/v1/me").status_code == 401
    assert second.get("/api/v1/me").status_code == 200
    second.cookies.clear()
    second.cookies.set("amiss_session", "x" * 43)
    assert second.get("/api/v1/me").status_code == 401


def test_without_a_login_pages_lead_to_it_and_the_api_says_so(app: Application) -> None:
    client = app.client()
    page = client.get("/events/1?x=2", headers={"Accept": "text/html"})
    assert (page.status_code, page.headers["location"]) == (303, "/login?next=/events/1%3Fx%3D2")
    answer = client.get("/api/v1/cameras")
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
    assert client.get("/health/live").text == "ok"
    assert client.get("/metrics").status_code == 401


def test_a_viewer_of_one_camera_sees_that_one_alone(app: Application) -> None:
    door, yard = app.events["door"].event_id, app.events["yard"].event_id
    viewer = app.program("door-only")
    assert [camera["name"] for camera in viewer.get("/api/v1/cameras").json()["cameras"]] == ["door"]
    assert [event["event_id"] for event in viewer.get("/api/v1/events").json()["events"]] == [door]
    for path in ("cameras/{}", "cameras/{}/picture.jpg"):
        assert viewer.get("/api/v1/" + path.format("door")).status_code == 200
        assert viewer.get("/api/v1/" + path.format("yard")).status_code == 404
    assert viewer.get("/api/v1/cameras/yard/live.mjpg").status_code == 404
    for path in ("events/{}", "events/{}/trace", "events/{}/snapshot.jpg", "events/{}/clip.mp4"):
        assert viewer.get("/api/v1/" + path.format(door)).status_code == 200
        hidden, missing = viewer.get("/api/v1/" + path.format(yard)), viewer.get("/api/v1/" + path.format("0" * 32))
        assert (hidden.status_code, hidden.json()) == (404, missing.json())
    assert viewer.get("/metrics").status_code == 403


def test_media_come_in_ranges(app: Application) -> None:
    viewer = app.program("viewer")
    url = f"/api/v1/events/{app.events['door'].event_id}/clip.mp4"
    part = viewer.get(url, headers={"Range": "bytes=256-511"})
    assert (part.status_code, part.content) == (206, CLIP[256:512])
    assert part.headers["content-range"] == f"bytes 256-511/{len(CLIP)}"
    assert viewer.get(url, headers={"Range": f"bytes={len(CLIP)}-"}).status_code == 416
    assert viewer.get(url, params={"part": 2}).status_code == 404


def test_addresses_of_cameras_and_paths_are_not_for_viewers(app: Application) -> None:
    assert app.program("viewer").get("/api/v1/cameras/door").json()["address"] is None
    assert app.program("boss").get("/api/v1/cameras/door").json()["address"] == "rtsp://***@192.0.2.7/door"
