"""The soak: four cameras and a watcher, faults at random, and whether all promises were kept."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from amiss.files import write_json

sys.path.append(str(Path(__file__).parents[2] / "tests"))  # for the detector that tells slow from fast movement

from helpers.motion import make_motion_detector  # type: ignore[import-not-found]
from soak._cameras import DropBox, HttpCamera
from soak._check import FOLDER, check_alerts, check_files, check_live_events, is_settled, keys_of, read_database
from soak._faults import Injector, World
from soak._monitor import Monitor
from soak._outages import OFFLINE_AFTER_S, are_told, check_outages, read_outages
from soak._receiver import Receiver
from soak._scene import PERIOD_S, Scene, now_s
from soak._service import Service

DISK_MB = 96
SETTLE_S = 300.0
FILE_EVERY_S = 25.0
MOST_SHOWN = 20

CONFIGURATION = """
detector: {detector}
database: sqlite:///{disk}/db/amiss.db
media: {disk}/media
state: {disk}/state
http: {{port: {port}}}
retention: {{min_free_gb: 0, max_gb: 0.03}}
defaults:
  offline_after_s: {offline_after_s}
  alarm: {{smoothing_s: 1, merge_gap_s: 2}}
  record: {{pre_s: 2, post_s: 2}}
  source: {{open_timeout_s: 5, read_timeout_s: 5, queue_clips: 16}}
cameras:
{cameras}
channels:
  hook: {{kind: webhook, url: "{webhook}", allow_private: [127.0.0.0/8], timeout_s: 5}}
  log: {{kind: log, path: {disk}/alerts.jsonl}}
rules:
  - {{name: all, channels: [hook, log], on: closed, cooldown_s: 0}}
  - {{name: cameras, channels: [hook, log], on: offline, cooldown_s: 0}}
"""


def run_soak(out: Path, hours: float, seed: int) -> dict[str, Any]:
    """Watch for so long, with faults; `broken` in the result has what must not be."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # no service and no disk is left behind
    folder = out / "soak"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    detector = make_motion_detector(folder / "detector")
    with _small_disk(folder / "disk") as (disk, is_small):
        (disk / "db").mkdir()
        now = now_s()
        scenes = [Scene(now + PERIOD_S * number / 3) for number in range(3)]
        names = ("yard", "gate", "hall")
        cameras = [HttpCamera(name, scene, is_mjpeg=name == "hall") for name, scene in zip(names, scenes, strict=True)]
        box = DropBox(folder / "videos", FILE_EVERY_S)
        receiver = Receiver()
        urls = {camera.name: camera.url for camera in cameras} | {FOLDER: f"folder:{box.folder}"}
        configuration = CONFIGURATION.format(
            detector=detector, disk=disk, port=(port := _free_port()), webhook=receiver.url,
            offline_after_s=OFFLINE_AFTER_S,
            cameras="\n".join(f'  {name}: {{url: "{url}"}}' for name, url in urls.items()),
        )  # fmt: skip
        file = folder / "watch.yaml"
        file.write_text(configuration)
        world = World(Service(file, port), cameras, receiver, disk, is_small, configuration)
        try:
            return _soak(world, box, hours, seed, out)
        finally:
            if not world.service.is_stopped:
                world.service.end(signal.SIGKILL)
            for camera in cameras:
                camera.close()
            receiver.close()


def _soak(world: World, box: DropBox, hours: float, seed: int, out: Path) -> dict[str, Any]:
    world.service.start()
    began = now_s()
    monitor = Monitor(world)
    injector = Injector(world, seed)
    next_report = began + 60
    while (now := now_s()) < began + 3600 * hours and not world.service.ended_by_itself:
        time.sleep(1)
        if now >= next_report:
            next_report += 60
            _report(_result(world, monitor, box, began, seed), out)
    injector.stop()
    box.stop()
    ended = now_s()
    print("the faults are over; waiting until all is told", flush=True)
    while now_s() < ended + SETTLE_S and not (
        now_s() > ended + 20 and is_settled(world, box, ended) and are_told(world.database)
    ):
        time.sleep(1)
    monitor.stop()
    if world.service.ended_by_itself:
        world.broken.append("the service ended by itself")
    elif (code := world.service.end(signal.SIGTERM)) != 0:
        world.broken.append(f"the last stop ended with exit code {code}")
    for camera in world.cameras:
        camera.close()
    time.sleep(1)  # what they delivered is complete then
    return _final(world, monitor, box, (began, ended), seed)


