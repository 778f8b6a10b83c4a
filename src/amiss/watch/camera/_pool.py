"""One engine for all cameras with the same features: clips are queued per camera, taken in turn, and run together."""

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from amiss.engines import Engine, Prepared

_USUAL_SIZE = 240, 320  # of pictures; most networks see all in one size

T = TypeVar("T")
Result = NDArray[np.float32] | Exception | None
"""Features [C, D]; or why there are none; or None where the clip was passed on without running it."""


@dataclass
class PoolCounters:
    """What a pool has done."""

    clips: int = 0
    """That were run."""
    batches: int = 0
    """Calls of the engine with several clips, or one."""
    failed: int = 0
    """Clips on which the engine failed."""
    busy_s: float = 0.0
    """Time in the engine."""


class EnginePool:
    """Runs one engine, in one thread, for many cameras.

    Every camera has a lane. The pool takes one clip of each lane that has some, then a second, up to `max_batch`, and
    goes on after the last lane it took from: no camera waits for another's backlog. A clip on which the engine fails
    is run again by itself, so that only its own camera hears of it.

    Args:
        engine: shared; nobody else may run it meanwhile.
        max_batch: clips per call of the engine.
    """

    def __init__(self, engine: Engine, *, max_batch: int = 8) -> None:
        engine.limit_batch(max_batch)
        self.engine = engine
        self.counters = PoolCounters()
        self._max_batch = max_batch
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._lanes: list[Lane[object]] = []
        self._next = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="amiss-pool", daemon=True)
        self._thread.start()

    def lane(self, *, size: int = 4, is_live: bool = True) -> "Lane[T]":
        """A queue for one camera.

        Args:
            size: clips that may wait, and results that may wait to be fetched.
            is_live: where `size` clips wait, the oldest is dropped for a new one; False: the camera waits.
        """
        lane: Lane[T] = Lane(self._lock, self._work, size, is_live)
        with self._lock:
            lane.is_closed = self._closed
            self._lanes.append(lane)  # type: ignore[arg-type]  # tags are only passed through
        return lane

    def warm_up(self) -> None:
        """Run a blank clip, in the thread that runs all: a network that is compiled then is so before clips come.

        Raises:
            Exception: what the engine raises.
        """
        lane: Lane[None] = self.lane()
        lane.put(None, self.engine.prepare(np.zeros((self.engine.spec.clip_len, *_USUAL_SIZE, 3), np.uint8)))
        found = None
        while found is None:
            found = lane.get(1.0)
        lane.close()
        self.counters = PoolCounters()
        if isinstance(found[1], Exception):
            raise found[1]

    def close(self) -> None:
        """End the thread and every lane."""
        with self._lock:
            self._closed = True
            for lane in self._lanes:
                lane.is_closed = True
                lane.changed.notify_all()
            self._work.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._lock:
                while not self._closed and not any(lane.is_ready() for lane in self._lanes):
                    self._work.wait()
                if self._closed:
                    return
                self._lanes = [lane for lane in self._lanes if not lane.is_closed]
                batch = self._take()
            began = time.monotonic()
            results = self._results([entry.clip for _, entry in batch if entry.clip is not None])
            with self._lock:
                self.counters.busy_s += time.monotonic() - began
                self.counters.batches += 1
                self.counters.clips += len(batch)
                for (lane, entry), result in zip(batch, results, strict=True):
                    self.counters.failed += isinstance(result, Exception)
                    lane.running = None
                    lane.results.append((entry, result))
                    lane.changed.notify_all()

    def _take(self) -> "list[tuple[Lane[object], _Entry[object]]]":
        """At most one clip of each lane, in turn: a camera's clips stay in order."""
        batch: list[tuple[Lane[object], _Entry[object]]] = []
        n_lanes = len(self._lanes)
        for turn in range(n_lanes):
            lane = self._lanes[(self._next + turn) % n_lanes]
            if len(batch) == self._max_batch:
                self._next = (self._next + turn) % n_lanes
                break
            if lane.is_ready():
                lane.running = lane.waiting.popleft()
                lane.changed.notify_all()  # there is room
                batch.append((lane, lane.running))
        return batch

    def _results(self, clips: list[Prepared]) -> list[Result]:
        try:
            return list(self._checked(clips))
        except Exception:
            results: list[Result] = []
            for clip in clips:
                try:
                    results += self._checked([clip])
                except Exception as error:
                    results.append(error)
            return results

    def _checked(self, clips: list[Prepared]) -> list[NDArray[np.float32]]:
        rows = self.engine.run(clips)
        if len(rows) != len(clips):
            raise ValueError(f"the engine gave {len(rows)} features for {len(clips)} clips")
        return list(rows)


