"""What attackers try: other sites, other names, guesses, paths, ranges, much too much; and what leaks."""

# what can't be imported skips the tests

from __future__ import annotations

import datetime
import logging
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

pytest.importorskip("argon2", reason="needs amiss[web]")

from amiss.app.accounts._attempts import BY_ADDRESS, BY_NAME, WITHIN_S, Attempts
from amiss.errors import ConfigError, UsageError
from amiss.watch.config import HttpSettings
from amiss.watch.http import HttpServer
from helpers.app import CLIP, PASSWORD, Application, application, served
from helpers.videos import write_video


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    with application(tmp_path_factory.mktemp("security")) as app:
        yield app


def test_a_page_of_another_site_changes_nothing(app: Application) -> None:
    browser, door = app.browser("reviewer"), f"/api/v1/events/{app.events['door'].event_id}"
    secret = browser.cookies["amiss_session"]

    def change(**headers: str) -> int:
        client = app.client(cookies={"amiss_session": secret}, headers=headers)
        return int(client.patch(door, json={"protected": True}).status_code)

    assert change(**{"Sec-Fetch-Site": "same-origin"}) == 200
    assert change(Origin="http://127.0.0.1:8720") == 200
    for headers in (
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:8720"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:8721"},
        {"Origin": "http://127.0.0.1:8720.evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
    ):
        assert change(**headers) == 403, headers
    login = app.client().post("/api/v1/login", json={"name": "reviewer", "password": PASSWORD},
                              headers={"Origin": "http://evil.example"})  # fmt: skip
    assert (login.status_code, "set-cookie" in login.headers) == (403, False)
    form = app.client().post("/api/v1/login", content='{"name": "reviewer", "password": "x"}',
                             headers={"Content-Type": "text/plain"})  # fmt: skip
    assert form.status_code == 422  # what a form of another site can send isn't taken for JSON


def test_without_a_login_other_sites_change_nothing_either(tmp_path: Path) -> None:
    app = Application(tmp_path, settings=HttpSettings(port=0, login=False))
    try:
        door = f"/api/v1/events/{app.events['door'].event_id}"
        assert app.client().get("/api/v1/me").json()["role"] == "admin"
        assert app.client().patch(door, json={"protected": True}).status_code == 200
        page = app.client(headers={"Origin": "http://evil.example"})
        assert page.patch(door, json={"protected": False}).status_code == 403
        assert app.client().post("/api/v1/tokens", json={"name": "x"}).status_code == 400
    finally:
        app.close()


@pytest.mark.parametrize(
    "settings",
    [
        {"login": False, "host": "0.0.0.0", "allow_public": True},
        {"login": False, "base_url": "https://cams.example"},
        {"login": False, "hosts": ("cams",)},
    ],
)
def test_no_login_is_for_loopback_alone(settings: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="login is false"):
        HttpSettings(**settings)  # type: ignore[arg-type]


def test_strangers_names_are_refused_and_every_answer_has_its_headers(app: Application) -> None:
    with served(app) as server:
        assert httpx.get(f"{server.url}/health/live", headers={"Host": "evil.example"}).status_code == 400
        for path in ("/health/live", "/api/v1/me", "/nothing"):
            headers = httpx.get(server.url + path).headers
            assert "default-src 'self'" in headers["content-security-policy"]
            assert "unsafe" not in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert headers["cache-control"] == "no-store"
            assert "server" not in headers
            assert "strict-transport-security" not in headers


@pytest.mark.parametrize(("trusted", "seen"), [(("127.0.0.1",), "203.0.113.9"), ((), "127.0.0.1")])
def test_whose_word_on_who_a_client_is_counts(trusted: tuple[str, ...], seen: str, tmp_path: Path) -> None:
    with application(tmp_path, settings=HttpSettings(port=0, trusted_proxies=trusted)) as app, served(app) as server:
        headers = {"X-Forwarded-For": "198.51.100.7, 203.0.113.9", "Sec-Fetch-Site": "same-origin"}
        with httpx.Client(base_url=server.url, headers=headers) as browser:
            browser.post("/api/v1/login", json={"name": "viewer", "password": PASSWORD})
            (session,) = [one for one in browser.get("/api/v1/sessions").json()["sessions"] if one["is_this"]]
    assert session["address"] == seen


