"""Events like one, asked over the API."""

# what can't be imported skips the tests

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("argon2", reason="needs amiss[web]")

from amiss.watch._vectors import pack_vector
from helpers.app import Application, application, later


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    with application(tmp_path_factory.mktemp("like")) as app:
        yield app


def add(app: Application, camera: str, numbers: list[float], second: int, **changes: Any) -> str:
    feature = pack_vector(np.array(numbers))
    return app.add_event(camera, feature=feature, started=later(second), **changes).event_id


def test_who_sees_one_camera_is_shown_like_events_of_it_alone(app: Application) -> None:
    own = add(app, "door", [1, 0, 0], 100)
    near, far = add(app, "yard", [1, 0.2, 0], 200), add(app, "door", [0.1, 1, 0], 300)
    add(app, "yard", [1, 0, 0], 400, feature_spec="spec2")
    url = f"/api/v1/events/{own}/similar"
    found = app.program("viewer").get(url).json()
    assert [one["event"]["event_id"] for one in found["events"]] == [near, far]
    assert found["events"][0]["likeness"] == pytest.approx(0.98, abs=0.01)
    assert (found["n_compared"], found["other_kind"], found["problem"]) == (2, ["yard"], None)
    found = app.program("door-only").get(url).json()
    assert [one["event"]["event_id"] for one in found["events"]] == [far]
    assert (found["n_compared"], found["other_kind"]) == (1, [])
    assert app.program("door-only").get(f"/api/v1/events/{near}/similar").status_code == 404
    assert app.program("viewer").get(f"{url}?limit=0").status_code == 422


def test_an_event_of_an_earlier_version_says_why_it_is_like_none(app: Application) -> None:
    found = app.program("viewer").get(f"/api/v1/events/{app.events['door'].event_id}/similar").json()
    assert (found["events"], "earlier version" in found["problem"]) == ([], True)
