"""A camera from its stream to events with clip and picture, on one shared engine."""

import threading
import time
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from amiss.backbones import clip_spans
from amiss.detection import causal_offline_scores
from amiss.errors import SpecMismatchError, UsageError
from amiss.features import extract_video
from amiss.video import Backoff, GateSettings, VideoReader, open_source
from amiss.watch import CameraEvent
from amiss.watch._vectors import pack_vector
from amiss.watch.camera import CameraWorker, EnginePool, Recorder
from amiss.watch.camera import _worker as worker_module
from amiss.watch.camera._clips import LiveClip
from amiss.watch.camera._events import EventMaker
from amiss.watch.camera._pool import Lane
from amiss.watch.camera._reader import CameraReader
from helpers.cameras import ALARM, WHO, camera_settings, eventually, wall
from helpers.fake_detector import SPEC, BrightnessEngine, BrightnessHead, brightness_detector
from helpers.streams import Connection, FakeCamera, transport_stream, write_stream


def test_a_replayed_file_is_scored_as_it_is_offline(tmp_path: Path) -> None:
    path = write_stream(tmp_path / "a.ts", n_frames=135, bright=((40, 80),))
    for spec in (
        SPEC,
        SPEC.with_(stride=8),
        SPEC.with_(tail="drop"),
        SPEC.with_(frame_rate=10.0),
        SPEC.with_(stride=24),
        SPEC.with_(clip_len=32, stride=32, frame_rate=15.0),
    ):
        engine = BrightnessEngine(spec)
        with wall(engine=engine) as made:
            worker = made.watch(f"replay:{path}?speed=0")
            worker.join(20)
        assert worker.error is None
        detector = brightness_detector(spec)
        offline = extract_video(path, engine)
        expected = causal_offline_scores(detector, offline.features)
        assert [scored.score for scored in made.scores] == expected.tolist()
        first = made.scores[0].started
        starts = [(scored.started - first).total_seconds() * offline.fps for scored in made.scores]
        spans = clip_spans(spec, len(expected), offline.times)
        assert starts == pytest.approx([start for start, _ in spans], abs=1.01 if spec.frame_rate else 0.01)


def test_clips_that_come_while_the_worker_looks_whether_to_end_are_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_stream(tmp_path / "a.ts", n_frames=60)
    get = Lane.get
    with wall() as made:

        def preempted(lane: Lane[object], timeout_s: float) -> object:
            item = get(lane, 0.0)
            if item is None:
                made.workers[0]._reader.join(5)
            return item

        monkeypatch.setattr(Lane, "get", preempted)
        made.watch(f"replay:{path}?speed=0", queue_clips=8).join(20)
    assert len(made.scores) == 4


def test_an_event_from_its_first_frame_to_its_clip(tmp_path: Path) -> None:
    chunks = transport_stream(n_frames=300, bright=((96, 160),))

    def script(connection: Connection) -> None:
        connection.answer()
        connection.play(chunks, speed=2)
        connection.wait(60)

    with FakeCamera(script) as camera, wall(tmp_path) as made:
        worker = made.watch(camera.url, read_timeout_s=20)
        eventually(lambda: any(event.clip for event in made.events))
        assert worker.state == "running"
    events = made.events
    assert len({event.event_id for event in events}) == 1
    assert events[0].state == "open"
    assert [event.state for event in events][-2:] == ["closed", "closed"]
    opened, closed, complete = events[0], events[-2], events[-1]
    assert opened.ended is None
    assert opened.snapshot is not None  # an alert at once has a picture
    assert closed.clip is None
    assert complete == replace(closed, clip=complete.clip)
    assert complete.problem is None
    assert complete.ended is not None
    # 64 bright frames at double speed: 4 clips, give or take one that is half bright
    assert 0.9 < (complete.ended - complete.started).total_seconds() < 1.8
    assert complete.started <= complete.peak <= complete.ended
    assert complete.peak_score == max(score for t, score in complete.trace)
    assert complete.peak_score > 0.75
    before = [score for t, score in complete.trace if t < 0]
    assert before
    assert max(before) < 0.6
    assert (complete.threshold_on, complete.threshold_off) == (0.6, 0.5)
    assert (complete.detector, complete.detector_sha256, complete.feature_spec) == ("detector", "0" * 64, SPEC.hash)

    assert complete.clip == f"{complete.started:%Y-%m-%d}/yard/{complete.event_id}.mp4"
    brightness = [frame.image.mean() for frame in VideoReader(tmp_path / complete.clip)]
    bright = [index for index, value in enumerate(brightness) if value > 150]
    assert len(bright) == 64  # the camera's own pictures, all of them
    assert bright[0] >= 10  # pre-roll
    assert len(brightness) - bright[-1] > 10  # post-roll
    assert complete.snapshot is not None
    assert np.asarray(Image.open(tmp_path / complete.snapshot)).mean() > 150
    assert sorted(p.suffix for p in tmp_path.rglob("*") if p.is_file()) == [".jpg", ".mp4"]


