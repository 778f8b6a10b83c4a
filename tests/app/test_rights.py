"""Every route, asked by everybody: nobody, a viewer of another camera, a viewer, a reviewer, an admin."""

# what can't be imported skips the tests

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("argon2", reason="needs amiss[web]")

from amiss.app.jobs import Work
from amiss.errors import OutputError, StoreError
from helpers.app import Application, application
from helpers.waiting import wait_until

V1 = "/api/v1"
OPEN = {"POST /api/v1/login", "GET /health/live", "GET /health/ready"}
ENDLESS = {"GET /api/v1/stream", "GET /api/v1/cameras/{camera}/live.mjpg"}
REVIEW = {"verdict": "confirmed", "class": "fall", "note": "<b>"}
BODIES: dict[str, Any] = {
    "POST /api/v1/events/{event_id}/reviews": REVIEW,
    "PATCH /api/v1/events/{event_id}": {"protected": True},
    "POST /api/v1/cameras/{camera}/snooze": {"minutes": 5},
    "POST /api/v1/events/bulk": {"ids": ["{event_id}"], "protected": True},
}
ROUTES = {
    "POST /login": "open",
    "POST /logout": "viewer",
    "GET /me": "viewer",
    "PUT /me/password": "login",
    "GET /cameras": "viewer",
    "GET /cameras/snoozed": "viewer",
    "GET /cameras/{camera}": "camera",
    "POST /cameras/{camera}/snooze": "reviewer",
    "DELETE /cameras/{camera}/snooze": "reviewer",
    "GET /cameras/{camera}/picture.jpg": "camera",
    "GET /cameras/{camera}/live.mjpg": "camera",
    "GET /cameras/{camera}/raised": "reviewer",
    "GET /events": "viewer",
    "GET /events/{event_id}": "camera",
    "GET /events/{event_id}/trace": "camera",
    "GET /events/{event_id}/snapshot.jpg": "camera",
    "GET /events/{event_id}/clip.mp4": "camera",
    "GET /events/{event_id}/reviews": "camera",
    "GET /events/{event_id}/similar": "camera",
    "GET /events/showing": "viewer",
    "POST /events/{event_id}/reviews": "reviewer",
    "DELETE /events/{event_id}/reviews/last": "reviewer",
    "PATCH /events/{event_id}": "reviewer",
    "POST /events/bulk": "reviewer",
    "GET /users": "admin",
    "POST /users": "login",
    "PATCH /users/{user_id}": "login",
    "DELETE /users/{user_id}": "login",
    "GET /audit": "admin",
    "GET /sessions": "viewer",
    "DELETE /sessions/{session_id}": "viewer",
    "GET /tokens": "viewer",
    "POST /tokens": "login",
    "DELETE /tokens/{token_id}": "viewer",
    "GET /videos": "all cameras",
    "POST /videos": "all, reviewer",
    "GET /videos/{video_id}": "all cameras",
    "DELETE /videos/{video_id}": "all, reviewer",
    "GET /videos/{video_id}/scores": "all cameras",
    "GET /videos/{video_id}/media": "all cameras",
    "GET /videos/{video_id}/events": "all cameras",
    "GET /videos/{video_id}/export": "all cameras",
    "GET /jobs": "all, reviewer",
    "POST /jobs": "all, reviewer",
    "GET /jobs/{job_id}": "all, reviewer",
    "DELETE /jobs/{job_id}": "all, reviewer",
    "GET /detectors": "all, reviewer",
    "POST /detectors/rollback": "admin",
    "POST /detectors/{version_id}/promote": "admin",
    "GET /stream": "viewer",
    "GET /system": "admin",
    "GET /deliveries": "admin",
    "GET /settings/cameras": "admin",
    "PUT /settings/cameras/{camera}": "admin",
    "DELETE /settings/cameras/{camera}": "admin",
    "POST /settings/cameras/test": "admin",
    "GET /settings/channels": "admin",
    "PUT /settings/channels/{channel}": "admin",
    "DELETE /settings/channels/{channel}": "admin",
    "POST /settings/channels/{channel}/test": "admin",
    "GET /settings/rules": "admin",
    "PUT /settings/rules": "admin",
    "GET /health": "viewer",
    "GET /metrics": "all cameras",
}
"""Route → what it takes; `camera` and `reviewer` of events also the right to the event's camera."""

