"""From a camera's alarms to its events: trace, clip, picture, and who is told when."""

import time
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from amiss.detection import Alarm, AlarmTracker
from amiss.watch._event import CameraEvent
from amiss.watch._vectors import pack_vector
from amiss.watch.camera._clips import LiveClip, Origin
from amiss.watch.camera._identity import DetectorIdentity
from amiss.watch.camera._recorder import Recorder, RecordingEnd
from amiss.watch.config import CameraSettings

LONGEST_TRACE = 2048  # points; a longer event's trace is thinned out
BETTER = 0.05  # an open event whose score rises by so much is told of at once
PICTURE_S = 0.5  # longest wait for an event's picture before it is told of; it comes later then
CONTEXT_S = 60.0  # scores remembered beyond what settings ask for


@dataclass
class _Open:
    event: CameraEvent
    trace: list[tuple[float, float]]
    told_s: float = 0.0
    told_score: float = 0.0
    pictured_s: float | None = None
    """Peak that the snapshot shows."""
    picture: Future[tuple[str | None, str | None]] | None = None
    """The snapshot that is being written."""
    is_recorded: bool = False
    """Its clip has ended already, well or not."""

    def take_picture(self, wait_s: float = 0.0) -> bool:
        """Note the snapshot that was being written; True if that is news of the event."""
        if self.picture is None:
            return False
        wait([self.picture], wait_s)
        if not self.picture.done():
            return False
        picture, self.picture, before = self.picture, None, self.event
        try:
            snapshot, problem = picture.result()
        except Exception as error:
            snapshot, problem = None, f"no picture: {error or type(error).__name__}"
        self.event = replace(before, snapshot=snapshot or before.snapshot, problem=_and(before.problem, problem))
        return self.event != before


class _Best(NamedTuple):
    """The clip with the best score of an alarm."""

    peak_s: float
    """Its middle."""
    picture: NDArray[np.uint8]
    class_name: str | None
    features: NDArray[np.float32] | None
    """[C, D]"""