@pytest.mark.faults
def test_a_lost_camera_closes_its_event_and_a_new_one_comes_after(tmp_path: Path) -> None:
    chunks = transport_stream(n_frames=200, bright=((48, 200),))

    def script(connection: Connection) -> None:
        connection.answer()
        connection.play(chunks[:120], speed=2)
        if connection.number == 1:
            connection.sock.close()
        connection.wait(60)

    with FakeCamera(script) as camera, wall(tmp_path) as made:
        made.watch(camera.url, backoff=Backoff(first_s=3.5, cap_s=3.5, jitter=0))
        eventually(lambda: len({event.event_id for event in made.events if event.clip}) == 1)
        first = next(event for event in made.events if event.clip)
        eventually(lambda: len({event.event_id for event in made.events}) == 2)
    assert first.state == "closed"
    second = made.events[-1]
    assert second.state == "closed"  # by the end of the watch
    assert second.clip
    assert second.started > first.ended
    assert all(event.camera == "yard" for event in made.events)


@pytest.mark.faults
def test_the_last_frames_of_a_lost_camera_are_scored_at_once() -> None:
    """Not when it comes back: an alert would then be of something long past."""
    chunks = transport_stream(n_frames=60, bright=((32, 60),))

    def script(connection: Connection) -> None:
        connection.answer()
        connection.play(chunks[:44], speed=4)

    with FakeCamera(script) as camera, wall() as made:
        worker = made.watch(camera.url, backoff=Backoff(first_s=60, cap_s=60))
        eventually(lambda: worker.state == "reconnecting")
        eventually(lambda: len(made.scores) >= 3, limit_s=2)
        assert made.events[0].state == "open"
        eventually(lambda: made.events[-1].state == "closed", limit_s=5)
    assert len(made.scores) == 3  # the third is padded
    assert (made.scores[2].ended - made.scores[2].started).total_seconds() < 0.6


def test_a_clip_that_ends_before_its_event_is_told_with_it(tmp_path: Path) -> None:
    path = write_stream(tmp_path / "a.ts", n_frames=300, bright=((100, 220),))
    (tmp_path / "media").mkdir()
    with wall(tmp_path / "media") as made:
        worker = made.watch(f"replay:{path}?speed=4")
        worker._events.recorder._max = timedelta(seconds=1.5)  # type: ignore[union-attr]
        worker.join(20)
    last = made.events[-1]
    assert last.state == "closed"
    assert last.clip is not None
    assert last.problem is None
    assert (tmp_path / "media" / last.clip).exists()


@pytest.mark.faults
@pytest.mark.parametrize("step_s", [-3600.0, 3600.0])
def test_a_wall_clock_that_is_set_during_an_event_ends_it_and_the_next_has_the_right_time(
    step_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shift = [0.0]

    def now() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=shift[0])

    monkeypatch.setattr("amiss.watch.camera._worker.open_source", lambda *a, **k: open_source(*a, **k, wall=now))
    chunks = transport_stream(n_frames=300, bright=((40, 240),))

    def script(connection: Connection) -> None:
        connection.answer()
        connection.play(chunks[:120], speed=2)
        shift[0] = step_s
        connection.play(chunks[120:], speed=2)
        connection.wait(60)

    began = now()
    with FakeCamera(script) as camera, wall(tmp_path) as made:
        alarm = ALARM.changed(cooldown_s=0.5)
        worker = made.watch(camera.url, alarm=alarm, read_timeout_s=20)
        eventually(lambda: len([event for event in made.events if event.clip]) == 2)
        assert len(worker._events._recent) < 60
    first, second = (event for event in made.events if event.clip)
    assert (first.state, second.state) == ("closed", "closed")
    for event in (first, second):
        assert event.ended is not None
        assert 0.5 < (event.ended - event.started).total_seconds() < 4
        assert -1 < event.trace[0][0] <= event.trace[-1][0] < 5
        assert len(list(VideoReader(tmp_path / event.clip))) < 200
    assert abs((first.started - began).total_seconds()) < 6
    assert abs((second.started - began).total_seconds() - step_s) < 10