WHO = ("nobody", "yard-only", "door-only", "viewer", "reviewer", "boss")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    with application(tmp_path_factory.mktemp("rights")) as app:
        app.add_user("yard-only", "reviewer", ["yard"])
        yield app


@pytest.fixture(scope="module")
def clients(app: Application) -> dict[str, Any]:
    programs = {name: app.program(name) for name in WHO[1:]}
    return {"nobody": app.client()} | programs


def routes(app: Application) -> list[str]:
    paths = app.routes.openapi()["paths"]
    return [f"{method.upper()} {path}" for path, methods in paths.items() for method in methods]


def test_every_route_is_in_the_table(app: Application) -> None:
    known = {f"{route.split()[0]} {V1}{route.split()[1]}" for route in ROUTES}
    assert set(routes(app)) == known | {"GET /health/live", "GET /health/ready", "GET /metrics"}


@pytest.mark.parametrize("route", [route for route in ROUTES if route != "POST /login"])
def test_who_may(route: str, app: Application, clients: dict[str, Any]) -> None:
    method, path = route.split()
    full = f"{method} {V1}{path}"
    event_id = app.events["door"].event_id
    values = {"camera": "door", "event_id": event_id}
    url = V1 + path.format_map(
        dict.fromkeys(("user_id", "session_id", "token_id", "video_id", "job_id", "channel", "version_id"), "0" * 32)
        | values
    )
    body = BODIES.get(full, {})
    if "ids" in body:
        body = body | {"ids": [event_id]}
    options = {"json": body} if method != "GET" and method != "DELETE" else {}
    needs = ROUTES[route]
    for name in WHO:
        allowed = {
            "viewer": name != "nobody",
            "login": False,  # with a token: see test_a_token_makes_no_other
            "camera": name not in ("nobody", "yard-only"),
            "reviewer": name in ("reviewer", "boss"),
            "admin": name == "boss",
            "all cameras": name in ("viewer", "reviewer", "boss"),
            "all, reviewer": name in ("reviewer", "boss"),
        }[needs]
        if allowed and full in ENDLESS:
            continue
        answer = clients[name].request(method, url, **options)
        problem = answer.headers["content-type"] == "application/problem+json"
        if name == "nobody":
            assert (answer.status_code, problem) == (401, True), (name, answer.text)
        elif not allowed:
            hidden = name == "yard-only" and needs in ("camera", "reviewer")
            assert (answer.status_code, problem) == (404 if hidden else 403, True), (name, answer.text)
        elif "{" in path.replace("{camera}", "").replace("{event_id}", ""):
            assert answer.status_code in (404, 422), (name, answer.text)  # there is no such user, session, token
        elif path.startswith("/settings/") or path.endswith("/raised"):
            assert answer.status_code in (400, 404, 422), (name, answer.text)  # there is no file
        elif options and full not in BODIES and method != "DELETE" and path != "/logout":
            assert answer.status_code == 422, (name, answer.text)  # the body is empty
        elif full == "DELETE /api/v1/events/{event_id}/reviews/last":
            assert answer.status_code in (200, 404)
        else:
            assert answer.status_code < 300, (name, answer.text)


def test_nobody_is_told_more_than_that_there_is_a_login(app: Application) -> None:
    client = app.client()
    for path in ("/api/v1/openapi.json", "/api/v1/nothing", "/docs", "/nothing"):
        assert client.get(path).status_code == 401, path
    for method in ("PUT", "OPTIONS", "TRACE", "HEAD"):
        assert client.request(method, "/api/v1/events").status_code in (401, 405), method
    assert client.post("/health/live").status_code == 401


