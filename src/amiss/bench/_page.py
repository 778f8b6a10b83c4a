"""The report of a benchmark: one HTML file with everything in it, light and dark."""

import base64
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import roc_auc_score

from amiss.bench._measure import Subject
from amiss.bench._results import row_protocol
from amiss.bench._tables import (
    COLUMNS,
    COMPARISON_COLUMNS,
    COST_COLUMNS,
    COST_LEGEND,
    LEGEND,
    METRIC_NAMES,
    comparison_rows,
    cost_rows,
    describe,
    other_metrics,
    remarks,
    sweep_sentence,
    table_rows,
)
from amiss.evaluation import ScoredFrames, figure_png, plot_classes, plot_optimism, plot_pr, plot_roc
from amiss.files import write_text

_CURVES = 7  # systems in one figure
_EACH = 2  # videos shown of the best, the middle, the worst, and the loudest normal ones
_POINTS = 400

_PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$name</title>
<style>
:root { --ink: #1c2024; --soft: #5b6675; --line: #d9dee5; --page: #ffffff; --card: #f6f8fa; --score: #0072b2;
        --truth: #d55e0033; --warn: #b42318; --warnbg: #fef1ef; --oracle: #f3ece4 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8eaed; --soft: #9aa6b5; --line: #333a42; --page: #14171a; --card: #1c2126; --score: #56b4e9;
          --truth: #ff8f3f44; --warn: #ff9b8a; --warnbg: #3a1d1a; --oracle: #2a241d }
}
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 68rem; padding: 2rem 1.25rem 4rem; background: var(--page); color: var(--ink);
       font: 15.5px/1.55 system-ui, sans-serif }
h1 { font-size: 1.75rem; margin: 0 0 .5rem; line-height: 1.25 }
h2 { font-size: 1.3rem; margin: 3rem 0 .4rem; padding-top: .8rem; border-top: 1px solid var(--line) }
h3 { font-size: 1.02rem; margin: 2rem 0 .4rem }
p { max-width: 52rem; margin: .5rem 0 } .soft { color: var(--soft) } .small { font-size: .85rem }
.warn { border-left: 4px solid var(--warn); background: var(--warnbg); padding: .6rem 1rem; margin: .6rem 0;
  border-radius: 0 6px 6px 0 }
.warn b { color: var(--warn) }
.wide { overflow-x: auto }
table { border-collapse: collapse; margin: .8rem 0; font-size: .84rem; font-variant-numeric: tabular-nums }
th { text-align: right; font-weight: 600; border-bottom: 1.5px solid var(--ink); vertical-align: bottom }
td { text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap }
th, td { padding: .34rem .6rem }
th:first-child, td:first-child { text-align: left; padding-left: 0 }
.dense table { font-size: .77rem } .dense th, .dense td { padding: .3rem .42rem }
.dense th:first-child, .dense td:first-child { padding-left: 0 }
td.main { font-weight: 650 } .oracle { background: var(--oracle); color: var(--soft); font-style: italic }
.figures { display: flex; flex-wrap: wrap; gap: 1.2rem; align-items: flex-start }
.figures > * { flex: 0 1 auto; max-width: 100% }
img { max-width: 100%; height: auto; border-radius: 4px; display: block }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1rem 1.2rem;
  margin: .6rem 0 }
.grid figure { margin: 0 }
figcaption { font-size: .8rem; color: var(--soft); margin-top: .2rem; overflow-wrap: anywhere }
figcaption b { color: var(--ink); font-weight: 600 }
svg { width: 100%; height: 4.6rem; background: var(--card); border-radius: 5px; display: block }
svg rect { fill: var(--truth) }
svg polyline { fill: none; stroke: var(--score); stroke-width: 1.4; vector-effect: non-scaling-stroke }
ul { margin: .5rem 0; padding-left: 1.2rem; max-width: 60rem } li { margin: .15rem 0; overflow-wrap: anywhere }
pre { background: var(--card); padding: .8rem 1rem; border-radius: 6px; overflow-x: auto; font-size: .78rem;
  line-height: 1.45 }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.2rem; font-size: .87rem }
