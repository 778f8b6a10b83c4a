"""Cameras that are offline: noticed, told once, cooled down, told together, told back; also over restarts."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy", reason="needs amiss[watch]")
pytest.importorskip("alembic", reason="needs amiss[watch]")

from amiss.errors import AlertError, UsageError
from amiss.video import Backoff
from amiss.watch._outage import Outage, OutageNews
from amiss.watch._outage_watch import OutageWatch
from amiss.watch.alerts import Alert, Dispatcher
from amiss.watch.camera import CameraStatus, Progress
from amiss.watch.config import CameraSettings, Rule
from amiss.watch.store import Store, open_store
from helpers.events import make_event

pytest_plugins = ("helpers.databases",)

OFFLINE = Rule(name="cameras", channels=("a",), on="offline", cooldown_s=0)
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@dataclass
class Listener:
    """A channel that takes what it gets, unless told otherwise."""

    name: str = "a"
    expire_s: float = 3600
    timeout_s: float = 60
    answers: list[Exception] = field(default_factory=list)
    taken: list[Alert] = field(default_factory=list)

    def open(self) -> None:
        pass

    def send(self, alert: Alert) -> None:
        if self.answers:
            raise self.answers.pop(0)
        self.taken.append(alert)

    def close(self) -> None:
        pass

    @property
    def titles(self) -> list[str]:
        return [alert.title.removeprefix("amiss: ") for alert in self.taken]


class World:
    """A store, its dispatcher, and a wall clock that is set by hand."""

    def __init__(self, url: str, spool: Path, monkeypatch: pytest.MonkeyPatch, rules: list[Rule]) -> None:
        self.now = NOON
        world = self

        class Clock(datetime):
            @classmethod
            def now(cls, tz: object = None) -> datetime:
                return world.now

        for module in ("store._store", "alerts._dispatcher"):
            monkeypatch.setattr(f"amiss.watch.{module}.datetime", Clock)
        self.url, self.spool, self.rules = url, spool, rules
        self.a = Listener()
        self.numbers = itertools.count()
        self.open()

    def open(self) -> None:
        self.store: Store = open_store(self.url, self.spool, rules=self.rules)
        self.dispatcher = Dispatcher(self.store, [self.a], backoff=Backoff(first_s=5, jitter=0))

    def restart(self) -> None:
        self.store.close()
        self.open()

    def lose(self, camera: str = "gate") -> None:
        outage = Outage(
            f"{next(self.numbers):032x}", camera, self.now - timedelta(minutes=1), self.now, None, "stalled"
        )
        self.store.camera_lost(outage)
        assert self.store.flush(10)

    def back(self, camera: str = "gate") -> None:
        self.store.camera_back(camera, self.now)
        assert self.store.flush(10)

    def pass_s(self, seconds: float) -> list[str]:
        """Time passes, and what is due is sent; returns the titles of new messages."""
        before = len(self.a.taken)
        self.now += timedelta(seconds=seconds)
        while self.dispatcher.run_once():
            pass
        return self.a.titles[before:]

    def states(self) -> list[str]:
        return sorted(f"{delivery.tells} {delivery.state}" for delivery in self.store.deliveries())


@pytest.fixture
def world(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(database_url, tmp_path / "spool", monkeypatch, [OFFLINE, Rule(name="events", channels=("a",))])
    yield made
    made.store.close()


def test_a_camera_that_goes_and_comes_back_is_told_twice(world: World) -> None:
    world.lose()
    assert world.pass_s(5) == []  # others may go, too
    assert world.pass_s(10) == ["gate is offline"]
    assert world.pass_s(3600) == []
    world.back()
    assert world.pass_s(15) == ["gate is back"]
    assert world.states() == ["back sent", "offline sent"]
    offline, back = (alert.json() for alert in world.a.taken)
    assert (offline["kind"], back["kind"], offline["rule"]) == ("offline", "back", "cameras")
    assert offline["outages"][0]["camera"] == "gate"
    assert offline["outages"][0]["started"] == "2026-03-01T11:59:00+00:00"
    assert offline["outages"][0]["ended"] is None
    assert offline["outages"][0]["reason"] == "stalled"
    assert back["outages"][0]["ended"] == "2026-03-01T13:00:15+00:00"
    assert offline["id"] != back["id"]
    assert "after being offline for 1 h 1 min" in back["text"]
    assert world.a.taken[0].text.splitlines()[1] == "State: stalled"
    json.dumps([offline, back])


def test_a_rule_of_events_tells_no_camera_and_the_other_way_round(world: World) -> None:
    world.store.save_event(make_event())
    assert world.store.flush(10)
    assert world.pass_s(1) == ["gate, score 0.90"]
    assert [alert.json()["kind"] for alert in world.a.taken] == ["event"]


def test_a_camera_that_flaps_is_told_once_per_cooldown_and_a_long_outage_is_never_missed(world: World) -> None:
    world.store.set_rules([OFFLINE.model_copy(update={"cooldown_s": 600.0})])
    told = []
    for _ in range(4):  # a minute away, a minute there
        world.lose()
        told += world.pass_s(60)
        world.back()
        told += world.pass_s(60)
    assert told == ["gate is offline", "gate is back"]
    world.lose()  # it stays away
    told = world.pass_s(60)
    assert told == []
    told += world.pass_s(600)
    assert told == ["gate is offline"]
    world.back()
    assert world.pass_s(20) == ["gate is back"]
    world.lose()  # the cooldown counts from when it was told
    assert world.pass_s(300) == []
    world.back()
    assert world.pass_s(3600) == []


def test_cameras_that_go_together_share_a_message(world: World) -> None:
    for number in range(12):
        world.lose(f"cam{number:02}")
        world.now += timedelta(seconds=0.5)
    assert world.pass_s(10) == ["12 cameras are offline"]
    assert world.a.taken[0].text.count("offline since") == 12
    assert world.states() == ["offline sent"] * 12
    for number in range(12):
        world.back(f"cam{number:02}")
    world.lose("another")
    assert sorted(world.pass_s(15)) == ["12 cameras are back", "another is offline"]
    assert [len(alert.json()["outages"]) for alert in world.a.taken] in ([12, 12, 1], [12, 1, 12])


def test_a_message_that_was_not_taken_is_repeated_with_the_same_key_and_the_same_cameras(world: World) -> None:
    world.a.answers = [AlertError("no route")] * 2
    asked = []
    send = world.a.send
    world.a.send = lambda alert: (asked.append((alert.key, len(alert.event.outages))), send(alert))[1]
    for camera in ("gate", "yard"):
        world.lose(camera)
    assert world.pass_s(15) == []
    world.lose("door")
    assert world.pass_s(6) == []
    assert world.pass_s(12) == ["2 cameras are offline", "door is offline"]
    assert len({key for key, _ in asked}) == 2
    assert [number for _, number in asked] == [2, 2, 2, 1]


def test_an_end_before_the_start_could_be_told_is_told_with_it(world: World) -> None:
    world.a.answers = [AlertError("no route")]
    world.lose()
    assert world.pass_s(15) == []
    world.back()
    assert world.pass_s(30) == ["gate was offline"]
    assert "after being offline for 1 min 15 s" in world.a.taken[0].text
    assert world.pass_s(60) == []


def test_a_message_refused_for_good_has_no_end_told_and_burns_no_cooldown(world: World) -> None:
    world.store.set_rules([OFFLINE.model_copy(update={"cooldown_s": 600.0})])
    world.a.answers = [AlertError("no such address", permanent=True)]
    world.lose("gate")
    world.lose("yard")
    assert world.pass_s(15) == []
    assert world.states() == ["offline failed"] * 2
    world.back("gate")
    world.lose("gate")
    assert world.pass_s(15) == ["gate is offline"]


@pytest.mark.faults
def test_a_restart_doubles_nothing_and_the_end_is_told(world: World) -> None:
    world.lose()
    assert world.pass_s(15) == ["gate is offline"]
    for _ in range(3):
        world.restart()
        world.lose()  # the new process finds it away
        assert world.pass_s(60) == []
    world.restart()
    world.back()
    world.back()
    assert world.pass_s(15) == ["gate is back"]
    world.restart()
    world.back()  # what every process says of every camera, once
    assert world.pass_s(15) == []
    with world.store.reading() as connection:
        assert connection.exec_driver_sql("select count(*) from outages").scalar() == 1


@pytest.mark.faults
def test_records_that_a_kill_leaves_in_the_spool_are_written_again_without_effect(world: World) -> None:
    world.lose()
    world.pass_s(15)
    world.restart()
    lines: list[bytes] = []
    append = world.store.spool.append
    world.store.spool.append = lambda record, **how: (lines.append(record + b"\n"), append(record, **how))[1]
    world.lose()
    world.back()
    world.lose()
    world.back()
    assert world.pass_s(15) == ["gate is back", "gate was offline"]
    world.store.close()
    (world.spool / "spool.jsonl").write_bytes(b"".join(lines))
    world.open()
    assert world.store.flush(10)
    assert world.pass_s(60) == []


def test_a_camera_that_is_no_longer_watched_is_forgotten(world: World) -> None:
    for camera in ("gate", "yard"):
        world.lose(camera)
    assert world.pass_s(15) == ["2 cameras are offline"]
    world.store.forget_cameras(["yard"])
    world.back("gate")
    assert world.pass_s(15) == []
    world.back("yard")
    assert world.pass_s(15) == ["yard is back"]


def test_a_rule_tells_only_its_cameras_in_its_hours() -> None:
    outage = Outage("0" * 32, "gate", NOON, NOON, None, "")
    assert OFFLINE.tells_outage(outage)
    for changes in ({"cameras": ("yard",)}, {"hours": "13:00-14:00", "time_zone": "UTC"}, {"on": "opened"}):
        assert not OFFLINE.model_copy(update=changes).tells_outage(outage)
    assert OFFLINE.moment(make_event()) is None
    with pytest.raises(UsageError, match="are of events"):
        Rule(name="r", channels=("a",), on="offline", min_score=0.5)


# Who notices


class Noticed:
    """Stands in for the store: what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def camera_lost(self, outage: Outage) -> None:
        self.told.append(f"{outage.camera} lost since {outage.started:%H:%M:%S} ({outage.reason})")

    def camera_back(self, camera: str, time: datetime) -> None:
        self.told.append(f"{camera} back")

    def forget_cameras(self, watched: object) -> None:
        pass


