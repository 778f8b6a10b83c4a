"""The page that a message's link leads to: one event, its clip or snapshot, and its scores."""

from __future__ import annotations

from html import escape
from typing import Any

_WIDTH, _HEIGHT = 640, 120
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>
:root {{ color-scheme: light dark }} body {{ font: 16px system-ui; max-width: 640px; margin: 2em auto; padding: 0 1em }}
video, img, svg {{ width: 100% }} dt {{ font-weight: 600 }} dd {{ margin: 0 0 .5em }}
polyline {{ fill: none; stroke: #2a78d6; stroke-width: 2 }} line {{ stroke: gray; stroke-dasharray: 6 6 }}
</style><h1>{title}</h1>{media}{curve}<dl>{facts}</dl></html>
"""
_FACTS = (
    "place", "started", "ended", "state", "peak", "peak_score", "threshold_on", "threshold_off", "detector", "problem",
)  # fmt: skip


def event_page(event: dict[str, Any]) -> str:
    """HTML of an event as `View.event` gives it; loads nothing from elsewhere."""
    name = escape(event["event_id"])
    media = ""
    if event.get("clip"):
        poster = f' poster="{name}.jpg"' if event.get("snapshot") else ""
        media = f'<video controls preload="metadata" src="{name}.mp4"{poster}></video>'
        parts = " ".join(f'<a href="{name}-{n}.mp4">{n}</a>' for n in range(2, event.get("clip_parts", 1) + 1))
        media += f"<p>The clip goes on in part {parts}</p>" if parts else ""
    elif event.get("snapshot"):
        media = f'<img src="{name}.jpg" alt="snapshot">'
    facts = "".join(
        f"<dt>{fact.replace('_', ' ')}</dt><dd>{escape(_said(event[fact]))}</dd>"
        for fact in _FACTS
        if event.get(fact) is not None
    )
    title = escape(f"{event.get('camera', '')}, score {event.get('peak_score', 0):.2f}")
    curve = _curve(event.get("trace", ()), float(event.get("threshold_on", 0)))
    return _PAGE.format(title=title, media=media, curve=curve, facts=facts)


def _said(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _curve(trace: Any, threshold: float) -> str:
    if len(trace) < 2:
        return ""
    first, last = trace[0][0], trace[-1][0]
    span = max(last - first, 1e-9)
    points = " ".join(
        f"{_WIDTH * (seconds - first) / span:.1f},{_HEIGHT * (1 - min(max(score, 0), 1)):.1f}"
        for seconds, score in trace
    )
    y = _HEIGHT * (1 - min(threshold, 1))
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="score over time">'
        f'<line x1="0" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/><polyline points="{points}"/></svg>'
    )
