"""One camera: what its source gives → clips → features (by the shared engine) → scores → events."""

import logging
import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from amiss.backbones import check_same_features
from amiss.detection import Detector
from amiss.errors import AmissError
from amiss.video import (
    Backoff,
    FileBegan,
    FileEnded,
    FileOutcome,
    FilesLeftOut,
    LiveFrame,
    SourceState,
    StateChange,
    StillnessGate,
    open_source,
    showable,
)
from amiss.watch._event import CameraEvent
from amiss.watch.camera._counters import CameraCounters, Progress
from amiss.watch.camera._events import EventMaker
from amiss.watch.camera._identity import DetectorIdentity, identify
from amiss.watch.camera._pool import EnginePool, Lane, Result
from amiss.watch.camera._reader import CameraReader, ReadingEnded, Sent
from amiss.watch.camera._recorder import Recorder, RecordingEnd
from amiss.watch.camera._reference import ReferenceClips
from amiss.watch.camera._scoring import GAP_S, ClipScorer, ScoredClip, SentClip
from amiss.watch.camera._thread import OwnedThread
from amiss.watch.config import CameraSettings

log = logging.getLogger("amiss.watch")

STOP_S = 2.0  # a reader that waits for a silent camera is left to itself after so long
POLL_S = 0.5
LATE_S = 10.0  # how much later than its first picture an event may be told of, besides its least length
_IN_WORDS = {
    FileOutcome.DONE: "is damaged",
    FileOutcome.SKIP: "is left out until the next start",
    FileOutcome.AGAIN: "can't be read now",
}


@dataclass(frozen=True)
class ClipScored:
    """A clip's score, as soon as it is known."""

    camera: str
    """Its name."""
    started: datetime
    """Of the clip's first frame: aware, UTC."""
    ended: datetime
    """When its last frame ends: aware, UTC."""
    score: float
    """0 to 1."""
    smoothed: float
    """What the thresholds are held against."""
    latency_s: float
    """From the clip's last frame to now."""
    file: str | None = None
    """Of a folder or a replayed file: the file's name."""
    file_s: float | None = None
    """Of the clip's first frame, since that file's first."""


