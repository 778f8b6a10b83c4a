"""Colours of pages and figures: two themes that colour-blind readers can tell apart."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Theme:
    """Colours, each as `#rrggbb`."""

    background: str
    text: str
    muted: str
    """Axis lines, ticks, captions."""
    grid: str
    """Lines of figures and tables."""
    card: str
    """Background of what stands out a little."""
    score: str
    event: str
    """What was found."""
    truth: str
    """What really happened."""
    warning: str
    warning_card: str
    cycle: tuple[str, ...]
    """Curves; after Okabe and Ito (2008)."""


LIGHT = Theme(
    background="#ffffff",
    text="#1c2024",
    muted="#5f6773",
    grid="#e5e7eb",
    card="#f6f8fa",
    score="#0072b2",
    event="#d55e00",
    truth="#009e73",
    warning="#b42318",
    warning_card="#fef1ef",
    cycle=("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9", "#1c2024"),
)
DARK = Theme(
    background="#14171a",
    text="#e8eaed",
    muted="#9aa0a6",
    grid="#2a2f35",
    card="#1c2126",
    score="#56b4e9",
    event="#ff8f3f",
    truth="#2fd3a5",
    warning="#ff9b8a",
    warning_card="#3a1d1a",
    cycle=("#56b4e9", "#ff8f3f", "#2fd3a5", "#e79ac4", "#f0e442", "#8ab4f8", "#e8eaed"),
)
