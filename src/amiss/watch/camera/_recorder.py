"""Event clips: the camera's own packets from before the event to after it, copied without decoding; and a picture."""

import errno
import io
import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from queue import Empty, SimpleQueue

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from amiss.errors import AmissError, UsageError, VideoError
from amiss.files import TEMPORARY_PREFIX, atomic_path
from amiss.video import EncodedPacket, EncodedStream, PacketWriter, read_frames_at
from amiss.watch.config import RecordSettings

RING_BYTES = 64 * 2**20
BACKLOG_BYTES = 64 * 2**20  # packets that wait for a slow disk
SET_BACK = timedelta(seconds=1)  # a packet that is earlier by more than this: the clock was set back
SILENCE_S = 3.0  # after the post-roll should have come: the camera is away, the clip ends
HANGS_S = 30.0  # a clip that isn't complete so long after its last packet: the disk hangs
MOST_PICTURES = 4  # that wait for a disk
TOO_SLOW = "the disk is too slow"
SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
JPEG_QUALITY = 85


@dataclass(frozen=True)
class RecordingEnd:
    """What became of an event's clip."""

    event_id: str
    clip: str | None
    """Relative to the media folder; None: there is none."""
    problem: str | None = None


class Recorder:
    """Keeps a camera's last packets, and writes those around an event into `YYYY-MM-DD/<camera>/<event_id>.mp4`.

    Clips begin at the last keyframe before the pre-roll. Every clip is written by a thread of its own, so that a slow
    disk doesn't hold up the camera. Nothing here raises for what happens to a disk: the event goes on without a clip,
    and its problem says why. While a disk hangs, no more clips and pictures are begun. Where the stream begins anew or
    changes its size during an event, the clip goes on in `<event_id>-2.mp4`.

    Args:
        media: the media folder.
        camera: its name, used as a folder.
        settings: how much before and after an event.
        late_s: how much later than an event's first frame `begin` may be called; see also `allow_late`.
        max_clip_s: a clip ends after so long, though the event may go on.
        on_end: told of every clip that is complete or given up, in another thread.

    Raises:
        UsageError: the name can't be that of a folder.
    """

    def __init__(
        self,
        media: Path,
        camera: str,
        settings: RecordSettings = RecordSettings(),  # noqa: B008  # frozen
        *,
        on_end: Callable[[RecordingEnd], None],
        late_s: float = 10.0,
        max_clip_s: float = 300.0,
    ) -> None:
        if not SAFE_NAME.fullmatch(camera):
            raise UsageError(f"camera name {camera!r} can't be a folder: letters, digits, - _ . (64 at most)")
        self.media, self.camera = media, camera
        self._on_end = on_end
        self._pre, self._post = timedelta(seconds=settings.pre_s), timedelta(seconds=settings.post_s)
        self._base = self._keep = timedelta(seconds=settings.pre_s + late_s)
        self._max = timedelta(seconds=max_clip_s)
        self._lock = threading.Lock()
        self._stream: EncodedStream | None = None
        self._ring: deque[EncodedPacket] = deque()
        self._ring_bytes = 0
        self._recordings: dict[str, _Recording] = {}
        self._pictures: list[threading.Thread] = []  # being written

    def allow_late(self, seconds: float) -> None:
        """Scores come so much later than pictures, besides `late_s`: packets are kept for longer."""
        self._keep = max(self._keep, self._base + timedelta(seconds=seconds))

    def on_packet(self, stream: EncodedStream, packet: EncodedPacket) -> None:
        """Take a packet from the camera."""
        with self._lock:
            is_set_back = bool(self._ring) and packet.time < self._ring[-1].time - SET_BACK
            if stream is not self._stream or is_set_back:
                self._stream = stream
                self._ring.clear()
                self._ring_bytes = 0
            if is_set_back:  # clips end by the clock
                for recording in self._recordings.values():
                    recording.stop()
            self._ring.append(packet)
            self._ring_bytes += len(packet.data)
            self._trim(packet.time - self._keep)
            for recording in self._recordings.values():
                recording.put(stream, packet)
            self._recordings = {k: r for k, r in self._recordings.items() if r.thread.is_alive()}

    def _trim(self, oldest: datetime) -> None:
        """Forget whole groups of pictures that end before `oldest`, or that don't fit."""
        while self._ring:
            next_key = next((i for i, packet in enumerate(self._ring) if i and packet.is_keyframe), None)
            too_much = self._ring_bytes > RING_BYTES
            if next_key is None:
                if too_much:
                    self._ring.clear()
                    self._ring_bytes = 0
                return
            if self._ring[next_key].time > oldest and not too_much:
                return
            for _ in range(next_key):
                self._ring_bytes -= len(self._ring.popleft().data)

    def begin_anew(self) -> None:
        """The packets that come have nothing to do with those that came: clips end, and none reaches back."""
        with self._lock:
            self._stream = None
            self._ring.clear()
            self._ring_bytes = 0
            for recording in self._recordings.values():
                recording.stop()

    def begin(self, event_id: str, started: datetime) -> None:
        """Start an event's clip."""
        try:
            self._begin(event_id, started)
        except (OSError, RuntimeError) as error:  # RuntimeError: no thread can be started
            self._ended(event_id, None, f"no clip: {_cause(error)}")

    def _begin(self, event_id: str, started: datetime) -> None:
        with self._lock:
            self._check_disk()
            recording = _Recording(self._path(event_id, started, ".mp4"), event_id, started + self._max, self._ended)
            keys = [i for i, packet in enumerate(self._ring) if packet.is_keyframe]
            before = [i for i in keys if self._ring[i].time <= started - self._pre]
            first = before[-1] if before else keys[0] if keys else len(self._ring)
            if self._stream is not None:
                for packet in list(self._ring)[first:]:
                    recording.put(self._stream, packet)
            self._recordings[event_id] = recording

    def end(self, event_id: str, ended: datetime) -> None:
        """The event has ended; its clip does after the post-roll."""
        with self._lock:
            if recording := self._recordings.get(event_id):
                recording.end_at(ended + self._post, self._post.total_seconds() + SILENCE_S)

    def snapshot(
        self, event_id: str, started: datetime, image: NDArray[np.uint8]
    ) -> Future[tuple[str | None, str | None]]:
        """Write an event's picture in a thread of its own; also again with a better one, when this is done.

        Args:
            event_id: of the event.
            started: of the event.
            image: [H, W, 3] RGB.

        Returns:
            Will have its path relative to the media folder, or None; and the problem, or None.
        """
        done: Future[tuple[str | None, str | None]] = Future()

        def write() -> None:
            try:
                done.set_result(self._write_picture(event_id, started, image))
            except Exception as error:
                done.set_exception(error)

        thread = threading.Thread(target=write, name=f"amiss-picture-{event_id[:8]}", daemon=True)
        try:
            with self._lock:
                self._check_disk()
                thread.start()
                self._pictures.append(thread)
        except (OSError, RuntimeError) as error:  # RuntimeError: no thread can be started
            done.set_result((None, f"no picture: {_cause(error)}"))
        return done

    def _check_disk(self) -> None:
        """Raises OSError while it hangs: what waits for it takes memory."""
        self._pictures = [thread for thread in self._pictures if thread.is_alive()]
        if len(self._pictures) >= MOST_PICTURES or any(r.hangs for r in self._recordings.values()):
            raise OSError(TOO_SLOW)

    def _write_picture(
        self, event_id: str, started: datetime, image: NDArray[np.uint8]
    ) -> tuple[str | None, str | None]:
        path = self._path(event_id, started, ".jpg")
        encoded = io.BytesIO()
        Image.fromarray(image).save(encoded, "JPEG", quality=JPEG_QUALITY)
        try:
            with atomic_path(path) as temporary:
                temporary.write_bytes(encoded.getvalue())  # Pillow itself may take a full disk for success
        except (AmissError, OSError) as error:
            return None, f"no picture: {_cause(error)}"
        return path.relative_to(self.media).as_posix(), None

    def close(self, timeout_s: float = 5.0) -> None:
        """End every clip now, without waiting for the post-roll; `timeout_s` for all of them together."""
        until_s = time.monotonic() + timeout_s
        with self._lock:
            recordings = list(self._recordings.values())
            self._recordings = {}
        for recording in recordings:
            recording.stop()
        for recording in recordings:
            recording.thread.join(max(0.0, until_s - time.monotonic()))

    def _path(self, event_id: str, started: datetime, suffix: str) -> Path:
        return self.media / f"{started:%Y-%m-%d}" / self.camera / f"{event_id}{suffix}"

    def _ended(self, event_id: str, path: Path | None, problem: str | None) -> None:
        clip = None if path is None else path.relative_to(self.media).as_posix()
        self._on_end(RecordingEnd(event_id, clip, problem))