def test_stop_closes_an_open_event_with_its_clip(tmp_path: Path) -> None:
    chunks = transport_stream(n_frames=400, bright=((20, 400),))

    def script(connection: Connection) -> None:
        connection.answer()
        connection.play(chunks, speed=2)

    with FakeCamera(script) as camera, wall(tmp_path) as made:
        made.watch(camera.url)
        eventually(lambda: made.events)
        time.sleep(0.5)
    assert made.events[0].state == "open"
    assert made.events[-1].state == "closed"
    assert made.events[-1].clip
    assert VideoReader(tmp_path / made.events[-1].clip).fps > 10


def test_a_camera_that_breaks_the_engine_hurts_no_other(tmp_path: Path) -> None:
    dark = write_stream(tmp_path / "dark.ts", n_frames=160)
    bright = write_stream(tmp_path / "bright.ts", n_frames=160, bright=((0, 160),))
    engine = BrightnessEngine()
    engine.fail = lambda value: value > 0.6
    with wall(engine=engine) as made:
        good = made.watch(f"replay:{dark}?speed=0", "good")
        bad = made.watch(f"replay:{bright}?speed=0", "bad")
        good.join(20)
        bad.join(20)
    assert good.error is None
    assert good.counters().scores == 10
    assert good.counters().failed_clips == 0
    assert bad.counters().failed_clips == 10
    assert bad.error is None


def test_a_worker_that_cannot_read_ends_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: CameraReader) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(CameraReader, "start", full)
    with wall() as made:
        worker = made.watch("device:0")
        eventually(lambda: not worker.is_alive())
        assert isinstance(worker.error, RuntimeError)
        assert made.states[-1][1] == "stopped"


def test_a_camera_on_which_everything_fails_ends_and_says_why(tmp_path: Path) -> None:
    path = write_stream(tmp_path / "a.ts", n_frames=160)
    engine = BrightnessEngine()
    engine.fail = lambda value: True
    with wall(engine=engine) as made:
        worker = made.watch(f"replay:{path}?speed=0&loop=1")
        worker.join(20)
    assert "couldn't be scored: this clip breaks the engine" in str(worker.error)


def test_an_error_of_the_one_who_is_told_ends_only_that_camera(tmp_path: Path) -> None:
    path = write_stream(tmp_path / "a.ts", n_frames=100, bright=((30, 60),))
    with wall() as made:
        worker = made.watch(f"replay:{path}?loop=1", "one")
        other = made.watch(f"replay:{path}?loop=1", "other")
        made.events = None  # type: ignore[assignment]
        worker._events.on_event = lambda event: 1 / 0
        worker.join(10)
        assert isinstance(worker.error, ZeroDivisionError)
        assert other.is_alive()
        made.events = []


@pytest.mark.faults
def test_an_engine_that_is_too_slow_drops_the_oldest_and_counts() -> None:
    chunks = transport_stream(n_frames=400)
    engine = BrightnessEngine()
    engine.delay = lambda: time.sleep(0.5)

    def script(connection: Connection) -> None:
        connection.answer()
        connection.play(chunks, speed=8)

    with FakeCamera(script) as camera, wall(engine=engine) as made:
        worker = made.watch(camera.url, queue_clips=2)
        eventually(lambda: worker.counters().clips >= 24)
        eventually(lambda: worker.counters().dropped_clips > 5)
        eventually(lambda: len(made.scores) > 3)
        assert made.scores[-1].latency_s < 3
    starts = [scored.started for scored in made.scores]
    assert starts == sorted(starts)
    counters = worker.counters()
    assert counters.scores + counters.dropped_clips <= counters.clips


