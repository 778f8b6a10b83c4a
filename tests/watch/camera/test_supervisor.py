"""The supervisor: workers that fail come back, with a cap; a change of settings touches only the camera it is of."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amiss.errors import VideoError
from amiss.watch.camera import CameraCounters, CameraStatus, Progress, Supervisor
from amiss.watch.camera._restarts import RestartPolicy
from amiss.watch.config import WorkerSettings


def test_the_end_of_an_earlier_event_leaves_a_later_one_open() -> None:
    status = CameraStatus("door", "", "d", 0.5, 0.4, "")
    status.follow("first", is_open=True)
    status.follow("first", is_open=False)
    assert status.event_id is None
    status.follow("second", is_open=True)
    status.follow("first", is_open=False)  # its clip was completed
    assert status.event_id == "second"


class FakeWorker:
    """Runs until it is told how it ends."""

    def __init__(self, camera: str, settings: Any) -> None:
        self.camera, self.settings = camera, settings
        self.error: Exception | None = None
        self.running = self.asked = False
        self.stubborn = settings == "stubborn"
        self.seen = CameraCounters(frames=10)

    def start(self) -> None:
        if self.settings == "can't start":
            raise VideoError("no such camera rtsp://user:sesame@192.0.2.7/")
        self.running = True

    def stop(self) -> None:
        self.asked = True
        if not self.stubborn:
            self.running = False

    def join(self, timeout: float | None = None) -> None:
        pass

    def is_alive(self) -> bool:
        return self.running

    def counters(self) -> CameraCounters:
        return self.seen

    def progress(self) -> Progress:
        return Progress(lag_s=0.5)

    def fail(self, error: Exception | None) -> None:
        self.running, self.error = False, error


class World:
    """A supervisor with fake workers and a clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.made: list[FakeWorker] = []
        self.supervisor = Supervisor(
            self.make, lambda name, _: CameraStatus(name, "", "d", 0.5, 0.4, ""), WorkerSettings(), now=lambda: self.now
        )

    def make(self, camera: str, settings: Any, status: CameraStatus) -> FakeWorker:
        self.made.append(FakeWorker(camera, settings))
        return self.made[-1]

    def tick(self, seconds: float = 0.0) -> None:
        self.now += seconds
        self.supervisor.tick()

    def status(self, camera: str) -> CameraStatus:
        status = self.supervisor.status(camera)
        assert status is not None
        return status


@pytest.fixture
def world() -> World:
    return World()


def test_a_failed_worker_is_started_again_and_its_counters_go_on(world: World) -> None:
    world.supervisor.set_cameras({"a": 1, "b": 1})
    world.tick()
    a, b = world.made
    a.fail(ValueError("odd rtsp://user:sesame@192.0.2.7/"))
    world.tick()
    assert (world.status("a").state, world.status("a").restarts) == ("stopped", 1)
    assert world.status("a").problem == "ValueError: odd rtsp://***@192.0.2.7/"
    world.tick(2)
    assert [w.camera for w in world.made] == ["a", "b", "a"]
    assert b.running
    world.tick()
    assert world.status("a").counts.frames == 20


def test_a_worker_that_fails_of_the_same_again_and_again_is_told_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.supervisor.set_cameras({"a": 1})
    for reason in ("no such file", "no such file", "no such file", "no video", "no video", "no such file"):
        world.tick(61)
        world.made[-1].fail(VideoError(reason))
        world.tick()
    told = [
        record.getMessage().split(";")[0].rpartition(": ")[2]
        for record in caplog.records
        if record.levelname == "ERROR"
    ]
    assert told == ["no such file", "no video", "no such file"]
    status = world.status("a")
    assert [status.set_state("connecting"), status.set_state("stopped", "no such file")] == [True, False]
    assert [status.set_state("connecting"), status.set_state("stopped", "no such file")] == [False, False]
    assert status.set_state("running")
    assert [status.set_state("connecting"), status.set_state("stopped", "no such file")] == [True, True]


def test_after_five_failures_within_a_minute_it_waits(world: World) -> None:
    world.supervisor.set_cameras({"a": 1})
    for _ in range(5):
        world.tick(2)
        world.made[-1].fail(VideoError("no"))
        world.tick()
    assert len(world.made) == 5
    world.tick(50)
    assert len(world.made) == 5
    world.tick(11)
    assert len(world.made) == 6


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60), st.integers(1, 6), st.floats(2, 120))
def test_starts_are_never_more_than_the_cap_and_always_come(gaps: list[float], most: int, within_s: float) -> None:
    policy, now, starts = RestartPolicy(most, within_s), 0.0, []
    for gap in gaps:
        now = policy.next_start(now)
        assert now <= 1 + (starts[-1][1] if starts else 0) + within_s
        starts.append((now, now + gap))
        now += gap
    busiest = max(sum(1 for t, _ in starts if begin <= t < begin + within_s) for begin, _ in starts)
    assert busiest <= most + 1


def test_a_change_of_settings_replaces_only_that_worker(world: World) -> None:
    world.supervisor.set_cameras({"a": 1, "b": 1, "c": 1})
    world.tick()
    a, b, c = world.made
    world.supervisor.set_cameras({"a": 1, "b": 2, "d": 1})
    world.tick()
    assert (a.asked, b.asked, c.asked) == (False, True, True)
    assert [(w.camera, w.settings) for w in world.made[3:]] == [("b", 2), ("d", 1)]
    assert world.supervisor.status("c") is None
    world.tick()
    assert world.status("b").counts.frames == 20


def test_a_new_worker_waits_until_the_old_one_has_ended(world: World) -> None:
    world.supervisor.set_cameras({"a": "stubborn"})
    world.tick()
    world.supervisor.set_cameras({"a": 2})
    world.tick(5)
    assert len(world.made) == 1
    world.made[0].running = False
    world.tick()
    assert [w.settings for w in world.made] == ["stubborn", 2]


def test_what_cannot_start_is_a_failure_of_that_camera(world: World) -> None:
    world.supervisor.set_cameras({"a": "can't start", "b": 1})
    world.tick()
    assert world.status("a").problem == "no such camera rtsp://***@192.0.2.7/"
    assert world.made[1].running


def test_files_end_and_are_not_started_again(world: World) -> None:
    world.supervisor.set_cameras({"a": 1, "b": 1})
    world.tick()
    world.made[0].fail(None)
    world.tick(100)
    assert not world.supervisor.all_done
    world.made[1].fail(None)
    world.tick(100)
    assert world.supervisor.all_done
    assert len(world.made) == 2


def test_stop_names_who_is_late(world: World) -> None:
    world.supervisor.set_cameras({"a": 1, "b": "stubborn"})
    world.tick()
    assert world.supervisor.stop(0) == ["b"]
    assert world.status("a").state == "stopped"
