"""The store on SQLite and PostgreSQL: events, deliveries, reviews, and what survives."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sqlalchemy", reason="needs amiss[watch]")
pytest.importorskip("alembic", reason="needs amiss[watch]")

import alembic.command
import alembic.config
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import exc, inspect, text

from amiss.errors import StoreError, UsageError
from amiss.watch._event import CameraEvent, pack_trace, unpack_trace
from amiss.watch.config import RetentionSettings, Rule
from amiss.watch.store import Retention, Store, open_archive, open_store
from amiss.watch.store import _database as database_module
from amiss.watch.store import _store as store_module
from amiss.watch.store._database import make_engine, migrate
from amiss.watch.store._records import AddClip, ForgetMedia, Interrupt, SaveEvent, read_record, write_record
from amiss.watch.store._tables import deliveries, events, metadata
from helpers.events import START, make_event
from helpers.stored_events import all_events

pytest_plugins = ("helpers.databases",)

Open = Callable[..., Store]
EVERYTHING = Rule(name="all", channels=("log",), cooldown_s=0)


@pytest.fixture
def open_it(database_url: str, tmp_path: Path) -> Iterator[Open]:
    stores: list[Store] = []

    def opened(*rules: Rule) -> Store:
        for store in stores:
            if store._thread.is_alive():
                store.close()
        stores.append(open_store(database_url, tmp_path / "spool", rules=rules))
        return stores[-1]

    yield opened
    if stores and stores[-1]._thread.is_alive():
        stores[-1].close()


def test_schema_is_what_the_tables_say(database_url: str) -> None:
    engine = make_engine(database_url)
    migrate(engine)
    migrate(engine)  # a second time changes nothing
    with engine.connect() as connection:
        lengths = engine.dialect.name != "sqlite"  # which has none
        context = MigrationContext.configure(connection, opts={"compare_type": lengths})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_deliveries_of_an_older_schema_stay_as_they_were(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = make_engine(database_url)
    with monkeypatch.context() as patch:
        upgrade = alembic.command.upgrade
        patch.setattr("alembic.command.upgrade", lambda config, _: upgrade(config, "0003"))
        migrate(engine)
    known = set(CameraEvent.__dataclass_fields__) - {"trace", "feature", "class_name"}  # these came later
    event = {name: getattr(make_event(), name) for name in known}
    row = {
        "key": "k" * 32, "event_id": event["event_id"], "rule": "r", "channel": "a", "camera": "gate",
        "moment": event["started"], "cooldown_s": 60.0, "state": "sent", "attempts": 1, "created": event["started"],
        "next_attempt": event["started"], "error": "it said no at first",
    }  # fmt: skip
    with engine.begin() as connection:
        kept = {"protected": False, "saved": event["started"], "run": "r", "revision": 1}
        connection.execute(events.insert().values(event | kept))
        connection.execute(deliveries.insert().values(row))
    migrate(engine)
    with engine.begin() as connection:
        (now,) = connection.execute(deliveries.select()).mappings().all()
        assert {name: now[name] for name in row} == row
        assert (now["tells"], now["outage_id"]) == ("event", None)
        connection.execute(events.delete())
        assert connection.execute(deliveries.select()).all() == []  # they still go with their event
    engine.dispose()


def test_newer_schema_is_refused_in_one_line(open_it: Open, database_url: str, tmp_path: Path) -> None:
    open_it().close()
    engine = make_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(StoreError, match=r"newer amiss \(schema 9999.*upgrade amiss"):
        open_store(database_url, tmp_path / "spool")


def test_event_comes_back_as_it_was_saved(open_it: Open) -> None:
    store = open_it()
    event = make_event(clip="2026-03-01/gate/a.mp4", snapshot="2026-03-01/gate/a.jpg", problem="no sound",
                       file="lobby 2.mp4", file_s=61.25, class_name="fall")  # fmt: skip
    store.save_event(event)
    assert store.flush(10)
    stored = store.get_event(event.event_id)
    assert stored is not None
    assert replace(stored.event, trace=()) == replace(event, trace=())
    assert np.array(stored.event.trace) == pytest.approx(np.array(event.trace), abs=6e-4)
    assert stored.event.started.tzinfo is UTC
    assert (stored.protected, stored.verdict, stored.media_removed) == (False, None, None)
    assert store.get_event("0" * 32) is None


def test_times_are_utc_whatever_zone_they_come_in(open_it: Open) -> None:
    store = open_it()
    event = make_event(started=START.astimezone(timezone(timedelta(hours=5, minutes=30))))
    store.save_event(event)
    assert store.flush(10)
    (stored,) = all_events(store, since=START, until=START + timedelta(seconds=1))
    assert stored.event.started == START
    assert stored.event.started.utcoffset() == timedelta(0)


def test_newest_state_stays_whatever_is_written_again(open_it: Open) -> None:
    store = open_it()
    opened = make_event(state="open", peak_score=0.7)
    closed = make_event(event_id=opened.event_id)
    with_clip = replace(closed, clip="a.mp4")
    for event in (opened, closed, with_clip):
        store.save_event(event)
    assert store.flush(10)
    for record in (1, 2):  # what a crash leaves in the spool is written again
        store.spool.append(write_record(SaveEvent(store.run, record, opened)))
    assert store.flush(10)
    stored = store.get_event(opened.event_id)
    assert stored is not None
    assert (stored.event.state, stored.event.clip, stored.event.peak_score) == ("closed", "a.mp4", 0.9)
    assert len(all_events(store)) == 1


def test_events_are_filtered_and_newest_first(open_it: Open) -> None:
    store = open_it()
    for hour in range(6):
        store.save_event(
            make_event(camera=("gate", "yard")[hour % 2], started=START + timedelta(hours=hour),
                       peak_score=0.5 + hour / 10)
        )  # fmt: skip
    assert store.flush(10)
    assert [round(stored.event.peak_score, 1) for stored in all_events(store)] == [1.0, 0.9, 0.8, 0.7, 0.6, 0.5]
    assert {stored.event.camera for stored in all_events(store, cameras=("yard",))} == {"yard"}
    assert len(all_events(store, since=START + timedelta(hours=2), until=START + timedelta(hours=4))) == 2
    assert len(all_events(store, min_score=0.85)) == 2
    assert all_events(store, state="open") == []
    assert [row.name for row in store.cameras()] == ["gate", "yard"]


def test_open_events_of_a_dead_process_are_interrupted_and_told(
    open_it: Open, database_url: str, tmp_path: Path
) -> None:
    told_at_end = Rule(name="end", channels=("log",), on="closed")
    store = open_it(told_at_end)
    left, gone = make_event(state="open"), make_event(state="open", camera="yard")
    store.save_event(left)
    store.save_event(gone)
    assert store.flush(10)
    assert store.deliveries() == []
    neighbour = open_store(database_url, tmp_path / "neighbour")  # another machine on the same database
    watched = make_event(state="open", camera="roof")
    neighbour.save_event(watched)
    assert neighbour.flush(10)
    store = open_it(told_at_end)
    mine = make_event(state="open", started=START - timedelta(days=1))  # the clock was set back: still mine
    store.save_event(mine)
    store.mark_interrupted(["gate"])  # "yard" is no longer in the configuration
    assert store.flush(10)
    states = {stored.event.event_id: stored.event for stored in all_events(store)}
    assert states[left.event_id].state == states[gone.event_id].state == "interrupted"
    assert states[left.event_id].ended == START + timedelta(seconds=19.5)  # its last clip
    assert states[mine.event_id].state == states[watched.event_id].state == "open"
    assert {delivery.event_id for delivery in store.deliveries()} == {left.event_id, gone.event_id}
    neighbour.close()
    store.close()
    store = open_store(database_url, tmp_path / "new state folder")
    store.mark_interrupted(["roof"])
    assert store.flush(10)
    assert all_events(store, state="open")[0].event.event_id == mine.event_id
    store.close()


def test_a_clip_that_is_found_later_comes_after_all_that_waits(open_it: Open, database_url: str) -> None:
    store = open_it()
    opened = make_event(state="open")
    store.save_event(opened)
    assert store.flush(10)
    store = open_it(Rule(name="end", channels=("log",), on="closed"))
    store._stop.set()  # as if the database were lost: all that follows waits in the spool
    store.spool.wake()
    store._thread.join()
    late = make_event()
    store.save_event(late)  # of the run before, and not in the database yet
    for _ in range(2):
        store.add_clip(late.event_id, "late.mp4", "cut off")
        store.add_clip(opened.event_id, "opened.mp4", "cut off")
    store.add_clip("f" * 32, "of no event.mp4", None)
    store.mark_interrupted(["gate"])
    store.close()
    store = open_it()
    assert store.flush(10)
    events = {stored.event.event_id: stored.event for stored in all_events(store)}
    assert (events[late.event_id].state, events[late.event_id].clip) == ("closed", "late.mp4")
    assert events[opened.event_id].state == "interrupted"
    assert (events[opened.event_id].clip, events[opened.event_id].problem) == ("opened.mp4", "cut off")
    assert store.status().rejected == 0


def test_an_event_that_was_scored_again_loses_only_its_old_files(open_it: Open, tmp_path: Path) -> None:
    store, media = open_it(), tmp_path / "media"
    event = make_event()
    for day, age in ((START - timedelta(days=40), 40), (START, 0)):
        folder = media / f"{day:%Y-%m-%d}" / "gate"
        folder.mkdir(parents=True)
        for suffix in (".mp4", ".jpg"):
            file = folder / (event.event_id + suffix)
            file.write_bytes(b"x")
            os.utime(file, ((START - timedelta(days=age)).timestamp(),) * 2)
    kept = f"{START:%Y-%m-%d}/gate/{event.event_id}"
    store.save_event(replace(event, clip=f"{kept}.mp4", snapshot=f"{kept}.jpg"))
    assert store.flush(10)
    retention = Retention(
        media, RetentionSettings(min_free_gb=0), protected_ids=store.protected_ids, forget=store.forget_media
    )
    for now, left in ((START, (f"{kept}.mp4", f"{kept}.jpg")), (START + timedelta(days=31), (None, None))):
        assert retention.run_once(now).n_events == 1
        assert store.flush(10)
        stored = store.get_event(event.event_id)
        assert stored is not None
        assert (stored.event.clip, stored.event.snapshot) == left


def test_protect_forget_audit(open_it: Open) -> None:
    store = open_it()
    event = make_event(clip="d/gate/a.mp4", snapshot="d/gate/a.jpg")
    store.save_event(event)
    assert store.flush(10)
    store.protect_events([event.event_id])
    assert store.protected_ids() == {event.event_id}
    store.protect_events([event.event_id], False)
    assert store.protected_ids() == set()
    store.forget_media(["d/gate/a.mp4", "d/gate/none.mp4"])
    assert store.flush(10)
    stored = store.get_event(event.event_id)
    assert stored is not None
    assert (stored.event.clip, stored.event.snapshot) == (None, "d/gate/a.jpg")
    assert stored.media_removed is not None
    store.audit("reload", "2 cameras", actor="ann")
    assert [(entry.actor, entry.action, entry.detail) for entry in store.audit_log()] == [
        ("ann", "reload", "2 cameras"), ("amiss", "unprotect", event.event_id), ("amiss", "protect", event.event_id),
    ]  # fmt: skip


def test_camera_states(open_it: Open) -> None:
    store = open_it()
    for state in ("connecting", "running", "stalled"):
        store.set_camera_state("gate", state, "no frame for 10 s")  # type: ignore[arg-type]
    store.close()
    store = open_it()
    (row,) = store.cameras()
    assert (row.name, row.state, row.reason) == ("gate", "stalled", "no frame for 10 s")
    assert row.changed is not None
    assert abs((datetime.now(UTC) - row.changed).total_seconds()) < 60


def test_events_of_a_snoozed_camera_are_told_to_nobody(open_it: Open) -> None:
    store = open_it(EVERYTHING)
    opened = make_event(state="open")
    store.save_event(make_event(camera="yard"))
    store.save_event(make_event(camera="gate"))
    assert store.flush(10)
    store.snooze_camera("gate", datetime.now(UTC) + timedelta(minutes=5), actor="ann")
    store.save_event(opened)
    store.save_event(make_event(camera="yard"))
    assert store.flush(10)
    assert store.count_deliveries() == {"pending": 3, "suppressed": 1}
    (snoozed,) = store.deliveries(event_id=opened.event_id)
    assert (snoozed.held_by, "gate is snoozed until" in str(snoozed.error), "by ann" in str(snoozed.error)) == (
        None, True, True,
    )  # fmt: skip
    assert [row.snoozed_by for row in store.cameras()] == ["ann", None]
    store.snooze_camera("gate", None, actor="bob")
    store.save_event(make_event(event_id=opened.event_id))  # it began while nobody was to be told
    store.save_event(make_event())
    assert store.flush(10)
    assert store.count_deliveries() == {"pending": 4, "suppressed": 1}
    assert [entry.action for entry in store.audit_log()] == ["unsnooze", "snooze"]
    for camera, until in (("nowhere", None), ("\x00", None), ("gate", datetime(2026, 1, 1))):
        with pytest.raises(UsageError):
            store.snooze_camera(camera, until)


def test_event_and_deliveries_are_one_transaction(open_it: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_it(EVERYTHING)
    crash = threading.Event()

    def fail(*_: object) -> None:
        if not crash.is_set():
            crash.set()
            raise StoreError("lost in the middle")

    monkeypatch.setattr("amiss.watch.store._deliveries.start_cooldown", fail)
    store.save_event(make_event())
    assert crash.wait(10)
    assert store.flush(10)
    assert len(all_events(store)) == len(store.deliveries()) == 1


def test_record_that_can_never_be_stored_blocks_nothing(open_it: Open, tmp_path: Path) -> None:
    store = open_it()
    bad = make_event(detector_sha256="x" * 64)
    record = json.loads(write_record(SaveEvent(store.run, 1, bad)))
    record["event"]["trace"] = "no base64 ?"
    store.spool.append(json.dumps(record).encode(), event_id=bad.event_id)
    store.spool.append(b'{"op": "of a newer version"}')
    good = make_event()
    store.save_event(good)
    assert store.flush(10)
    assert [stored.event.event_id for stored in all_events(store)] == [good.event_id]
    rejected = [json.loads(line) for line in (tmp_path / "spool" / "rejected.jsonl").read_text().splitlines()]
    assert [bad.event_id in line["record"] for line in rejected] == [True, False]
    assert "newer amiss" in rejected[1]["why"]
    assert store.status().rejected == 2


@pytest.mark.parametrize(
    "trouble",
    [exc.DatabaseError("INSERT", {}, Exception("database disk image is malformed")),
     exc.InvalidRequestError("This connection is closed"), RuntimeError("a fault of ours"), OSError(5, "I/O error")],
)  # fmt: skip
def test_nothing_is_rejected_while_the_database_fails(
    open_it: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    monkeypatch.setattr(store_module, "_RETRY_S", (0.01,))
    store = open_it()
    failed = threading.Event()
    good = store_module.save_event_rows

    def fail(*_: object) -> int:
        failed.set()
        raise trouble

    monkeypatch.setattr(store_module, "save_event_rows", fail)
    event = make_event()
    store.save_event(event)
    assert failed.wait(10)
    assert not store.flush(0.1)
    assert store.status().waiting == 1
    monkeypatch.setattr(store_module, "save_event_rows", good)
    assert store.flush(10)
    assert [stored.event.event_id for stored in all_events(store)] == [event.event_id]
    assert store.status().rejected == 0
    assert not (tmp_path / "spool" / "rejected.jsonl").exists()


def test_numbers_and_times_that_no_database_takes_are_rejected(open_it: Open) -> None:
    store = open_it()
    store.spool.append(write_record(SaveEvent(store.run, 10**40, make_event())))
    record = json.loads(write_record(SaveEvent(store.run, 1, make_event())))
    record["event"]["started"] = "2026-01-01T00:00:00"
    store.spool.append(json.dumps(record).encode())
    store.spool.append(json.dumps({"op": "interrupt", "run": store.run}).encode())
    assert store.flush(10)
    assert (store.status().rejected, all_events(store)) == (3, [])


def test_names_of_detectors_may_be_long(open_it: Open) -> None:
    store = open_it()
    event = make_event(detector="/very" * 400)
    store.save_event(event)
    assert store.flush(10)
    assert all_events(store)[0].event.detector == event.detector


def test_the_first_schema_is_brought_up_to_date_with_all_that_is_in_it(open_it: Open, database_url: str) -> None:
    engine = make_engine(database_url)
    config = alembic.config.Config()
    config.set_main_option("script_location", str(database_module._MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "0001")
        at = {"at": START.replace(tzinfo=None)}
        connection.execute(text(
            "INSERT INTO events (event_id, camera, state, started, peak, peak_score, threshold_on, threshold_off, "
            "detector, detector_sha256, feature_spec, protected, saved, run, revision) VALUES ('e', 'gate', 'open', "
            ":at, :at, 0.9, 0.5, 0.4, 'd', 'd', 'f', false, :at, 'r', 1)"), at)  # fmt: skip
        connection.execute(text("INSERT INTO traces VALUES ('e', :packed)"), {"packed": pack_trace(((0.0, 0.5),))})
        connection.execute(text(
            "INSERT INTO deliveries (key, event_id, rule, channel, camera, moment, cooldown_s, state, attempts, "
            "created, next_attempt) VALUES ('k', 'e', 'r', 'c', 'gate', :at, 0, 'pending', 0, :at, :at)"
        ), at)  # fmt: skip
    engine.dispose()
    store = open_it()
    store.mark_interrupted(["gate"])
    assert store.flush(10)
    stored = store.get_event("e")
    assert stored is not None
    assert stored.event.state == "interrupted"
    assert [delivery.key for delivery in store.deliveries()] == ["k"]


def test_many_threads_save_at_once(open_it: Open) -> None:
    store = open_it(EVERYTHING)

    def camera(name: str) -> None:
        for number in range(10):
            event = make_event(camera=name, state="open", started=START + timedelta(minutes=number))
            store.save_event(event)
            store.save_event(replace(event, state="closed", ended=event.started + timedelta(seconds=3)))

    threads = [threading.Thread(target=camera, args=(f"c{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.flush(30)
    assert len(all_events(store, state="closed", limit=1000)) == 80
    assert len(store.deliveries(limit=1000)) == 80


def test_bad_urls(tmp_path: Path) -> None:
    for url, message in (("nonsense", "can't be read"), ("sqlite://", "in memory"), ("nosuch://x/y", "no driver"),
                         ("postgresql://u:sesame@h:port/x", "can't be read")):  # fmt: skip
        with pytest.raises(UsageError, match=message):
            open_store(url, tmp_path / "spool")
    with pytest.raises(UsageError) as caught:
        open_store("nosuch://me:secret@host/db", tmp_path / "spool")
    assert "secret" not in str(caught.value)


@given(st.lists(st.tuples(st.floats(-60, 1e6), st.floats(0, 1))))
def test_trace_round_trip(trace: list[tuple[float, float]]) -> None:
    packed = pack_trace(tuple(trace))
    assert len(packed) == 1 + 6 * len(trace)
    back = unpack_trace(packed)
    assert len(back) == len(trace)
    for (seconds, score), (seconds_back, score_back) in zip(trace, back, strict=True):
        assert abs(seconds - seconds_back) <= 0.00051
        assert abs(score - score_back) <= 8e-6
    assert pack_trace(back) == packed


def test_scores_that_are_no_numbers_are_packed_as_nought() -> None:
    assert unpack_trace(pack_trace(((0.0, float("nan")), (float("inf"), 2.0)))) == ((0.0, 0.0), (2147483.0, 1.0))


def test_archive_beside_a_running_store(open_it: Open, database_url: str) -> None:
    store = open_it()
    event = make_event()
    store.save_event(event)
    assert store.flush(10)
    archive = open_archive(database_url)  # needs no spool folder of its own
    archive.add_review([event.event_id], "confirmed")
    archive.close()
    assert all_events(store)[0].verdict == "confirmed"


def test_a_database_that_is_not_there_is_not_made_by_looking(database_url: str, tmp_path: Path) -> None:
    if database_url.startswith("sqlite"):
        with pytest.raises(StoreError, match=r"there are no events in sqlite:.*is `database:` right"):
            open_archive(f"sqlite:///{tmp_path / 'folder' / 'mistyped.db'}")
        assert list(tmp_path.iterdir()) == []
        (tmp_path / "events.db").touch()
    with pytest.raises(StoreError, match="there are no events in"):
        open_archive(database_url)
    engine = make_engine(database_url)
    assert inspect(engine).get_table_names() == []
    engine.dispose()


def test_damaged_trace_is_an_error() -> None:
    for packed in (b"", b"\x02", b"\x01abc"):
        with pytest.raises(ValueError, match="no score trace"):
            unpack_trace(packed)


def test_event_record_round_trip() -> None:
    event = make_event(camera="Tür 3 \u2028", problem="\x00", ended=None, state="open", trace=())
    assert read_record(write_record(SaveEvent("run", 1, event))) == SaveEvent("run", 1, event)
    event = make_event(file="a.mp4", file_s=3723.5, class_name="fall", trace=())
    assert read_record(write_record(SaveEvent("run", 2, event))) == SaveEvent("run", 2, event)
    assert event.place == "a.mp4 at 1:02:03"


def test_a_record_of_before_events_knew_their_file_is_read() -> None:
    event = make_event(trace=())
    record = json.loads(write_record(SaveEvent("run", 1, event)))
    del record["event"]["file"], record["event"]["file_s"]
    assert read_record(json.dumps(record).encode()) == SaveEvent("run", 1, event)


def test_a_spool_of_before_is_read() -> None:
    event = {
        "event_id": "e1", "camera": "door", "state": "open", "detector": "d", "detector_sha256": "0",
        "feature_spec": "f", "peak_score": 0.9, "threshold_on": 0.6, "threshold_off": 0.5, "clip": None,
        "snapshot": "a.jpg", "problem": None, "file": None, "file_s": None, "ended": None,
        "started": "2026-03-02T12:00:00+00:00",
        "peak": "2026-03-02T12:00:01.500000+00:00", "trace": "AQAAAAD/f+gDAAD//w==",
    }  # fmt: skip
    record = read_record(json.dumps({"op": "event", "run": "r", "revision": 3, "event": event}).encode())
    assert isinstance(record, SaveEvent)
    assert record.event.peak - record.event.started == timedelta(seconds=1.5)
    assert record.event.trace == ((0.0, 32767 / 65535), (1.0, 1.0))
    assert record.event.to_json() == {name: event.get(name) for name in (event.keys() | {"class_name"}) - {"trace"}}
    lines = (
        {"op": "interrupt", "run": "r", "cameras": ["a", "b"]},
        {"op": "clip", "event_id": "e1", "clip": "a.mp4", "problem": None},
        {"op": "forget", "paths": ["a.mp4"]},
    )
    assert [read_record(json.dumps(line).encode()) for line in lines] == [
        Interrupt("r", ("a", "b")), AddClip("e1", "a.mp4", None), ForgetMedia(("a.mp4",)),
    ]  # fmt: skip
