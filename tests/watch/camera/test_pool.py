"""The shared engine: order, fairness, dropping and waiting, failures that stay with their camera."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from amiss.backbones import create_backbone
from amiss.detection import Calibration, Detector, Normalisation
from amiss.engines import Prepared
from amiss.errors import UsageError
from amiss.heads import create_head
from amiss.watch.camera import EnginePool, Models, model_key
from amiss.watch.camera._pool import Lane, PoolCounters
from amiss.watch.config import WorkerSettings
from helpers.fake_detector import BrightnessEngine


def clip(value: float) -> Prepared:
    return (torch.tensor(value),)


class Gate:
    """Holds the engine up until it is opened."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.waiting = threading.Event()

    def __call__(self) -> None:
        self.waiting.set()
        assert self.event.wait(10)


@pytest.fixture
def engine() -> BrightnessEngine:
    return BrightnessEngine()


@pytest.fixture
def pool(engine: BrightnessEngine) -> Iterator[EnginePool]:
    made = EnginePool(engine, max_batch=4)
    yield made
    made.close()


def take(lane: Lane[int], n: int) -> list[tuple[int, object]]:
    found = []
    for _ in range(n):
        item = lane.get(5)
        assert item is not None
        found.append(item)
    return found


def test_features_come_back_in_order(pool: EnginePool) -> None:
    lane: Lane[int] = pool.lane(size=50)
    for index in range(40):
        lane.put(index, clip(index / 100))
    found = take(lane, 40)
    assert [tag for tag, _ in found] == list(range(40))
    assert [float(row[0, 0]) for _, row in found] == pytest.approx([i / 100 for i in range(40)])  # type: ignore[index]
    assert lane.is_empty
    assert lane.get(0.01) is None


def test_no_camera_waits_for_the_backlog_of_another(pool: EnginePool, engine: BrightnessEngine) -> None:
    engine.delay = gate = Gate()
    busy: Lane[int] = pool.lane(size=100, is_live=False)
    others: list[Lane[int]] = [pool.lane() for _ in range(6)]
    for index in range(60):
        busy.put(index, clip(0.1))
    gate.waiting.wait(5)
    for lane in others:
        lane.put(0, clip(0.2))
    gate.event.set()
    for lane in others:
        take(lane, 1)
    take(busy, 60)
    assert max(map(len, engine.batches)) <= 4
    # six others, four in a batch: all of them in the two batches after the one that was under way
    assert sum(value > 0.15 for batch in engine.batches[:3] for value in batch) == 6


def test_a_live_lane_drops_the_oldest_and_keeps_the_newest(pool: EnginePool, engine: BrightnessEngine) -> None:
    engine.delay = gate = Gate()
    lane: Lane[int] = pool.lane(size=3, is_live=True)
    lane.put(0, clip(0.0))
    gate.waiting.wait(5)
    for index in range(1, 10):
        assert lane.put(index, clip(0.0))
    gate.event.set()
    assert [tag for tag, _ in take(lane, 4)] == [0, 7, 8, 9]
    assert lane.dropped == 6


def test_what_happens_between_clips_keeps_its_place_and_is_never_dropped(
    pool: EnginePool, engine: BrightnessEngine
) -> None:
    engine.delay = gate = Gate()
    for is_live in (True, False):
        lane: Lane[int] = pool.lane(size=2, is_live=is_live)
        lane.put(0, clip(0.0))
        gate.waiting.wait(5)
        lane.put(1, clip(0.0))
        for index in range(2, 7):
            lane.put(index, None, is_kept=True)  # however many: no room is needed
        if is_live:
            for index in range(7, 10):
                lane.put(index, clip(0.0))
        gate.event.set()
        assert [tag for tag, _ in take(lane, 8 if is_live else 7)] == [
            *((0, 2, 3, 4, 5, 6, 8, 9) if is_live else range(7))
        ]
        assert lane.dropped == (2 if is_live else 0)


def test_a_lane_of_a_file_waits_and_drops_nothing(pool: EnginePool, engine: BrightnessEngine) -> None:
    engine.delay = lambda: time.sleep(0.002)
    lane: Lane[int] = pool.lane(size=2, is_live=False)
    thread = threading.Thread(target=lambda: [lane.put(index, clip(0.0)) for index in range(50)])
    thread.start()
    assert [tag for tag, _ in take(lane, 50)] == list(range(50))
    thread.join()
    assert lane.dropped == 0