def test_a_token_makes_no_other_and_has_no_more_rights_than_it_was_given(app: Application) -> None:
    viewer = app.client(headers={"Authorization": f"Bearer {app.token('boss', 'viewer')}"})
    assert viewer.get("/api/v1/me").json()["role"] == "viewer"
    assert viewer.get("/api/v1/users").status_code == 403
    assert viewer.post("/api/v1/tokens", json={"name": "more", "role": "viewer"}).status_code == 403
    browser = app.browser("viewer")
    assert browser.post("/api/v1/tokens", json={"name": "more", "role": "admin"}).status_code == 400
    made = browser.post("/api/v1/tokens", json={"name": "mine"}).json()
    program = app.client(headers={"Authorization": f"Bearer {made['secret']}"})
    assert program.get("/api/v1/me").status_code == 200
    listed = browser.get("/api/v1/tokens")
    assert made["secret"] not in listed.text
    assert browser.delete(f"/api/v1/tokens/{made['token']['token_id']}").status_code == 204
    assert program.get("/api/v1/me").status_code == 401
    admin = app.program("boss")
    viewer_id = next(one["user_id"] for one in admin.get("/api/v1/users").json()["users"] if one["name"] == "viewer")
    assert admin.patch(f"/api/v1/users/{viewer_id}", json={"password": "another-password"}).status_code == 403


def test_why_it_is_not_ready_is_told_to_who_sees_all_cameras(app: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.context.view, "not_ready", lambda: ["the configuration is wrong: cameras.yard"])
    assert app.program("door-only").get("/api/v1/health").json() == {"ready": False, "reasons": []}
    assert "yard" in app.program("viewer").get("/api/v1/health").text


def test_where_files_lie_is_told_to_admins_alone(app: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Work) -> None:
        raise OutputError("can't write /srv/amiss videos/x/night.mp4: no space; see rtsp://door/1")

    monkeypatch.setattr(app.context.view, "not_ready", lambda: ["/srv/amiss/media is full"])
    job = app.jobs.submit("score", "night.mp4", "boss", fail)
    wait_until(lambda: app.jobs.get(job.job_id).state == "failed")
    told = {name: app.program(name) for name in ("reviewer", "boss")}
    jobs = {name: client.get(f"/api/v1/jobs/{job.job_id}").json()["problem"] for name, client in told.items()}
    assert jobs["reviewer"] == "can't write night.mp4: no space; see rtsp://door/1"
    assert "/srv/amiss videos/x/night.mp4" in jobs["boss"]
    assert "/srv" not in told["reviewer"].get("/api/v1/jobs").text
    health = {name: client.get("/api/v1/health").json()["reasons"] for name, client in told.items()}
    assert health == {"reviewer": ["media is full"], "boss": ["/srv/amiss/media is full"]}
    (door, *_) = app.context.view.watched.cameras()
    monkeypatch.setattr(door, "reason", "/srv/amiss/door.mp4 does not exist")
    reasons = {name: client.get(f"/api/v1/cameras/{door.name}").json()["reason"] for name, client in told.items()}
    assert reasons == {"reviewer": "door.mp4 does not exist", "boss": "/srv/amiss/door.mp4 does not exist"}
    monkeypatch.setattr(app.context.store, "reviews_of", raising(StoreError("sqlite:////srv/amiss.db can't be used")))
    url = f"/api/v1/events/{app.events['door'].event_id}/reviews"
    assert told["reviewer"].get(url).json()["detail"] == "sqlite:amiss.db can't be used"
    assert "/srv" in told["boss"].get(url).json()["detail"]


def raising(error: Exception) -> Any:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


def test_many_events_are_changed_together_or_not_at_all(app: Application) -> None:
    door, yard = (app.events[name].event_id for name in ("door", "yard"))
    reviewer, yard_only = app.program("reviewer"), app.program("yard-only")
    change = {"verdict": "confirmed", "protected": True}
    for ids, who in (([yard, "0" * 32], reviewer), ([yard, door], yard_only)):
        assert who.post("/api/v1/events/bulk", json=change | {"ids": ids}).status_code == 404
    assert (app.store.get_event(yard).verdict, app.store.get_event(yard).protected) == (None, False)
    assert reviewer.post("/api/v1/events/bulk", json=change | {"ids": [yard, door, yard]}).status_code == 204
    assert {app.store.get_event(one).verdict for one in (door, yard)} == {"confirmed"}
    assert {door, yard} <= app.store.protected_ids()
    assert reviewer.post("/api/v1/events/bulk", json={"ids": [yard, door], "protected": False}).status_code == 204
    assert not {door, yard} & app.store.protected_ids()


