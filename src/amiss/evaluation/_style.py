"""Look of the figures: two themes, colours that colour-blind readers can tell apart, no global state."""

import io
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

FONT = 9.0


@dataclass(frozen=True)
class Theme:
    """Colours of a figure."""

    background: str
    text: str
    muted: str
    """Axis lines, ticks, grid."""
    grid: str
    score: str
    event: str
    truth: str
    cycle: tuple[str, ...]
    """Curves; after Okabe and Ito (2008)."""


LIGHT = Theme(
    background="#ffffff",
    text="#1c2024",
    muted="#6b7280",
    grid="#e5e7eb",
    score="#0072b2",
    event="#d55e00",
    truth="#009e73",
    cycle=("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9", "#1c2024"),
)
DARK = Theme(
    background="#14171a",
    text="#e8eaed",
    muted="#9aa0a6",
    grid="#2a2f35",
    score="#56b4e9",
    event="#ff8f3f",
    truth="#2fd3a5",
    cycle=("#56b4e9", "#ff8f3f", "#2fd3a5", "#e79ac4", "#f0e442", "#8ab4f8", "#e8eaed"),
)


def new_figure(width: float, height: float, dark: bool) -> tuple[Figure, Theme]:
    """An empty figure, size in inches, and its theme."""
    theme = DARK if dark else LIGHT
    return Figure(figsize=(width, height), facecolor=theme.background), theme


def style_axes(axes: Axes, theme: Theme, *, grid: bool = True) -> None:
    """Give axes the look of the theme."""
    axes.set_facecolor(theme.background)
    axes.tick_params(colors=theme.muted, labelcolor=theme.text, labelsize=FONT - 0.5, length=3, width=0.8)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(theme.muted)
        spine.set_linewidth(0.8)
    if grid:
        axes.grid(color=theme.grid, linewidth=0.8)
        axes.set_axisbelow(True)
    for label in (axes.xaxis.label, axes.yaxis.label, axes.title):
        label.set_color(theme.text)
        label.set_fontsize(FONT)


def figure_png(figure: Figure, dpi: int = 150) -> bytes:
    """The figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def figure_svg(figure: Figure) -> str:
    """The figure as an SVG document, the same text for the same figure."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
