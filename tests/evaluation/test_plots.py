"""Figures: they are drawn, deterministic, and say what they show."""

import io
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from scipy import stats

from amiss.errors import EvaluationError
from amiss.evaluation import (
    figure_png,
    plot_classes,
    plot_densities,
    plot_optimism,
    plot_pr,
    plot_roc,
    plot_score_curve,
)
from amiss.video import FrameTimes

END = 310
SPANS = [(i * 16, min(i * 16 + 16, END)) for i in range(20)]


def texts(figure: Figure) -> str:
    return " | ".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))


def curve(dark: bool = False, **more: object) -> Figure:
    scores = np.linspace(0.1, 0.9, 20)
    images = [(int(i), np.full((90, 120, 3), 100, dtype=np.uint8)) for i in (60, 150, 250)]
    options = {"events": [(200, 310)], "truth": [(180, 310)], "threshold": 0.6, "thumbnails": images} | more
    return plot_score_curve(SPANS, scores, FrameTimes(END, 25), dark=dark, **options)


@pytest.mark.parametrize("dark", [False, True])
def test_score_curve_is_a_picture(dark: bool) -> None:
    figure = curve(dark, title="RoadAccidents002")
    picture = imread(io.BytesIO(figure_png(figure, dpi=100)))
    assert picture.shape[1] == 900
    assert (picture[0, 0, :3].mean() < 0.2) == dark
    said = texts(figure)
    for words in (
        "RoadAccidents002",
        "threshold 0.60",
        "detected event",
        "annotated event",
        "Time (s)",
        "Anomaly score",
    ):
        assert words in said
    assert len(figure.axes) == 4  # the curve and three thumbnails


def test_legend_names_only_what_is_there() -> None:
    said = texts(plot_score_curve(SPANS, np.full(20, 0.2), FrameTimes(END, 25)))
    assert "detected event" not in said
    assert "annotated event" not in said
    assert "threshold" not in said


def test_thumbnails_stand_at_their_times_when_there_is_room() -> None:
    figure = curve()
    curve_axes, *thumbnails = figure.axes
    for axes, frame in zip(thumbnails, (60, 150, 250), strict=True):
        box, place = axes.get_position(), curve_axes.get_position()
        wanted = place.x0 + place.width * (frame + 0.5) / 310
        middle = (box.x0 + box.x1) / 2
        assert middle == pytest.approx(wanted, abs=1e-6)


def test_crowded_thumbnails_do_not_overlap() -> None:
    image = np.zeros((90, 120, 3), np.uint8)
    figure = curve(thumbnails=[(frame, image) for frame in (100, 104, 108, 309)])
    place, *boxes = [axes.get_position() for axes in figure.axes]
    assert all(after.x0 > before.x1 for before, after in pairwise(boxes))
    crowd_middle = (boxes[1].x0 + boxes[1].x1) / 2
    assert crowd_middle == pytest.approx(place.x0 + place.width * 104.5 / 310)  # centred on the crowd
    assert boxes[3].x1 == pytest.approx(place.x1)  # and none sticks out


def test_hours_are_read_as_clock_time() -> None:
    spans = [(i * 16, i * 16 + 16) for i in range(8000)]
    figure = plot_score_curve(spans, np.zeros(8000), FrameTimes(spans[-1][1], 25))
    figure_png(figure, dpi=30)
    assert "Time (h:mm:ss)" in texts(figure)
    assert "1:00:00" in texts(figure)


def test_scores_outside_0_to_1_are_shown_whole() -> None:
    figure = plot_score_curve(SPANS, np.linspace(-3, 8, 20), FrameTimes(END, 25))
    low, high = figure.axes[0].get_ylim()
    assert low <= -3
    assert high >= 8


@pytest.mark.parametrize("plot", [plot_roc, plot_pr])
def test_curves_name_their_area(plot: Callable[..., Figure]) -> None:
    rng = np.random.default_rng(0)
    labels = rng.random(5000) < 0.2
    figure = plot({"good": (labels, labels + 0.0), "blind": (labels, np.zeros(5000))}, title="UCF-Crime")
    assert "good  1.000" in texts(figure)
    of_videos = texts(plot({"good": (labels, labels + 0.0)}, over="videos"))
    assert "(anomalous videos)" in of_videos
    assert "frames" not in of_videos
    assert ("blind  0.500" if plot is plot_roc else f"blind  {labels.mean():.3f}") in texts(figure)
    assert figure_png(figure, dpi=30)[:4] == b"\x89PNG"


@pytest.mark.parametrize("plot", [plot_roc, plot_pr])
def test_no_curve_without_both_classes(plot: Callable[..., Figure]) -> None:
    with pytest.raises(EvaluationError, match="topk: all have the same label"):
        plot({"topk": (np.zeros(5), np.ones(5))})
    with pytest.raises(EvaluationError, match="no curve"):
        plot({})


@pytest.mark.parametrize("length", [40, 60, 400])
def test_long_names_of_systems_leave_room_for_their_values(length: int) -> None:
    figure = plot_optimism({"x" * length: {"selected": [0.7], "oracle(test)": [0.8]}, "topk": {"selected": [0.6]}})
    (axes,) = figure.axes
    assert axes.get_position().width > 0.4
    assert [("…" in label.get_text()) for label in axes.get_yticklabels()] == [False, length > 44]


def test_classes_and_optimism_are_told_in_numbers() -> None:
    per_class = {
        "Fire": {"n_videos": 3, "auc": 0.9, "ano_auc": None},
        "Fall": {"n_videos": 1, "auc": 0.6, "ano_auc": 0.5},
    }
    said = texts(plot_classes(per_class))
    assert "Fire (3)" in said
    assert "0.90" in said
    rows = {"topk": {"last": [0.7, 0.72], "selected": [0.73, 0.75], "oracle(test)": [0.76, 0.78]}}
    figure = plot_optimism(rows, title="UCF-Crime")
    assert "+3.0" in texts(figure)
    assert figure_png(figure, dpi=30)[:4] == b"\x89PNG"
    samples = np.random.default_rng(0).gamma(3, size=200)
    figure = plot_densities({"normal: gamma": (samples, stats.gamma(3).logpdf)}, variable="magnitude")
    assert "normal: gamma" in texts(figure)
    assert figure.axes[0].get_xlabel() == "magnitude"
    for plot in (plot_classes, plot_optimism):
        with pytest.raises(EvaluationError, match="there are no"):
            plot({})