def test_reviews_belong_to_the_account_not_to_the_name(app: Application) -> None:
    boss, url = app.browser("boss"), f"/api/v1/events/{app.events['yard'].event_id}/reviews"
    for verdict in ("unsure", "confirmed"):
        new = {"name": "ida", "role": "reviewer", "password": "ida-has-a-password"}
        ida_id = boss.post("/api/v1/users", json=new).json()["user_id"]
        ida = app.browser("ida", new["password"])
        if verdict == "confirmed":  # another one of this name
            assert ida.delete(f"{url}/last").status_code == 404
        assert ida.post(url, json={"verdict": verdict}).status_code == 201
        assert boss.delete(f"{url}/last").status_code == 404
        if verdict == "confirmed":
            assert ida.delete(f"{url}/last").status_code == 200
        assert boss.delete(f"/api/v1/users/{ida_id}").status_code == 204
    assert [review["verdict"] for review in boss.get(url).json()["reviews"]][-1] == "unsure"


def test_a_reviewer_stops_no_job_of_an_admin(app: Application) -> None:
    begun = threading.Event()
    job = app.jobs.submit("retrain", "the detector", "boss", lambda work: begun.set() or {"ended": work.stop.wait(10)})
    assert begun.wait(5)
    url = f"/api/v1/jobs/{job.job_id}"
    assert app.program("reviewer").delete(url).status_code == 403
    assert app.program("reviewer").get(url).json()["state"] == "running"
    assert app.program("boss").delete(url).status_code == 200


def test_rights_that_are_taken_away_are_gone_at_once(app: Application) -> None:
    boss = app.browser("boss")
    new = {"name": "eve", "role": "reviewer", "password": "eve-has-a-password"}
    eve_id = boss.post("/api/v1/users", json=new).json()["user_id"]
    eve = app.browser("eve", new["password"])
    door = f"/api/v1/events/{app.events['door'].event_id}"
    assert eve.patch(door, json={"protected": False}).status_code == 200
    assert boss.patch(f"/api/v1/users/{eve_id}", json={"role": "viewer"}).status_code == 200
    assert eve.patch(door, json={"protected": True}).status_code == 403
    assert boss.patch(f"/api/v1/users/{eve_id}", json={"cameras": ["yard"]}).status_code == 200
    assert eve.get(door).status_code == 404
    assert eve.get("/api/v1/events?camera=door").json()["events"] == []
    assert boss.patch(f"/api/v1/users/{eve_id}", json={"password": "another-password"}).status_code == 200
    assert eve.get("/api/v1/me").status_code == 401
    assert boss.delete(f"/api/v1/users/{eve_id}").status_code == 204
    refused = app.client().post("/api/v1/login", json={"name": "eve", "password": "another-password"})
    assert refused.status_code == 401


def test_somebody_stays_admin(app: Application) -> None:
    boss = app.browser("boss")
    for user in boss.get("/api/v1/users").json()["users"]:
        if user["role"] == "admin" and user["name"] != "boss":
            assert boss.delete(f"/api/v1/users/{user['user_id']}").status_code == 204
    boss_id = next(user["user_id"] for user in boss.get("/api/v1/users").json()["users"] if user["name"] == "boss")
    assert boss.delete(f"/api/v1/users/{boss_id}").status_code == 400
    answer = boss.patch(f"/api/v1/users/{boss_id}", json={"role": "viewer"})
    assert (answer.status_code, "only admin" in answer.json()["detail"]) == (400, True)


def test_sessions_are_seen_and_ended(app: Application) -> None:
    viewer, other = app.browser("viewer"), app.browser("reviewer")
    (mine,) = [session for session in viewer.get("/api/v1/sessions").json()["sessions"] if session["is_this"]]
    assert {session["user"] for session in viewer.get("/api/v1/sessions").json()["sessions"]} == {"viewer"}
    assert other.delete(f"/api/v1/sessions/{mine['session_id']}").status_code == 404
    assert app.browser("boss").delete(f"/api/v1/sessions/{mine['session_id']}").status_code == 204
    assert viewer.get("/api/v1/me").status_code == 401
