"""The report of a benchmark: one HTML file with everything in it, light and dark."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from amiss.bench._measure import Subject
from amiss.bench._results import BenchResult, DatasetResult, SystemResult
from amiss.bench._tables import (
    COLUMNS,
    COMPARISON_COLUMNS,
    COST_COLUMNS,
    COST_LEGEND,
    GLANCE_COLUMNS,
    GLANCE_LEGEND,
    LEGEND,
    SHORTCUT_LEGEND,
    comparison_rows,
    cost_rows,
    describe,
    glance_rows,
    other_metrics,
    remarks,
    shortcut_rows,
    sweep_sentence,
    table_rows,
)
from amiss.evaluation import (
    METRIC_NAMES,
    ScoredFrames,
    figure_picture,
    plot_classes,
    plot_optimism,
    plot_pr,
    plot_roc,
    runs_above,
)
from amiss.files import write_text
from amiss.pages import Picture, render

_CURVES = 7  # systems in one figure
_EACH = 2  # videos shown of the best, the middle, the worst, and the loudest normal ones
_POINTS = 400


@dataclass(frozen=True)
class _Table:
    """A table of texts, as the page shows it."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    @property
    def main(self) -> list[int]:
        """Columns of the result."""
        return [i for i, name in enumerate(self.columns) if name == "selected"]

    @property
    def apart(self) -> list[int]:
        """Columns that no one may report as a result."""
        return [i for i, name in enumerate(self.columns) if name.startswith(("oracle", "optimism"))]


@dataclass(frozen=True)
class _Curves:
    """ROC and PR of some systems."""

    pictures: tuple[Picture, Picture]
    over: str
    """What a point is."""
    which: str
    """Kind of model and seed."""
    left_out: int
    """Systems that are not shown."""
    shown: int


@dataclass(frozen=True)
class _Timeline:
    """The scores of one video: x = frames, score on the scale of the whole test set."""

    group: str
    measure: str
    video_id: str
    class_name: str
    duration: str
    length: int
    points: list[tuple[int, float]]
    events: list[tuple[int, int]]


@dataclass(frozen=True)
class _DatasetPage:
    """What the page shows of a dataset."""

    name: str
    description: str
    metric: str
    main: _Table
    sweeps: list[str]
    optimism: Picture | None
    others: list[tuple[str, _Table]]
    """By protocol."""
    shortcuts: _Table | None
    glances: _Table | None
    comparisons: _Table | None
    curves: _Curves | None
    best: str
    """The system whose details are shown."""
    best_is_selected: bool
    """Whether held-out videos chose it."""
    best_which: str
    classes: Picture | None
    timelines: list[_Timeline]
    has_events: bool
    costs: _Table | None
    remarks: list[str]


def write_report(path: Path, results: BenchResult, subjects: Sequence[Subject]) -> None:
    """Write `report.html`."""
    datasets = []
    for dataset in results.datasets:
        own = [subject for subject in subjects if subject.dataset == dataset.name]
        datasets.append((dataset.name, _page_of(dataset, own) if own else None))
    page = render(
        "bench/report.html",
        results=results,
        datasets=datasets,
        provenance=_provenance(results),
        legend=LEGEND.replace("`", ""),
        cost_legend=COST_LEGEND,
        glance_legend=GLANCE_LEGEND,
        shortcut_legend=SHORTCUT_LEGEND.replace("`", '"'),
    )
    write_text(path, page)


def _page_of(dataset: DatasetResult, subjects: Sequence[Subject]) -> _DatasetPage:
    rows = {row.name: row for row in dataset.systems}
    best = _representative(subjects, rows)
    frames = best.frames(best.shown)
    per_class = rows[best.name].detail.per_class
    comparisons, costs, shortcuts = comparison_rows(dataset), cost_rows(dataset), shortcut_rows(dataset)
    glances = glance_rows(dataset)
    return _DatasetPage(
        name=dataset.name,
        description=describe(dataset),
        metric=METRIC_NAMES[dataset.metric],
        main=_Table(COLUMNS, table_rows(dataset)),
        sweeps=[sweep_sentence(sweep) for sweep in dataset.sweeps],
        optimism=_optimism(dataset),
        others=[(protocol, _Table(columns, rows)) for protocol, columns, rows in other_metrics(dataset)],
        shortcuts=_Table(*shortcuts) if shortcuts[1] else None,
        glances=_Table(GLANCE_COLUMNS, glances) if glances else None,
        comparisons=_Table(COMPARISON_COLUMNS, comparisons) if comparisons else None,
        curves=_curves(subjects),
        best=best.name,
        best_is_selected=any(row.held_out for row in dataset.systems),
        best_which=_which(best),
        classes=figure_picture("metrics by class", lambda dark: plot_classes(per_class, dark=dark))
        if per_class
        else None,
        timelines=_timelines(frames),
        has_events=frames.has_frame_labels,
        costs=_Table(COST_COLUMNS, costs) if costs else None,
        remarks=remarks(dataset),
    )