@dataclass
class EventMaker:
    """Follows the scores of one camera and tells of its events, in the thread that calls it.

    Args:
        camera: its name.
        settings: the camera's, with both thresholds.
        identity: of the detector.
        on_event: told of every news of an event: when it opens, as its score rises or time passes, when it closes, and
            when its clip is complete.
        make_recorder: given where to tell the end of clips; None: neither clips nor pictures.
        update_s: an open event that goes on is told of this often, and where its score rises.
    """

    camera: str
    settings: CameraSettings
    identity: DetectorIdentity
    on_event: Callable[[CameraEvent], None]
    make_recorder: Callable[[Callable[[RecordingEnd], None]], Recorder] | None
    update_s: float = 10.0
    n_events: int = 0
    tracker: AlarmTracker = field(init=False)
    recorder: Recorder | None = field(init=False)

    def __post_init__(self) -> None:
        self.tracker = AlarmTracker(self.settings.alarm)
        self._ends: SimpleQueue[RecordingEnd] = SimpleQueue()
        self.recorder = self.make_recorder(self._ends.put) if self.make_recorder else None
        alarm = self.settings.alarm
        self._remember_s = self.settings.record.pre_s + alarm.min_length_s + alarm.merge_gap_s + CONTEXT_S
        self._recent: deque[tuple[float, float]] = deque()  # (middle of the clip, score)
        self._best: _Best | None = None  # of the current alarm
        self._origin: Origin | None = None  # of the current alarm's first clip
        self._open: _Open | None = None
        self._unfinished: dict[str, _Open] = {}  # closed, but their clip or picture isn't complete

    def scored(
        self,
        clip: LiveClip,
        score: float,
        class_name: str | None = None,
        features: NDArray[np.float32] | None = None,
    ) -> float:
        """Add a clip's score, what it shows if it is anomalous, and its features [C, D].

        Returns:
            The smoothed score.
        """
        start_s, end_s = clip.started.timestamp(), clip.ended.timestamp()
        middle_s = (start_s + end_s) / 2
        if self._recent and middle_s < self._recent[-1][0]:  # the clock was set back
            self.interrupt()
            self._recent.clear()
        changes = self.tracker.update(start_s, end_s, score)
        smoothed = self.tracker.smoothed
        assert smoothed is not None
        self._recent.append((middle_s, smoothed))
        while self._recent[0][0] < start_s - self._remember_s:
            self._recent.popleft()
        current = self.tracker.current
        if current is not None and current.peak_s == middle_s:
            self._best = _Best(middle_s, clip.picture, class_name, features)
        if current is not None and current.started_s == start_s:
            self._origin = clip.origin
        if self._open is not None:
            self._extend(self._open, middle_s, smoothed)
        for change in changes:
            if change.kind == "opened":
                self._begin(change.alarm)
            elif self._open is not None:
                self._follow(self._open, change.alarm, is_closed=change.kind == "closed")
        return smoothed

    def interrupt(self) -> None:
        """The scores have a gap: what is open closes."""
        for change in self.tracker.finish():
            if self._open is not None:
                self._follow(self._open, change.alarm, is_closed=True)

    def begin_anew(self) -> None:
        """What comes has nothing to do with what came (a folder's next file): nothing reaches from one to the other."""
        self.interrupt()
        self.tracker = AlarmTracker(self.settings.alarm)  # without a cooldown
        self._recent.clear()
        if self.recorder is not None:
            self.recorder.begin_anew()

    def poll(self) -> None:
        """Tell of clips and pictures that were completed meanwhile."""
        if self._open is not None and self._open.take_picture():
            self.on_event(self._open.event)
        news = {event_id for event_id, closed in self._unfinished.items() if closed.take_picture()}
        with suppress(Empty):
            while True:
                end = self._ends.get_nowait()
                if self._open is not None and self._open.event.event_id == end.event_id:
                    self._open.event, self._open.is_recorded = _with_clip(self._open.event, end), True
                elif (closed := self._unfinished.get(end.event_id)) is not None:
                    closed.event, closed.is_recorded = _with_clip(closed.event, end), True
                    news.add(end.event_id)
        for event_id in news:
            self.on_event(self._unfinished[event_id].event)
        self._unfinished = {k: o for k, o in self._unfinished.items() if o.picture is not None or not o.is_recorded}

    def close(self) -> None:
        """The camera is not watched any longer: close what is open, complete the clips."""
        try:
            self.interrupt()
        finally:
            if self.recorder is not None:
                self.recorder.close()
            self.poll()  # what isn't complete even now is found at the next start

    def _extend(self, opened: _Open, middle_s: float, score: float) -> None:
        opened.trace.append((middle_s - opened.event.started.timestamp(), score))
        if len(opened.trace) > LONGEST_TRACE:
            pairs = zip(opened.trace[::2], opened.trace[1::2], strict=False)
            opened.trace = [max(pair, key=lambda point: point[1]) for pair in pairs] + opened.trace[-1:]

    def _begin(self, alarm: Alarm) -> None:
        started = datetime.fromtimestamp(alarm.started_s, UTC)
        on, off = self.settings.alarm.thresholds
        begins_s = alarm.started_s - self.settings.record.pre_s
        event = CameraEvent(
            event_id=self._new_id(),
            camera=self.camera,
            state="open",
            started=started,
            ended=None,
            peak=datetime.fromtimestamp(alarm.peak_s, UTC),
            peak_score=alarm.peak_score,
            threshold_on=on,
            threshold_off=off,
            detector=self.identity.name,
            detector_sha256=self.identity.sha256,
            feature_spec=self.identity.feature_spec,
            trace=(),
            file=None if self._origin is None else self._origin.file,
            file_s=None if self._origin is None else self._origin.seconds,
        )
        self.n_events += 1
        self._open = _Open(event, [(t - alarm.started_s, score) for t, score in self._recent if t >= begins_s])
        if self.recorder is not None:
            self.recorder.begin(event.event_id, started)
        self._follow(self._open, alarm, is_closed=False)

    def _new_id(self) -> str:
        """The same where a folder's file is scored again after a kill: the event is then stored anew, not doubled."""
        if self._origin is None:
            return uuid.uuid4().hex
        place = f"{self._origin.key} {self._origin.n_clip}"
        return uuid.uuid5(uuid.NAMESPACE_URL, f"amiss:{self.camera}:{place}").hex

    def _follow(self, opened: _Open, alarm: Alarm, *, is_closed: bool) -> None:
        is_pictured = self._picture(opened, alarm, PICTURE_S if is_closed or not opened.told_s else 0.0)
        peak = datetime.fromtimestamp(alarm.peak_s, UTC)
        opened.event = replace(opened.event, peak=peak, peak_score=alarm.peak_score)
        if (best := self._best) is not None and best.peak_s == alarm.peak_s:
            feature = None if best.features is None else pack_vector(best.features.mean(0))
            opened.event = replace(opened.event, class_name=best.class_name, feature=feature)
        now_s = time.monotonic()
        if is_closed:
            self._finish(opened, alarm)
        elif (
            not is_pictured and alarm.peak_score < opened.told_score + BETTER and now_s - opened.told_s < self.update_s
        ):
            return
        opened.told_s, opened.told_score = now_s, alarm.peak_score
        opened.event = replace(opened.event, trace=tuple(opened.trace))
        if is_closed and self.recorder is not None:
            self._unfinished[opened.event.event_id] = opened
        self.on_event(opened.event)

    def _finish(self, opened: _Open, alarm: Alarm) -> None:
        after_s = alarm.length_s + max(self.settings.record.pre_s, self.settings.alarm.merge_gap_s)
        opened.trace = [point for point in opened.trace if point[0] <= after_s]  # none from beyond a gap
        ended = datetime.fromtimestamp(alarm.ended_s, UTC)
        self.poll()
        opened.event = replace(opened.event, state="closed", ended=ended)
        self._open = None
        if self.recorder is not None:
            self.recorder.end(opened.event.event_id, ended)

    def _picture(self, opened: _Open, alarm: Alarm, wait_s: float) -> bool:
        """Have the picture of the peak written, if it isn't: one at a time, and at first with a short wait for it.

        Returns:
            Whether there is news of a picture.
        """
        is_news = opened.take_picture(wait_s)
        if self.recorder is None or self._best is None or self._best.peak_s != alarm.peak_s:
            return is_news
        if opened.pictured_s == alarm.peak_s or opened.picture is not None:
            return is_news
        opened.pictured_s = alarm.peak_s
        opened.picture = self.recorder.snapshot(opened.event.event_id, opened.event.started, self._best.picture)
        return opened.take_picture(wait_s) or is_news


def _with_clip(event: CameraEvent, end: RecordingEnd) -> CameraEvent:
    return replace(event, clip=end.clip, problem=_and(event.problem, end.problem))


def _and(one: str | None, other: str | None) -> str | None:
    if one and other and other in one.split("; "):
        return one
    return "; ".join(p for p in (one, other) if p) or None
