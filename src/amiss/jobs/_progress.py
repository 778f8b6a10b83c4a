"""How jobs tell how far they are; the command line draws it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amiss.executors import Run

OnProgress = Callable[[float, float, str], None]
"""Called with (done, total, what is being done), in the job's own unit; done may be fractional."""


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
        on_progress: told videos done, of how many, and what is being done.
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
        self.run: Run | None = None
        """Under way."""
        self.n_clips = 0
        """Of videos that are finished."""
        self._began_s = time.monotonic()
        self._shares: dict[str, dict[str, float]] = {}  # of the tasks of videos under way

    def share(self, task: str, share: float) -> None:
        """A task is done so far, 0..1."""
        video_id = self._video_of(task)
        self._shares.setdefault(video_id, {})[task] = share
        self.show(video_id)

    def finished(self, video_id: str) -> None:
        """A video is finished, or has failed."""
        self._shares.pop(video_id, None)

    def show(self, video_id: str) -> None:
        """Tell."""
        done = len(self._report.done) + len(self._report.failed)
        under_way = sum(sum(shares.values()) / len(shares) for shares in self._shares.values())
        words = [video_id]
        if self.run is not None and self.run.n_workers > 1:
            words.insert(0, f"{self.run.n_workers} workers")
        if self.n_clips:
            words.append(f"{self.n_clips / max(time.monotonic() - self._began_s, 1e-3):.3g} clips/s")
        if self._report.failed:
            words.append(f"{len(self._report.failed)} failed")
        self._on_progress(done + under_way, self._total, ", ".join(words))