dt { color: var(--soft) } dd { margin: 0; overflow-wrap: anywhere }
@media print { body { max-width: none } .grid figure, .figures > * { break-inside: avoid } }
</style>
<h1>$name</h1>
$note
$marks
$datasets
<h2>Provenance</h2>
$provenance
</html>
""")


def write_page(path: Path, results: Mapping[str, Any], subjects: Sequence[Subject]) -> None:
    """Write `report.html`."""
    page = _PAGE.substitute(
        name=escape(results["name"]),
        note="".join(f"<p>{escape(part)}</p>" for part in results["note"].split("\n\n") if part.strip()),
        marks="".join(f'<div class="warn"><b>Warning</b> {escape(mark)}</div>' for mark in results["marks"])
        + "".join(f'<div class="warn"><b>Failed</b> {escape(failure)}</div>' for failure in results["failures"]),
        datasets="".join(
            _dataset(dataset, [subject for subject in subjects if subject.dataset == dataset["name"]])
            for dataset in results["datasets"]
        ),
        provenance=_provenance(results),
    )
    write_text(path, page)


def _dataset(dataset: Mapping[str, Any], subjects: Sequence[Subject]) -> str:
    if not subjects:
        return f"<h2>{escape(dataset['name'])}</h2><p>No system could be measured.</p>"
    metric = METRIC_NAMES[dataset["metric"]]
    by_name = {row["name"]: row for row in dataset["systems"]}
    parts = [
        f"<h2>{escape(dataset['name'])}</h2><p>{escape(describe(dataset))}</p>",
        _table(COLUMNS, table_rows(dataset)),
        f'<p class="soft small">{escape(metric)}: {escape(LEGEND.replace("`", ""))}</p>',
    ]
    parts += [f"<p>{escape(sweep_sentence(sweep))}</p>" for sweep in dataset["sweeps"]]
    optimism = {
        row["name"]: {kind: row["rows"][kind][row_protocol(row)][row["metric"]]["per_seed"] for kind in row["rows"]}
        for row in dataset["systems"]
        if row["optimism"] is not None
    }
    if optimism:
        parts.append("<h3>What choosing on the test set would add</h3>")
        parts.append(_picture("optimism", lambda dark: plot_optimism(optimism, metric=metric, dark=dark)))
    parts.append("<h3>All metrics, selected models</h3>")
    parts.append(f'<div class="dense">{_table(*other_metrics(dataset))}</div>')
    if dataset["comparisons"]:
        parts.append("<h3>Is A better than B?</h3>")
        parts.append(_table(COMPARISON_COLUMNS, comparison_rows(dataset)))
        parts.append(
            f'<p class="soft small">{escape(metric)}, in points: the same resampled test videos for both (paired), '
            "seeds resampled too; p two-sided, corrected by Holm over all comparisons of this dataset.</p>"
        )
    parts.append(_curves(subjects, by_name))
    best = _representative(subjects, by_name)
    detail = by_name[best.name]["detail"]
    if detail["per_class"]:
        parts.append(f"<h3>By class: {escape(best.name)}</h3>")
        per_class = detail["per_class"]
        parts.append(_picture("metrics by class", lambda dark: plot_classes(per_class, dark=dark)))
    known = any(row["held_out"] for row in by_name.values())
    reason = "The system that is best on held-out training videos" if known else "The first system of the suite"
    parts.append(_timelines(best, best.frames(best.shown), reason))
    if costs := cost_rows(dataset):
        parts.append("<h3>Cost</h3>")
        parts.append(_table(COST_COLUMNS, costs))
        parts.append(f'<p class="soft small">{escape(COST_LEGEND)}</p>')
    if notes := remarks(dataset):
        parts.append(f"<h3>Notes</h3><ul>{''.join(f'<li>{escape(note)}</li>' for note in notes)}</ul>")
    return "".join(parts)


def _representative(subjects: Sequence[Subject], rows: Mapping[str, Any]) -> Subject:
    """The system whose details are shown: best on held-out training videos, never on the test; else the first."""

    def held_out(subject: Subject) -> float:
        value = rows[subject.name]["held_out"]
        return float(value["mean"]) if value else -1.0

    return max(subjects, key=held_out)


def _curves(subjects: Sequence[Subject], rows: Mapping[str, Any]) -> str:
    """ROC and PR over frames, or over videos where frames have no labels."""
    shown = [subject for subject in subjects if subject.shown != "oracle(test)"][:_CURVES]
    if not shown:
        return ""
    curves = {}
    over = "frames"
    for subject in shown:
        frames = subject.frames(subject.shown)
        if frames.has_frame_labels:
            curves[subject.name] = (frames.labels, frames.scores)
        else:
            curves[subject.name] = (frames.anomalous, frames.video_scores)
            over = "videos (the largest score of each)"
    kind, seeds = shown[0].shown, shown[0].seeds
    which = f"{kind}, seed {seeds[0]}" if seeds else kind
    more = f" First {len(shown)} of {len(subjects)} systems." if len(subjects) > len(shown) else ""
    return (
        f'<h3>ROC and precision-recall</h3><div class="figures">'
        f"{_picture('ROC curves', lambda dark: plot_roc(curves, dark=dark))}"
        f"{_picture('precision-recall curves', lambda dark: plot_pr(curves, dark=dark))}</div>"
        f'<p class="soft small">Over {over}; {escape(which)}.{more}</p>'
    )


def _timelines(subject: Subject, frames: ScoredFrames, reason: str) -> str:
    """Scores over time of the anomalous videos that come out best, in the middle and worst, and of normal ones."""
    with_truth = frames.has_frame_labels
    ranked = []
    for index, video in enumerate(frames.videos):
        if video.label:
            scores, labels = frames.of_video(index)
            if not with_truth:
                ranked.append((float(scores.max()), index))
            elif labels.any() and not labels.all():
                ranked.append((float(roc_auc_score(labels, scores)), index))
    ranked.sort(reverse=True)
    middle = max(0, len(ranked) // 2 - _EACH // 2)
    groups = {"best": ranked[:_EACH], "median": ranked[middle : middle + _EACH], "worst": ranked[-_EACH:]}
    loud = sorted(
        ((float(frames.video_scores[i]), i) for i, v in enumerate(frames.videos) if not v.label), reverse=True
    )
    groups["loudest normal"] = loud[:_EACH]
    figures, seen = [], set[int]()
    for group, members in groups.items():
        for value, index in members:
            if index not in seen:
                seen.add(index)
                figures.append(_timeline(frames, index, group, value))
    by = "AUC within the video" if with_truth else "largest score"
    which = f"{subject.shown}, seed {subject.seeds[0]}" if subject.seeds else subject.shown
    return (
        f"<h3>Scores over time: {escape(subject.name)}</h3>"
        f'<p class="soft small">{reason}; {escape(which)}. Anomalous test '
        f"videos by {by}: the best, the median and the worst, and the normal ones with the highest score. Line: score, "
        f"from the lowest to the highest of the test set.{' Shaded: annotated events.' if with_truth else ''}</p>"
        f'<div class="grid">{"".join(figures)}</div>'
    )


def _timeline(frames: ScoredFrames, index: int, group: str, value: float) -> str:
    """One video as a small inline SVG, x = frames, y = 1 - score on the scale of the whole test set."""
    video = frames.videos[index]
    scores, labels = frames.of_video(index)
    low, high = float(frames.scores.min()), float(frames.scores.max())
    scaled = 1 - (scores - low) / ((high - low) or 1.0)
    n = len(scores)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], labels.astype(np.int8), [0]])))
    truth = "".join(
        f'<rect x="{start}" y="-0.05" width="{end - start}" height="1.1"/>'
        for start, end in edges.reshape(-1, 2).tolist()
    )
    points = " ".join(f"{i},{scaled[i]:.3f}" for i in np.unique(np.linspace(0, n - 1, min(n, _POINTS)).astype(int)))
    class_name = video.class_name or ("anomalous" if video.label else "normal")
    measure = f"max {value:.2f}" if group == "loudest normal" or not frames.has_frame_labels else f"AUC {value:.2f}"
    length = f"{n / video.fps:.0f} s" if video.fps else f"{n} frames"
    return (
        f'<figure><svg viewBox="0 -0.05 {n} 1.1" preserveAspectRatio="none" role="img">{truth}'
        f'<polyline points="{points}"/></svg><figcaption><b>{group}</b> · {measure} · '
        f"{escape(video.video_id)} · {escape(class_name)} · {length}</figcaption></figure>"
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    oracle = [i for i, name in enumerate(columns) if name.startswith(("oracle", "optimism"))]
    main = [i for i, name in enumerate(columns) if name == "selected"]

    def cell(tag: str, index: int, text: str) -> str:
        names = ["oracle"] * (index in oracle) + ["main"] * (index in main)
        return f"<{tag}{f' class={names[0]}' if names else ''}>{escape(text)}</{tag}>"

    head = "".join(cell("th", i, name) for i, name in enumerate(columns))
    body = "".join(f"<tr>{''.join(cell('td', i, text) for i, text in enumerate(row))}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _picture(alt: str, draw: Callable[[bool], Figure]) -> str:
    light, dark = (base64.b64encode(figure_png(draw(dark))).decode("ascii") for dark in (False, True))
    width = round(draw(False).get_figwidth() * 100)
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="data:image/png;base64,{dark}">'
        f'<img alt="{escape(alt)}" width="{width}" src="data:image/png;base64,{light}"></picture>'
    )


def _provenance(results: Mapping[str, Any]) -> str:
    made = results["provenance"]
    facts = {
        "suite": f"{made['suite']}, sha256 {made['suite_sha256']}",
        "training seeds": ", ".join(map(str, made["seeds"])),
        "resamplings": str(made["bootstrap"]),
        "cells": f"{made['cells']} trained in {made['training_seconds']:.0f} s of one core each",
        "amiss": f"{made['amiss']}, revision {made['versions'].get('git_revision') or 'unknown'}",
        "versions": ", ".join(f"{k} {v}" for k, v in made["versions"].items() if k not in ("git_revision", "amiss")),
        "machine": made["machine"],
    }
    for dataset in results["datasets"]:
        for features in dataset["features"]:
            facts[f"{dataset['name']}: {features['name']}"] = (
                f"{features['backbone']} ({features['weights']}), {features['dim']}-d, stride {features['stride']}, "
                f"{features['crops']} crop(s), {features['n_videos']} videos, spec {features['spec_hash'][:16]}"
            )
        hashes = sorted({value for row in dataset["systems"] for value in row["data_hashes"]})
        if hashes:
            more = f" and {len(hashes) - 1} more (folds, feature sets)" if len(hashes) > 1 else ""
            facts[f"{dataset['name']}: training data"] = f"sha256 {hashes[0]}{more}"
        facts |= {
            f"{dataset['name']}: {row['name']}": f"scores, sha256 {', '.join(row['scores_sha256'])}"
            for row in dataset["systems"]
            if row["scores_sha256"]
        }
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return f"<dl>{rows}</dl><pre>{escape(made['suite_text'])}</pre>"
