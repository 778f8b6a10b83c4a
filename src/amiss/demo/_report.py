"""The demo's report: one HTML file with everything in it, light and dark."""

import base64
from html import escape
from pathlib import Path
from string import Template

import numpy as np

from amiss.datasets import Video
from amiss.demo._set import DemoSet
from amiss.detection import Detector, ScoreResult
from amiss.evaluation import EvaluationResult, Scores, figure_png, frame_labels, frame_scores, plot_roc
from amiss.files import write_text
from amiss.jobs._detect import score_figure

_PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>amiss demo</title>
<style>
:root { --ink: #1c2430; --soft: #5b6675; --line: #d9dee5; --page: #ffffff; --card: #f6f8fa; --score: #0b62a4; --truth: #d9480f33 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6eaf0; --soft: #9aa6b5; --line: #333c48; --page: #12161c; --card: #1a2028; --score: #6cb6ff; --truth: #ff8b5a44 }
}
body { margin: 0 auto; max-width: 60rem; padding: 2rem 1.25rem 4rem; background: var(--page); color: var(--ink);
       font: 16px/1.55 system-ui, sans-serif }
h1 { font-size: 1.7rem; margin: 0 } h2 { font-size: 1.15rem; margin: 2.5rem 0 .5rem }
p { max-width: 44rem } .soft { color: var(--soft) }
img, video { max-width: 100%; border-radius: 6px } video { width: 30rem; background: #000 }
.numbers { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1.25rem 0 }
.numbers div { background: var(--card); border-radius: 8px; padding: .7rem 1.1rem; min-width: 8rem }
.numbers b { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: 1rem }
.grid figure { margin: 0 } figcaption { font-size: .8rem; color: var(--soft) }
svg { width: 100%; height: 4.5rem; background: var(--card); border-radius: 6px; display: block }
svg rect { fill: var(--truth) } svg polyline { fill: none; stroke: var(--score); stroke-width: 1.5; vector-effect: non-scaling-stroke }
svg line { stroke: var(--soft); stroke-dasharray: 3 3; vector-effect: non-scaling-stroke }
code { background: var(--card); padding: .1em .35em; border-radius: 4px }
</style>
<h1>amiss demo</h1>
<p>A detector learned from $n_train drawn videos, told only which of them had something anomalous in them, never when.
It was then asked <em>when</em> in $n_test videos it had not seen.</p>
<div class="numbers">$numbers</div>
<p class="soft">Measured on every decoded frame of the test videos ($n_frames frames, $n_positive anomalous). The detector was
selected on held-out training videos; the test videos were not looked at before.</p>
<h2>One unseen video</h2>
<p>Score over time; shaded: events found (score at or above $threshold, a threshold taken from normal training videos);
the bar below: what really happened ($showcase_class).</p>
$score_figure
<p><video controls muted loop playsinline src="data:video/mp4;base64,$video"></video></p>
<h2>All test videos</h2>
<p class="soft">Line: score, 0 to 1. Shaded: frames that are really anomalous. Dashed: threshold.</p>
<div class="grid">$timelines</div>
<h2>ROC curve</h2>
$roc_figure
<h2>Your own videos</h2>
<p>Put them in two folders, <code>normal/</code> and <code>anomalous/</code>, and run the five lines of the README.
This demo's detector lies in <code>detector/</code>; its numbers in <code>metrics.json</code>.</p>
<p class="soft">Drawn videos are easy: numbers on real footage are lower. See docs/explanations/benchmarks.md.</p>
</html>
""")


def write_demo_report(
    folder: Path, demo: DemoSet, scores: Scores, result: EvaluationResult, detector: Detector, scored: ScoreResult
) -> None:
    """Write `report.html` into the demo's folder."""
    videos, showcase = demo.manifest.split("test"), demo.unseen
    per_frame = {v.video_id: frame_scores(scores[v.video_id], _frames(v)) for v in videos}
    labels = np.concatenate([frame_labels(v, _frames(v)) for v in videos])
    curve = {"detector": (labels, np.concatenate(list(per_frame.values())))}
    numbers = {"frame AUC": result.auc, "Ano-AUC": result.ano_auc, "AP": result.ap, "video AUC": result.video_auc}
    threshold = detector.calibration.threshold
    page = _PAGE.substitute(
        n_train=len(demo.manifest.split("train")),
        n_test=len(videos),
        n_frames=result.n_frames,
        n_positive=result.n_positive,
        numbers="".join(f"<div><b>{value:.3f}</b>{name}</div>" for name, value in numbers.items() if value is not None),
        threshold=f"{threshold:.2f}",
        showcase_class=escape(showcase.class_name or "normal"),
        score_figure=_picture(
            "score of the unseen video over time",
            *(figure_png(score_figure(scored, showcase.path, showcase.events, dark=dark)) for dark in (False, True)),
        ),
        video=_base64((folder / f"{showcase.video_id}.annotated.mp4").read_bytes()),
        timelines="".join(_timeline(video, per_frame[video.video_id], threshold) for video in videos),
        roc_figure=_picture("ROC curve", *(figure_png(plot_roc(curve, dark=dark)) for dark in (False, True))),
    )
    write_text(folder / "report.html", page)


def _frames(video: Video) -> int:
    assert video.n_frames is not None, "the demo's manifest has frame counts"
    return video.n_frames


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _picture(alt: str, light: bytes, dark: bytes) -> str:
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="data:image/png;base64,{_base64(dark)}">'
        f'<img alt="{escape(alt)}" src="data:image/png;base64,{_base64(light)}"></picture>'
    )


def _timeline(video: Video, scores: np.ndarray, threshold: float) -> str:
    """One test video as a small inline SVG, x = frames, y = 1 - score."""
    n = len(scores)
    truth = "".join(
        f'<rect x="{start}" y="0" width="{min(end, n) - start}" height="1"/>' for start, end in video.events
    )
    step = max(1, n // 120)
    points = " ".join(f"{i},{1 - scores[i]:.3f}" for i in range(0, n, step))
    caption = escape(f"{video.video_id} · {video.class_name or 'normal'}")
    return (
        f'<figure><svg viewBox="0 -0.05 {n} 1.1" preserveAspectRatio="none">{truth}'
        f'<line x1="0" x2="{n}" y1="{1 - threshold:.3f}" y2="{1 - threshold:.3f}"/><polyline points="{points}"/></svg>'
        f"<figcaption>{caption}</figcaption></figure>"
    )
