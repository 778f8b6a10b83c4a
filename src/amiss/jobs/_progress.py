"""How jobs tell how far they are; the command line draws it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amiss.executors import Run

_LEAST_S = 1.0  # after which a rate means something
_NEARLY = 0.99  # all clips are computed, but their rows aren't here yet

OnProgress = Callable[[float, float, str], None]
"""Called with (done, total, what is being done), in the job's own unit; done may be fractional, and a total of 0 is one
that nobody knows. Where several are under way `what` begins with how many are finished: `3 of 7 videos, …`."""


def silent(done: float, total: float, what: str) -> None:
    """Progress that nobody watches."""


@dataclass
class JobReport:
    """What became of each video of a job: in folders and manifests the rest is finished before failures are told."""

    done: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    """Complete from an earlier run."""
    failed: dict[str, str] = field(default_factory=dict)
    """Video id → what was wrong."""
    warnings: dict[str, str] = field(default_factory=dict)
    """Video id → what is missing although it was done."""
    notes: list[str] = field(default_factory=list)
    """What was left out of the folders given, and why."""


class TaskProgress:
    """How far the tasks of an executor are: all workers in one line.

    Args:
        total: videos.
        report: of the job; who has it fills it.
        on_progress: told videos done, of how many, and in words how many are finished, and what else there is to know.
        video_of: video that a task is about.
    """

    def __init__(
        self,
        total: int,
        report: JobReport,
        on_progress: OnProgress,
        video_of: Callable[[str], str] = lambda task: task,
    ) -> None:
        self._total, self._report, self._on_progress, self._video_of = total, report, on_progress, video_of
        self._of = f" of {total} video{'' if total == 1 else 's'}"
        self.run: Run | None = None
        """Under way."""
        self.n_clips = 0
        """Of videos that are finished."""
        self._began_s: float | None = None  # when the first task told how far it is: workers take long to start
        self._shares: dict[str, dict[str, float]] = {}  # of the tasks of videos under way
        self._n_tasks: dict[str, int] = {}  # of videos that are split
        self._finished: set[str] = set()

    def split(self, video_id: str, n_tasks: int) -> None:
        """A video has become so many tasks, none of which is done."""
        self._shares.pop(video_id, None)
        self._n_tasks[video_id] = n_tasks

    def share(self, task: str, share: float) -> None:
        """A task is done so far, 0..1. What a worker told of a video may come after the video itself."""
        video_id = self._video_of(task)
        if video_id not in self._finished:
            self._shares.setdefault(video_id, {})[task] = min(share, _NEARLY)
            self.show(video_id)

    def finished(self, video_id: str) -> None:
        """A video is finished, or has failed."""
        self._finished.add(video_id)
        self._shares.pop(video_id, None)

    def show(self, video_id: str) -> None:
        """Tell."""
        now = time.monotonic()
        began_s = self._began_s = now if self._began_s is None else self._began_s
        done, failed = len(self._report.done) + len(self._report.failed), len(self._report.failed)
        words = [f"{done}{self._of}"]
        if failed:
            words.append(f"{failed} failed")
        if self.run is not None and self.run.n_workers > 1:
            words.append(f"{self.run.n_workers} workers")
        if self.n_clips and now - began_s > _LEAST_S:
            rate = self.n_clips / (now - began_s)
            words.append(f"{rate:.{0 if rate >= 100 else 1 if rate >= 10 else 2}f} clips/s")
        words.append(video_id)
        under_way = sum(
            sum(shares.values()) / max(len(shares), self._n_tasks.get(video, 1))
            for video, shares in self._shares.items()
        )
        self._on_progress(done + under_way, self._total, ", ".join(words))

    def end(self) -> None:
        """Tell that all is done."""
        self._on_progress(self._total, self._total, f"{self._total}{self._of}")
