"""Lists of events, and what people say of them, on SQLite and PostgreSQL."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="needs amiss[watch]")
pytest.importorskip("alembic", reason="needs amiss[watch]")

import alembic.command
import alembic.config
from sqlalchemy import Connection, Engine, text
from sqlalchemy.event import listens_for

from amiss.errors import UsageError
from amiss.watch import Archive, CameraEvent
from amiss.watch.store import EventQuery, Store, StoredEvent, open_archive, open_store
from amiss.watch.store import _database as database_module
from amiss.watch.store import _event_plan as plan_module
from amiss.watch.store._database import make_engine
from amiss.watch.store._tables import event_words
from amiss.watch.store._words import words_of
from helpers.events import START, make_event
from helpers.stored_events import all_events

pytest_plugins = ("helpers.databases",)


@pytest.fixture
def store(database_url: str, tmp_path: Path) -> Iterator[Store]:
    opened = open_store(database_url, tmp_path / "spool")
    yield opened
    opened.close()


def save(store: Store, *events: CameraEvent) -> list[str]:
    for event in events:
        store.save_event(event)
    assert store.flush(10)
    return [event.event_id for event in events]


def ids(found: list[StoredEvent]) -> list[str]:
    return [stored.event.event_id for stored in found]


def test_newest_review_counts_and_can_be_taken_back(store: Store) -> None:
    event_id, other = save(store, make_event(), make_event(camera="yard"))
    assert ids(all_events(store, verdict="none", order="oldest")) == sorted([event_id, other])
    (first,) = store.add_review([event_id], "false-alarm", note=" a cat ", reviewer="ann")
    assert (first.verdict, first.label, first.note, first.reviewer) == ("false-alarm", None, "a cat", "ann")
    store.add_review([event_id], "confirmed", label="fall", reviewer="bob")
    assert [(r.verdict, r.label, r.note, r.reviewer) for r in store.reviews_of(event_id)] == [
        ("false-alarm", None, "a cat", "ann"), ("confirmed", "fall", "", "bob"),
    ]  # fmt: skip
    stored = store.get_event(event_id)
    assert stored is not None
    assert (stored.verdict, stored.label, stored.note) == ("confirmed", "fall", "")
    assert ids(all_events(store, verdict="none")) == [other]
    assert ids(all_events(store, verdict="confirmed")) == ids(all_events(store, label="fall")) == [event_id]
    assert all_events(store, verdict="false-alarm") == []

    (before,) = store.undo_review([event_id], reviewer="bob")
    assert before == store.reviews_of(event_id)[0]
    (stored,) = all_events(store, verdict="false-alarm")
    assert (stored.label, stored.note) == (None, "a cat")
    with pytest.raises(UsageError, match="'bob' has said nothing"):
        store.undo_review([event_id], reviewer="bob")
    assert store.undo_review([event_id], reviewer="ann") == (None,)
    assert len(all_events(store, verdict="none")) == 2
    assert [(entry.actor, entry.action, entry.detail) for entry in store.audit_log()] == [
        ("ann", "undo-review", event_id), ("bob", "undo-review", event_id),
        ("bob", "review", f"{event_id}: confirmed, fall"), ("ann", "review", f"{event_id}: false-alarm"),
    ]  # fmt: skip


def test_a_state_that_comes_later_keeps_the_review(store: Store) -> None:
    opened = make_event(state="open")
    save(store, opened)
    store.add_review([opened.event_id], "confirmed", label="fall", note="by the stairs")
    store.protect_events([opened.event_id])
    save(store, make_event(event_id=opened.event_id, problem="no clip: disk full"))
    (stored,) = all_events(store, text="stairs")
    assert (stored.event.state, stored.verdict, stored.label, stored.protected) == ("closed", "confirmed", "fall", True)
    assert ids(all_events(store, text="disk FULL fall")) == [opened.event_id]


def test_many_events_at_once_or_none(store: Store) -> None:
    several = save(store, *(make_event(started=START + timedelta(minutes=i)) for i in range(3)))
    assert len(store.add_review([*several, several[0]], "unsure")) == 3
    for wrong in ([*several, "nothing"], ["a\x00"]):
        with pytest.raises(UsageError, match="there is no event"):
            store.add_review(wrong, "confirmed")
        with pytest.raises(UsageError, match="there is no event"):
            store.protect_events(wrong)
    assert len(all_events(store, verdict="unsure")) == 3
    assert all_events(store, protected=True) == []
    store.add_review(several[:2], "confirmed", reviewer="ann", reviewer_id="a1")
    with pytest.raises(UsageError, match="'ann' has said nothing"):
        store.undo_review(several, reviewer="ann")
    with pytest.raises(UsageError, match="has said nothing"):
        store.undo_review(several[:2], reviewer="ann", reviewer_id="a2")
    assert len(all_events(store, verdict="confirmed")) == 2
    assert [r and r.verdict for r in store.undo_review(several[:2], reviewer="", reviewer_id="a1")] == ["unsure"] * 2
    assert store.cameras_of([several[0], "nothing"]) == {several[0]: "gate"}
    store.protect_events(several[:2], actor="ann")
    assert set(ids(all_events(store, protected=True))) == set(several[:2])
    assert ids(all_events(store, protected=False)) == several[2:]
    with pytest.raises(UsageError, match="at most 1000"):
        store.protect_events([str(i) for i in range(1001)])


def test_reviews_that_make_no_sense_are_refused(store: Store) -> None:
    (event_id,) = save(store, make_event())
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"verdict": "maybe"}, "confirmed, false-alarm, unsure"), ({"note": "x" * 4001}, "4001 characters"),
        ({"label": "x" * 65}, "65 characters"), ({"note": "a\x00b"}, "no database takes"),
        ({"reviewer": "\ud800"}, "no database takes"),
    ]  # fmt: skip
    for said, message in wrong:
        with pytest.raises(UsageError, match=message):
            store.add_review([event_id], **({"verdict": "confirmed"} | said))
    assert store.reviews_of(event_id) == ()


FILTERS: dict[str, list[Any]] = {
    "cameras": [("yard",), ("yard", "roof"), ("nowhere",)],
    "state": ["closed"],
    "verdict": ["none", "confirmed"],
    "label": ["fall"],
    "since": [START + timedelta(minutes=20)],
    "until": [START + timedelta(minutes=40)],
    "min_score": [0.6],
    "protected": [True, False],
    "text": ["stairs", "Stairs YARD", "stairs cat", "roof", "nothing", "fire", "roof fire", "fire stairs"],
}


def expected(store: Store, query: EventQuery, every: list[StoredEvent]) -> list[str]:
    """What a query finds, one event after the other."""

    def is_it(stored: StoredEvent) -> bool:
        event = stored.event
        own = words_of(event.camera, event.file, event.problem, event.class_name, stored.label, stored.note)
        return (
            (query.cameras is None or event.camera in query.cameras)
            and query.state in (None, event.state)
            and query.verdict in (None, stored.verdict or "none")
            and query.label in (None, stored.label)
            and (query.since is None or event.started >= query.since)
            and (query.until is None or event.started < query.until)
            and (query.min_score is None or event.peak_score >= query.min_score)
            and query.protected in (None, stored.protected)
            and set(words_of(query.text)) <= set(own)
        )

    def place(stored: StoredEvent) -> tuple[float | datetime, str]:
        event = stored.event
        return (event.peak_score if query.order == "score" else event.started), event.event_id

    return ids(sorted(filter(is_it, every), key=place, reverse=query.order != "oldest"))


def test_every_filter_and_order_finds_page_by_page_what_it_says(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [
        make_event(camera=("gate", "yard", "roof")[i % 3], state=("closed", "open")[i % 5 == 0],
                   started=START + timedelta(minutes=i // 2), peak_score=(i % 7) / 8,
                   class_name=(None, "Fire")[i % 4 == 1])
        for i in range(90)
    ]  # fmt: skip
    events = save(store, *made)
    store.add_review(events[::4], "confirmed", label="fall", note="by the stairs")
    store.add_review(events[1::8], "false-alarm", note="a cat on the stairs")
    store.protect_events(events[::6])
    every = all_events(store)
    assert len(every) == 90
    one = [{name: value} for name, values in FILTERS.items() for value in values]
    pairs = [a | b for a, b in itertools.combinations(one, 2) if not a.keys() & b.keys()]
    for number, filters in enumerate([{}, *one, *pairs[::3]]):
        order = ("newest", "oldest", "score")[number % 3]
        # few events of a score are put in order at once, many are walked through
        monkeypatch.setattr(plan_module, "RARE", (2, 5000)[number % 2])
        query = EventQuery(**filters, order=order, limit=17)
        found = expected(store, query, every)
        assert ids(all_events(store, **filters, order=order, limit=17)) == found, filters
        assert store.count_events(query) == len(found)
    assert store.count_events(EventQuery(), at_most=50) == 50


def test_events_are_found_by_what_the_detector_takes_them_for_now(store: Store) -> None:
    event = make_event(state="open", ended=None, class_name="fire")
    save(store, event)
    store.add_review([event.event_id], "confirmed", label="fall", note="")
    save(store, replace(event, class_name="fight"))
    assert [ids(all_events(store, text=word)) for word in ("fire", "fight", "fight fall")] == [
        [], [event.event_id], [event.event_id],
    ]  # fmt: skip


def test_an_index_has_the_order_of_every_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite, without statistics, would look one filter up and sort all that it finds."""
    monkeypatch.setattr(plan_module, "RARE", 0)
    archive = Archive(make_engine(f"sqlite:///{tmp_path / 'events.db'}"))
    plans: list[list[str]] = []

    @listens_for(archive.engine, "before_cursor_execute")
    def explain(connection: Connection, _: Any, statement: str, values: Any, *__: Any) -> None:
        if statement.startswith("SELECT events.event_id, "):
            cursor = connection.connection.cursor()
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}", values)
            plans.append([row[-1] for row in cursor.fetchall()])

    archive.cameras()  # makes the tables
    values = {name: value for name, (value, *_) in FILTERS.items() if name != "text"}
    for n_filters in (0, 1, 2, 3):
        for names in itertools.combinations(values, n_filters):
            for order in ("newest", "oldest", "score"):
                plans.clear()
                archive.list_events(EventQuery(**{name: values[name] for name in names}, order=order))
                (plan,) = plans
                assert plan.count("USE TEMP B-TREE FOR ORDER BY") == 2, (names, order, plan)  # of the page alone
                assert not [line for line in plan if "events" in line and "INDEX" not in line], (names, order, plan)
    archive.close()


