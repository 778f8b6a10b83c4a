"""One camera: frames → clips → features (by the shared engine) → scores → events."""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amiss.backbones import check_same_features
from amiss.detection import Detector, OnlineScorer
from amiss.engines import Prepared
from amiss.errors import AmissError
from amiss.video import Backoff, FileFate, LiveFrame, LiveSource, SourceState, StillnessGate, parse_address, showable
from amiss.watch._event import CameraEvent
from amiss.watch.camera._clips import ClipAssembler, LiveClip
from amiss.watch.camera._events import EventMaker
from amiss.watch.camera._identity import DetectorIdentity, identify
from amiss.watch.camera._pool import EnginePool, Lane, Result
from amiss.watch.camera._recorder import Recorder, RecordingEnd
from amiss.watch.config import CameraSettings

log = logging.getLogger("amiss.watch")

MOST_FAILURES = 50  # clips in a row; then something is wrong with more than a clip
GAP_S = 2.0  # clips before a longer gap are no context for those after it
STOP_S = 2.0  # a reader that waits for a silent camera is left to itself after so long
POLL_S = 0.5
LATE_S = 10.0  # how much later than its first picture an event may be told of, besides its least length
_FATES = {"done": "is damaged", "skip": "is left out until the next start", "again": "can't be read now"}


@dataclass(frozen=True)
class ClipScored:
    """A clip's score, as soon as it is known."""

    camera: str
    started: datetime
    ended: datetime
    score: float
    smoothed: float
    """What the thresholds are held against."""
    latency_s: float
    """From the clip's last frame to now."""
    file: str | None = None
    """Of a folder or a replayed file: the file's name."""
    file_s: float | None = None
    """Of the clip's first frame, since that file's first."""


@dataclass
class CameraCounters:
    """What a worker has seen since it began."""

    frames: int = 0
    dropped_frames: int = 0
    """Left out before decoding, because the worker was too slow."""
    damaged: int = 0
    """Packets that couldn't be decoded, and a folder's files that couldn't be read or scored."""
    reconnects: int = 0
    stalls: int = 0
    clips: int = 0
    dropped_clips: int = 0
    """Left out before the engine, because it was too slow."""
    spared_clips: int = 0
    """Not run, because the scene was still."""
    failed_clips: int = 0
    """That couldn't be scored."""
    scores: int = 0
    events: int = 0


@dataclass(frozen=True)
class _Job:
    """A clip on its way through the pool, without its pixels."""

    clip: LiveClip
    stand: int | None = None
    """In a still scene: which clip's features are those of the clips after it, this one's or those of one before."""
    error: Exception | None = None
    """Why it couldn't be prepared."""


@dataclass(frozen=True)
class _FileEnd:
    """Comes after the last clip of a folder's file."""

    scored: threading.Event