class _Entry(NamedTuple, Generic[T]):
    """What is on its way through a lane."""

    tag: T
    clip: Prepared | None
    is_kept: bool
    """It is no clip, but what happened between clips."""
    since_s: float
    """When it was put there."""


class Lane(Generic[T]):
    """One camera's way through the pool: clips in, features out, in order. Made by `EnginePool.lane`."""

    def __init__(self, lock: threading.Lock, work: threading.Condition, size: int, is_live: bool) -> None:
        self.size = size
        self.is_live = is_live
        self.dropped = 0
        """Clips dropped because the pool, or whoever fetches, was too slow."""
        self.waiting: deque[_Entry[T]] = deque()
        self.running: _Entry[T] | None = None
        self.results: deque[tuple[_Entry[T], Result]] = deque()
        self.is_closed = False
        self.changed = threading.Condition(lock)
        self._work = work

    def is_ready(self) -> bool:
        """Whether the pool may take a clip."""
        self._pass_on()
        return bool(self.waiting) and not (self.running or self.is_closed) and len(self.results) < self.size

    def _pass_on(self) -> None:
        """What needs no engine, and has no clip before it, waits for no other camera's clips."""
        if self.running or self.is_closed:
            return
        while self.waiting and self.waiting[0].clip is None and len(self.results) < self.size:
            self.results.append((self.waiting.popleft(), None))
            self.changed.notify_all()

    def put(self, tag: T, clip: Prepared | None, *, is_kept: bool = False) -> bool:
        """Add a clip.

        Args:
            tag: comes back with the result.
            clip: for the engine; None: `tag` passes through in its turn.
            is_kept: it is no clip, but what happened between clips: it needs no room, and is never dropped.

        Returns:
            False where the lane is closed.
        """
        with self.changed:
            while not (is_kept or self.is_live or self.is_closed) and self._n_clips() >= self.size:
                self.changed.wait()
            if self.is_closed:
                return False
            if not is_kept and self._n_clips() >= self.size:
                del self.waiting[[entry.is_kept for entry in self.waiting].index(False)]
                self.dropped += 1
            self.waiting.append(_Entry(tag, clip, is_kept, time.monotonic()))
            self._pass_on()
            self._work.notify_all()
            return True

    def _n_clips(self) -> int:
        return sum(not entry.is_kept for entry in self.waiting)

    @property
    def waiting_s(self) -> float:
        """For how long the oldest clip has been under way in it; 0 where none is."""
        with self.changed:
            entries = [entry for entry, _ in self.results] + ([self.running] if self.running else []) + [*self.waiting]
            since_s = next((entry.since_s for entry in entries if not entry.is_kept), None)
        return 0.0 if since_s is None else time.monotonic() - since_s

    def get(self, timeout_s: float) -> tuple[T, Result] | None:
        """The next result; None if there is none within `timeout_s`."""
        with self.changed:
            self.changed.wait_for(lambda: self.results or self.is_closed, timeout_s)
            if not self.results:
                return None
            entry, result = self.results.popleft()
            self._pass_on()
            self._work.notify_all()
            return entry.tag, result

    @property
    def is_empty(self) -> bool:
        """Whether nothing is under way."""
        with self.changed:
            return not (self.waiting or self.results or self.running)

    def close(self) -> None:
        """Leave the pool; what is under way is forgotten."""
        with self.changed:
            self.is_closed = True
            self.changed.notify_all()
            self._work.notify_all()