def test_a_gate_spares_the_engine_in_a_still_scene(tmp_path: Path) -> None:
    from amiss.video import VideoWriter

    path = tmp_path / "still.mp4"
    with VideoWriter(path, 25, 128, 96) as writer:
        for index in range(480):
            image = np.full((96, 128, 3), 60, np.uint8)
            if 200 <= index < 280:
                image[20:60, index % 80 : index % 80 + 30] = 240
            writer.write(image)
    results = {}
    for gate in (GateSettings(), GateSettings(enabled=True, refresh_s=4.0)):
        engine = BrightnessEngine()
        with wall(engine=engine) as made:
            worker = made.watch(f"replay:{path}?speed=0", gate=gate)
            worker.join(20)
        results[gate] = [scored.score for scored in made.scores], sum(map(len, engine.batches)), worker.counters()
    (all_scores, all_run, _), (gated, run, counters) = results.values()
    assert all_run == len(all_scores) == len(gated) == 30
    assert 8 <= run <= 15
    assert counters.spared_clips == 30 - run
    assert gated == pytest.approx(all_scores, abs=0.01)


class WholeBagHead(BrightnessHead):
    """Says that it looks at the whole bag."""

    context = None


def test_a_clip_is_whole_however_late_the_scores_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("helpers.fake_detector.BrightnessHead", WholeBagHead)
    path = write_stream(tmp_path / "a.ts", n_frames=1000, bright=((208, 304),))
    (tmp_path / "media").mkdir()
    with wall(tmp_path / "media") as made:
        worker = made.watch(f"replay:{path}?speed=0", lookahead_clips=25, queue_clips=8)
        assert worker.lookahead_clips == 25  # 16 s
        worker.join(20)
    last = made.events[-1]
    assert last.clip is not None
    brightness = [frame.image.mean() for frame in VideoReader(tmp_path / "media" / last.clip)]
    assert sum(value > 150 for value in brightness) == 96
    assert brightness[0] < 100  # pre-roll


@pytest.mark.faults
def test_a_disk_that_hangs_holds_up_no_score_and_the_picture_comes_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = threading.Event()
    write = Recorder._write_picture

    def slow(*arguments: object) -> object:
        let_go.wait(60)
        return write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Recorder, "_write_picture", slow)
    chunks = transport_stream(n_frames=220, bright=((40, 80), (120, 160)))

    def script(connection: Connection) -> None:
        connection.answer()
        connection.play(chunks, speed=1)
        connection.wait(60)

    with FakeCamera(script) as camera, wall(tmp_path) as made:
        worker = made.watch(camera.url, read_timeout_s=30, queue_clips=16)
        # two events, then their clips
        eventually(lambda: [event.state for event in made.events].count("closed") >= 4, limit_s=40)
        assert all(event.snapshot is None for event in made.events)
        assert max(scored.latency_s for scored in made.scores) < 5
        assert worker.counters().dropped_clips == 0
        n_told = len(made.events)
        let_go.set()
        eventually(lambda: len(made.events) == n_told + 2)
    for event in made.events[n_told:]:
        assert event.state == "closed"
        assert event.clip
        assert event.snapshot
        assert np.asarray(Image.open(tmp_path / event.snapshot)).mean() > 150


def test_a_picture_that_comes_later_is_told_with_the_next_score(tmp_path: Path) -> None:
    pictures: list[Future[tuple[str | None, str | None]]] = []

    class Slow(Recorder):
        def snapshot(self, *arguments: object) -> Future[tuple[str | None, str | None]]:
            pictures.append(Future())
            return pictures[-1]

    told: list[CameraEvent] = []
    settings = camera_settings("device:0")
    maker = EventMaker(
        "yard", settings, WHO, told.append, lambda end: Slow(tmp_path, "yard", on_end=end), update_s=1000
    )
    image = np.zeros((8, 8, 3), np.uint8)
    for index in range(4):
        start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=index)
        if index == 3:
            pictures[0].set_result(("a.jpg", None))
        maker.scored(LiveClip(image[None], start, start + timedelta(seconds=1), 0.0, image, 1), 0.9)
    assert [event.snapshot for event in told] == [None, "a.jpg"]
    maker.close()


def test_an_event_is_what_its_highest_clip_shows() -> None:
    told: list[CameraEvent] = []
    maker = EventMaker("yard", camera_settings("device:0"), WHO, told.append, None)
    image = np.zeros((8, 8, 3), np.uint8)
    for index, (score, name) in enumerate([(0.1, "fire"), (0.7, "fire"), (0.9, "fall"), (0.8, "fire"), (0.1, "fire")]):
        start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=index)
        features = np.array([[index, 1.0], [index, 3.0]], np.float32)  # of two crops
        maker.scored(LiveClip(image[None], start, start + timedelta(seconds=1), 0.0, image, 1), score, name, features)
    maker.close()
    assert told[0].class_name == "fire"
    assert (told[-1].state, told[-1].class_name) == ("closed", "fall")
    assert told[-1].feature == pack_vector(np.array([2.0, 2.0]))