class CameraWorker(threading.Thread):
    """Watches one camera until it is stopped: this thread scores, a second one reads.

    The callbacks come from these threads and shouldn't take long: `on_event` with every news of an event (always the
    whole of it; see EventMaker), `on_state` with name, state and reason, `on_score` with every score. `error` says what
    ended the thread, if it wasn't asked to end; other cameras aren't touched by that.

    Where the camera is lost, an open event ends after the merge gap. `stop` closes it, and completes its clip without
    waiting for the post-roll.

    Args:
        camera: its name.
        settings: the camera's, with both thresholds.
        detector: its head scores; its FeatureSpec must be the pool's.
        pool: runs the backbone.
        media: folder of clips and pictures; None: neither is kept.
        once: end when a folder is worked off.
        backoff: waits between attempts to connect.
        on_event: see above.
        on_state: see above.
        on_score: see above.
        identity: of the detector; None: found by `identify`.

    Raises:
        UsageError: the address or a setting makes no sense.
        SpecMismatchError: the pool runs another backbone.
    """

    def __init__(
        self,
        camera: str,
        settings: CameraSettings,
        detector: Detector,
        pool: EnginePool,
        media: Path | None,
        *,
        once: bool = False,
        backoff: Backoff = Backoff(),  # noqa: B008  # frozen
        on_event: Callable[[CameraEvent], None],
        on_state: Callable[[str, SourceState, str], None] = lambda name, state, reason: None,
        on_score: Callable[[ClipScored], None] = lambda scored: None,
        identity: DetectorIdentity | None = None,
    ) -> None:
        super().__init__(name=f"amiss-camera-{camera}", daemon=True)
        check_same_features(pool.engine.spec, detector.spec, f"camera {camera}")
        self.camera, self.settings = camera, settings
        self.error: Exception | None = None
        self.latest: LiveFrame | None = None
        """The last frame, for previews."""
        self.last_score: ClipScored | None = None
        self._pool = pool
        self._scorer = OnlineScorer(detector, window=settings.window_clips, lookahead=settings.lookahead_clips)
        self._events = EventMaker(
            camera, settings, identity or identify(detector), on_event, _recorder_of(camera, settings, media)
        )
        self._gate = StillnessGate(settings.gate) if settings.gate.enabled else None
        self._on_state, self._on_score = on_state, on_score
        url = settings.url.get_secret_value()
        self._assembler = ClipAssembler(pool.engine.spec)
        self._source = LiveSource(
            url,
            settings.source,
            backoff=backoff,
            on_state=self._state_changed,
            on_packet=self._events.recorder.on_packet if self._events.recorder else None,
            once=once,
            on_file_begin=self._file_begins,
            on_file_end=self._file_ended,
        )
        self._lane: Lane[_Job | _FileEnd] = pool.lane(size=settings.source.queue_clips, is_live=self._source.is_live)
        self._reader = threading.Thread(target=self._read, name=f"amiss-read-{camera}", daemon=True)
        self._reader_error: Exception | None = None
        self._counters = CameraCounters()
        self._failures = 0
        self._is_folder = parse_address(url).kind == "folder"
        self._file_problem = ""  # why a folder's file couldn't be scored
        self._stand = 0  # the last clip whose features stand for others
        self._still: tuple[int | None, NDArray[np.float32]] | None = None  # which clip stands, its features
        self._still_lost = threading.Event()
        self._late_s = 0.0
        self._stop_by_s = math.inf
        self._is_over = False
        self._waiting: deque[LiveClip] = deque()  # given to the scorer, not scored yet
        self._pushed: LiveClip | None = None
        self._scored_s = time.monotonic()

    @property
    def state(self) -> SourceState:
        """Of the source."""
        return self._source.state

    @property
    def reason(self) -> str:
        """Why it is in this state, without credentials."""
        return self._source.reason

    @property
    def shown_url(self) -> str:
        """The address without credentials."""
        return self._source.name

    @property
    def lookahead_clips(self) -> int:
        """Clips that must come after a clip before its score does."""
        return self._scorer.lookahead_clips

    @property
    def has_open_event(self) -> bool:
        """Whether an event is open."""
        return self._events.is_open

    def counters(self) -> CameraCounters:
        """A copy of the counters."""
        source = self._source.counters
        return replace(
            self._counters,
            frames=source.frames,
            dropped_frames=source.dropped,
            damaged=source.damaged + self._counters.damaged,
            reconnects=source.reconnects,
            stalls=source.stalls,
            dropped_clips=self._counters.dropped_clips + self._lane.dropped,
            events=self._events.n_events,
        )

    def stop(self) -> None:
        """End soon: at once where frames come, after 2 s where the camera is silent. Then `join`."""
        self._source.stop()
        self._stop_by_s = time.monotonic() + STOP_S
        if not self._source.is_live:
            self._lane.close()  # the reader may be waiting for room

    def run(self) -> None:
        """The thread."""
        self._reader.start()
        try:
            # The reader first: what it puts before it ends is then seen in the lane.
            while (self._reader.is_alive() and time.monotonic() < self._stop_by_s) or not self._lane.is_empty:
                self._events.poll()
                if (item := self._lane.get(POLL_S)) is not None:
                    job, result = item
                    if isinstance(job, _FileEnd):
                        self._score_waiting()
                        self._events.begin_anew()
                        job.scored.set()
                    else:
                        self._result(job, result)
                elif self._lane.is_closed:
                    break
                else:
                    self._close_if_lost()
            self._score_waiting()
            self._events.close()
        except Exception as error:
            self.error = error
            with suppress(Exception):  # nothing that was told as open is left so
                self._events.close()
        self._source.stop()
        self._lane.close()
        now_s = time.monotonic()
        self._reader.join(max(0.0, min(self._stop_by_s, now_s + STOP_S) - now_s))
        self._is_over = True  # a reader that still waits for its camera ends later, and says nothing
        self.error = self.error or self._reader_error

    # The reading thread

    def _read(self) -> None:
        connection = 0
        try:
            for frame in self._source:
                self.latest = frame
                for clip in self._assembler.push(frame):
                    self._send(clip)
                if frame.connection != connection and self._gate is not None:
                    self._gate.reset()
                connection = frame.connection
        except Exception as error:
            self._reader_error = error

    def _state_changed(self, state: SourceState, reason: str) -> None:
        if self._is_over:
            return
        if state != "running":  # what is left is scored now: when the camera comes back it would be old
            for clip in self._assembler.finish():
                self._send(clip)
        self._on_state(self.camera, state, reason)

    def _file_begins(self, name: str) -> None:
        log.info("%s: %s begins", self.camera, name)

    def _file_ended(self, name: str, problem: str, fate: FileFate) -> FileFate:
        """Wait for the scores of the file's last clips; "stop" if they won't come."""
        for clip in self._assembler.finish():
            self._send(clip)
        end = _FileEnd(threading.Event())
        self._lane.put(end, None)
        while not end.scored.wait(POLL_S):
            if self._lane.is_closed:
                return "stop"
        unscored, self._file_problem, self._failures = self._file_problem, "", 0
        if unscored:
            self._counters.damaged += 1
            problem, fate = unscored, "skip" if fate == "done" else fate
            self._state_changed("running", f"{name} {_FATES[fate]}: {problem}")
        if problem:
            log.warning("%s: %s %s: %s", self.camera, name, _FATES[fate], problem)
        else:
            log.info("%s: %s ended", self.camera, name)
        return fate

    def _send(self, clip: LiveClip) -> None:
        self._counters.clips += 1
        self._expect_late(clip)
        light = replace(clip, images=clip.images[:0].copy())
        if self._gate is not None:
            if self._still_lost.is_set():
                self._still_lost.clear()
                self._gate.reset()
            if self._gate.is_still(clip.images, clip.started.timestamp()):
                self._put(_Job(light, self._stand), None)
                return
        try:
            prepared = self._pool.engine.prepare(clip.images)
        except Exception as error:
            self._put(_Job(light, error=error), None)
            return
        if self._gate is not None and self._gate.stands:
            self._stand += 1
            self._put(_Job(light, self._stand), prepared)
        else:
            self._put(_Job(light), prepared)

    def _put(self, job: _Job, prepared: Prepared | None) -> None:
        dropped = self._lane.dropped
        self._lane.put(job, prepared)
        if self._lane.dropped != dropped:
            self._still_lost.set()  # it may have been the one that stands for others

    def _expect_late(self, clip: LiveClip) -> None:
        """Tell the recorder how much later than its first picture a clip may be scored."""
        spec = self._pool.engine.spec
        clip_s = (clip.ended - clip.started).total_seconds() * max(1.0, spec.stride / spec.clip_len)
        late_s = clip_s * (self.lookahead_clips + 2 * self.settings.source.queue_clips + 2)
        if self._events.recorder is not None and late_s > self._late_s:
            self._late_s = late_s
            self._events.recorder.allow_late(late_s)

    # The scoring thread

    def _result(self, job: _Job, result: Result) -> None:
        if self._pushed is not None:
            gap_s = (job.clip.started - self._pushed.ended).total_seconds()
            if gap_s > GAP_S or job.clip.connection != self._pushed.connection:
                self._score_waiting()
        if job.error is None and result is None and (self._still is None or self._still[0] != job.stand):
            self._counters.dropped_clips += 1  # like the one that stands for it
            return
        try:
            score = self._scorer.push(self._features(job, result))
        except Exception as error:
            self._failed(error)
            return
        self._failures = 0
        self._waiting.append(job.clip)
        self._pushed = job.clip
        if score is not None:
            self._scored(score)

    def _features(self, job: _Job, result: Result) -> NDArray[np.float32]:
        error = job.error or (result if isinstance(result, Exception) else None)
        if error is not None:
            self._still = None
            self._still_lost.set()
            raise error
        if result is None:
            assert self._still is not None
            self._counters.spared_clips += 1
            return self._still[1]
        assert isinstance(result, np.ndarray)
        self._still = job.stand, result
        return result

    def _failed(self, error: Exception) -> None:
        """A bad clip costs its score and nothing else; too many in a row are another matter."""
        self._counters.failed_clips += 1
        self._failures += 1
        if self._failures < MOST_FAILURES:
            return
        problem = f"{self._failures} clips in a row couldn't be scored: {error}"
        if not self._is_folder:
            raise AmissError(problem) from error
        self._file_problem = showable(problem)  # the file's end tells; the next one may be a good one

    def _score_waiting(self) -> None:
        self._pushed = None
        for score in self._scorer.finish():
            self._scored(score)

    def _scored(self, score: float) -> None:
        clip = self._waiting.popleft()
        self._scored_s = time.monotonic()
        self._counters.scores += 1
        smoothed = self._events.scored(clip, score)
        latency_s = max(0.0, time.monotonic() - clip.monotonic_s)
        file, file_s = (clip.origin.file, clip.origin.seconds) if clip.origin is not None else (None, None)
        self.last_score = ClipScored(self.camera, clip.started, clip.ended, score, smoothed, latency_s, file, file_s)
        self._on_score(self.last_score)

    def _close_if_lost(self) -> None:
        """The camera has been away for longer than the merge gap: no context, no open event is left."""
        silent_s = time.monotonic() - self._scored_s
        if self.state not in ("running", "connecting") and silent_s > max(self.settings.alarm.merge_gap_s, GAP_S):
            self._score_waiting()
            self._events.interrupt()


def _recorder_of(
    camera: str, settings: CameraSettings, media: Path | None
) -> Callable[[Callable[[RecordingEnd], None]], Recorder] | None:
    """What builds a camera's recorder; None where nothing is kept."""
    if media is None or not settings.record.enabled:
        return None
    late_s = LATE_S + settings.alarm.min_length_s
    return lambda on_end: Recorder(media, camera, settings.record, on_end=on_end, late_s=late_s)