def recover_clips(media: Path) -> list[RecordingEnd]:
    """Give the clips that a killed process was writing their names; they play as far as they were written.

    To be called before cameras are watched, by the only process that writes to the folder.
    """
    found = []
    for part in sorted(media.glob(f"*/*/{TEMPORARY_PREFIX}*.mp4")):
        event_id = part.stem.removeprefix(TEMPORARY_PREFIX).partition("-")[2]
        path = part.with_name(f"{event_id}.mp4")
        if not re.fullmatch(r"[0-9a-f]{32}(-\d+)?", event_id) or path.exists():
            continue
        with suppress(VideoError, OSError):
            read_frames_at(part, [0])  # nothing may have been written yet
            part.replace(path)
            if "-" not in event_id:
                found.append(
                    RecordingEnd(event_id, path.relative_to(media).as_posix(), "clip cut off: the process ended")
                )
    return found


class _Recording:
    """Writes one event's clip in a thread."""

    def __init__(
        self, path: Path, event_id: str, until: datetime, on_end: Callable[[str, Path | None, str | None], None]
    ) -> None:
        self.path, self.event_id = path, event_id
        self.is_complete = False
        self._is_too_slow = False
        self._stopped_s: float | None = None
        self._until = until
        self._deadline_s: float | None = None
        self._on_end = on_end
        self._queue: SimpleQueue[tuple[EncodedStream, EncodedPacket] | None] = SimpleQueue()
        self._backlog = 0
        self._backlog_lock = threading.Lock()
        self._writer: PacketWriter | None = None
        self._stream: EncodedStream | None = None
        self._written: list[Path] = []
        self.thread = threading.Thread(target=self._run, name=f"amiss-clip-{event_id[:8]}", daemon=True)
        self.thread.start()

    def put(self, stream: EncodedStream, packet: EncodedPacket) -> None:
        """A packet; the one after the end completes the clip."""
        if self.is_complete:
            return
        if packet.time > self._until:
            self.stop()
            return
        with self._backlog_lock:
            self._backlog += len(packet.data)
            if self._backlog > BACKLOG_BYTES:
                self._is_too_slow = True
                with suppress(Empty):
                    while True:
                        self._queue.get_nowait()
                self.stop()
                return
        self._queue.put((stream, packet))

    def end_at(self, until: datetime, within_s: float) -> None:
        """Packets up to `until` belong to the clip; none are awaited for longer than `within_s`."""
        self._until = min(self._until, until)
        self._deadline_s = time.monotonic() + within_s

    def stop(self) -> None:
        """No more packets."""
        self.is_complete = True
        self._stopped_s = self._stopped_s or time.monotonic()
        self._queue.put(None)

    @property
    def hangs(self) -> bool:
        """Whether it waits for a disk that is too slow."""
        if not self.thread.is_alive():
            return False
        return self._is_too_slow or (self._stopped_s is not None and time.monotonic() - self._stopped_s > HANGS_S)

    def _run(self) -> None:
        problem = None
        try:
            while (item := self._next()) is not None:
                self._write(*item)
            self._finish()
        except (AmissError, OSError) as error:
            problem = f"{'clip cut off' if self._written else 'no clip'}: {_cause(error)}"
            if self._writer is not None:
                self._writer.abandon()
        self.is_complete = True
        if not self._written and problem is None:
            problem = "no clip: no keyframe came from the camera"
        self._on_end(self.event_id, self._written[0] if self._written else None, problem)

    def _next(self) -> tuple[EncodedStream, EncodedPacket] | None:
        while True:
            try:
                item = self._queue.get(timeout=0.5)
            except Empty:
                if self._deadline_s is not None and time.monotonic() > self._deadline_s:
                    return None
                continue
            if self._is_too_slow:
                raise OSError(TOO_SLOW)
            if item is not None:
                with self._backlog_lock:
                    self._backlog -= len(item[1].data)
            return item

    def _write(self, stream: EncodedStream, packet: EncodedPacket) -> None:
        if stream is not self._stream:
            if not packet.is_keyframe:
                return
            self._finish()
            n_parts = len(self._written)
            path = self.path if n_parts == 0 else self.path.with_stem(f"{self.path.stem}-{n_parts + 1}")
            self._writer = PacketWriter(path, stream)
            self._stream = stream
        assert self._writer is not None
        self._writer.write(packet)

    def _finish(self) -> None:
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.finish()
            self._written.append(writer.path)


def _cause(error: BaseException) -> str:
    """The reason in the words of the system, without paths where it has some."""
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    if isinstance(cause, OSError) and cause.errno:
        return "disk full" if cause.errno == errno.ENOSPC else os.strerror(cause.errno).lower()
    return str(error)
