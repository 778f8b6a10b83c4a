"""What thresholds would have raised, asked over the API."""

# what can't be imported skips the tests

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("argon2", reason="needs amiss[web]")

from amiss.app._application import create_app
from helpers.app import Application, application
from helpers.scores import config_with_scores

BEGAN = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
URL = "/api/v1/cameras/door/raised"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    folder = tmp_path_factory.mktemp("raised")
    config = config_with_scores(folder, BEGAN)
    with application(folder) as app:
        app.add_user("yard-only", "reviewer", ["yard"])
        app.context = replace(app.context, config=lambda: config)
        app.app = create_app(app.context)
        yield app


def test_a_threshold_says_what_it_would_have_raised(app: Application) -> None:
    reviewer = app.program("reviewer")
    now = reviewer.get(URL).json()
    assert (now["threshold_on"], now["threshold_off"], now["n_alarms"]) == (0.7, 0.5, 2)
    assert now["hours"] == pytest.approx(2, abs=0.01)
    low = reviewer.get(f"{URL}?threshold=0.3").json()
    assert (low["n_alarms"], low["n_confirmed"], low["message"]) == (12, 0, None)
    newest = datetime.fromisoformat(low["alarms"][0]["started"])
    assert newest == BEGAN + timedelta(seconds=6600)
    assert low["alarms"][0]["event_id"] is None
    counts = [number for _, number in low["curve"]]
    assert (counts, counts[0], counts[-1]) == (sorted(counts, reverse=True), 12, 0)
    assert max(score for _, score in low["scores"]) == pytest.approx(0.8, abs=1e-3)
    assert reviewer.get(f"{URL}?curve=false").json()["curve"] == []
    assert reviewer.get(f"{URL}?days=0.05").json()["hours"] < 0.3


def test_false_alarms_an_hour_choose_a_threshold_without_what_was_confirmed(app: Application) -> None:
    """Each of the highest two is an event; once both are confirmed, they are no false alarms."""
    reviewer = app.program("reviewer")
    before = reviewer.get(f"{URL}?per_hour=2").json()
    assert 0.79 < before["threshold_on"] < 1
    for second in (600, 4200):
        began = BEGAN + timedelta(seconds=second)
        event = app.add_event("door", started=began, ended=began + timedelta(seconds=6), peak=began)
        app.store.add_review([event.event_id], "confirmed", reviewer="ada")
    after = reviewer.get(f"{URL}?per_hour=2").json()
    assert 0.39 < after["threshold_on"] < 0.5
    assert (after["n_alarms"], after["n_confirmed"], after["n_found"]) == (2, 2, 2)
    assert "0 alarms in" in after["message"]
    assert after["alarms"][0]["event_id"] == event.event_id
    assert after["alarms"][0]["verdict"] == "confirmed"
    few = reviewer.get(f"{URL}?per_hour=0.001").json()
    assert (few["is_enough"], "too little" in few["message"]) == (False, True)


def test_who_may_ask_and_what_makes_no_sense(app: Application) -> None:
    assert app.program("viewer").get(URL).status_code == 403
    assert app.program("yard-only").get(URL).status_code == 404
    yard: dict[str, Any] = app.program("yard-only").get(URL.replace("door", "yard")).json()
    assert (yard["n_alarms"], "no scores" in yard["problem"]) == (0, True)
    reviewer = app.program("reviewer")
    assert reviewer.get(URL.replace("door", "nowhere")).status_code == 404
    assert reviewer.get(f"{URL}?threshold=0.5&per_hour=1").status_code == 400
    for wrong in ("threshold=1", "threshold=nan", "per_hour=0", "days=1e9"):
        assert reviewer.get(f"{URL}?{wrong}").status_code == 422, wrong


def test_without_cameras_there_is_none(tmp_path: Path) -> None:
    with application(tmp_path) as app:
        assert app.program("reviewer").get(URL).status_code == 404