class CameraWorker:
    """Watches one camera until it is stopped: one thread reads, one scores, and one lane leads from the first to the
    second (see CameraReader and ClipScorer).

    The callbacks come from the scoring thread, in the order in which things happened, and shouldn't take long:
    `on_event` with every news of an event (always the whole of it; see EventMaker), `on_state` with name, state and
    reason, `on_score` with every score. `error` says what ended the watch, if it wasn't asked to end; other cameras
    aren't touched by that.

    A camera of which no clip was scored for `read_timeout_s`, although clips are there, is stalled, too: it isn't
    connected to anew, and runs again with the next score.

    Where the camera is lost, an open event ends after the merge gap. `stop` closes it, and completes its clip without
    waiting for the post-roll.

    Args:
        camera: its name.
        settings: the camera's, with both thresholds.
        detector: its head scores; its FeatureSpec must be the pool's.
        pool: runs the backbone.
        media: folder of clips and pictures; None: neither is kept.
        once: end when a folder is worked off.
        reading: of a replayed file: where it is read again under the same word, its events are the same ones.
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
        reading: str = "",
        backoff: Backoff = Backoff(),  # noqa: B008  # frozen
        on_event: Callable[[CameraEvent], None],
        on_state: Callable[[str, SourceState, str], None] = lambda name, state, reason: None,
        on_score: Callable[[ClipScored], None] = lambda scored: None,
        identity: DetectorIdentity | None = None,
    ) -> None:
        check_same_features(pool.engine.spec, detector.spec, f"camera {camera}")
        self.camera, self.settings = camera, settings
        self.error: Exception | None = None
        self.state: SourceState = "connecting"
        """Of the source, or `stalled` where nothing of it is scored."""
        self._on_state, self._on_score = on_state, on_score
        self._events = EventMaker(
            camera, settings, identity or identify(detector), on_event, _recorder_of(camera, settings, media)
        )
        references = ReferenceClips(StillnessGate(settings.gate) if settings.gate.enabled else None)
        self._scorer = ClipScorer(
            detector, references, window=settings.window_clips, lookahead=settings.lookahead_clips
        )
        queue_clips, recorder = settings.source.queue_clips, self._events.recorder
        source = open_source(
            settings.url.get_secret_value(),
            settings.source,
            backoff=backoff,
            once=once,
            reading=reading,
            with_packets=recorder is not None,
        )
        self._lane: Lane[Sent] = pool.lane(size=queue_clips, is_live=source.is_live)
        clips_ahead = self._scorer.lookahead_clips + 2 * queue_clips + 2
        self._reader = CameraReader(camera, source, pool.engine, self._lane, references, recorder, clips_ahead)
        self._thread = OwnedThread(self._run, f"amiss-camera-{camera}")
        self._n_scores = self._n_unscored_files = 0
        self._file_problem: str | None = None  # within a folder's file: why it can't be scored, empty: it can
        self._source_state = StateChange("connecting")
        self._scored_s = time.monotonic()
        self._taken_s: float | None = None  # the last clip that got a score, or will
        self._failing_since_s: float | None = None  # the first of the clips in a row that couldn't be scored …
        self._failing_s = 0.0  # … and how long after it the last one came
        self._n_stalls = 0
        self._is_overdue = False
        self._looked_s = 0.0
        self._stop_by_s = math.inf
        self._is_over = False

    @property
    def latest(self) -> LiveFrame | None:
        """The last frame, for previews."""
        return self._reader.latest

    @property
    def lookahead_clips(self) -> int:
        """Clips that must come after a clip before its score does."""
        return self._scorer.lookahead_clips

    @property
    def is_live(self) -> bool:
        """Whether its source goes on, whoever waits."""
        return self._lane.is_live

    def counters(self) -> CameraCounters:
        """What was seen so far."""
        source = self._reader.source.counters
        return CameraCounters(
            frames=source.frames,
            dropped_frames=source.dropped,
            damaged=source.damaged + self._n_unscored_files,
            reconnects=source.reconnects,
            stalls=source.stalls + self._n_stalls,
            clips=self._reader.n_clips,
            dropped_clips=self._lane.dropped + self._scorer.n_dropped,
            spared_clips=self._scorer.n_spared,
            failed_clips=self._scorer.n_failed,
            scores=self._n_scores,
            events=self._events.n_events,
        )

    def progress(self) -> Progress:
        """How far it is."""
        source = self._reader.source
        lag_s = max(source.lag_s, self._lane.waiting_s)
        return Progress(self._taken_s, lag_s, source.drift)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end: at once where frames come, after 2 s where the camera is silent. Then `join`."""
        self._reader.stop()
        self._stop_by_s = time.monotonic() + STOP_S
        if not self._lane.is_live:
            self._lane.close()  # the reader may be waiting for room

    def join(self, timeout: float | None = None) -> None:
        """Wait until nothing more is told, at most so long. A reader may still wait for its silent camera: see `close`.

        Ctrl-C may interrupt it; it can be called again.
        """
        self._thread.join(timeout)

    def is_alive(self) -> bool:
        """Whether it watches."""
        return self._thread.is_alive()

    def close(self, timeout: float) -> None:
        """Stop, and wait for both threads, at most so long for each."""
        self.stop()
        self._thread.join(timeout)
        self._reader.join(timeout)

    # The scoring thread

    def _run(self) -> None:
        try:
            self._reader.start()
            while not self._is_over:
                self._events.poll()
                self._look_whether_overdue()
                if (item := self._lane.get(POLL_S)) is not None:
                    self._take(*item)
                elif self._lane.is_closed or (time.monotonic() >= self._stop_by_s and self._lane.is_empty):
                    break
                else:
                    self._close_if_lost()
            self._tell_all(self._scorer.finish())
            self._events.close()
        except Exception as error:
            self.error = error
            with suppress(Exception):  # nothing that was told as open is left so
                self._events.close()
        self._reader.stop()
        self._lane.close()
        if self.state != "stopped":  # what is under way in a closed lane is forgotten, also this
            with suppress(Exception):
                self._tell_state("stopped", "")
        now_s = time.monotonic()
        self._reader.join(max(0.0, min(self._stop_by_s, now_s + STOP_S) - now_s))

    def _take(self, sent: Sent, result: Result) -> None:
        match sent:
            case SentClip():
                self._tell_all(self._scorer.push(sent, result))
                self._note_failing()
                if problem := self._scorer.problem:
                    if self._file_problem is None:
                        raise AmissError(problem) from self._scorer.error
                    self._file_problem = showable(problem)  # the file's end tells; the next one may be a good one
            case StateChange():
                self._source_state, self._is_overdue = sent, False
                self._tell_state(sent.state, sent.reason)
            case FilesLeftOut():
                log.warning("%s: left out, %s: %s", self.camera, sent.why, sent.names)
            case FileBegan():
                self._file_problem = ""
                log.info("%s: %s begins", self.camera, sent.name)
            case FileEnded():
                self._end_file(sent)
            case ReadingEnded():
                self._is_over = True
                self.error = sent.error

    def _end_file(self, ended: FileEnded) -> None:
        """All clips of a folder's file are scored: say so, and what becomes of it."""
        self._tell_all(self._scorer.finish())
        self._events.begin_anew()
        problem, outcome = ended.problem, ended.outcome
        if self._file_problem:
            self._n_unscored_files += 1
            problem = self._file_problem
            outcome = FileOutcome.SKIP if outcome is FileOutcome.DONE else outcome
            self._tell_state("running", f"{ended.name} {_IN_WORDS[outcome]}: {problem}")
        if problem:
            log.warning("%s: %s %s: %s", self.camera, ended.name, _IN_WORDS[outcome], problem)
        else:
            log.info("%s: %s ended", self.camera, ended.name)
        self._file_problem, self._scorer.failures = None, 0
        ended.acknowledge(outcome)

    def _note_failing(self) -> None:
        now_s = time.monotonic()
        if not self._scorer.failures:
            self._taken_s, self._failing_since_s = now_s, None
        elif self._failing_since_s is None:
            self._failing_since_s = now_s
        self._failing_s = 0.0 if self._failing_since_s is None else now_s - self._failing_since_s

    def _look_whether_overdue(self) -> None:
        """A camera whose clips aren't scored doesn't run, whatever its source gives."""
        now_s, most_s = time.monotonic(), self.settings.source.read_timeout_s
        if now_s - self._looked_s < min(POLL_S, most_s / 2):
            return
        self._looked_s = now_s
        # a busy machine is late, and scores all the same
        waiting_s = min(self._lane.waiting_s, now_s - (self._taken_s or self._scored_s))
        is_overdue = self._source_state.state == "running" and max(waiting_s, self._failing_s) > most_s
        if is_overdue and not self._is_overdue:
            self._n_stalls += 1
            failed = f"; the last that failed: {self._scorer.error}" if self._scorer.failures else ""
            self._tell_state("stalled", showable(f"pictures come, but none was scored for {most_s:g} s{failed}"))
        elif self._is_overdue and not is_overdue:
            self._tell_state(self._source_state.state, self._source_state.reason)
        self._is_overdue = is_overdue

    def _close_if_lost(self) -> None:
        """The camera has been away for longer than the merge gap: no context, no open event is left."""
        silent_s = time.monotonic() - self._scored_s
        is_lost = self._source_state.state not in ("running", "connecting")
        is_failing = self._is_overdue and self._scorer.failures > 0  # what only waits will be scored: nothing ends
        if (is_lost or is_failing) and silent_s > max(self.settings.alarm.merge_gap_s, GAP_S):
            self._tell_all(self._scorer.finish())
            self._events.interrupt()

    def _tell_all(self, scored: list[ScoredClip]) -> None:
        for one in scored:
            self._scored(one)

    def _scored(self, one: ScoredClip) -> None:
        clip, score = one.clip, one.score
        self._scored_s = time.monotonic()
        self._n_scores += 1
        smoothed = self._events.scored(clip, score, one.class_name, one.features)
        latency_s = max(0.0, time.monotonic() - clip.monotonic_s)
        file, file_s = (clip.origin.file, clip.origin.seconds) if clip.origin is not None else (None, None)
        self._on_score(ClipScored(self.camera, clip.started, clip.ended, score, smoothed, latency_s, file, file_s))

    def _tell_state(self, state: SourceState, reason: str) -> None:
        self.state = state
        self._on_state(self.camera, state, reason)


def _recorder_of(
    camera: str, settings: CameraSettings, media: Path | None
) -> Callable[[Callable[[RecordingEnd], None]], Recorder] | None:
    """What builds a camera's recorder; None where nothing is kept."""
    if media is None or not settings.record.enabled:
        return None
    late_s = LATE_S + settings.alarm.min_length_s
    return lambda on_end: Recorder(media, camera, settings.record, on_end=on_end, late_s=late_s)