def _optimism(dataset: DatasetResult) -> Picture | None:
    """What choosing on the test set would add, of the systems that were trained here."""
    values: dict[str, dict[str, list[float]]] = {
        row.name: {kind: list(rows[row.protocol][row.metric].per_seed) for kind, rows in row.rows.items()}
        for row in dataset.systems
        if row.optimism is not None
    }
    if not values:
        return None
    return figure_picture(
        "optimism", lambda dark: plot_optimism(values, metric=METRIC_NAMES[dataset.metric], dark=dark)
    )


def _representative(subjects: Sequence[Subject], rows: Mapping[str, SystemResult]) -> Subject:
    """The system whose details are shown: best on held-out training videos, never on the test; else the first."""

    def held_out(subject: Subject) -> float:
        value = rows[subject.name].held_out
        return value.mean if value else -1.0

    return max(subjects, key=held_out)


def _which(subject: Subject) -> str:
    return f"{subject.shown}, seed {subject.seeds[0]}" if subject.seeds else subject.shown


def _curves(subjects: Sequence[Subject]) -> _Curves | None:
    """ROC and PR over frames, or over videos where frames have no labels."""
    shown = [subject for subject in subjects if subject.shown != "oracle(test)"][:_CURVES]
    if not shown:
        return None
    curves = {}
    over = "frames"
    for subject in shown:
        frames = subject.frames(subject.shown)
        if frames.has_frame_labels:
            curves[subject.name] = (frames.labels, frames.scores)
        else:
            curves[subject.name] = (frames.anomalous, frames.video_scores)
            over = "videos (the largest score of each)"
    roc = figure_picture("ROC curves", lambda dark: plot_roc(curves, dark=dark))
    pr = figure_picture("precision-recall curves", lambda dark: plot_pr(curves, dark=dark))
    return _Curves((roc, pr), over, _which(shown[0]), len(subjects) - len(shown), len(shown))


def _timelines(frames: ScoredFrames) -> list[_Timeline]:
    """Scores over time of the anomalous videos that come out best, in the middle and worst, and of normal ones."""
    ranked = []
    for index, video in enumerate(frames.videos):
        if video.label:
            scores, labels = frames.of_video(index)
            if not frames.has_frame_labels:
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
    found, seen = [], set[int]()
    for group, members in groups.items():
        for value, index in members:
            if index not in seen:
                seen.add(index)
                found.append(_timeline(frames, index, group, value))
    return found


def _timeline(frames: ScoredFrames, index: int, group: str, value: float) -> _Timeline:
    video = frames.videos[index]
    scores, labels = frames.of_video(index)
    low, high = float(frames.scores.min()), float(frames.scores.max())
    scaled = (scores - low) / ((high - low) or 1.0)
    n = len(scores)
    is_auc = group != "loudest normal" and frames.has_frame_labels
    return _Timeline(
        group=group,
        measure=f"{'AUC' if is_auc else 'max'} {value:.2f}",
        video_id=video.video_id,
        class_name=video.class_name or ("anomalous" if video.label else "normal"),
        duration=f"{seconds:.0f} s" if (seconds := frames.seconds(index)) else f"{n} frames",
        length=n,
        points=[(i, float(scaled[i])) for i in np.unique(np.linspace(0, n - 1, min(n, _POINTS)).astype(int)).tolist()],
        events=runs_above(labels),
    )


def _provenance(results: BenchResult) -> dict[str, str]:
    made = results.provenance
    facts = {
        "suite": f"{made.suite}, sha256 {made.suite_sha256}",
        "training seeds": ", ".join(map(str, made.seeds)),
        "resamplings": str(made.bootstrap),
        "cells": f"{made.cells} trained in {made.training_seconds:.0f} s of one core each",
        "amiss": f"{made.amiss}, revision {made.versions.get('git_revision') or 'unknown'}",
        "versions": ", ".join(f"{k} {v}" for k, v in made.versions.items() if k not in ("git_revision", "amiss")),
        "machine": made.machine,
    }
    for dataset in results.datasets:
        for features in dataset.features:
            facts[f"{dataset.name}: {features.name}"] = (
                f"{features.backbone} ({features.weights}), {features.dim}-d, stride {features.stride}, "
                f"{features.crops} crop(s), {features.n_videos} videos, spec {features.spec_hash[:16]}"
            )
        hashes = sorted({value for row in dataset.systems for value in row.data_hashes})
        if hashes:
            more = f" and {len(hashes) - 1} more (folds, feature sets)" if len(hashes) > 1 else ""
            facts[f"{dataset.name}: training data"] = f"sha256 {hashes[0]}{more}"
        facts |= {
            f"{dataset.name}: {row.name}": f"scores, sha256 {', '.join(row.scores_sha256)}"
            for row in dataset.systems
            if row.scores_sha256
        }
    return facts
