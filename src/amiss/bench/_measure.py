"""Measuring the systems of a benchmark: scores on disk → metrics over seeds, intervals, comparisons."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from amiss.datasets import Manifest
from amiss.errors import EvaluationError
from amiss.evaluation import (
    ScoredFrames,
    Scores,
    bootstrap_metrics,
    compare,
    evaluate_frames,
    read_scores,
    score_frames,
    summarise_seeds,
)

_ALL_PAIRS = 5  # up to so many systems every pair is compared, more of them each with the first


@dataclass(frozen=True)
class Subject:
    """Something that has scores: a system of the suite, or someone's scores."""

    name: str
    dataset: str
    features: str
    """Name of the feature set; empty for bare scores."""
    metric: str
    protocols: tuple[str, ...]
    manifest: Manifest
    """Its test split is what is measured."""
    files: Mapping[str, tuple[tuple[Path, ...], ...]]
    """`last`, `selected`, `oracle(test)` → score files by seed, then fold."""
    exclude: frozenset[str]
    """Test videos that can't be scored."""
    thresholds: tuple[float, ...] = ()
    """Operating point of the selected model, by seed."""
    seeds: tuple[int, ...] = ()

    @property
    def shown(self) -> str:
        """The kind of model that figures and comparisons are of: never the oracle where there is another."""
        return next((kind for kind in ("selected", "last") if kind in self.files), "oracle(test)")

    def frames(self, kind: str, seed: int = 0, protocol: str | None = None) -> ScoredFrames:
        """The scored test frames of one seed (by position)."""
        scores: Scores = {}
        for file in self.files[kind][seed]:
            scores |= read_scores(file, self.manifest)
        with warnings.catch_warnings(action="ignore"):  # events past the end: noted in the result
            return score_frames(scores, self.manifest, protocol or self.protocols[0], exclude=self.exclude)


def measure(subject: Subject, n_bootstrap: int) -> dict[str, Any]:
    """All metrics of a subject: by kind of model, protocol and metric, over seeds.

    Returns:
        `rows` (kind → protocol → metric → mean, std, ci95, per_seed), and of the first seed of the model that is shown
        `detail`: everything that an evaluation gives.

    Raises:
        EvaluationError: scores don't fit the manifest, or the metric that systems are ranked by is undefined.
    """
    rows: dict[str, dict[str, dict[str, Any]]] = {}
    for kind, seeds in subject.files.items():
        rows[kind] = {}
        for protocol in subject.protocols:
            frames = [subject.frames(kind, seed, protocol) for seed in range(len(seeds))]
            each = [bootstrap_metrics(own, np.ones((1, len(own.videos)))) for own in frames]
            rows[kind][protocol] = {
                name: {
                    "mean": summary.mean,
                    "std": summary.std,
                    "ci95": list(summary.ci95),
                    "per_seed": [float(values[name][0]) for values in each],
                }
                for name, summary in summarise_seeds(frames, n_bootstrap=n_bootstrap).items()
            }
    threshold = subject.thresholds[0] if subject.thresholds else 0.5
    detail = evaluate_frames(
        subject.frames(subject.shown), n_bootstrap=0, threshold=threshold, n_excluded=len(subject.exclude)
    ).to_dict()
    if subject.metric not in rows[subject.shown][subject.protocols[0]]:
        why = detail["undefined"].get(subject.metric)
        raise EvaluationError(f"{subject.dataset}: {subject.metric} is undefined for {subject.name}: {why}")
    detail |= {name: list(detail[name]) for name in ("notes", "seeds")}  # as JSON has them
    return {"rows": rows, "detail": detail}


def compare_subjects(subjects: Sequence[Subject], n_bootstrap: int) -> tuple[list[dict[str, Any]], list[str]]:
    """Paired comparisons of the subjects of one dataset, Holm-corrected together.

    All pairs of few systems, else each with the first. Oracles are not compared: they were chosen on the test set.

    Returns:
        The comparisons, and what can't be compared and why.
    """
    honest = [subject for subject in subjects if subject.shown != "oracle(test)"]
    if not honest:
        return [], []
    remarks: list[str] = []
    systems: dict[str, list[ScoredFrames]] = {}
    first: ScoredFrames | None = None
    for subject in honest:
        frames = [subject.frames(subject.shown, seed) for seed in range(len(subject.files[subject.shown]))]
        first = first or frames[0]
        if [v.video_id for v in frames[0].videos] != [v.video_id for v in first.videos]:
            remarks.append(
                f"{subject.name} is not compared: it was measured on {len(frames[0].videos)} test videos, "
                f"{honest[0].name} on {len(first.videos)}, not all the same"
            )
            continue
        systems[subject.name] = frames
    if len(systems) < 2:
        return [], remarks
    reference = None if len(systems) <= _ALL_PAIRS else next(iter(systems))
    found = compare(systems, honest[0].metric, reference=reference, n_bootstrap=n_bootstrap)
    return [comparison.to_dict() | {"ci95": list(comparison.ci95)} for comparison in found], remarks
