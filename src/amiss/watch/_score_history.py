"""The smoothed score of every clip of the last days: what other thresholds would have raised.

    state/history/door/2026-03-01-0123abcd.bin    a camera's day (UTC), by a detector whose checksum begins so

Each clip is 12 bytes: its start in milliseconds since 1970 (int64), its length in milliseconds (uint16), and score ×
65535 (uint16), little-endian.
"""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import numpy as np

from amiss.detection import ScoreTrack
from amiss.watch.camera import ClipScored

log = logging.getLogger("amiss.watch")

_CLIP = np.dtype([("ms", "<i8"), ("length_ms", "<u2"), ("score", "<u2")])
_LONGEST_MS = 65_535


class ScoreHistory:
    """Appends the scores of a watcher's cameras, and removes what is too old. A full disk costs scores, and nothing
    else.

    Args:
        state: the watcher's state folder.
    """

    def __init__(self, state: Path) -> None:
        self._root = _root(state)
        self._files: dict[str, tuple[Path, BinaryIO]] = {}  # camera → its file of today
        self._lock = threading.Lock()
        self._problem = ""

    def write(self, scored: ClipScored, detector_sha256: str, days: float) -> None:
        """Keep a clip's score, for so many days."""
        if not days:
            return
        milliseconds = round(scored.started.timestamp() * 1000)
        length = round((scored.ended - scored.started).total_seconds() * 1000)
        score = round(min(max(scored.smoothed, 0.0), 1.0) * 65535)
        row = np.array([(milliseconds, min(max(length, 0), _LONGEST_MS), score)], _CLIP).tobytes()
        name = f"{scored.started.astimezone(UTC):%Y-%m-%d}-{detector_sha256[:8]}.bin"
        with self._lock:
            try:
                self._file(scored.camera, name, days).write(row)
                self._problem = ""
            except OSError as error:
                self._close(scored.camera)
                problem = f"scores are not kept: {error.strerror or error}"
                if problem != self._problem:
                    log.warning("%s: %s", scored.camera, problem)
                self._problem = problem

    def close(self) -> None:
        """Close all files."""
        with self._lock:
            for camera in list(self._files):
                self._close(camera)

    def _file(self, camera: str, name: str, days: float) -> BinaryIO:
        path = self._root / camera / name
        if camera in self._files and self._files[camera][0] == path:
            return self._files[camera][1]
        self._close(camera)
        path.parent.mkdir(parents=True, exist_ok=True)
        for old in path.parent.glob("????-??-??-*.bin"):
            if old.name[:10] < f"{datetime.now(UTC) - timedelta(days=days + 1):%Y-%m-%d}":
                old.unlink()
        file = path.open("ab", buffering=0)
        file.truncate(file.seek(0, 2) // _CLIP.itemsize * _CLIP.itemsize)  # half a clip, of a power cut
        self._files[camera] = path, file
        return file

    def _close(self, camera: str) -> None:
        if camera in self._files:
            self._files.pop(camera)[1].close()


def read_history(state: Path, camera: str, detector_sha256: str, since: datetime) -> ScoreTrack:
    """A camera's clips that began then or later, as this detector scored them; none where none were kept.

    Args:
        state: the watcher's state folder.
        camera: its name.
        detector_sha256: the detector's checksum.
        since: aware.
    """
    parts = [np.empty(0, _CLIP)]
    for path in sorted((_root(state) / camera).glob(f"????-??-??-{detector_sha256[:8]}.bin")):
        if path.name[:10] >= f"{since.astimezone(UTC) - timedelta(days=1):%Y-%m-%d}":
            content = path.read_bytes()
            parts.append(np.frombuffer(content[: len(content) // _CLIP.itemsize * _CLIP.itemsize], _CLIP))
    rows = np.concatenate(parts)
    rows = rows[rows["ms"] >= since.timestamp() * 1000]
    starts = rows["ms"] / 1000
    return ScoreTrack(starts, starts + rows["length_ms"] / 1000, rows["score"] / 65535)


def _root(state: Path) -> Path:
    return state / "history"