class Watching:
    def __init__(self, url: str = "rtsp://192.0.2.1/", after_s: float = 60) -> None:
        self.now, self.store = 1000.0, Noticed()
        self.watch = OutageWatch(
            self.store, now=lambda: self.now, wall=lambda: NOON + timedelta(seconds=self.now - 1000)
        )
        self.settings = CameraSettings(url=url, offline_after_s=after_s)
        self.status = CameraStatus("gate", url, "d", 0.5, 0.4, "")
        self.watch.set_cameras({"gate": self.settings})

    def wall(self) -> datetime:
        return NOON + timedelta(seconds=self.now - 1000)

    def go(self, seconds: int, state: str, scored: bool = False, reason: str = "") -> list[str]:
        before = len(self.store.told)
        self.status.state, self.status.reason = state, reason
        for _ in range(seconds):
            self.now += 1
            if scored:
                self.status.progress = Progress(self.now)
            self.watch.look(self.status)
        return self.store.told[before:]


def test_nothing_scored_for_long_is_offline_whatever_the_state_says() -> None:
    made = Watching()
    assert made.go(100, "running", scored=True) == ["gate back"]  # told once: an earlier process may have lost it
    assert made.go(59, "running") == []
    assert made.status.offline_since is None
    assert made.go(100, "running") == ["gate lost since 12:01:40 (nothing was scored, though it is running)"]
    assert made.status.offline_since == NOON + timedelta(seconds=100)
    assert made.status.to_dict()["offline_since"] == "2026-03-01T12:01:40+00:00"
    assert made.go(1, "running", scored=True) == ["gate back"]
    assert made.status.offline_since is None