def test_guessing_is_stopped_and_says_nothing(app: Application) -> None:
    client = app.client()
    answers = [client.post("/api/v1/login", json={"name": "viewer", "password": f"guess-{n}"}) for n in range(4)]
    unknown = client.post("/api/v1/login", json={"name": "nobody-here", "password": "guess"})
    assert {answer.status_code for answer in (*answers, unknown)} == {401}
    assert unknown.json() == answers[0].json()
    for _ in range(BY_ADDRESS):
        answer = client.post("/api/v1/login", json={"name": "viewer", "password": "guess"})
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= WITHIN_S + 1
    right = client.post("/api/v1/login", json={"name": "viewer", "password": PASSWORD})
    assert right.status_code == 429
    app.accounts._attempts = Attempts()
    assert client.post("/api/v1/login", json={"name": "viewer", "password": PASSWORD}).status_code == 200
    assert "login failed" in {entry.action for entry in app.store.audit_log(100)}


def test_attempts_count_by_network_and_by_name() -> None:
    now = [0.0]
    attempts = Attempts(lambda: now[0])
    for _ in range(BY_ADDRESS):
        assert attempts.begin("2001:db8::1", "ada") == 0
    assert attempts.begin("2001:db8::ffff:2", "eve") > 0  # the same network
    assert attempts.begin("2001:db8:1::1", "ada") == 0
    assert attempts.begin("::ffff:192.0.2.1", "eve") == 0
    now[0] = WITHIN_S + 1
    assert attempts.begin("2001:db8::1", "ada") == 0
    for n in range(BY_NAME):
        attempts.begin(f"192.0.2.{n}", "ada")
    assert attempts.begin("198.51.100.1", "ada") > 0
    assert attempts.begin("198.51.100.1", "eve") == 0
    attempts.succeeded("198.51.100.1", "ada")
    assert attempts.begin("198.51.100.1", "ada") == 0


@pytest.mark.parametrize("path", ["../amiss.db", "..%2famiss.db", "%2e%2e/amiss.db", "..\\amiss.db", "/etc/passwd",
                                  "%00", "a" * 65, "%252e%252e%252f", "door/../../amiss.db"])  # fmt: skip
def test_ids_are_never_paths(path: str, app: Application) -> None:
    viewer = app.program("viewer")
    for url in (f"/api/v1/events/{path}/clip.mp4", f"/api/v1/events/{path}", f"/api/v1/cameras/{path}/picture.jpg"):
        answer = viewer.get(url)
        assert answer.status_code in (404, 422), url
        assert b"SQLite" not in answer.content


def test_an_event_whose_files_are_named_elsewhere_shows_none(app: Application) -> None:
    outside = app.media.parent / "outside.mp4"
    outside.write_bytes(b"secret")
    (app.media / "link.mp4").symlink_to(outside)
    for clip in ("../outside.mp4", "link.mp4", str(outside)):
        event = app.add_event("door", clip=clip)
        assert app.program("viewer").get(f"/api/v1/events/{event.event_id}/clip.mp4").status_code == 404, clip


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ("bytes=0-", 206),
        ("bytes=-5", 206),
        ("bytes=5-2", 400),
        ("bytes=999999999999-", 416),
        ("bytes=abc", 400),
        ("bytes=" + ",".join(f"{n}-{n}" for n in range(0, 2000, 2)), 400),
        ("bytes=" + ",".join("0-" for _ in range(500)), 206),
        ("bytes=-99999999999999999999999", 206),
        ("lines=1-2", 400),
    ],
)
def test_ranges_are_bounded(given: str, status: int, app: Application) -> None:
    url = f"/api/v1/events/{app.events['door'].event_id}/clip.mp4"
    answer = app.program("viewer").get(url, headers={"Range": given})
    assert answer.status_code in (status, 200)
    assert len(answer.content) <= 2 * len(CLIP)