def test_no_cameras_find_nothing_and_no_word_neither(store: Store) -> None:
    save(store, make_event(file="a.mp4"))
    for query in (EventQuery(cameras=()), EventQuery(cameras=(), text="mp4"), EventQuery(text="!?")):
        assert store.list_events(query).events == ()
        assert store.count_events(query) == 0
    assert len(all_events(store, text=" ")) == len(all_events(store, text="MP4")) == 1


def test_a_page_goes_on_where_the_one_before_ended_whatever_comes_in_between(store: Store) -> None:
    old = save(store, *(make_event(started=START + timedelta(seconds=i)) for i in range(5)))
    page = store.list_events(EventQuery(limit=2))
    save(store, make_event(started=START + timedelta(hours=1)))
    rest = all_events(store, limit=2, cursor=page.next)
    assert ids([*page.events, *rest]) == old[::-1]


def test_queries_that_make_no_sense_are_refused(store: Store) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"limit": 0}, "1 to 1000"), ({"limit": 1001}, "1 to 1000"), ({"order": "random"}, "newest, oldest, score"),
        ({"verdict": "maybe"}, "or none"), ({"state": "shut"}, "open, closed"),
        ({"since": datetime(2026, 1, 1)}, "without a zone"),
        ({"cameras": ("a\x00",)}, "no database takes"), ({"label": "\ud800"}, "no database takes"),
        *(({"cursor": cursor}, "begin anew") for cursor in ("", "?", "é", "W10=", "WzEsMiwzXQ==", "bnVsbA==")),
    ]  # fmt: skip
    for changes, message in wrong:
        with pytest.raises(UsageError, match=message):
            store.list_events(EventQuery(**changes))
    save(store, make_event(), make_event())
    of_newest = store.list_events(EventQuery(limit=1)).next
    with pytest.raises(UsageError, match="order 'score'"):
        store.list_events(EventQuery(limit=1, order="score", cursor=of_newest))