def test_results_that_nobody_fetches_hold_up_only_their_lane(pool: EnginePool) -> None:
    stuck: Lane[int] = pool.lane(size=2)
    moving: Lane[int] = pool.lane(size=2)
    for index in range(30):
        stuck.put(index, clip(0.0))
        moving.put(index, clip(0.0))
        take(moving, 1)
    time.sleep(0.1)
    assert len(stuck.results) == 2
    assert len(stuck.waiting) == 2
    assert stuck.dropped == 26
    assert [tag for tag, _ in take(stuck, 4)] == [0, 1, 28, 29]


def test_clips_that_are_passed_through_keep_their_turn(pool: EnginePool, engine: BrightnessEngine) -> None:
    lane: Lane[int] = pool.lane(size=20)
    for index in range(20):
        lane.put(index, None if index % 3 else clip(0.5))
    found = take(lane, 20)
    assert [tag for tag, _ in found] == list(range(20))
    assert [result is None for _, result in found] == [index % 3 > 0 for index in range(20)]
    assert sum(map(len, engine.batches)) == 7


def test_a_clip_that_breaks_the_engine_is_its_own_cameras_trouble(pool: EnginePool, engine: BrightnessEngine) -> None:
    engine.fail = lambda value: value == 1.0
    gate = engine.delay = Gate()
    first: Lane[int] = pool.lane()
    first.put(-1, clip(0.0))
    gate.waiting.wait(5)
    lanes: list[Lane[int]] = [pool.lane() for _ in range(4)]
    for index, lane in enumerate(lanes):
        lane.put(index, clip(1.0 if index == 2 else 0.25))
    gate.event.set()
    results = [take(lane, 1)[0][1] for lane in lanes]
    assert [isinstance(result, RuntimeError) for result in results] == [False, False, True, False]
    assert pool.counters.failed == 1
    lanes[2].put(9, clip(0.5))
    assert isinstance(take(lanes[2], 1)[0][1], np.ndarray)


def test_an_engine_that_gives_too_few_features_is_caught(pool: EnginePool, engine: BrightnessEngine) -> None:
    engine.run = lambda prepared: np.zeros((0, 1, 2), np.float32)  # type: ignore[method-assign]
    lane: Lane[int] = pool.lane()
    lane.put(0, clip(0.0))
    assert "0 features for 1 clips" in str(take(lane, 1)[0][1])


def test_closing_wakes_everybody(engine: BrightnessEngine) -> None:
    pool = EnginePool(engine)
    full: Lane[int] = pool.lane(size=1, is_live=False)
    empty: Lane[int] = pool.lane()
    engine.delay = lambda: time.sleep(0.05)
    ended = []

    def fill() -> None:
        while full.put(0, clip(0.0)):
            pass
        ended.append("put")

    threads = [threading.Thread(target=fill), threading.Thread(target=lambda: ended.append(str(empty.get(30))))]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    pool.close()
    for thread in threads:
        thread.join(5)
    assert sorted(ended) == ["None", "put"]
    assert not pool.lane().put(0, clip(0.0))  # type: ignore[var-annotated]


def test_what_happens_between_clips_waits_for_no_other_camera(pool: EnginePool, engine: BrightnessEngine) -> None:
    lane: Lane[int] = pool.lane(size=2)
    lane.put(0, clip(0.0))
    take(lane, 1)
    engine.delay = gate = Gate()
    other: Lane[int] = pool.lane()
    other.put(0, clip(0.0))
    assert gate.waiting.wait(5)  # the engine hangs in another camera's clip
    for index in range(1, 6):
        lane.put(index, None, is_kept=True)
    assert [lane.get(0.0) for _ in range(5)] == [(index, None) for index in range(1, 6)]
    gate.event.set()


def test_a_network_that_is_compiled_is_so_before_clips_come(pool: EnginePool, engine: BrightnessEngine) -> None:
    pool.warm_up()
    assert engine.batches == [[0.0]]
    assert pool.counters == PoolCounters()
    lane: Lane[int] = pool.lane()
    lane.put(0, clip(0.5))
    assert take(lane, 1)[0][0] == 0
    engine.fail = lambda value: True
    with pytest.raises(RuntimeError, match="breaks the engine"):
        pool.warm_up()


def test_the_settings_say_whether_it_is_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a compiler that isn't there: it is told at the start, not by each clip."""
    spec = create_backbone("squeezenet1_1", "random").spec
    head = create_head("sultani", spec.dim)
    Detector(spec, head, Normalisation("none"), Calibration(0.6, "test", 1)).save(tmp_path / "detector")
    key = model_key(tmp_path / "detector", None)
    monkeypatch.setattr(torch, "compile", lambda network, **_: lambda clips: network.no_compiler)
    with pytest.raises(UsageError, match=r"torch can't compile squeezenet1_1 here .*\(workers.compile\)"):
        Models(WorkerSettings(device="cpu", compile=True), None).pool(key)
