"""Looks at the running service every two seconds: does each living camera score, is memory bounded, does it answer?"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from soak._faults import World
from soak._scene import now_s

EVERY_S = 2.0
FOUND_AGAIN_WITHIN_S = 60.0
"""The wait between two attempts after a fault of 20 s is 16 s or 32 s, ± 30 %."""
SILENT_S = 15.0
WARM_UP_S = 300.0
MOST_MB = 150.0
MOST_DESCRIPTORS = 100


@dataclass(frozen=True)
class Sample:
    """How large the service was."""

    time_s: float
    memory_mb: float
    descriptors: int


class Monitor:
    """Watches the world in the background; `broken` has what must not be."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.broken: list[str] = []
        self.samples: list[Sample] = []
        self.dropped: dict[str, list[float]] = defaultdict(list)
        """Camera → when clips were dropped."""
        self.n_scores: dict[str, int] = defaultdict(int)
        self.scored_at: dict[str, list[float]] = defaultdict(list)
        """Camera → when it was seen to have scored, rising; nan where the service was away in between."""
        self._last: dict[str, tuple[int, int]] = {}
        self._moved_s: dict[str, float] = {}
        self._answered_s = now_s()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stop.wait(EVERY_S):
            try:
                self._look()
            except Exception as error:  # whoever looks no more finds nothing
                self._say(f"the monitor failed: {type(error).__name__}: {error}")

    def _look(self) -> None:
        world, now = self._world, now_s()
        if now < world.service.up_since_s or not self._is_watching(now):
            self._answered_s = now
            for name in self._moved_s:
                self.scored_at[name].append(math.nan)
            self._moved_s.clear()
            return
        cameras = world.service.cameras()
        if not cameras:
            if self._is_watching(now_s()) and now_s() - self._answered_s > 2 * SILENT_S:
                self._say("it answers nothing, though nobody stopped it")
            return
        self._answered_s = now
        memory_mb, descriptors = world.service.memory_mb(), world.service.n_descriptors()
        if memory_mb and descriptors:  # else it was ended just now
            self.samples.append(Sample(now, memory_mb, descriptors))
        for name, state in cameras.items():
            self._count(name, state["scores"], state["dropped_clips"], now)
        for camera in world.cameras:
            living_s = now - max(camera.mode_since_s, world.service.up_since_s, self._last_outage_s())
            silent_s = now - self._moved_s.get(camera.name, now)
            if camera.mode == "well" and living_s > FOUND_AGAIN_WITHIN_S and silent_s > SILENT_S:
                state = cameras.get(camera.name, {})
                self._say(f"{camera.name} lives and gave no score for {SILENT_S:.0f} s ({state.get('state')})")
                self._moved_s[camera.name] = now

    def _count(self, name: str, scores: int, dropped: int, now: float) -> None:
        before = self._last.get(name, (0, 0))
        if scores != before[0]:
            self._moved_s[name] = now
            self.scored_at[name].append(now)
            self.n_scores[name] += scores - before[0] if scores > before[0] else scores
        self._moved_s.setdefault(name, now)
        if dropped > before[1]:
            self.dropped[name].append(now)
        self._last[name] = scores, dropped

    def _is_watching(self, now: float) -> bool:
        """Whether the service runs, and has for a while."""
        return self._world.service.pid is not None and now - self._last_outage_s() > EVERY_S

    def _last_outage_s(self) -> float:
        service = self._world.service
        return max((end for _, end in service.outages), default=0.0)

    def silences(self, longer_s: float) -> Iterator[tuple[str, float, float]]:
        """Camera, from, until: for longer than that nothing of it was scored, while the service was there all the time
        and the camera was its own (a folder may have nothing to score)."""
        for camera in self._world.cameras:
            for first, second in itertools.pairwise(self.scored_at[camera.name]):
                if second - first > longer_s:  # of nan nothing is true
                    yield camera.name, first, second

    def _say(self, wrong: str) -> None:
        self.broken.append(f"{time.strftime('%H:%M:%S')} {wrong}")

    def memory(self) -> tuple[dict[str, float], list[str]]:
        """How memory and open files went, and what is too much of it."""
        if not self.samples:
            return {}, []
        samples = list(self.samples)
        early = [sample for sample in samples if sample.time_s - samples[0].time_s <= WARM_UP_S]
        first_mb, most_mb = (max(sample.memory_mb for sample in some) for some in (early, samples))
        first_files, most_files = (max(sample.descriptors for sample in some) for some in (early, samples))
        broken = []
        if most_mb > first_mb + MOST_MB:
            broken.append(f"memory went from {first_mb:.0f} to {most_mb:.0f} MB")
        if most_files > first_files + MOST_DESCRIPTORS:
            broken.append(f"open files went from {first_files} to {most_files}")
        last_mb = samples[-1].memory_mb
        return {"first_5_minutes_mb": round(first_mb), "most_mb": round(most_mb), "last_mb": round(last_mb),
                "most_open_files": most_files}, broken  # fmt: skip
