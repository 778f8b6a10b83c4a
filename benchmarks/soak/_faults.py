"""The faults that are injected, of docs/explanations/faults.md, and when they were."""

from __future__ import annotations

import errno
import random
import re
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from soak._cameras import HttpCamera
from soak._receiver import Manner, Receiver
from soak._scene import now_s
from soak._service import Service

TOLD_WITHIN_S = 15.0
RELOADED_WITHIN_S = 12.0  # workers end within 10 s
BAD_CONFIGURATIONS = (
    b"cameras: [",
    b"detector: 7\ncameras: {}\n",
    b"cameras:\n  yard: {url: 'nothing://here'}\n",
    b"\x00\x01\x02\xff\xfe" * 100,
    b"defaults: {alarm: {on: .nan}}\n",
    b"[" * 20_000,
    b"&a [*a]",
)


@dataclass(frozen=True)
class Injected:
    """A fault that was."""

    fault: str
    target: str
    began_s: float
    ended_s: float


@dataclass
class World:
    """All that faults can reach."""

    service: Service
    cameras: list[HttpCamera]
    receiver: Receiver
    disk: Path
    """Where the database, the spool, videos and alerts are."""
    disk_is_small: bool
    """Whether it is a file system of its own, which can be filled."""
    configuration: str
    injected: list[Injected] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """Promises that were seen to be broken while a fault was there."""

    @property
    def database(self) -> Path:
        """Of the service."""
        return self.disk / "db" / "amiss.db"


Fault = Callable[[World, random.Random], str]


def _camera(mode: str) -> Fault:
    def inject(world: World, rng: random.Random) -> str:
        camera = rng.choice(world.cameras)
        camera.set_mode(mode)  # type: ignore[arg-type]
        time.sleep(rng.uniform(2, 20))
        camera.set_mode("well")
        return camera.name

    return inject


def _stream_clock(world: World, rng: random.Random) -> str:
    camera = rng.choice([camera for camera in world.cameras if not camera.is_mjpeg])
    camera.clock_jump_s = max(0.0, camera.clock_jump_s + rng.choice([-1000.0, -3.0, 5.0, 4000.0]))
    return camera.name


def _receiver(manner: Manner) -> Fault:
    def inject(world: World, rng: random.Random) -> str:
        world.receiver.manner = manner
        time.sleep(rng.uniform(3, 20))
        world.receiver.manner = "takes"
        return "webhook"

    return inject


def _locked(world: World, rng: random.Random) -> str:
    with closing(sqlite3.connect(world.database, isolation_level=None, timeout=5)) as connection:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            return "database"  # it is being written
        time.sleep(rng.uniform(2, 20))
        connection.execute("ROLLBACK")
    return "database"


def _database_gone(world: World, rng: random.Random) -> str:
    folder, elsewhere = world.database.parent, world.disk / "elsewhere"
    folder.rename(elsewhere)
    folder.mkdir()
    time.sleep(rng.uniform(2, 20))
    folder.rmdir()  # fails where another database was begun
    elsewhere.rename(folder)
    return "database"


def _disk_full(world: World, rng: random.Random) -> str:
    filler = world.disk / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            while file.write(bytes(1 << 12)):
                pass
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
    time.sleep(rng.uniform(2, 20))
    filler.unlink()
    _await(world, "records stay in memory though there is room", lambda: _metric(world, "amiss_spool_in_memory") == 0)
    return "disk"


def _kill(world: World, rng: random.Random) -> str:
    world.service.restart(signal.SIGKILL)
    return "service"


def _restart(world: World, rng: random.Random) -> str:
    code = world.service.restart(signal.SIGTERM)
    if code != 0:
        world.broken.append(f"a stop ended with exit code {code}")
    return "service"


def _freeze(world: World, rng: random.Random) -> str:
    world.service.freeze(rng.uniform(1, 12))
    return "service"