def test_a_camera_that_never_came_and_one_whose_settings_change_while_it_is_away() -> None:
    made = Watching(after_s=10)
    assert made.go(20, "reconnecting", reason="can't connect: refused") == [
        "gate lost since 12:00:00 (reconnecting: can't connect: refused)"
    ]
    made.watch.set_cameras({"gate": made.settings.model_copy(update={"offline_after_s": 5.0})})
    made.status = CameraStatus("gate", "", "d", 0.5, 0.4, "")
    assert made.go(20, "connecting") == []
    assert made.status.offline_since == NOON
    assert made.go(1, "running", scored=True) == ["gate back"]
    made.watch.set_cameras({})
    assert made.go(100, "running") == []


def test_a_file_is_offline_only_where_it_can_not_be_read(tmp_path: Path) -> None:
    made = Watching(f"folder:{tmp_path}", after_s=10)
    assert made.go(100, "running") == ["gate back"]
    assert len(made.go(20, "reconnecting")) == 1
    assert made.go(20, "running") == ["gate back"]
    made.status.problem = "it failed once"
    assert made.go(20, "stopped", reason="ended") == []
    assert len(made.go(20, "stopped", reason="it failed once")) == 1


def test_news_are_told_by_their_first_camera() -> None:
    news = OutageNews((Outage("0" * 32, "gate", NOON, NOON, None, "stalled"),), is_back=False)
    assert news.camera == "gate"
    assert news.lines(str) == [f"Camera gate: offline since {NOON}", "State: stalled"]