def _result(world: World, monitor: Monitor, box: DropBox, began: float, seed: int) -> dict[str, Any]:
    """What can be said at any time."""
    faults: dict[str, dict[str, float]] = defaultdict(lambda: {"times": 0, "seconds": 0.0})
    for fault in list(world.injected):
        faults[fault.fault]["times"] += 1
        faults[fault.fault]["seconds"] = round(faults[fault.fault]["seconds"] + fault.ended_s - fault.began_s, 1)
    log = world.service.log.read_text(errors="replace")
    memory, too_much = monitor.memory()
    broken = [*world.broken, *monitor.broken, *too_much]
    if n := log.count("Traceback"):
        broken.append(f"{n} tracebacks in the log")
    return {
        "hours": round((now_s() - began) / 3600, 3),
        "seed": seed,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "faults": dict(sorted(faults.items())),
        "n_faults": sum(int(row["times"]) for row in faults.values()),
        "scores": dict(monitor.n_scores),
        "clips_dropped_at": {name: len(times) for name, times in monitor.dropped.items()},
        "files": len(box.dropped),
        "memory": memory,
        "log_mb": round(world.service.log.stat().st_size / 1e6, 2),
        "broken": broken,
    }


def _final(world: World, monitor: Monitor, box: DropBox, watched: tuple[float, float], seed: int) -> dict[str, Any]:
    result = _result(world, monitor, box, watched[0], seed)
    events, deliveries = read_database(world.database)
    segments, lost = check_live_events(world, monitor, events, watched[0] + 5, watched[1] - 5)
    files = check_files(box, events)
    events = [event for event in events if event.file or event.started_s < watched[1]]  # later ones may be on their way
    log = world.disk / "alerts.jsonl"
    outages, told = read_outages(world.database)
    alerts, untold = check_alerts(world, events, deliveries, log, {row.key for row in told})
    arrived = {"log": Counter(keys_of(log, Counter())), "hook": Counter(a.key for a in world.receiver.arrivals)}
    away, unnoticed = check_outages(monitor, outages, told, arrived)
    rejected = list(world.disk.rglob("rejected.jsonl"))
    result["broken"] += [*lost, *files, *untold, *unnoticed, *(f"records in {path}" for path in rejected)]
    result |= {
        "hours": round((watched[1] - watched[0]) / 3600, 3),
        "events": len(events),
        "events_by_state": dict(Counter(event.state for event in events)),
        "events_without_video": sum(not event.has_clip for event in events),
        **segments,
        **alerts,
        **away,
        "webhook_not_taken": world.receiver.n_not_taken,
    }
    return result


def print_result(result: dict[str, Any]) -> None:
    """As a table."""
    print(f"\n{'fault':38} {'times':>6} {'seconds':>8}")
    for name, row in result["faults"].items():
        print(f"{name:38} {row['times']:6} {row['seconds']:8.0f}")
    print()
    for name, value in result.items():
        if name not in ("faults", "broken"):
            print(f"{name:38} {value}")
    print(f"\n{len(result['broken'])} promises broken")
    for line in result["broken"][:MOST_SHOWN]:
        print(f"  {line}")


def _report(result: dict[str, Any], out: Path) -> None:
    write_json(out / "soak.json", result)
    print(f"{result['hours'] * 60:.0f} min, {result['n_faults']} faults, {result['memory'].get('last_mb')} MB,"
          f" {len(result['broken'])} broken {result['broken'][-1:]}", flush=True)  # fmt: skip


@contextmanager
def _small_disk(path: Path) -> Iterator[tuple[Path, bool]]:
    """A file system that can be filled, where this user may mount one; else a folder."""
    path.mkdir()
    is_mounted = False
    if shutil.which("mount") is not None:
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(path)]
        is_mounted = subprocess.run(command, capture_output=True).returncode == 0
    try:
        yield path, is_mounted
    finally:
        if is_mounted:
            kept = path.with_name("kept")
            shutil.copytree(path, kept)
            subprocess.run(["umount", "-l", str(path)], check=True)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