def test_too_much_is_refused(app: Application) -> None:
    browser = app.browser("reviewer")
    url = f"/api/v1/events/{app.events['door'].event_id}/reviews"
    assert browser.post(url, content=b"x" * (2 << 20)).status_code == 413
    assert browser.post(url, content=iter([b"x" * (1 << 20)] * 2)).status_code == 413
    assert browser.post(url, json={"verdict": "confirmed", "note": "x" * 5000}).status_code == 422
    assert browser.post("/api/v1/events/bulk", json={"ids": ["0" * 32] * 501, "protected": True}).status_code == 422
    deep = "[" * 100_000
    assert browser.post(url, content=deep, headers={"Content-Type": "application/json"}).status_code in (400, 422)


def test_uploads_are_bounded_and_looked_at(app: Application, tmp_path: Path) -> None:
    """What comes is decoded in a process of its own before it is a video; what isn't one leaves nothing."""
    browser, library = app.browser("reviewer"), app.context.library
    video = write_video(tmp_path / "own.mp4", 8).read_bytes()
    most = app.settings.max_upload_mb * 10**6

    def upload(name: str, content: object, **headers: str) -> httpx.Response:
        answer: httpx.Response = browser.post("/api/v1/videos", params={"name": name}, content=content, headers=headers)
        return answer

    assert upload("big.mp4", b"x", **{"Content-Length": str(most + 1)}).status_code == 413
    for name, content in (("page.mp4", b"<script>" * 5000), ("cut.mp4", video[:200]), ("none.mp4", b""),
                          ("list.m3u8", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"), ("run.sh", b"#!/bin/sh\n"),
                          ("list.mp4", b"ffconcat version 1.0\nfile /etc/passwd\n")):  # fmt: skip
        answer = upload(name, content)
        assert (answer.status_code, "/etc" in answer.text, str(tmp_path) in answer.text) == (422, False, False), name
    assert not library.uploads.exists() or list(library.uploads.iterdir()) == []
    answer = upload("../../<b>own.mp4", video)
    assert (answer.status_code, answer.json()["name"]) == (201, "uploads/_b_own.mp4"), answer.text
    url = f"/api/v1/videos/{answer.json()['video_id']}"
    assert browser.get(f"{url}/media", headers={"Range": "bytes=0-9"}).content == video[:10]
    assert browser.get(f"{url}/media", headers={"Range": "bytes=999999999-"}).status_code == 416
    for path in ("../uploads/own.mp4", "..%2f..%2famiss.db"):
        assert browser.get(f"/api/v1/videos/{path}/media").status_code in (404, 422), path
    assert app.browser("viewer").delete(url).status_code == 403
    assert browser.delete(url).status_code == 204
    assert list(library.uploads.iterdir()) == []


def test_names_and_notes_are_data(app: Application) -> None:
    evil = "<script>alert(1)</script>\u202e"
    browser = app.browser("reviewer")
    url = f"/api/v1/events/{app.events['door'].event_id}"
    assert browser.post(f"{url}/reviews", json={"verdict": "unsure", "class": evil, "note": evil}).status_code == 201
    answer = browser.get(url)
    assert (answer.json()["note"], answer.headers["content-type"]) == (evil, "application/json")
    assert browser.delete(f"{url}/reviews/last").json()["note"] != evil
    boss = app.browser("boss")
    new = {"name": evil, "role": "viewer", "password": PASSWORD}
    assert boss.post("/api/v1/users", json=new).status_code == 400
    assert boss.post("/api/v1/users", json=new | {"name": "x", "cameras": [evil]}).status_code == 422
    agent = app.client(headers={"User-Agent": "<script>\x00ÿ".encode()})
    agent.post("/api/v1/login", json={"name": "viewer", "password": PASSWORD})
    agents = {session["agent"] for session in boss.get("/api/v1/sessions").json()["sessions"]}
    (kept,) = [told for told in agents if told.startswith("<script>")]
    assert kept.isprintable()


def test_no_secret_is_logged_or_told(app: Application, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token, password = app.token("viewer"), "a-wrong-password-9"
    with served(app) as server:
        for headers in ({"Authorization": f"Bearer {token}"}, {"Authorization": f"Basic {token}"},
                        {"Cookie": f"amiss_session={token}"}):  # fmt: skip
            httpx.get(f"{server.url}/api/v1/me", headers=headers)
        bad = httpx.post(f"{server.url}/api/v1/login", json={"name": "viewer", "password": password})
        odd = httpx.post(f"{server.url}/api/v1/login", json={"name": "viewer", "password": password, "x": 1})
    app.accounts._attempts = Attempts()
    assert (bad.status_code, odd.status_code) == (401, 422)
    said = caplog.text + bad.text + odd.text + "".join(entry.detail for entry in app.store.audit_log(1000))
    assert token not in said
    assert password not in said


def test_what_fails_inside_says_so_without_a_traceback(app: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    program = app.program("viewer")
    monkeypatch.setattr(app.context.view, "not_ready", lambda: 1 / 0)
    answer = program.get("/api/v1/health")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert answer.json()["detail"] == "ZeroDivisionError: see the log of the server"
    assert "content-security-policy" in answer.headers


def test_many_who_guess_at_once_do_not_take_all_memory(app: Application) -> None:
    running, most = [0], [0]
    hasher = app.accounts._passwords._hasher

    class Counting:
        def verify(self, *arguments: str) -> bool:
            running[0] += 1
            most[0] = max(most[0], running[0])
            try:
                return hasher.verify(*arguments)
            finally:
                running[0] -= 1

    app.accounts._passwords._hasher = Counting()  # type: ignore[assignment]
    try:
        threads = [
            threading.Thread(target=app.accounts._passwords.is_right, args=("guess", None)) for _ in range(6)
        ]  # fmt: skip
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        app.accounts._passwords._hasher = hasher
    assert most[0] <= 2


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
               "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
               "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]  # fmt: skip
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no openssl")
    return folder / "cert.pem", folder / "key.pem"


def test_https_by_file(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    settings = HttpSettings(port=0, tls_certificate=certificate[0], tls_key=certificate[1])
    with application(tmp_path, settings=settings) as app, served(app) as server:
        assert server.url.startswith("https://127.0.0.1:")
        trust = ssl.create_default_context(cafile=str(certificate[0]))
        with httpx.Client(verify=trust, base_url=server.url, headers={"Sec-Fetch-Site": "same-origin"}) as browser:
            answer = browser.post("/api/v1/login", json={"name": "viewer", "password": PASSWORD})
            assert answer.headers["set-cookie"].startswith("__Host-amiss_session=")
            assert "Secure" in answer.headers["set-cookie"]
            assert "max-age" in answer.headers["strict-transport-security"]
            url = f"/api/v1/events/{app.events['door'].event_id}/clip.mp4"
            assert browser.get(url, headers={"Range": "bytes=1-3"}).content == CLIP[1:4]


def test_a_certificate_that_cannot_be_used_is_one_line(app: Application, certificate: tuple[Path, Path]) -> None:
    with pytest.raises(ConfigError, match=r"tls_certificate.*can't be used"):
        HttpServer(app.app, HttpSettings(port=0, tls_certificate=certificate[1], tls_key=certificate[1]))
    with pytest.raises(UsageError, match="go together"):
        HttpSettings(tls_key=certificate[1])


def test_a_session_is_over_when_its_time_is(app: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amiss.app.accounts._accounts._SESSION", datetime.timedelta(seconds=-1))
    assert app.browser("viewer").get("/api/v1/me").status_code == 401
    assert app.client(headers={"Authorization": f"Bearer {app.token('viewer', days=-1)}"}).get(
        "/api/v1/me"
    ).status_code == 401  # fmt: skip
