"""Events like one, and events whose pictures show what words say, asked over the API."""

# what can't be imported skips the tests

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("argon2", reason="needs amiss[web]")

from amiss.app._application import create_app
from amiss.app._words import Words
from amiss.backbones import ClipWords, find_clip
from amiss.watch._vectors import pack_vector
from helpers.app import Application, application, asking, later
from helpers.waiting import wait_until


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


def test_words_find_the_pictures_that_show_them(tmp_path: Path) -> None:
    with application(tmp_path) as app:
        pictures = {"red": add(app, "door", [1, 0], 0), "green": add(app, "yard", [1, 0], 60)}
        for colour, event_id in pictures.items():
            path = next(app.media.glob(f"*/*/{event_id}.jpg"))
            Image.new("RGB", (40, 30), colour).save(path)
        (broken,) = app.media.glob(f"*/*/{app.events['yard'].event_id}.jpg")
        broken.write_bytes(b"no picture")
        viewer, of_door = app.program("viewer"), app.program("door-only")
        early = viewer.get("/api/v1/events/showing?words=red").json()
        assert (early["events"], "still being read" in early["problem"]) == ([], True)
        app.words.start()
        wait_until(lambda: not app.words.state.is_behind)
        found = viewer.get("/api/v1/events/showing?words=red").json()
        assert [one["event"]["event_id"] for one in found["events"][:2]] == [
            pictures["red"],
            app.events["door"].event_id,  # grey
        ]
        assert found["events"][0]["likeness"] == pytest.approx(1, abs=0.02)
        assert (found["n_compared"], found["problem"], found["is_behind"]) == (3, None, False)
        found = of_door.get("/api/v1/events/showing?words=green").json()
        assert {one["event"]["camera"] for one in found["events"]} == {"door"}
        found = viewer.get("/api/v1/events/showing?words=green&camera=yard&min_score=0.5&verdict=none").json()
        assert [one["event"]["event_id"] for one in found["events"]] == [pictures["green"]]
        assert of_door.get("/api/v1/events/showing?words=green&camera=yard").json()["events"] == []
        new = add(app, "yard", [1, 0], 120)  # what comes later is seen when it has ended
        app.words.note()
        wait_until(lambda: viewer.get("/api/v1/events/showing?words=grey").json()["n_compared"] == 4)
        found = viewer.get("/api/v1/events/showing?words=grey&limit=2").json()
        assert new in {one["event"]["event_id"] for one in found["events"]}


def test_without_a_network_it_is_told_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMISS_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    with application(tmp_path) as app:
        words = Words(app.context.view, lambda: ClipWords(find_clip()))
        words.start()
        wait_until(lambda: "no CLIP weights" in (words.state.problem or ""))
        for name, folder in (("boss", str(tmp_path / "weights/clip-vit-base-patch16")), ("viewer", "an admin is told")):
            asked = asking(create_app(replace(app.context, words=words)), headers=app.program(name).headers)
            assert folder in asked.get("/api/v1/events/showing?words=red").json()["problem"]
        words.close()
        none = asking(create_app(replace(app.context, words=None)), headers=app.program("viewer").headers)
        assert "no cameras" in none.get("/api/v1/events/showing?words=red").json()["problem"]
