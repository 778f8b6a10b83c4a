"""Workers that watch cameras, and what they told."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from amiss.detection import AlarmSettings, Detector
from amiss.engines import Engine
from amiss.video import Backoff
from amiss.watch import CameraEvent
from amiss.watch.camera import CameraWorker, ClipScored, DetectorIdentity, EnginePool
from amiss.watch.config import CameraSettings, CameraSourceSettings
from helpers.fake_detector import SPEC, BrightnessEngine, brightness_detector

ALARM = AlarmSettings(on=0.6, off=0.5, smoothing_s=0, merge_gap_s=0)
WHO = DetectorIdentity("detector", "0" * 64, SPEC.hash)
SOURCE = set(CameraSourceSettings.model_fields)
FAST = Backoff(first_s=0.05, cap_s=0.2)


class Wall:
    """Workers of one test, with what they told."""

    def __init__(self, media: Path | None, pool: EnginePool, roll_s: float) -> None:
        self.media, self.pool, self.roll_s = media, pool, roll_s
        self.events: list[CameraEvent] = []
        self.states: list[tuple[str, str, str]] = []
        self.scores: list[ClipScored] = []
        self.workers: list[CameraWorker] = []

    def watch(
        self,
        url: str,
        name: str = "yard",
        *,
        once: bool = False,
        backoff: Backoff = FAST,
        detector: Detector | None = None,
        **settings: object,
    ) -> CameraWorker:
        worker = CameraWorker(
            name,
            camera_settings(url, self.roll_s, **settings),
            detector or brightness_detector(self.pool.engine.spec),
            self.pool,
            self.media,
            once=once,
            backoff=backoff,
            on_event=self.events.append,
            on_state=lambda *told: self.states.append(told),
            on_score=self.scores.append,
            identity=WHO,
        )
        self.workers.append(worker)
        worker.start()
        return worker

    def of(self, camera: str) -> list[CameraEvent]:
        return [event for event in self.events if event.camera == camera]


def camera_settings(url: str, roll_s: float = 0.4, **settings: object) -> CameraSettings:
    """A camera's settings, with those of its source beside the others."""
    source = {"open_timeout_s": 1.0, "read_timeout_s": 1.0}
    source |= {name: settings.pop(name) for name in SOURCE & set(settings)}
    return CameraSettings(
        **{"url": url, "alarm": ALARM, "source": source, "record": {"pre_s": roll_s, "post_s": roll_s}, **settings}
    )


@contextmanager
def wall(media: Path | None = None, engine: Engine | None = None, *, roll_s: float = 0.4) -> Iterator[Wall]:
    pool = EnginePool(engine or BrightnessEngine())
    made = Wall(media, pool, roll_s)
    try:
        yield made
    finally:
        for worker in made.workers:
            worker.stop()
        for worker in made.workers:
            worker.join(10)
        pool.close()
    assert not any(worker.is_alive() for worker in made.workers)


def eventually(condition: Callable[[], object], limit_s: float = 15.0) -> None:
    until = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.02)
