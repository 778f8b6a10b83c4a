"""The videos of a folder, by ids; their scores lie beside, in a folder of their own.

An id is that of a place in the folder. Scores belong to what a file holds: a file that is renamed keeps its scores, and
one that takes another's place has none.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from amiss.app.jobs import Job, Jobs, StoppedError, Work, run_apart
from amiss.app.videos._apart import read_result
from amiss.detection import ScoreResult, find_events, shipped_detector
from amiss.errors import AmissError, OutputError, UsageError, showable
from amiss.video import VideoHeader, list_videos, read_header

VideoState = Literal["unscored", "waiting", "scoring", "scored", "failed"]
ExportKind = Literal["json", "csv", "clips", "video"]

SUFFIXES: dict[ExportKind, str] = {"json": "json", "csv": "csv", "clips": "zip", "video": "mp4"}
"""Of the files that are exported."""

_LOOK_S = 2.0  # a listing is taken for true for so long
_CURVE = 96  # points of a small curve
_EXPORTS_AT_ONCE = 2
_EXPORT_S = 900.0
_EXPORT_SHARE, _SPARE = 2, 256 << 20  # what must be free: so many times the video, and bytes besides
_KEY_PART = 1 << 16  # bytes


@dataclass(frozen=True)
class VideoSummary:
    """What the list shows of a scored video."""

    peak: float
    n_events: int
    duration_s: float
    threshold: float
    detector: str
    curve: tuple[float, ...]
    """The highest scores of equal parts of it, for a small curve."""


@dataclass(frozen=True)
class LibraryVideo:
    """A video, as it is now."""

    video_id: str
    """Made of its path in the folder: the same as long as it lies there."""
    name: str
    """Its path in the folder."""
    path: Path
    n_bytes: int
    state: VideoState
    is_upload: bool
    problem: str | None = None
    """Why it couldn't be scored."""
    job_id: str | None = None
    """That scores it, or is going to."""
    summary: VideoSummary | None = None
    """Of its scores, where there are some."""
    key: str = ""
    """Made of what the file holds: names its scores; empty = it can't be read."""


@dataclass(frozen=True)
class _Doing:
    """What is being done to a video, or went wrong."""

    job_id: str | None
    """None: it is over."""
    problem: str | None = None


