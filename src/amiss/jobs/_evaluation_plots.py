"""Figures of an evaluation: the scores of every test video against its ground truth, ROC and precision-recall."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from amiss.evaluation import ScoredFrames, figure_png, plot_pr, plot_roc, plot_score_curve, runs_above
from amiss.files import atomic_path
from amiss.jobs._progress import OnProgress, silent
from amiss.video import FrameTimes


@dataclass(frozen=True, eq=False)
class Measured:
    """What a detector, or a file of scores, was measured on."""

    frames: ScoredFrames
    """Scores and labels of the test videos."""
    threshold: float | None = None
    """From which score on frames are an event; None = nobody says."""


def write_plots(folder: Path, measured: Mapping[str, Measured], shown: str, on_progress: OnProgress = silent) -> None:
    """Write `roc.png`, `pr.png`, and `videos/<video_id>.png` for each test video.

    ROC and precision-recall need both normal and anomalous frames; where only videos have labels, they are drawn over
    videos, each with its largest score; where there is one kind only, there are none.

    Args:
        folder: to write to.
        measured: by name, such as `selected`.
        shown: name of the one whose scores are drawn over time.
        on_progress: told figures written, and of how many.

    Raises:
        OutputError: a figure can't be written.
    """
    curves, over = {}, "frames"
    for name, one in measured.items():
        frames = one.frames
        if frames.has_frame_labels and frames.anomalous.any():
            curves[name] = (frames.labels, frames.scores)
        else:
            curves[name], over = (frames.anomalous, frames.video_scores), "videos"
    if all(labels.any() and not labels.all() for labels, _ in curves.values()):
        for file, plot in (("roc.png", plot_roc), ("pr.png", plot_pr)):
            _write(folder / file, figure_png(plot(curves, over=over)))
    one = measured[shown]
    count = len(one.frames.videos)
    for index, video in enumerate(one.frames.videos):
        on_progress(index, count, video.video_id)
        _write(folder / "videos" / f"{video.video_id}.png", _curve(one, index))
    on_progress(count, count, "")


def _curve(measured: Measured, index: int) -> bytes:
    frames, threshold = measured.frames, measured.threshold
    video, times = frames.videos[index], frames.times[index]
    scores, _ = frames.of_video(index)
    starts = [0, *(np.flatnonzero(np.diff(scores)) + 1).tolist()]
    spans = list(zip(starts, [*starts[1:], len(scores)], strict=True))
    has_seconds = times.fps is not None
    figure = plot_score_curve(
        spans,
        scores[starts],
        times if has_seconds else FrameTimes(len(scores), 1.0),
        events=runs_above(scores >= threshold) if threshold is not None else (),
        truth=[(start, min(end, len(scores))) for start, end in video.events if start < len(scores)],
        threshold=threshold,
        title=f"{video.video_id} · {video.class_name or ('anomalous' if video.label else 'normal')}",
    )
    if not has_seconds:
        axes = figure.axes[0]
        axes.set_xlabel("Frame")
        axes.xaxis.set_major_formatter("{x:.0f}")
    return figure_png(figure)


def _write(path: Path, png: bytes) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(png)
