"""The demo's report: one HTML file with everything in it, light and dark."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amiss.datasets import Video
from amiss.demo._videos import DemoSet
from amiss.detection import Detector, ScoreResult
from amiss.evaluation import EvaluationResult, Scores, figure_picture, frame_labels, frame_scores, plot_roc
from amiss.files import write_text
from amiss.jobs import score_figure
from amiss.pages import render

_POINTS = 120  # of a curve


@dataclass(frozen=True)
class _Timeline:
    """The scores of one test video: x = frames."""

    caption: str
    length: int
    points: list[tuple[int, float]]
    events: list[tuple[int, int]]


def write_demo_report(
    folder: Path, demo: DemoSet, scores: Scores, result: EvaluationResult, detector: Detector, scored: ScoreResult
) -> None:
    """Write `report.html` into the demo's folder."""
    videos, showcase = demo.manifest.split("test"), demo.unseen
    per_frame = {v.video_id: frame_scores(scores[v.video_id], _frames(v)) for v in videos}
    labels = np.concatenate([frame_labels(v, _frames(v)) for v in videos])
    curve = {"detector": (labels, np.concatenate(list(per_frame.values())))}
    numbers = {"frame AUC": result.auc, "Ano-AUC": result.ano_auc, "AP": result.ap, "video AUC": result.video_auc}
    page = render(
        "demo/report.html",
        n_train=len(demo.manifest.split("train")),
        result=result,
        numbers={name: value for name, value in numbers.items() if value is not None},
        threshold=detector.calibration.threshold,
        showcase_class=showcase.class_name or "normal",
        score_figure=figure_picture(
            "score of the unseen video over time",
            lambda dark: score_figure(scored, showcase.path, showcase.events, dark=dark),
        ),
        video=(folder / f"{showcase.video_id}.annotated.mp4").read_bytes(),
        timelines=[_timeline(video, per_frame[video.video_id]) for video in videos],
        roc_figure=figure_picture("ROC curve", lambda dark: plot_roc(curve, dark=dark)),
    )
    write_text(folder / "report.html", page)


def _frames(video: Video) -> int:
    assert video.n_frames is not None, "the demo's manifest has frame counts"
    return video.n_frames


def _timeline(video: Video, scores: NDArray[np.float64]) -> _Timeline:
    n = len(scores)
    return _Timeline(
        caption=f"{video.video_id} · {video.class_name or 'normal'}",
        length=n,
        points=[(i, float(scores[i])) for i in range(0, n, max(1, n // _POINTS))],
        events=[(start, min(end, n)) for start, end in video.events],
    )
