"""Events that are like one another, on SQLite and PostgreSQL."""

# what can't be imported skips the tests

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sqlalchemy", reason="needs amiss[watch]")
pytest.importorskip("alembic", reason="needs amiss[watch]")

from amiss.watch import CameraEvent
from amiss.watch._vectors import cosines, pack_vector
from amiss.watch.store import EventQuery, Store, open_store
from helpers.events import START, make_event

pytest_plugins = ("helpers.databases",)


@pytest.fixture
def store(database_url: str, tmp_path: Path) -> Iterator[Store]:
    store = open_store(database_url, tmp_path / "spool")
    yield store
    store.close(1)


def event_at(store: Store, degrees: float, minute: int, **changes: object) -> CameraEvent:
    """An event whose feature points there, in a plane."""
    angle = np.radians(degrees)
    started = START + timedelta(minutes=minute)
    feature = pack_vector(np.array([np.cos(angle), np.sin(angle), 0.0]) * 7)
    event = make_event(feature=feature, started=started, **changes)
    store.save_event(event)
    return event


def test_the_most_alike_come_first_of_the_cameras_and_kinds_that_are_asked_for(store: Store) -> None:
    own = event_at(store, 0, 0, camera="door")
    near = event_at(store, 8, 1, camera="yard")
    far = event_at(store, 80, 2, camera="door")
    event_at(store, 1, 3, camera="hall", feature_spec="spec2")
    store.save_event(make_event(camera="door"))  # of an earlier version: without a feature
    assert store.flush(10)
    found = store.similar_events(own, EventQuery(limit=5))
    assert found is not None
    assert [one.stored.event.event_id for one in found.events] == [near.event_id, far.event_id]
    assert [one.cosine for one in found.events] == pytest.approx(np.cos(np.radians([8, 80])), abs=0.01)
    assert found.n_compared == 2
    of_door = store.similar_events(own, EventQuery(cameras=("door",), limit=5))
    assert of_door is not None
    assert [one.stored.event.event_id for one in of_door.events] == [far.event_id]
    store.add_review([far.event_id], "confirmed", reviewer="ada")
    confirmed = store.similar_events(own, EventQuery(verdict="confirmed"))
    assert confirmed is not None
    assert [one.stored.event.event_id for one in confirmed.events] == [far.event_id]
    assert store.newest_kinds(["door", "hall", "nowhere"]) == {"door": "spec1", "hall": "spec2"}


def test_an_event_of_an_earlier_version_is_like_none(store: Store) -> None:
    event = make_event()
    store.save_event(event)
    assert store.flush(10)
    assert store.similar_events(event, EventQuery()) is None


def test_a_later_state_of_an_event_has_the_feature_of_its_new_peak(store: Store) -> None:
    own, first = event_at(store, 0, 0), event_at(store, 90, 1)
    later = make_event(**vars(first) | {"feature": pack_vector(np.array([1.0, 0.1, 0.0]))})
    store.save_event(later)
    assert store.flush(10)
    found = store.similar_events(own, EventQuery())
    assert found is not None
    assert found.n_compared == 1
    assert found.events[0].cosine == pytest.approx(0.995, abs=0.01)


def test_of_very_many_events_the_nearest_are_found(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also across the parts in which they are read."""
    monkeypatch.setattr("amiss.watch.store._like._PART", 7)
    events = [event_at(store, degrees, degrees) for degrees in range(40)]
    assert store.flush(20)
    found = store.similar_events(events[20], EventQuery(limit=4))
    assert found is not None
    assert {one.stored.event.event_id for one in found.events} == {events[i].event_id for i in (18, 19, 21, 22)}
    assert found.n_compared == 39


def test_packed_vectors_keep_their_cosines() -> None:
    random = np.random.default_rng(0)
    for dim, tolerance in ((512, 0.005), (2048, 0.03)):
        common = random.standard_normal(dim)
        near = [common + share * random.standard_normal(dim) for share in (0.1, 0.3, 1.0)]
        packed = [pack_vector(vector) for vector in near]
        true = [common @ vector / np.linalg.norm(common) / np.linalg.norm(vector) for vector in near]
        assert cosines(common, [one for one in packed if one]).tolist() == pytest.approx(true, abs=tolerance)
        assert {len(one or b"") for one in packed} == {512}
    assert pack_vector(np.zeros(4)) is None
    assert pack_vector(np.array([1.0, np.nan])) is None


def test_packed_vectors_are_the_same_for_ever() -> None:
    """Stored ones are compared with those of later versions."""
    packed = pack_vector(np.arange(1, 601, dtype=np.float32))
    assert packed is not None
    assert list(np.frombuffer(packed, np.int8)[:8]) == [-67, -66, 25, 17, -13, 8, 3, 92]
