"""Cameras on a Ray cluster: their processes and nodes are lost, and no event with them, nor is one there twice."""

import os
import shutil
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray")
pytest.importorskip("sqlalchemy", reason="needs amiss[watch]")

from amiss.watch import CameraEvent, WatchService, load_config
from amiss.watch.camera import CameraStatus
from helpers.motion import write_scene
from helpers.ray_nodes import Nodes, ray_nodes
from helpers.waiting import wait_until
from helpers.workers import send

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore::ResourceWarning")]

LONG_S = 600  # where much else is being done
CONFIG = """
detector: {detector}
cluster: {{cpus: 1, cameras_per_process: 1}}
defaults:
  alarm: {{smoothing_s: 0, merge_gap_s: 1}}
  record: {{pre_s: 1, post_s: 1}}
cameras: {{{cameras}}}
http: {{enabled: false}}
"""


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with ray_nodes() as nodes:
        yield nodes


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two stretches of fast movement."""
    parts = [(1, 75), (9, 50), (1, 100), (9, 50), (1, 75)]
    return write_scene(tmp_path_factory.mktemp("scene") / "scene.mp4", parts)


@contextmanager
def watched(
    folder: Path,
    detector: Path,
    cameras: dict[str, str],
    *,
    once: bool = False,
    on_event: Callable[[CameraEvent], None] = lambda _: None,
) -> Iterator[WatchService]:
    """A service that runs in a thread."""
    file = folder / "watch.yaml"
    entries = ", ".join(f"{name}: {{url: '{url}'}}" for name, url in cameras.items())
    file.write_text(CONFIG.format(detector=detector, cameras=entries))
    service = WatchService(load_config(file), file, once=once, on_event=on_event)
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        yield service
        if once:
            thread.join(LONG_S)
    finally:
        service.ask_to_stop()
        thread.join(LONG_S)
    assert not thread.is_alive()


def events(folder: Path) -> list[dict[str, Any]]:
    with sqlite3.connect(f"file:{folder / 'amiss.db'}?mode=ro", uri=True) as connection:
        connection.row_factory = sqlite3.Row
        try:
            return [
                dict(row) for row in connection.execute("select * from events order by camera, file, file_s, started")
            ]
        except sqlite3.OperationalError:  # it is being made
            return []


def test_cameras_move_and_each_event_is_there_once(nodes: Nodes, detector: Path, scene: Path, tmp_path: Path) -> None:
    cameras = {name: tmp_path / name for name in ("door", "gate")}
    for folder in cameras.values():
        folder.mkdir()
        for number, name in enumerate(("a.mp4", "b.mp4")):
            shutil.copy(scene, folder / name)
            os.utime(folder / name, (1e9 + number, 1e9 + number))  # finished long ago
    is_open, is_replaced = threading.Event(), threading.Event()
    first = threading.Lock()
    lost: dict[str, float] = {}
    back: dict[str, float] = {}
    before: dict[str, dict[str, int]] = {}  # restarts of cameras

    def on_event(event: CameraEvent) -> None:
        """While an event is open: first all processes are killed, then, at the other file, a node is lost."""
        what = "process" if event.file == "a.mp4" else "node"
        with first:  # cameras tell at the same time
            is_first = event.state == "open" and what not in lost
            if is_first:
                lost[what] = time.monotonic()
        if is_first:
            before[what] = {status.name: status.restarts for status in service.supervisor.statuses}
            if what == "node":
                is_open.set()
                assert is_replaced.wait(LONG_S)
            else:
                send(signal.SIGKILL, nodes.workers("CameraHost"))
        elif event.state != "interrupted":
            for what, restarts in list(before.items()):
                if status(event.camera).restarts > restarts[event.camera]:
                    back.setdefault(what, time.monotonic())

    def status(camera: str) -> CameraStatus:
        return next(status for status in service.supervisor.statuses if status.name == camera)

    urls = {name: f"folder:{folder}" for name, folder in cameras.items()}
    with watched(tmp_path, detector, urls, once=True, on_event=on_event) as service:
        assert is_open.wait(LONG_S)
        nodes.replace()  # Ray starts nodes in the main thread only
        is_replaced.set()
    assert service.problems == {}
    assert sum(status(camera).restarts for camera in cameras) == 3
    print({what: f"{back[what] - since:.1f} s" for what, since in lost.items()})
    found = events(tmp_path)
    expected = [(c, f, s) for c in cameras for f in ("a.mp4", "b.mp4") for s in (3, 9)]
    assert [(event["camera"], event["file"], round(event["file_s"])) for event in found] == expected
    assert {event["state"] for event in found} == {"closed"}
    for event in found:
        assert (tmp_path / "media" / event["clip"]).stat().st_size > 0, event["problem"]
        assert (tmp_path / "media" / event["snapshot"]).stat().st_size > 0


@pytest.mark.slow
def test_an_open_event_of_a_lost_process_is_interrupted(
    nodes: Nodes, detector: Path, scene: Path, tmp_path: Path
) -> None:
    with watched(tmp_path, detector, {"door": f"replay:{scene}?loop=1"}) as service:
        wait_until(lambda: [e for e in events(tmp_path) if e["state"] == "open"], LONG_S)
        assert service.previews["door"].jpeg() is not None
        os.kill(nodes.workers("CameraHost")[0], signal.SIGKILL)
        wait_until(lambda: [e for e in events(tmp_path) if e["state"] == "interrupted"], LONG_S)
        wait_until(lambda: [e for e in events(tmp_path) if e["state"] == "open"], LONG_S)
    found = events(tmp_path)
    cut = [event for event in found if event["state"] == "interrupted"]
    assert len(cut) == 1
    assert "its process on the cluster has gone" in cut[0]["problem"]
    assert {event["state"] for event in found} == {"interrupted", "closed"}
