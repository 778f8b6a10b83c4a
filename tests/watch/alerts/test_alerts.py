"""The outbox and the dispatcher, on SQLite and PostgreSQL."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy", reason="needs amiss[watch]")
pytest.importorskip("alembic", reason="needs amiss[watch]")

from sqlalchemy import text, update

from amiss.errors import AlertError, StoreError
from amiss.video import Backoff
from amiss.watch import CameraEvent
from amiss.watch.alerts import Alert, Dispatcher
from amiss.watch.alerts import _dispatcher as dispatcher_module
from amiss.watch.alerts._dispatcher import least_attempts
from amiss.watch.config import Rule
from amiss.watch.store import Store, open_store
from amiss.watch.store._tables import deliveries
from helpers.events import START, make_event
from helpers.waiting import wait_until

pytest_plugins = ("helpers.databases",)

AT_ONCE = Backoff(first_s=1e-6, cap_s=1e-6, jitter=0)
MINUTE = timedelta(minutes=1)


class Receiver:
    """A channel that does what it's told: takes an alert (None) or raises."""

    def __init__(self, name: str, *answers: Exception | None, expire_s: float = 3600) -> None:
        self.name = name
        self.expire_s = expire_s
        self.answers = list(answers)
        self.seen: list[Alert] = []
        self.taken: list[Alert] = []
        self.closed = False

    def open(self) -> None:
        pass

    def send(self, alert: Alert) -> None:
        self.seen.append(alert)
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer
        self.taken.append(alert)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def store(database_url: str, tmp_path: Path) -> Iterator[Store]:
    opened = open_store(database_url, tmp_path / "spool")
    yield opened
    opened.close()


def save(store: Store, *events: CameraEvent) -> None:
    for event in events:
        store.save_event(event)
        assert store.flush(10)  # one by one, so that `created` rises


def states(store: Store) -> list[str]:
    return [delivery.state for delivery in sorted(store.deliveries(), key=lambda d: d.created)]


def after(minutes: float, **changes: object) -> CameraEvent:
    return make_event(started=START + minutes * MINUTE, **changes)


def rule(*channels: str, cooldown_s: float = 0) -> Rule:
    return Rule(name="r", channels=channels, cooldown_s=cooldown_s)


def test_every_event_reaches_every_channel_of_its_rules_once(store: Store) -> None:
    store.set_rules([rule("a", "b"), Rule(name="high", channels=("a",), min_score=0.95, cooldown_s=0)])
    a, b = Receiver("a"), Receiver("b")
    dispatcher = Dispatcher(store, [a, b], link="http://nvr/events/{event_id}")
    low, high = make_event(), after(1, peak_score=0.97)
    save(store, low, high, low, high)
    assert dispatcher.run_once() == 5
    assert dispatcher.run_once() == 0
    assert sorted((alert.rule, alert.event.event_id) for alert in a.taken) == sorted(
        [("r", low.event_id), ("r", high.event_id), ("high", high.event_id)]
    )
    assert [alert.event.event_id for alert in b.taken] == [low.event_id, high.event_id]
    assert len({alert.key for alert in a.taken + b.taken}) == 5
    assert a.taken[0].link == f"http://nvr/events/{a.taken[0].event.event_id}"
    assert states(store) == ["sent"] * 5
    assert store.count_deliveries() == {"sent": 5}


def test_an_event_is_told_when_it_comes_to_fit_the_rule(store: Store) -> None:
    store.set_rules([Rule(name="r", channels=("a",), min_score=0.8)])
    event = make_event(state="open", peak_score=0.7)
    save(store, event)
    assert store.deliveries() == []
    save(store, make_event(event_id=event.event_id, state="open", peak_score=0.85))
    save(store, make_event(event_id=event.event_id, peak_score=0.9))
    (delivery,) = store.deliveries()
    receiver = Receiver("a")
    Dispatcher(store, [receiver]).run_once()
    assert receiver.taken[0].key == delivery.key
    assert receiver.taken[0].event.peak_score == 0.9  # as it is now