@pytest.mark.faults
def test_a_picture_that_goes_wrong_in_any_way_is_a_problem_of_the_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_stream(tmp_path / "a.ts", n_frames=200, bright=((40, 80), (130, 160)))
    (tmp_path / "media").mkdir()

    def broken(*arguments: object) -> object:
        raise MemoryError("no memory for a picture")

    monkeypatch.setattr(Recorder, "_write_picture", broken)
    with wall(tmp_path / "media") as made:
        worker = made.watch(f"replay:{path}?speed=0")
        worker.join(20)
    assert worker.error is None
    last = {event.event_id: event for event in made.events}.values()
    assert [(event.state, event.problem) for event in last] == [("closed", "no picture: no memory for a picture")] * 2
    assert all(event.clip for event in last)


@pytest.mark.faults
def test_still_clips_never_take_the_features_of_another_scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the engine is too slow, the reference clip of a still scene may be among those that are dropped."""
    from amiss.video import VideoWriter

    path = tmp_path / "still.mp4"
    with VideoWriter(path, 25, 128, 96) as writer:
        for index in range(30 * 16):
            image = np.full((96, 128, 3), 40 if index < 4 * 16 else 200, np.uint8)
            image[:, : 0 if index < 4 * 16 else 30] = 90
            writer.write(image)
    starts: list[datetime] = []
    send = CameraReader._send

    def noted(self: CameraReader, clip: LiveClip) -> None:
        starts.append(clip.started)
        send(self, clip)

    monkeypatch.setattr(CameraReader, "_send", noted)
    engine = BrightnessEngine()
    with wall(engine=engine) as made:
        engine.delay = lambda: eventually(lambda: made.workers and made.workers[0].counters().clips >= 10)
        worker = made.watch(f"replay:{path}?speed=4", gate=GateSettings(enabled=True, refresh_s=60.0), queue_clips=2)
        worker._lane.is_live = True
        worker.join(30)
    assert worker.error is None
    assert worker.counters().spared_clips > 0
    for scored in made.scores:
        assert (scored.score < 0.3) == (starts.index(scored.started) < 4)
        assert (scored.score > 0.6) == (starts.index(scored.started) >= 4)


@pytest.mark.faults
def test_stop_does_not_wait_for_a_silent_camera(tmp_path: Path) -> None:
    chunks = transport_stream(n_frames=100, bright=((20, 100),))

    def script(connection: Connection) -> None:
        connection.answer()
        connection.play(chunks, speed=2)
        connection.wait(60)

    with FakeCamera(script) as camera, wall(tmp_path) as made:
        worker = made.watch(camera.url, read_timeout_s=15)
        eventually(lambda: made.events and worker.counters().frames > 95)
        time.sleep(0.3)
        began = time.monotonic()
        worker.stop()
        worker.join(10)
        assert time.monotonic() - began < 8
        assert made.events[-1].state == "closed"
        assert made.events[-1].clip
        n_states = len(made.states)
        camera.closing.set()  # only now does the reader come back
        worker._reader.join(10)
        assert not worker._reader.is_alive()
        assert len(made.states) == n_states


@pytest.mark.faults
def test_a_flood_of_dead_cameras_leaves_the_living_alone(tmp_path: Path) -> None:
    path = write_stream(tmp_path / "a.ts", n_frames=200)
    with wall() as made:
        for index in range(40):
            made.watch("http://127.0.0.1:9/none", f"dead{index}", backoff=Backoff())
        living = made.watch(f"replay:{path}?loop=1")
        eventually(lambda: living.counters().scores > 6)
        assert max(scored.latency_s for scored in made.scores) < 2.0
        assert all(worker.state in ("connecting", "reconnecting") for worker in made.workers[:-1])
        began = time.process_time()
        time.sleep(1.0)
        assert time.process_time() - began < 0.5


def test_trace_of_an_endless_event_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amiss.watch.camera._events.LONGEST_TRACE", 20)
    path = write_stream(tmp_path / "a.ts", n_frames=800, bright=((0, 800),))
    with wall() as made:
        made.watch(f"replay:{path}?speed=0").join(20)
    last = made.events[-1]
    assert len(last.trace) <= 20
    times = [t for t, _ in last.trace]
    assert times == sorted(times)
    assert times[-1] > 30


def test_what_makes_no_sense_is_refused_at_once() -> None:
    with wall() as made:
        with pytest.raises(UsageError, match="must start with one of rtsp://"):
            made.watch("gopher://x")
        with pytest.raises(UsageError, match="folder"):
            Recorder(Path("x"), "../yard", on_end=lambda end: None)
        other = EnginePool(BrightnessEngine(SPEC.with_(backbone="other")))
        with pytest.raises(SpecMismatchError):
            CameraWorker(
                "a", camera_settings("device:0"), brightness_detector(), other, None,
                on_event=lambda event: None, identity=WHO,
            )  # fmt: skip
        other.close()


@pytest.mark.faults
def test_a_camera_whose_clips_are_not_scored_is_stalled_until_one_is() -> None:
    engine = BrightnessEngine()
    free = threading.Event()
    chunks = transport_stream(n_frames=250)

    def script(connection: Connection) -> None:
        connection.answer()
        connection.play(chunks, speed=2)
        connection.wait(60)

    with FakeCamera(script) as camera, wall(engine=engine) as made:
        engine.delay = lambda: free.wait(30) and None
        worker = made.watch(camera.url, read_timeout_s=1.0)
        eventually(lambda: worker.state == "stalled")
        assert made.states[-1][2] == "pictures come, but none was scored for 1 s"
        assert worker.counters().frames > 0
        assert worker.counters().stalls == 1
        assert worker.progress().lag_s > 1
        assert worker.progress().scored_s is None
        free.set()
        eventually(lambda: worker.state == "running")
        assert worker.progress().scored_s is not None
        assert worker.counters().reconnects == 0


@pytest.mark.faults
def test_a_backbone_that_is_slow_ends_no_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "GAP_S", 0.1)
    engine = BrightnessEngine()
    free = threading.Event()
    free.set()
    chunks = transport_stream(n_frames=300, bright=((0, 300),))

    def script(connection: Connection) -> None:
        connection.answer()
        connection.play(chunks, speed=2)
        connection.wait(60)

    with FakeCamera(script) as camera, wall(engine=engine) as made:
        engine.delay = lambda: free.wait(30) and None
        worker = made.watch(camera.url, read_timeout_s=1.0, queue_clips=32)
        eventually(lambda: made.events)
        free.clear()
        eventually(lambda: worker.state == "stalled")
        time.sleep(0.5)
        assert {event.state for event in made.events} == {"open"}
        free.set()
        eventually(lambda: worker.state == "running")
        assert len({event.event_id for event in made.events}) == 1


@pytest.mark.faults
def test_a_camera_whose_clips_all_fail_is_stalled() -> None:
    engine = BrightnessEngine()
    engine.fail = lambda value: True
    chunks = transport_stream(n_frames=250)

    def script(connection: Connection) -> None:
        connection.answer()
        connection.play(chunks, speed=2)
        connection.wait(60)

    with FakeCamera(script) as camera, wall(engine=engine) as made:
        worker = made.watch(camera.url, read_timeout_s=1.0)
        eventually(lambda: worker.state == "stalled")
        assert "none was scored for 1 s; the last that failed: this clip breaks the engine" in made.states[-1][2]
        engine.fail = lambda value: False
        eventually(lambda: worker.state == "running")


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.parametrize("fps", [5, 10, 40])
def test_mjpeg_over_http_is_scored_for_longer_than_it_once_was(fps: int) -> None:
    """In real time, with the real limits: pictures at 10 a second were all dropped after 8 s."""

    def script(connection: Connection) -> None:
        connection.answer_mjpeg()
        connection.play_mjpeg(60 * fps, fps)

    with FakeCamera(script) as camera, wall() as made:
        worker = made.watch(camera.url, open_timeout_s=10, read_timeout_s=10)
        time.sleep(45)
        counters = worker.counters()
        assert worker.state == "running"
        assert counters.dropped_frames == counters.stalls == counters.reconnects == counters.dropped_clips == 0
        assert counters.frames > 40 * fps
        assert counters.scores > counters.frames / 16 - 2
        assert [state for _, state, _ in made.states] == ["connecting", "running"]
        assert worker.progress().lag_s < 1