class Library:
    """The videos below a folder.

    Args:
        root: the folder; what is uploaded goes into `uploads` in it.
        own: folder of scores and small copies.
        jobs: score them.
        detector: gives the folder of the detector that is in use (None = the one that comes along), and the file of its
            backbone's weights (None = they are found by name).
    """

    def __init__(
        self,
        root: Path,
        own: Path,
        jobs: Jobs,
        detector: Callable[[], tuple[Path | None, Path | None]] = lambda: (None, None),
    ) -> None:
        self.root, self.uploads = root, root / "uploads"
        self._own, self.jobs, self._detector = own, jobs, detector
        self._lock = threading.Lock()
        self._doing: dict[str, _Doing] = {}
        self._begun = ""  # the video that is being scored
        self._found: dict[str, Path] = {}
        self._looked_s = -_LOOK_S
        self._summaries: dict[str, tuple[int, VideoSummary]] = {}
        self._headers: dict[tuple[Path, int], VideoHeader] = {}
        self._keys: dict[Path, tuple[tuple[int, int], str]] = {}
        self._exports = threading.BoundedSemaphore(_EXPORTS_AT_ONCE)

    # ---- what there is

    def videos(self) -> list[LibraryVideo]:
        """All, in reading order of their paths."""
        return [self._video(video_id, path) for video_id, path in self._paths().items()]

    def get(self, video_id: str) -> LibraryVideo | None:
        """One; None = no such one."""
        path = self._paths().get(video_id)
        return None if path is None else self._video(video_id, path)

    def at(self, path: Path) -> LibraryVideo:
        """That of a file below the root."""
        return self._video(_id_of(path.relative_to(self.root)), path)

    def look_again(self) -> None:
        """At the folder, at the next question."""
        with self._lock:
            self._looked_s = -_LOOK_S

    def _paths(self) -> dict[str, Path]:
        with self._lock:
            if time.monotonic() - self._looked_s > _LOOK_S:
                listed = list_videos(self.root).videos if self.root.is_dir() else []
                own = self._own.resolve()
                visible = [path for path in listed if not path.resolve().is_relative_to(own)]
                self._found = {_id_of(path.relative_to(self.root)): path for path in visible}
                self._looked_s = time.monotonic()
            return self._found

    def _video(self, video_id: str, path: Path) -> LibraryVideo:
        n_bytes, key = self._key(path)
        summary = self._summary(key) if key else None
        doing = self._doing_of(video_id)
        state: VideoState = "scored" if summary else "unscored"
        if doing is not None:
            state = "failed" if doing.job_id is None else "scoring" if video_id == self._begun else "waiting"
        return LibraryVideo(
            video_id=video_id,
            name=showable(path.relative_to(self.root).as_posix()),
            path=path,
            n_bytes=n_bytes,
            state=state,
            is_upload=path.is_relative_to(self.uploads),
            problem=doing.problem if doing else None,
            job_id=doing.job_id if doing else None,
            summary=summary,
            key=key,
        )

    def _key(self, path: Path) -> tuple[int, str]:
        """Size of a file, and the key of what it holds: of its size, and of its first, middle and last bytes."""
        try:
            status = path.stat()
            stamp = status.st_size, status.st_mtime_ns
            known = self._keys.get(path)
            if known is None or known[0] != stamp:
                known = self._keys[path] = stamp, _key_of(path, status.st_size)
            return status.st_size, known[1]
        except OSError:  # it was removed a moment ago, or is closed to us
            return 0, ""

    def _doing_of(self, video_id: str) -> _Doing | None:
        with self._lock:
            doing = self._doing.get(video_id)
            if doing is not None and doing.job_id is not None:
                job = self.jobs.get(doing.job_id)
                if job is None or job.ended is not None:  # stopped, or it failed as a whole
                    del self._doing[video_id]
                    return None
            return doing

    def header(self, video: LibraryVideo) -> VideoHeader:
        """What its header tells.

        Raises:
            VideoError: it can't be read.
        """
        key = video.path, video.n_bytes
        if key not in self._headers:
            self._headers[key] = read_header(video.path)
        return self._headers[key]

    def played(self, video: LibraryVideo) -> Path | None:
        """The file that browsers play: itself, or a small copy; None = there is none (yet).

        Raises:
            VideoError: it can't be read.
        """
        if self.header(video).plays_in_browsers:
            return video.path
        copy = self._preview(video.key)
        return copy if copy.is_file() else None

    # ---- scores

    def result(self, video: LibraryVideo, threshold: float | None = None) -> ScoreResult | None:
        """Its scores; None = there are none.

        Args:
            video: that was scored.
            threshold: find its events by this one; None = by the detector's.

        Raises:
            EvaluationError: they can't be read.
        """
        path = self._scores(video.key)
        if not video.key or not path.is_file():
            return None
        result = read_result(path)
        if threshold is None:
            return result
        scores, spans = np.array([c.score for c in result.clips]), [(c.start, c.end) for c in result.clips]
        events = find_events(scores, spans, result.times, threshold)
        return replace(result, threshold=threshold, events=events)

    def score(self, videos: Sequence[LibraryVideo], who: str) -> Job:
        """Score videos, also anew; in the background.

        Raises:
            UsageError: too much waits already.
        """
        if not videos:
            raise UsageError("no video to score was named")
        title = videos[0].name if len(videos) == 1 else f"{len(videos)} videos"
        job = self.jobs.submit("score", title, who, lambda work: self._score(videos, title, work))
        with self._lock:
            for video in videos:
                self._doing[video.video_id] = _Doing(job.job_id)
        return job

    def _score(self, videos: Sequence[LibraryVideo], title: str, work: Work) -> dict[str, Any] | None:
        own, weights = self._detector()
        detector = own or shipped_detector()
        request = {
            "detector": str(detector),
            "detector_name": detector.name,
            "weights": None if weights is None else str(weights),
            "videos": [
                {
                    "id": video.video_id,
                    "name": video.name,
                    "path": str(video.path),
                    "out": str(self._scores(video.key)),
                    "preview": str(self._preview(video.key)),
                }
                for video in videos
            ],
        }

        def on_told(told: dict[str, Any]) -> None:
            with self._lock:
                if "begun" in told:
                    self._begun = told["begun"]
                elif "scored" in told:
                    self._doing.pop(told["scored"], None)
                else:
                    video_id, why = told["failed"]
                    self._doing[video_id] = _Doing(None, why)

        result: dict[str, Any] | None = run_apart("amiss.app.videos._apart:score", request, title, work, on_told)
        return result

    def _summary(self, key: str) -> VideoSummary | None:
        path = self._scores(key)
        try:
            stamp = path.stat().st_mtime_ns
        except OSError:
            return None
        known = self._summaries.get(key)
        if known is None or known[0] != stamp:
            try:
                known = stamp, _summary_of(read_result(path))
            except AmissError:  # damaged: it is scored anew
                return None
            self._summaries[key] = known
        return known[1]

    # ---- exports

    @contextmanager
    def export(self, video: LibraryVideo, kind: ExportKind, threshold: float | None) -> Iterator[Path]:
        """Write a file that is there as long as this lasts.

        Raises:
            UsageError: the video has no scores, or none of its scores reaches the threshold and events are to be cut.
            AmissError: it can't be made.
        """
        result = self.result(video, threshold)
        if result is None:
            raise UsageError(f"{video.name} has no scores yet")
        if kind == "clips" and not result.events:
            raise UsageError(f"{video.name} has no event at {result.threshold:g}")
        self._own.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="export-", dir=self._own) as folder:
            out = Path(folder) / f"export.{SUFFIXES[kind]}"
            if kind == "json":
                result.write_json(out)
            elif kind == "csv":
                result.write_csv(out)
            else:
                request = {"video": str(video.path), "out": str(out), "result": asdict(result)}
                self._export_apart(kind, request | {"name": Path(video.name).stem}, video)
            yield out

    def _export_apart(self, kind: ExportKind, request: dict[str, Any], video: LibraryVideo) -> None:
        free = shutil.disk_usage(self._own).free
        if free < _EXPORT_SHARE * video.n_bytes + _SPARE:
            raise OutputError(f"{free >> 20} MB are free: too few to export {video.name}, of {video.n_bytes >> 20} MB")
        if not self._exports.acquire(blocking=False):  # who waits here holds a thread that answers others
            raise UsageError("other videos are being exported: try again in a moment")
        work = Work(lambda *_: None)
        timer = threading.Timer(_EXPORT_S, work.stop.set)
        timer.start()
        try:
            run_apart(f"amiss.app.videos._apart:{kind}", request, video.name, work)
        except StoppedError:
            raise UsageError(
                f"{video.name} could not be exported within {_EXPORT_S / 60:g} minutes: `amiss detect` on the command "
                "line has no such limit"
            ) from None
        finally:
            timer.cancel()
            self._exports.release()

    def remove(self, video: LibraryVideo) -> None:
        """Remove what was uploaded, and its scores.

        Raises:
            UsageError: it wasn't uploaded, or is being scored.
        """
        if not video.is_upload:
            raise UsageError(f"{video.name} wasn't uploaded here: remove it from its folder")
        if video.state in ("waiting", "scoring"):
            raise UsageError(f"{video.name} is being scored: stop that first")
        is_twice = any(other.key == video.key and other.video_id != video.video_id for other in self.videos())
        for path in (video.path, *(() if is_twice else (self._scores(video.key), self._preview(video.key)))):
            with suppress(FileNotFoundError):
                path.unlink()
        self._doing.pop(video.video_id, None)
        self.look_again()

    def _scores(self, key: str) -> Path:
        return self._own / f"{key}.json"

    def _preview(self, key: str) -> Path:
        return self._own / f"{key}.preview.mp4"


def _id_of(name: Path) -> str:
    return hashlib.sha256(os.fsencode(name.as_posix())).hexdigest()[:32]


def _key_of(path: Path, n_bytes: int) -> str:
    digest = hashlib.sha256(str(n_bytes).encode())
    with path.open("rb") as file:
        for at in (0, n_bytes // 2, max(n_bytes - _KEY_PART, 0)):
            file.seek(at)
            digest.update(file.read(_KEY_PART))
    return digest.hexdigest()[:32]


def _summary_of(result: ScoreResult) -> VideoSummary:
    scores = np.array([clip.score for clip in result.clips])
    parts = np.array_split(scores, min(_CURVE, len(scores)))
    return VideoSummary(
        peak=result.peak,
        n_events=len(result.events),
        duration_s=result.duration_s,
        threshold=result.threshold,
        detector=result.detector,
        curve=tuple(round(float(part.max()), 4) for part in parts),
    )