def test_snapshot_is_handed_over_if_it_is_there(store: Store, tmp_path: Path) -> None:
    store.set_rules([rule("a")])
    (tmp_path / "here.jpg").write_bytes(b"jpeg")
    save(store, make_event(snapshot="here.jpg"), after(1, snapshot="gone.jpg"), after(2))
    receiver = Receiver("a")
    Dispatcher(store, [receiver], media=tmp_path).run_once()
    assert [alert.snapshot for alert in receiver.taken] == [tmp_path / "here.jpg", None, None]
    assert "the snapshot is gone" in receiver.taken[1].text
    assert "gone" not in receiver.taken[2].text


def test_failed_attempts_are_repeated_with_the_same_key(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    store.set_rules([rule("a")])
    save(store, make_event())
    receiver = Receiver("a", AlertError("no route"), ValueError("a bug, and sesame"))
    dispatcher = Dispatcher(store, [receiver], backoff=AT_ONCE)
    while dispatcher.run_once():
        pass
    (delivery,) = store.deliveries()
    assert (delivery.state, delivery.attempts, delivery.error) == ("sent", 3, None)
    assert delivery.finished is not None
    assert len({alert.key for alert in receiver.seen}) == 1
    assert "unforeseen way: ValueError" in caplog.text
    assert "in send" in caplog.text  # where it was
    assert "sesame" not in caplog.text


def test_error_is_in_the_log_while_it_waits(store: Store) -> None:
    store.set_rules([rule("a")])
    save(store, make_event())
    dispatcher = Dispatcher(store, [Receiver("a", AlertError("no route"))], backoff=Backoff(first_s=60))
    assert dispatcher.run_once() == 1
    assert dispatcher.run_once() == 0  # not due yet
    (delivery,) = store.deliveries(state="pending")
    assert (delivery.error, delivery.attempts) == ("no route", 1)
    assert timedelta(seconds=40) < delivery.next_attempt - datetime.now(UTC) < timedelta(seconds=80)


def test_cooldown_per_camera_counts_in_the_events_time(store: Store) -> None:
    store.set_rules([rule("a", cooldown_s=600)])
    save(store, after(0), after(5), after(9.9, camera="yard"), after(10), after(15), after(20))
    assert states(store) == ["pending", "suppressed", "pending", "pending", "suppressed", "pending"]
    receiver = Receiver("a")
    Dispatcher(store, [receiver]).run_once()
    assert len(receiver.taken) == 4
    assert store.deliveries(state="suppressed")[0].held_by is not None


def test_cooldown_outlives_the_process(store: Store, database_url: str, tmp_path: Path) -> None:
    store.set_rules([rule("a", cooldown_s=600)])
    save(store, after(0))
    store.close()
    again = open_store(database_url, tmp_path / "spool", rules=[rule("a", cooldown_s=600)])
    save(again, after(9))
    assert states(again) == ["pending", "suppressed"]
    again.close()


def test_cooldown_of_one_file_is_not_that_of_the_next(store: Store) -> None:
    """Files dropped together have times that are seconds apart, though they may be of different days."""
    store.set_rules([rule("a", cooldown_s=600)])
    monday, tuesday = {"file": "monday.mp4", "file_s": 1.0}, {"file": "tuesday.mp4", "file_s": 1.0}
    save(store, after(0, **monday), after(1, **monday), after(2, **tuesday), after(3, **tuesday), after(4))
    assert states(store) == ["pending", "suppressed", "pending", "suppressed", "pending"]
    Dispatcher(store, [Receiver("a", AlertError("gone", permanent=True))]).run_once()
    assert states(store) == ["failed", "sent", "sent", "suppressed", "sent"]


def test_an_alert_of_a_closed_event_waits_for_its_clip(store: Store) -> None:
    store.set_rules([Rule(name="r", channels=("a",), cooldown_s=0, on="closed"), rule("b")])
    a, b = Receiver("a"), Receiver("b")
    dispatcher = Dispatcher(store, [a, b])
    whole, cut, unrecorded, silent = (after(minute) for minute in range(4))
    for event in (whole, cut, silent):
        save(store, replace(event, snapshot="e.jpg"))
    save(store, unrecorded)
    assert dispatcher.run_once() == 5
    assert [alert.event.event_id for alert in a.taken] == [unrecorded.event_id]
    assert len(b.taken) == 4
    save(store, replace(whole, snapshot="e.jpg", clip="e.mp4"), replace(cut, snapshot="e.jpg", problem="no clip: full"))
    assert dispatcher.run_once() == 2
    assert [alert.event.clip for alert in a.taken] == [None, "e.mp4", None]
    assert "no clip: full" in a.taken[2].text
    (waits,) = store.deliveries(state="pending")
    assert waits.event_id == silent.event_id
    assert waits.next_attempt - waits.created == timedelta(seconds=75)


def test_a_clip_that_comes_late_does_not_hasten_what_was_tried(store: Store) -> None:
    store.set_rules([Rule(name="r", channels=("a",), on="closed")])
    event = make_event(snapshot="e.jpg", problem="no picture")
    save(store, event)
    dispatcher = Dispatcher(store, [Receiver("a", AlertError("no route"))], backoff=Backoff(first_s=60))
    assert dispatcher.run_once() == 1
    save(store, replace(event, clip="e.mp4"))
    assert dispatcher.run_once() == 0


@pytest.mark.parametrize("how", ["failed", "expired"])
def test_alert_that_did_not_arrive_burns_no_cooldown(store: Store, how: str) -> None:
    store.set_rules([rule("a", cooldown_s=600)])
    save(store, after(0), after(5), after(9))
    assert states(store) == ["pending", "suppressed", "suppressed"]
    answer = AlertError("gone", permanent=how == "failed")
    receiver = Receiver("a", answer, expire_s=3600 if how == "failed" else 0)
    Dispatcher(store, [receiver], backoff=AT_ONCE).run_once()
    assert states(store) == [how, "sent", "suppressed"]
    save(store, after(14), after(15))  # 9 and 10 minutes after the one that arrived
    assert states(store)[3:] == ["suppressed", "pending"]


def test_what_a_failed_alert_held_back_may_be_held_by_a_later_one(store: Store) -> None:
    store.set_rules([rule("a", cooldown_s=600)])
    save(store, after(0), after(5), after(14))
    refused = AlertError("gone", permanent=True)
    Dispatcher(store, [Receiver("a", refused)]).run_once()
    assert states(store) == ["failed", "suppressed", "sent"]  # nine minutes later there was one
    save(store, after(30), after(35), after(44))
    Dispatcher(store, [Receiver("a", refused, refused)]).run_once()
    assert states(store)[3:] == ["failed", "sent", "failed"]


def test_cooldown_of_one_channel_is_not_that_of_another(store: Store) -> None:
    store.set_rules([rule("a", "b", cooldown_s=600)])
    save(store, after(0))
    a, b = Receiver("a"), Receiver("b", AlertError("refused", permanent=True))
    dispatcher = Dispatcher(store, [a, b])
    dispatcher.run_once()
    save(store, after(1))
    dispatcher.run_once()
    assert (len(a.taken), len(b.taken)) == (1, 1)


def test_alert_is_given_up_when_it_is_old_and_was_tried_often(store: Store) -> None:
    store.set_rules([rule("a", "b")])
    save(store, make_event())
    long_ago = datetime.now(UTC) - timedelta(days=30)  # or the clock has jumped ahead since
    with store.writing() as connection:
        connection.execute(update(deliveries).values(created=long_ago, next_attempt=long_ago))
    never = Receiver("a", *[AlertError("no route")] * 99)
    late = Receiver("b", *[AlertError("no route")] * 9)
    dispatcher = Dispatcher(store, [never, late], backoff=AT_ONCE)
    while dispatcher.run_once():
        pass
    assert len(never.seen) == len(late.seen) == 10
    assert sorted(states(store)) == ["expired", "sent"]


@pytest.mark.parametrize(("expire_s", "attempts"), [(0, 1), (10, 1), (100, 3), (86400, 10)])
def test_least_attempts_before_an_alert_is_given_up(expire_s: float, attempts: int) -> None:
    assert least_attempts(Backoff(first_s=5, cap_s=600), expire_s) == attempts


def test_what_no_channel_takes_expires_unless_another_machine_has_the_channel(
    store: Store, database_url: str, tmp_path: Path
) -> None:
    other = open_store(database_url, tmp_path / "other spool")
    store.set_rules([rule("gone")])
    other.set_rules([rule("theirs")])
    save(store, make_event())
    save(other, after(1))
    with store.writing() as connection:
        connection.execute(update(deliveries).values(created=datetime.now(UTC) - timedelta(days=3)))
    Dispatcher(store, [Receiver("mine")]).run_once()
    assert {d.channel: d.state for d in store.deliveries()} == {"gone": "expired", "theirs": "pending"}
    theirs = Receiver("theirs")
    Dispatcher(other, [theirs]).run_once()
    assert len(theirs.taken) == 1
    other.close()


def test_braces_in_a_link_are_left_alone(store: Store) -> None:
    store.set_rules([rule("a")])
    event = make_event()
    save(store, event)
    receiver = Receiver("a")
    Dispatcher(store, [receiver], link="http://nvr/{site}/{/events/{event_id}").run_once()
    assert receiver.taken[0].link == f"http://nvr/{{site}}/{{/events/{event.event_id}"


def test_clock_set_back_delays_nothing(store: Store) -> None:
    store.set_rules([rule("a")])
    save(store, make_event())
    with store.writing() as connection:  # made a day ahead of what the clock says now
        connection.execute(update(deliveries).values(next_attempt=datetime.now(UTC) + timedelta(days=1)))
    receiver = Receiver("a")
    assert Dispatcher(store, [receiver]).run_once() == 1
    assert states(store) == ["sent"]


def test_what_was_being_sent_when_the_process_died_is_sent_again(
    store: Store, database_url: str, tmp_path: Path
) -> None:
    store.set_rules([rule("a")])
    save(store, make_event())

    class Died(BaseException):
        pass

    class Killer(Receiver):
        def send(self, alert: Alert) -> None:
            super().send(alert)
            raise Died

    killer, receiver = Killer("a"), Receiver("a")
    with pytest.raises(Died):
        Dispatcher(store, [killer]).run_once()
    assert states(store) == ["sending"]
    assert Dispatcher(store, [receiver]).run_once() == 0  # of this process: it may still be under way
    store.close()
    again = open_store(database_url, tmp_path / "spool")
    assert Dispatcher(again, [receiver]).run_once() == 1
    assert killer.seen[0].key == receiver.taken[0].key
    assert states(again) == ["sent"]
    again.close()


def test_another_process_takes_over_only_after_the_lease(store: Store, database_url: str, tmp_path: Path) -> None:
    store.set_rules([rule("a")])
    save(store, make_event())
    other = open_store(database_url, tmp_path / "other spool")
    mine, theirs = Receiver("a"), Receiver("a")
    with store.writing() as connection:
        connection.execute(text("UPDATE deliveries SET state = 'sending', node = 'x'"))
        soon = datetime.now(UTC) + timedelta(seconds=200)
        connection.execute(update(deliveries).values(next_attempt=soon))
    assert Dispatcher(other, [theirs]).run_once() == 0
    with store.writing() as connection:
        connection.execute(update(deliveries).values(next_attempt=datetime.now(UTC)))
    assert Dispatcher(other, [theirs]).run_once() == 1
    assert Dispatcher(store, [mine]).run_once() == 0
    other.close()


def test_two_processes_never_send_the_same(store: Store, database_url: str, tmp_path: Path) -> None:
    store.set_rules([rule("a")])
    save(store, *(after(minute) for minute in range(12)))
    other = open_store(database_url, tmp_path / "other spool")
    receivers = [Receiver("a"), Receiver("a")]
    dispatchers = [Dispatcher(one, [receiver]) for one, receiver in zip((store, other), receivers, strict=True)]
    for dispatcher in dispatchers:
        dispatcher.start()
    deadline = time.monotonic() + 20
    while store.count_deliveries() != {"sent": 12} and time.monotonic() < deadline:
        time.sleep(0.05)
    for dispatcher in dispatchers:
        dispatcher.close()
    keys = [alert.key for receiver in receivers for alert in receiver.seen]
    assert len(keys) == len(set(keys)) == 12
    other.close()


def test_slow_channel_holds_up_no_other(store: Store) -> None:
    store.set_rules([rule("slow", "quick")])
    release = threading.Event()

    class Slow(Receiver):
        def send(self, alert: Alert) -> None:
            release.wait(20)
            super().send(alert)

    slow, quick = Slow("slow"), Receiver("quick")
    dispatcher = Dispatcher(store, [slow, quick])
    dispatcher.start()
    save(store, *(after(minute) for minute in range(5)))
    deadline = time.monotonic() + 10
    while len(quick.taken) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (len(quick.taken), len(slow.taken)) == (5, 0)
    assert not dispatcher.flush(0.1)
    release.set()
    assert dispatcher.flush(10)
    assert len(slow.taken) == 5
    dispatcher.close()
    assert slow.closed
    assert quick.closed


def test_alert_leaves_within_moments_of_the_event(store: Store) -> None:
    store.set_rules([rule("a")])
    receiver = Receiver("a")
    dispatcher = Dispatcher(store, [receiver])
    dispatcher.start()
    assert dispatcher.flush(10)
    began = time.monotonic()
    store.save_event(make_event())
    while not receiver.taken and time.monotonic() < began + 10:
        time.sleep(0.005)
    took = time.monotonic() - began
    dispatcher.close()
    assert took < 1.5  # woken, not polled every 2 s


def test_yes_that_could_not_be_recorded_is_not_asked_for_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.set_rules([rule("a")])
    save(store, make_event(), after(1))
    receiver = Receiver("a")
    dispatcher = Dispatcher(store, [receiver])
    finish = store.outbox.finish

    def lost(*_: object) -> None:
        raise OSError("the database went away")

    monkeypatch.setattr(store.outbox, "finish", lost)
    with pytest.raises(OSError, match="went away"):
        dispatcher.run_once()
    with pytest.raises(OSError, match="went away"):
        dispatcher.run_once()
    assert len(receiver.taken) == 1  # nothing more is sent until it is recorded
    monkeypatch.setattr(store.outbox, "finish", finish)
    dispatcher.run_once()
    assert len(receiver.taken) == len({alert.key for alert in receiver.taken}) == 2
    assert states(store) == ["sent", "sent"]


def test_yes_that_could_not_be_recorded_is_recorded_after_a_reload(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher_module, "_POLL_S", 0.02)
    store.set_rules([rule("a")])
    finish = store.outbox.finish
    asked = threading.Event()

    def lost(*_: object) -> None:
        asked.set()
        raise StoreError("the database went away")

    monkeypatch.setattr(store.outbox, "finish", lost)
    receiver = Receiver("a")
    old = Dispatcher(store, [receiver])
    old.start()
    save(store, make_event())
    assert asked.wait(10)
    old.close(0.1)
    new = Dispatcher(store, [receiver])
    new.start()
    monkeypatch.setattr(store.outbox, "finish", finish)
    wait_until(lambda: states(store) == ["sent"])
    assert len(receiver.taken) == 1
    new.close()


def test_channel_that_is_no_longer_configured(store: Store) -> None:
    store.set_rules([rule("gone")])
    save(store, make_event(), after(1))
    Dispatcher(store, [Receiver("a")]).run_once()
    assert states(store) == ["pending", "pending"]  # it may come back
    with store.writing() as connection:
        connection.execute(update(deliveries).values(created=datetime.now(UTC) - timedelta(days=2)))
    Dispatcher(store, [Receiver("a")]).run_once()
    assert states(store) == ["expired", "expired"]
    assert "no channel" in (store.deliveries()[0].error or "")
