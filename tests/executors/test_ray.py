"""A Ray cluster of three nodes on this machine: the same features as in process; workers, nodes and the driver die."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from amiss.errors import Notice
from amiss.executors import TaskLostError, executor_for
from amiss.executors._ray_worker import RayWorker
from amiss.jobs import _extraction, extract_targets
from helpers.jobs import Trouble
from helpers.ray_nodes import DRIVER, Nodes, ray_nodes
from helpers.videos import write_video
from helpers.waiting import wait_until

pytest.importorskip("ray")
pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore::ResourceWarning")]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with ray_nodes() as nodes:
        yield nodes


@pytest.fixture(scope="module")
def videos(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real ones, a long one, short ones and one that is damaged."""
    folder = tmp_path_factory.mktemp("videos")
    real = [next((shared / "data" / name / "videos").glob("*.*")) for name in ("ucsd_ped2", "hockey_fights")]
    for path in real:
        shutil.copy(path, folder)
    write_video(folder / "long.mp4", 420, options={"x264-params": "keyint=25"})
    for number in range(6):
        write_video(folder / f"short{number}.mp4", 40 + 7 * number)
    (folder / "broken.mp4").write_bytes((folder / "short0.mp4").read_bytes()[:500])
    return folder


@pytest.fixture(scope="module")
def expected(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their features, extracted in this process."""
    out = tmp_path_factory.mktemp("expected") / "features"
    report = extract_targets([videos], "motion", out)
    assert list(report.failed) == ["broken"]
    return out


@pytest.fixture(autouse=True)
def _short_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_extraction, "RANGE_FRAMES", 130)


def assert_same(found: Path, expected: Path) -> None:
    """The same files, byte for byte, and no others."""
    files = [{path.relative_to(root): path.read_bytes() for path in root.rglob("*.*")} for root in (found, expected)]
    assert files[0].keys() == files[1].keys()
    assert [name for name, data in files[0].items() if data != files[1][name]] == []


def test_the_same_bytes_though_a_worker_and_a_node_are_lost(
    nodes: Nodes, videos: Path, expected: Path, tmp_path: Path
) -> None:
    faults = [nodes.replace, lambda: os.kill(nodes.workers()[0], signal.SIGKILL)]
    told: list[str] = []

    def on_progress(done: float, total: float, what: str) -> None:
        told.append(what)
        if faults and int(done) >= 5 - 2 * len(faults) and nodes.workers():
            faults.pop()()

    with pytest.warns(Notice, match="what it had is done again"):
        report = extract_targets([videos], "motion", tmp_path / "out", cluster="auto", on_progress=on_progress)
    assert not faults
    assert list(report.failed) == ["broken"]
    assert len(report.done) == 9
    assert any(", 2 workers, " in text for text in told)
    assert_same(tmp_path / "out", expected)


def test_a_driver_that_is_killed_goes_on(nodes: Nodes, videos: Path, expected: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = [nodes.cluster.address, str(videos), str(out)]
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, *arguments], stdout=subprocess.DEVNULL)
    wait_until(lambda: driver.poll() is not None or len(list(out.glob("[!.]*.npy"))) >= 2, 120)
    driver.kill()
    driver.wait()
    there = {path.name for path in out.glob("[!.]*.npy")}
    assert 2 <= len(there) < 9
    report = extract_targets([videos], "motion", out, cluster="auto")
    assert {f"{video_id}.npy" for video_id in report.skipped} >= there - {".npy"}
    assert_same(out, expected)


def test_what_ends_its_workers_is_set_aside(nodes: Nodes, tmp_path: Path) -> None:
    job = Trouble(tmp_path)
    with executor_for("auto").start(job) as run:
        for task, work in {"a": 3, "once": "kills once", "bad": "kills", "wrong": "wrong", "busy": "busy"}.items():
            run.add(task, work)
        with pytest.warns(Notice, match="what it had is done again"):
            found = {outcome.id: outcome for outcome in run}
        run.add("last", "warns")
        with pytest.warns(Notice, match="look here"):
            assert [outcome.id for outcome in run] == ["last"]
        run.add("broken", "nonsense")
        with pytest.raises(KeyError, match="no work 'nonsense'"):
            list(run)
    assert (found["a"].result, found["once"].result, found["busy"].result) == (9, "survived", "then")
    assert isinstance(found["bad"].error, TaskLostError)
    assert str(found["wrong"].error) == "it is wrong"


def test_what_is_told_just_before_the_end_is_in_the_last_answer(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    worker = RayWorker(Trouble(tmp_path), 1, {}, str(Path.cwd()))
    with ThreadPoolExecutor(1) as asking:
        assert worker.ready().result is not None
        asking.submit(worker.told, 0, 10)  # has it, too, but who gave the task may not read that any more
        answer = worker.do("a", "warns")
    assert [message.value for message in answer.told if message.kind == "notice"] == ["look here"]
    assert worker.told(answer.first + len(answer.told), 0).told == [], "what was heard isn't told again"
    worker._inbox.close()
    ended = set(threading.enumerate()) - before
    for thread in ended:
        thread.join(30)
    assert not any(thread.is_alive() for thread in ended)


def test_each_gpu_has_a_worker_with_its_share_of_the_cpus(nodes: Nodes, tmp_path: Path) -> None:
    with nodes.one_more(cpus=5, gpus=2), executor_for("auto").start(Trouble(tmp_path)) as run:
        for number in range(4):
            run.add(str(number), "device")
        found = list(run)
        assert {outcome.result for outcome in found} == {("0", 2), ("1", 2)}
        assert {outcome.worker for outcome in found} == {1, 2}
