"""The reading side of a camera: what its source gives → clips, prepared for the engine → its lane."""

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TypeAlias

from amiss.engines import Engine, Prepared
from amiss.video import FileBegan, FileEnded, FilesLeftOut, LiveFrame, LiveItem, LivePacket, LiveSource, StateChange
from amiss.watch.camera._clips import ClipAssembler, LiveClip
from amiss.watch.camera._pool import Lane
from amiss.watch.camera._recorder import Recorder
from amiss.watch.camera._reference import ReferenceClips
from amiss.watch.camera._scoring import SentClip
from amiss.watch.camera._thread import OwnedThread


@dataclass(frozen=True)
class ReadingEnded:
    """Nothing more comes."""

    error: Exception | None
    """What ended it; None: the source, or `stop`."""


Sent: TypeAlias = SentClip | StateChange | FilesLeftOut | FileBegan | FileEnded | ReadingEnded
"""What goes through a camera's lane, in the order in which it happened."""


class CameraReader:
    """Reads a camera's source in a thread of its own, and sends all that its worker needs through the lane.

    Args:
        camera: its name.
        source: what is read.
        engine: prepares clips.
        lane: where they go.
        references: say which clips of a still scene are spared.
        recorder: gets the packets; None: nothing is recorded.
        clips_ahead: that may come between a clip and its score.
    """

    def __init__(
        self,
        camera: str,
        source: LiveSource,
        engine: Engine,
        lane: Lane[Sent],
        references: ReferenceClips,
        recorder: Recorder | None,
        clips_ahead: int,
    ) -> None:
        self.source = source
        self.latest: LiveFrame | None = None
        """The last frame."""
        self.n_clips = 0
        self._engine, self._lane, self._references, self._recorder = engine, lane, references, recorder
        self._clips_ahead = clips_ahead
        self._assembler = ClipAssembler(engine.spec)
        self._late_s = 0.0
        self._thread = OwnedThread(self._run, f"amiss-read-{camera}")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End at the next step; while the camera is silent, within its timeouts."""
        self.source.stop()

    def join(self, timeout_s: float | None = None) -> None:
        """Wait for its end, at most so long."""
        self._thread.join(timeout_s)

    def is_alive(self) -> bool:
        """Whether it reads."""
        return self._thread.is_alive()

    def _run(self) -> None:
        error: Exception | None = None
        try:
            with closing(iter(self.source)) as items:
                for item in items:
                    if self._lane.is_closed:
                        break
                    self._take(item)
        except Exception as caught:
            error = caught
        finally:
            self._lane.put(ReadingEnded(error), None, is_kept=True)

    def _take(self, item: LiveItem) -> None:
        match item:
            case LivePacket():
                if self._recorder is not None:
                    self._recorder.on_packet(item.stream, item.packet)
            case LiveFrame():
                is_after_gap = self.latest is not None and item.connection != self.latest.connection
                self.latest = item
                self._send_all(self._assembler.push(item))
                if is_after_gap:
                    self._references.reset()
            case StateChange():
                if item.state != "running":  # what is left is scored now: when the camera comes back it would be old
                    self._send_all(self._assembler.finish())
                self._lane.put(item, None, is_kept=True)
            case FileEnded():
                self._send_all(self._assembler.finish())
                self._lane.put(item, None, is_kept=True)
            case FileBegan() | FilesLeftOut():
                self._lane.put(item, None, is_kept=True)

    def _send_all(self, clips: Iterable[LiveClip]) -> None:
        for clip in clips:
            self._send(clip)

    def _send(self, clip: LiveClip) -> None:
        self.n_clips += 1
        self._expect_late(clip)
        light = replace(clip, images=clip.images[:0].copy())
        if (reference := self._references.spare(clip)) is not None:
            self._put(SentClip(light, reference), None)
            return
        try:
            prepared = self._engine.prepare(clip.images)
        except Exception as error:
            self._put(SentClip(light, error=error), None)
            return
        self._put(SentClip(light, self._references.refer()), prepared)

    def _put(self, sent: SentClip, prepared: Prepared | None) -> None:
        dropped = self._lane.dropped
        self._lane.put(sent, prepared)
        if self._lane.dropped != dropped:
            self._references.lose()

    def _expect_late(self, clip: LiveClip) -> None:
        """Tell the recorder how much later than its first picture a clip may be scored."""
        spec = self._engine.spec
        clip_s = (clip.ended - clip.started).total_seconds() * max(1.0, spec.stride / spec.clip_len)
        late_s = clip_s * self._clips_ahead
        if self._recorder is not None and late_s > self._late_s:
            self._late_s = late_s
            self._recorder.allow_late(late_s)
