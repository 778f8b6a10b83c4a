"""News as they happen, over a real connection; and the API asked for odd things by its own description."""

# what can't be imported skips the tests

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("argon2", reason="needs amiss[web]")

from amiss.app._feed import News
from helpers.app import Application, application, served
from helpers.service import wait_for


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    with application(tmp_path_factory.mktemp("live")) as app:
        yield app


def told(lines: Iterator[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    kind = ""
    for line in lines:
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield kind, json.loads(line.removeprefix("data: "))


def test_news_come_to_who_may_see_them_until_the_session_ends(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("amiss.app.api._stream._CAMERAS_S", 0.1)
    monkeypatch.setattr("amiss.app.api._stream._ASK_S", 0.2)
    cookie = dict(app.browser("door-only").cookies)
    with served(app) as server, httpx.Client(base_url=server.url, cookies=cookie, timeout=10) as client:
        with client.stream("GET", "/api/v1/stream") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            news = told(answer.iter_lines())
            kind, camera = next(news)
            assert (kind, camera["name"], "scores" in camera) == ("camera", "door", False)
            wait_for(lambda: app.context.feed.n_listeners == 1, 5)
            app.context.feed.publish(News("event", "yard", {"event_id": "hidden"}))
            app.context.feed.publish(News("event", "door", {"event_id": "e"}))
            assert next(news) == ("event", {"event_id": "e"})
            app.statuses[0].set_state("stalled", "no data")
            kind, camera = next(news)
            assert (kind, camera["state"], camera["reason"]) == ("camera", "stalled", "no data")
            (session,) = client.get("/api/v1/sessions").json()["sessions"]
            app.browser("boss").delete(f"/api/v1/sessions/{session['session_id']}")
            assert list(news) == []
        wait_for(lambda: app.context.feed.n_listeners == 0, 5)


def test_a_stop_ends_listeners_without_a_word(app: Application, caplog: pytest.LogCaptureFixture) -> None:
    cookie = dict(app.browser("viewer").cookies)
    with served(app) as server, httpx.Client(base_url=server.url, cookies=cookie, timeout=10) as client:
        with client.stream("GET", "/api/v1/stream"):
            wait_for(lambda: app.context.feed.n_listeners == 1, 5)
            server.stop()
        wait_for(lambda: app.context.feed.n_listeners == 0, 5)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def test_who_does_not_listen_holds_nobody_up(app: Application) -> None:
    cookie = dict(app.browser("viewer").cookies)
    with (
        served(app) as server,
        httpx.Client(base_url=server.url, cookies=cookie, timeout=10) as client,
        client.stream("GET", "/api/v1/stream"),
    ):
        wait_for(lambda: app.context.feed.n_listeners == 1, 5)
        for n in range(10_000):
            app.context.feed.publish(News("job", None, {"n": n}))
        assert client.get("/api/v1/me").status_code == 200


@pytest.mark.slow
def test_odd_requests_find_no_fault(tmp_path: Path) -> None:
    check_oddly(tmp_path, 15)


def test_a_few_odd_requests_find_no_fault(tmp_path: Path) -> None:
    check_oddly(tmp_path, 1)


def check_oddly(folder: Path, examples: int) -> None:
    """Every route with values that fit its description and values that don't: no answer is a 5xx but 503."""
    import hypothesis
    import schemathesis

    with application(folder) as app:
        token = app.token("boss")
        schema = schemathesis.openapi.from_dict(app.routes.openapi())
        client = app.client(headers={"Authorization": f"Bearer {token}"})
        odd: list[str] = []
        for found in schema.get_all_operations():
            operation = found.ok()
            if operation.path.endswith(("/stream", "/live.mjpg")):
                continue

            @hypothesis.settings(
                max_examples=examples, deadline=None, database=None, derandomize=True,
                suppress_health_check=list(hypothesis.HealthCheck),
            )  # fmt: skip
            @hypothesis.given(case=operation.as_strategy())
            def ask(case: Any) -> None:
                options = case.as_transport_kwargs(base_url="http://127.0.0.1:8720")
                options.pop("cookies", None)
                if isinstance(options.get("data"), str | bytes):
                    options["content"] = options.pop("data")
                options["headers"] = {
                    name: value for name, value in options["headers"].items() if name.lower() != "authorization"
                }
                try:
                    answer = client.request(**options)
                except (UnicodeError, httpx.InvalidURL, ValueError):  # what no client could send
                    return
                if answer.status_code >= 500 and answer.status_code != 503:
                    odd.append(f"{case.method} {case.formatted_path}: {answer.status_code} {answer.text[:300]}")

            ask()
        assert odd == []
