"""ROC and precision-recall figures."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from amiss.errors import EvaluationError
from amiss.evaluation._style import FONT, new_figure, style_axes
from amiss.pages import Theme

Curves = Mapping[str, tuple[ArrayLike, ArrayLike]]
_SIDE = 4.2
_DASHES = ("-", (0, (5, 1.5)), (0, (3, 1.2, 1, 1.2)), (0, (1, 1.2)))
_MOST_POINTS = 2000


def plot_roc(curves: Curves, *, over: str = "frames", title: str | None = None, dark: bool = False) -> Figure:
    """ROC curves with their areas.

    Args:
        curves: name → (labels [N], scores [N]), e.g. `frames.labels, frames.scores` of a `ScoredFrames`.
        over: what the N are, for the axes: frames or videos.
        title: above the axes.
        dark: for dark pages.

    Raises:
        EvaluationError: a curve has only normal or only anomalous ones, or there is none.
    """
    figure, axes, theme = _square(
        f"False alarm rate (normal {over})", f"Detection rate (anomalous {over})", title, dark
    )
    axes.plot([0, 1], [0, 1], color=theme.muted, linewidth=0.9, linestyle=(0, (2, 3)), zorder=1)
    for index, (name, labels, scores) in enumerate(_checked(curves)):
        false, true, _ = roc_curve(labels, scores)
        _line(axes, theme, index, false, true, f"{name}  {roc_auc_score(labels, scores):.3f}")
    _legend(axes, theme, "AUC", "lower right")
    return figure


def plot_pr(curves: Curves, *, over: str = "frames", title: str | None = None, dark: bool = False) -> Figure:
    """Precision-recall curves with their average precision (step-wise); the dotted line is chance.

    Args:
        curves: name → (labels [N], scores [N]).
        over: what the N are, for the axes: frames or videos.
        title: above the axes.
        dark: for dark pages.

    Raises:
        EvaluationError: a curve has only normal or only anomalous ones, or there is none.
    """
    figure, axes, theme = _square(f"Recall (anomalous {over})", "Precision", title, dark)
    for index, (name, labels, scores) in enumerate(_checked(curves)):
        if index == 0:
            axes.axhline(labels.mean(), color=theme.muted, linewidth=0.9, linestyle=(0, (2, 3)), zorder=1)
        precision, recall, _ = precision_recall_curve(labels, scores)
        _line(axes, theme, index, recall, precision, f"{name}  {average_precision_score(labels, scores):.3f}")
    _legend(axes, theme, "AP", "best")
    return figure


def _checked(curves: Curves) -> list[tuple[str, NDArray[np.bool_], NDArray[np.float64]]]:
    if not curves:
        raise EvaluationError("there is no curve to plot")
    checked = []
    for name, (labels, scores) in curves.items():
        labels, scores = np.asarray(labels, dtype=np.bool_), np.asarray(scores, dtype=np.float64)
        if labels.all() or not labels.any():
            raise EvaluationError(f"{name}: all have the same label; there is no curve")
        checked.append((name, labels, scores))
    return checked


def _square(x_label: str, y_label: str, title: str | None, dark: bool) -> tuple[Figure, Axes, Theme]:
    figure, theme = new_figure(_SIDE, _SIDE + (0.25 if title else 0), dark)
    top = 0.97 - (0.06 if title else 0)
    axes = figure.add_axes((0.13, 0.115, 0.84, top - 0.115))
    axes.set(xlim=(-0.005, 1.005), ylim=(-0.005, 1.005), xlabel=x_label, ylabel=y_label)
    if title:
        axes.set_title(title, loc="left", fontweight="bold", fontsize=FONT + 1, color=theme.text, pad=8)
    style_axes(axes, theme)
    return figure, axes, theme


def _line(axes: Axes, theme: Theme, index: int, x: NDArray[np.float64], y: NDArray[np.float64], label: str) -> None:
    if len(x) > _MOST_POINTS:  # evenly along the curve's length, so that no visible step is lost
        length = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
        keep = np.unique(np.searchsorted(length, np.linspace(0, length[-1], _MOST_POINTS)).clip(0, len(x) - 1))
        x, y = x[keep], y[keep]
    dash = _DASHES[index // len(theme.cycle) % len(_DASHES)]
    axes.plot(x, y, color=theme.cycle[index % len(theme.cycle)], linestyle=dash, linewidth=1.7, label=label, zorder=3)


def _legend(axes: Axes, theme: Theme, title: str, place: Literal["lower right", "best"]) -> None:
    legend = axes.legend(
        handles=[line for line in axes.get_lines() if not str(line.get_label()).startswith("_")],
        loc=place, title=title, fontsize=FONT - 0.5, title_fontsize=FONT - 0.5, framealpha=0.85, alignment="left",
    )  # fmt: skip
    legend.get_frame().set(facecolor=theme.background, edgecolor="none")
    for text in (*legend.get_texts(), legend.get_title()):
        text.set_color(theme.text)
