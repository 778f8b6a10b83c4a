"""Figures of reports: metrics by class, what choosing on the test set would add, fitted densities."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from amiss.errors import EvaluationError
from amiss.evaluation._style import FONT, new_figure, style_axes
from amiss.pages import Theme

_ROW, _WIDTH, _TOP, _BOTTOM, _CHARACTER = 0.36, 6.6, 0.4, 0.5, 0.075  # inches
_MARKERS = {"last": "o", "selected": "s", "oracle(test)": "D"}


def plot_classes(per_class: Mapping[str, Mapping[str, Any]], *, title: str | None = None, dark: bool = False) -> Figure:
    """Bars of frame AUC (against all normal videos) and Ano-AUC (within the class's videos) by class, best first.

    Args:
        per_class: as in an evaluation result; undefined metrics have no bar.
        title: above the axes.
        dark: for dark pages.

    Raises:
        EvaluationError: there are no classes.
    """
    if not per_class:
        raise EvaluationError("there are no classes to plot")
    names = sorted(per_class, key=lambda name: per_class[name]["auc"] or 0.0)
    figure, axes, theme = _rows([f"{name} ({per_class[name]['n_videos']})" for name in names], title, dark)
    for offset, metric, label, colour in (
        (0.19, "auc", "AUC, with normal videos", theme.cycle[0]),
        (-0.19, "ano_auc", "Ano-AUC, within its videos", theme.cycle[1]),
    ):
        values = [per_class[name][metric] for name in names]
        places = [row + offset for row, value in enumerate(values) if value is not None]
        lengths = [value for value in values if value is not None]
        axes.barh(places, lengths, height=0.34, color=colour, linewidth=0, label=label, zorder=2)
        for place, length in zip(places, lengths, strict=True):
            axes.text(
                length + 0.008, place, f"{length:.2f}", va="center", color=theme.text, fontsize=FONT - 1.5, zorder=4,
                bbox={"facecolor": theme.background, "linewidth": 0, "pad": 0.4},
            )  # fmt: skip
    axes.axvline(0.5, color=theme.muted, linewidth=0.9, linestyle=(0, (2, 3)), zorder=3)
    axes.set(xlim=(0, 1.06), xlabel="ROC-AUC over frames (dotted: chance)")
    _legend_above(figure, axes, theme)
    return figure


def plot_optimism(
    rows: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    metric: str = "frame AUC",
    title: str | None = None,
    dark: bool = False,
) -> Figure:
    """What choosing the model on the test set would have added.

    Args:
        rows: system → {"last", "selected", "oracle(test)"} → one value per seed. Small marks are seeds, large ones
            their means; the number on the right is oracle(test) - selected in points.
        metric: name of the values.
        title: above the axes.
        dark: for dark pages.

    Raises:
        EvaluationError: there are no rows.
    """
    if not rows:
        raise EvaluationError("there are no systems to plot")
    names = list(rows)[::-1]
    figure, axes, theme = _rows(names, title, dark)
    colours = dict(zip(_MARKERS, (theme.muted, theme.cycle[0], theme.cycle[1]), strict=True))
    for row, name in enumerate(names):
        means = {kind: float(np.mean(values)) for kind, values in rows[name].items() if len(values)}
        for kind, values in rows[name].items():
            axes.plot(values, [row] * len(values), _MARKERS[kind], color=colours[kind], markersize=3.5, alpha=0.45)
        if {"selected", "oracle(test)"} <= means.keys():
            a, b = means["selected"], means["oracle(test)"]
            axes.plot([a, b], [row, row], color=theme.cycle[1], linewidth=1.6, zorder=1)
            axes.text(
                1.0, row, f"{100 * (b - a):+.1f}", transform=axes.get_yaxis_transform(),
                va="center", ha="right", color=theme.text, fontsize=FONT,
            )  # fmt: skip
        for kind, mean in means.items():
            label = kind if row == 0 else None
            axes.plot(mean, row, _MARKERS[kind], color=colours[kind], markersize=8, zorder=3, label=label)
    axes.set_xlabel(metric)
    low, high = axes.get_xlim()
    axes.set_xlim(low, high + 0.12 * (high - low))
    _legend_above(figure, axes, theme)
    return figure


def plot_densities(
    classes: Mapping[str, tuple[NDArray[np.float64], Callable[[NDArray[np.float64]], NDArray[np.float64]]]],
    *,
    variable: str,
    title: str | None = None,
    dark: bool = False,
) -> Figure:
    """Densities fitted to samples of a positive variable, over histograms of what they were fitted to.

    Args:
        classes: name of a class, as the legend has it → samples [N], function from values [M] to log densities [M].
        variable: name and unit of the variable.
        title: above the axes.
        dark: for dark pages.
    """
    figure, theme = new_figure(_WIDTH, 3.2, dark)
    axes = figure.add_axes((0.09, 0.16, 0.88, 0.62 if title else 0.7))
    low, high = (float(reach([reach(samples) for samples, _ in classes.values()])) for reach in (np.min, np.max))
    edges = np.linspace(low, high, 41)
    grid = np.linspace(low, high, 400)
    peak = 0.0
    for (name, (samples, log_pdf)), colour in zip(classes.items(), theme.cycle, strict=False):
        heights, _, _ = axes.hist(samples, edges.tolist(), density=True, color=colour, alpha=0.25, linewidth=0)
        curve = np.exp(log_pdf(grid))
        axes.plot(grid, curve, color=colour, linewidth=1.8, label=name)
        peak = max(peak, float(np.max(heights)), float(np.percentile(curve, 98)))
    # some densities have no upper bound at an edge of their support
    axes.set(xlim=(low, high), ylim=(0, 1.1 * peak), xlabel=variable, ylabel="density")
    style_axes(axes, theme)
    if title:
        figure.text(0.03, 0.94, title, color=theme.text, fontsize=FONT + 1, fontweight="bold", va="center")
    _legend_above(figure, axes, theme)
    return figure


def _rows(names: Sequence[str], title: str | None, dark: bool) -> tuple[Figure, Axes, Theme]:
    most = int(_WIDTH / 2 / _CHARACTER)  # long names, as of a sweep over lists, must leave room for the rows
    half = most // 2
    names = [name if len(name) <= most else f"{name[: half - 1]}…{name[-half:]}" for name in names]
    height = _TOP + _BOTTOM + _ROW * max(len(names), 2) + (0.25 if title else 0.0)
    left = 0.3 + _CHARACTER * max(len(name) for name in names)
    figure, theme = new_figure(_WIDTH, height, dark)
    top = _TOP + (0.25 if title else 0.0)
    box = (left / _WIDTH, _BOTTOM / height, (_WIDTH - left - 0.2) / _WIDTH, (height - top - _BOTTOM) / height)
    axes = figure.add_axes(box)
    axes.set(ylim=(-0.6, len(names) - 0.4), yticks=range(len(names)), yticklabels=names)
    style_axes(axes, theme)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    if title:
        y = 1 - 0.17 / height
        figure.text(0.2 / _WIDTH, y, title, color=theme.text, fontsize=FONT + 1, fontweight="bold", va="center")
    return figure, axes, theme


def _legend_above(figure: Figure, axes: Axes, theme: Theme) -> None:
    handles, labels = axes.get_legend_handles_labels()
    box = axes.get_position()
    place = (box.x0, box.y1 + 0.1 / figure.get_figheight())
    legend = figure.legend(
        handles=handles, labels=labels, loc="lower left", bbox_to_anchor=place, ncols=3, frameon=False,
        fontsize=FONT - 0.5, borderaxespad=0, borderpad=0,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_color(theme.text)
