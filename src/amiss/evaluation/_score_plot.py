"""The score of a video over time, with thumbnails above it and its events shaded."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter
from numpy.typing import ArrayLike, NDArray
from sklearn.isotonic import isotonic_regression

from amiss.evaluation._event_metrics import Interval
from amiss.evaluation._style import FONT, new_figure, style_axes
from amiss.evaluation._video_scores import VideoScores, frame_scores
from amiss.pages import Theme
from amiss.video import FrameTimes

Thumbnail = tuple[int, NDArray[np.uint8]]

# inches
_WIDTH, _CURVE = 9.0, 1.75
_LEFT, _RIGHT, _BOTTOM, _HEADER = 0.62, 0.2, 0.52, 0.34
_THUMBNAIL, _SMALLEST_THUMBNAIL, _THUMBNAIL_GAP, _LEADER = 0.95, 0.65, 0.06, 0.2
_TITLE_ROW, _LONG_TITLE = 0.22, 32  # a title of more characters has a row of its own

_STEPS_S = (
    0.005,
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
    0.5,
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    14400,
    43200,
    86400,
)
_MOST_TICKS = 10


def plot_score_curve(
    spans: Sequence[Interval],
    scores: ArrayLike,
    times: FrameTimes,
    *,
    events: Sequence[Interval] = (),
    truth: Sequence[Interval] | None = None,
    threshold: float | None = None,
    thumbnails: Sequence[Thumbnail] = (),
    title: str | None = None,
    dark: bool = False,
    counts_clips: bool = False,
) -> Figure:
    """Draw the score of a video over time.

    Args:
        spans: native frames [start, end) of each clip.
        scores: [T] clip scores.
        times: when the frames are shown.
        events: detected events in frames, shaded.
        truth: annotated events in frames, a thin bar above the curve; None = unknown.
        threshold: a dashed line.
        thumbnails: (frame index, image [H, W, 3] RGB uint8), drawn above the curve, each joined to its time.
        title: above everything.
        dark: for dark pages.
        counts_clips: a second of `times` stands for a clip.
    """
    video = VideoScores(np.asarray(scores, dtype=np.float64), tuple(spans))
    n_frames = max(end for _, end in spans)
    duration = float(times.ends(n_frames))
    thumbnails = sorted(thumbnails, key=lambda thumbnail: thumbnail[0])
    middles = times.starts([index + 0.5 for index, _ in thumbnails]).tolist()
    centres = [_LEFT + time / duration * (_WIDTH - _LEFT - _RIGHT) for time in middles]
    sizes = _thumbnail_sizes([image.shape[1] / image.shape[0] for _, image in thumbnails], centres)
    strip = max((height for _, height in sizes), default=0.0) + (_LEADER if sizes else 0.0)
    own_row = _TITLE_ROW if title and len(title) > _LONG_TITLE else 0.0
    height = _BOTTOM + _CURVE + strip + _HEADER + own_row
    figure, theme = new_figure(_WIDTH, height, dark)
    axes = figure.add_axes((_LEFT / _WIDTH, _BOTTOM / height, (_WIDTH - _LEFT - _RIGHT) / _WIDTH, _CURVE / height))
    style_axes(axes, theme)
    axes.grid(visible=False, axis="x")

    per_frame = frame_scores(video, n_frames)
    low, high = min(0.0, float(per_frame.min())), max(1.0, float(per_frame.max()))
    bar = high + 0.045 * (high - low)
    axes.set(xlim=(0, duration), ylim=(low, high + 0.09 * (high - low)), ylabel="Anomaly score")
    axes.set_yticks(np.linspace(low, high, 5) if (low, high) != (0.0, 1.0) else [0, 0.25, 0.5, 0.75, 1])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axes.spines["left"].set_bounds(low, high)
    handles: list[Line2D | Patch] = []
    for start, end in times.spans(events):
        axes.axvspan(start, end, color=theme.event, alpha=0.22, linewidth=0, zorder=1)
    _draw_steps(axes, per_frame, times, low, theme)
    handles.append(Line2D([], [], color=theme.score, linewidth=1.7, label="score"))
    if threshold is not None:
        axes.axhline(threshold, color=theme.event, linewidth=1, linestyle=(0, (4, 3)), zorder=2)
        label = f"threshold {threshold:.2f}"
        handles.append(Line2D([], [], color=theme.event, linewidth=1, linestyle=(0, (4, 3)), label=label))
    if events:
        handles.append(Patch(color=theme.event, alpha=0.3, linewidth=0, label="detected event"))
    if truth:
        bars = [(start, end - start) for start, end in times.spans(truth)]
        y_range = (bar - 0.016 * (high - low), 0.032 * (high - low))
        axes.broken_barh(bars, y_range, color=theme.truth, linewidth=0, zorder=3)
        handles.append(Patch(color=theme.truth, linewidth=0, label="annotated event"))
    if counts_clips:
        axes.set_xlabel("Clip")
    else:
        _time_axis(axes, duration)
    inside = [any(start <= index < end for start, end in events) for index, _ in thumbnails]
    _draw_thumbnails(figure, [image for _, image in thumbnails], sizes, centres, inside, theme)

    top = 1 - (own_row + 0.5 * _HEADER) / height
    if title:
        figure.text(
            _LEFT / _WIDTH, top + own_row / height, title,
            color=theme.text, fontsize=FONT + 1, fontweight="bold", va="center",
        )  # fmt: skip
    legend = figure.legend(
        handles=handles, loc="center right", bbox_to_anchor=(1 - _RIGHT / _WIDTH, top), ncols=len(handles),
        frameon=False, fontsize=FONT - 0.5, handlelength=1.6, columnspacing=1.4, borderaxespad=0, borderpad=0,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_color(theme.text)
    return figure


def _draw_steps(axes: Axes, per_frame: NDArray[np.float64], times: FrameTimes, low: float, theme: Theme) -> None:
    starts = np.concatenate([[0], np.flatnonzero(np.diff(per_frame)) + 1])
    edges = np.append(times.starts(starts), times.ends(len(per_frame)))
    axes.stairs(per_frame[starts], edges, baseline=low, fill=True, color=theme.score, alpha=0.13, linewidth=0, zorder=2)
    axes.stairs(per_frame[starts], edges, baseline=None, color=theme.score, linewidth=1.5, zorder=4)


def _time_axis(axes: Axes, duration: float) -> None:
    days = 86400 * 10.0 ** np.arange(1, 12)
    step = next(step for step in (*_STEPS_S, *days) if duration / step <= _MOST_TICKS)
    axes.xaxis.set_major_locator(FixedLocator(list(np.arange(0, duration * (1 + 1e-9), step))))
    if duration < 60:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
        axes.set_xlabel("Time (s)")
        return
    hours = duration >= 3600

    def clock(value: float, _: int | None) -> str:
        minutes, seconds = divmod(round(value), 60)
        return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"

    axes.xaxis.set_major_formatter(FuncFormatter(clock))
    axes.set_xlabel("Time (h:mm:ss)" if hours else "Time (m:ss)")


def _thumbnail_sizes(aspects: Sequence[float], centres: Sequence[float]) -> list[tuple[float, float]]:
    """Width and height of each, in inches: one height for all, smaller if then all can stand at their times."""
    if not aspects:
        return []
    room = _WIDTH - _LEFT - _RIGHT - _THUMBNAIL_GAP * (len(aspects) - 1)
    height = min(_THUMBNAIL, room / sum(aspects))
    at_their_times = [
        (c2 - c1 - _THUMBNAIL_GAP) / ((a1 + a2) / 2)
        for c1, c2, a1, a2 in zip(centres, centres[1:], aspects, aspects[1:], strict=False)
    ]
    if at_their_times and min(at_their_times) >= _SMALLEST_THUMBNAIL:
        height = min(height, *at_their_times)
    return [(height * aspect, height) for aspect in aspects]


def _draw_thumbnails(
    figure: Figure,
    images: Sequence[NDArray[np.uint8]],
    sizes: Sequence[tuple[float, float]],
    centres: Sequence[float],
    inside: Sequence[bool],
    theme: Theme,
) -> None:
    if not images:
        return
    figure_height = figure.get_figheight()
    bottom = _BOTTOM + _CURVE + _LEADER
    lefts = _without_overlap(centres, [width for width, _ in sizes])
    for image, (width, height), left, centre, in_event in zip(images, sizes, lefts, centres, inside, strict=True):
        colour = theme.event if in_event else theme.muted
        axes = figure.add_axes((left / _WIDTH, bottom / figure_height, width / _WIDTH, height / figure_height))
        axes.imshow(image, aspect="auto", interpolation="antialiased")
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set(color=colour, linewidth=1.6 if in_event else 0.8)
        x = [(left + width / 2) / _WIDTH, centre / _WIDTH]
        y = [bottom / figure_height, (_BOTTOM + _CURVE) / figure_height]
        figure.add_artist(Line2D(x, y, color=colour, linewidth=0.9))


def _without_overlap(centres: Sequence[float], widths: Sequence[float]) -> list[float]:
    """Left edges as near to the wanted centres as they can be, in order, within the curve's width (least squares)."""
    before = np.concatenate([[0.0], np.cumsum(np.asarray(widths[:-1]) + _THUMBNAIL_GAP)])
    room = _WIDTH - _LEFT - _RIGHT - (before[-1] + widths[-1])
    wanted = np.asarray(centres) - np.asarray(widths) / 2 - before
    lefts = isotonic_regression(wanted, y_min=_LEFT, y_max=_LEFT + max(room, 0.0)) + before
    return [float(left) for left in lefts]