def test_words() -> None:
    assert words_of("Gate-2, Zürich; ÉTÉ été", None, "a_b") == ["gate", "2", "zurich", "ete", "a", "b"]
    assert words_of("x" * 70) == ["x" * 64]
    assert len(words_of(" ".join(map(str, range(1000))))) == 200


def _migrate(engine: Engine, what: str, revision: str) -> None:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(database_module._MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        getattr(alembic.command, what)(config, revision)


def test_reviews_of_an_older_schema_are_taken_along_and_back(database_url: str) -> None:
    engine = make_engine(database_url)
    _migrate(engine, "upgrade", "0004")
    at = {"at": START.replace(tzinfo=None)}
    with engine.begin() as connection:
        for event_id, file in (("e1", "NULL"), ("e2", "'Night 7.mp4'")):
            connection.execute(text(
                "INSERT INTO events (event_id, camera, state, started, peak, peak_score, threshold_on, threshold_off, "
                "detector, detector_sha256, feature_spec, protected, saved, run, revision, file) VALUES "
                f"('{event_id}', 'gate', 'closed', :at, :at, 0.9, 0.5, 0.4, 'd', 'd', 'f', false, :at, 'r', 1, {file})"
            ), at)  # fmt: skip
        connection.execute(text("INSERT INTO traces VALUES ('e1', :packed)"), {"packed": b"\x01"})
        for verdict, note in (("ignore", ""), ("false_alarm", "a cat")):
            connection.execute(text(
                "INSERT INTO reviews (event_id, verdict, note, reviewer, made) "
                "VALUES ('e1', :verdict, :note, 'ann', :at)"
            ), at | {"verdict": verdict, "note": note})  # fmt: skip
    _migrate(engine, "upgrade", "0005")
    _migrate(engine, "downgrade", "0004")
    with engine.connect() as connection:
        assert list(connection.scalars(text("SELECT verdict FROM reviews ORDER BY review_id"))) == [
            "ignore", "false_alarm",
        ]  # fmt: skip
        assert connection.scalar(text("SELECT COUNT(*) FROM events")) == 2
        assert connection.scalar(text("SELECT COUNT(*) FROM traces")) == 1
    _migrate(engine, "upgrade", "0007")
    with engine.begin() as connection:
        connection.execute(text("UPDATE events SET class_name = 'Fire, night' WHERE event_id = 'e2'"))
    archive = open_archive(database_url)
    assert [(r.verdict, r.note) for r in archive.reviews_of("e1")] == [("unsure", ""), ("false-alarm", "a cat")]
    (stored,) = all_events(archive, text="cat")
    assert (stored.event.event_id, stored.verdict, stored.label, stored.note) == ("e1", "false-alarm", None, "a cat")
    (stored,) = all_events(archive, text="night 7 fire")
    assert (stored.event.event_id, stored.verdict) == ("e2", None)
    archive.close()
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM events"))
        assert connection.execute(event_words.select()).all() == []  # words go with their event
    engine.dispose()
