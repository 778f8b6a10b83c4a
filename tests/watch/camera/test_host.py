"""A process in which cameras are watched for another one: what it holds until that has it."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from amiss.detection import AlarmSettings, Detector, detector_files
from amiss.watch import CameraEvent
from amiss.watch.camera import DetectorIdentity, model_key
from amiss.watch.camera._host import CameraHost, News, Order
from amiss.watch.config import CameraSettings, RecordSettings, WorkerSettings
from helpers.motion import write_scene
from helpers.waiting import wait_until


@pytest.fixture
def host() -> Iterator[CameraHost]:
    yield (host := CameraHost(WorkerSettings(threads=1), {}))
    for watch in list(host._watches):
        host.forget(watch)


def order(detector: Path, folder: Path) -> Order:
    settings = CameraSettings(
        url=SecretStr(f"folder:{folder}"),
        alarm=AlarmSettings(on=0.5, off=0.4, smoothing_s=0, merge_gap_s=1),
        record=RecordSettings(pre_s=1, post_s=1),
    )
    key = model_key(detector, None)
    identity = DetectorIdentity(str(detector), key.sha256, Detector.load(detector).spec.hash)
    return Order(uuid.uuid4().hex, "door", settings, detector_files(detector), None, identity, once=True, reading="1")


def take(host: CameraHost, watch: str, after: int) -> list[News]:
    news = list(host.told(watch, after, 20).news)
    assert [one.number for one in news] == list(range(after + 1, after + 1 + len(news)))
    return news


def test_a_file_is_scored_only_when_its_events_are_kept(host: CameraHost, detector: Path, tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "a.mp4", [(1, 75), (9, 50), (1, 75)])
    watch = order(detector, tmp_path)
    assert host.watch(watch) == ""
    assert host.watch(watch) == ""  # asked twice, as after an answer that was lost
    wait_until(lambda: any(isinstance(n.told, CameraEvent) for n in host.told(watch.id, 0, 1).news), 60)
    first = take(host, watch.id, 0)
    assert isinstance(first[-1].told, CameraEvent)  # it waits there
    assert take(host, watch.id, 0)[: len(first)] == first  # what nobody has yet is told again
    assert not (tmp_path / ".amiss-scored.jsonl").exists()
    told, n_kept = [], 0
    while not (report := host.told(watch.id, n_kept, 20)).is_over:
        for one in report.news:
            told.append(one.told)
            n_kept = one.number
            for file in one.files:
                assert host.read(watch.id, file.path, 0)  # a picture may be a better one by now
    assert report.problem == ""
    events = [one for one in told if isinstance(one, CameraEvent)]
    assert len({event.event_id for event in events}) == 1
    assert (events[-1].state, events[-1].file, events[-1].clip is not None) == ("closed", scene.name, True)
    assert (tmp_path / ".amiss-scored.jsonl").read_text().count("\n") == 1
    assert host.read(watch.id, str(events[-1].clip), 0) is None  # it is elsewhere by now


def test_what_can_not_be_watched_is_told(host: CameraHost, detector: Path, tmp_path: Path) -> None:
    watch = order(detector, tmp_path)
    broken = Order(**(vars(watch) | {"detector": dict.fromkeys(watch.detector, b"{}")}))
    assert "being written" in host.watch(broken)
