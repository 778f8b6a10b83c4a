"""Look of the figures, in the colours of `amiss.pages`. No global state."""

import io
from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from amiss.pages import DARK, LIGHT, Picture, Theme

FONT = 9.0


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


def figure_picture(alt: str, draw: Callable[[bool], Figure]) -> Picture:
    """A figure for a page, light and dark.

    Args:
        alt: what it shows, for those who can't see it.
        draw: draws it; given whether it is for a dark page.
    """
    light, dark = draw(False), draw(True)
    return Picture(alt, figure_png(light), figure_png(dark), width=round(light.get_figwidth() * 100))