def _bad_configuration(world: World, rng: random.Random) -> str:
    number = rng.randrange(len(BAD_CONFIGURATIONS))
    world.service.file.write_bytes(BAD_CONFIGURATIONS[number])
    world.service.reload()
    _await(world, f"bad configuration {number} isn't told", lambda: _is_told(world))
    time.sleep(rng.uniform(0, 5))
    world.service.file.write_text(world.configuration)
    world.service.reload()
    _await(world, f"bad configuration {number} is told though it was mended", lambda: not _is_told(world))
    return "configuration"


def _channels_change(world: World, rng: random.Random) -> str:
    """Channels are made anew while alerts are on their way."""
    _configure(world, r"], timeout_s: \d", f"], timeout_s: {rng.choice([4, 5])}")
    return "channels"


def _cameras_change(world: World, rng: random.Random) -> str:
    """All cameras are watched anew."""
    began = now_s()
    _configure(world, r"post_s: \d", f"post_s: {rng.choice([1, 2, 3])}")
    time.sleep(RELOADED_WITHIN_S)
    world.service.outages.append((began, now_s()))
    return "cameras"


def _configure(world: World, old: str, new: str) -> None:
    world.configuration = re.sub(old, new, world.configuration)
    world.service.file.write_text(world.configuration)
    world.service.reload()
    time.sleep(3)


def _is_told(world: World) -> bool:
    return b"the configuration is wrong" in (world.service.get("/health/ready") or b"")


def _metric(world: World, name: str) -> float | None:
    for line in (world.service.get("/metrics") or b"").decode().splitlines():
        if line.startswith(f"{name} "):
            return float(line.split()[1])
    return None


def _await(world: World, wrong: str, condition: Callable[[], bool]) -> None:
    until = time.monotonic() + TOLD_WITHIN_S
    while not condition():
        if time.monotonic() > until:
            world.broken.append(wrong)
            return
        time.sleep(0.3)


LANES: dict[str, dict[str, tuple[Fault, int]]] = {
    "cameras": {
        "a camera's server is gone": (_camera("gone"), 3),
        "a camera sends nothing more": (_camera("stalled"), 3),
        "a camera sends garbage": (_camera("garbage"), 3),
        "a stream's clock jumps": (_stream_clock, 2),
    },
    "outside": {
        "the database is locked": (_locked, 2),
        "the webhook answers 503": (_receiver("refuses"), 1),
        "the webhook never ends its answer": (_receiver("drips"), 1),
        "the webhook hangs up": (_receiver("hangs up"), 1),
        "the webhook is silent": (_receiver("silent"), 1),
    },
    "service": {
        "SIGKILL": (_kill, 2),
        "SIGTERM": (_restart, 1),
        "SIGSTOP and SIGCONT": (_freeze, 2),
        "the database's folder is gone": (_database_gone, 2),
        "the disk is full": (_disk_full, 2),
        "the configuration is bad": (_bad_configuration, 3),
        "the channels change": (_channels_change, 1),
        "the cameras' settings change": (_cameras_change, 1),
    },
}
"""Faults of a lane come one after the other, those of different lanes at any time; with how often they come."""

PAUSES_S = {"cameras": (5.0, 30.0), "outside": (5.0, 30.0), "service": (10.0, 60.0)}
DATABASE_FAULTS = ("the database is locked", "the database's folder is gone", "the disk is full")


class Injector:
    """Injects faults in the background, as the seed says."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(lane, random.Random(f"{seed} {lane}")), daemon=True)
            for lane in LANES
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Inject no more, and wait until the last ones are over."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self, lane: str, rng: random.Random) -> None:
        faults = dict(LANES[lane])
        if not self._world.disk_is_small:
            faults.pop("the disk is full", None)
        names, weights = list(faults), [weight for _, weight in faults.values()]
        while not self._stop.wait(rng.uniform(*PAUSES_S[lane])):
            (name,) = rng.choices(names, weights)
            began = now_s()
            try:
                target = faults[name][0](self._world, rng)
            except Exception as error:
                self._world.broken.append(f"{name}: {type(error).__name__}: {error}")
                target = "?"
            self._world.injected.append(Injected(name, target, began, now_s()))
