"""Measuring the systems of a benchmark: scores on disk → metrics over seeds, intervals, comparisons."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from amiss.bench._results import Kind, Measurement, MetricSpread
from amiss.datasets import Manifest
from amiss.errors import EvaluationError
from amiss.evaluation import (
    Comparison,
    ScoredFrames,
    Scores,
    bootstrap_metrics,
    compare,
    compare_with_shortcuts,
    evaluate_frames,
    read_scores,
    score_frames,
    summarise_seeds,
)

_WITHIN = "within"
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
    files: Mapping[Kind, tuple[tuple[Path, ...], ...]]
    """Kind of model → score files by seed, then fold."""
    exclude: frozenset[str]
    """Test videos that can't be scored."""
    thresholds: tuple[float, ...] = ()
    """Operating point of the selected model, by seed."""
    seeds: tuple[int, ...] = ()

    @property
    def shown(self) -> Kind:
        """The kind of model that figures and comparisons are of: never the oracle where there is another."""
        if "selected" in self.files:
            return "selected"
        return "last" if "last" in self.files else "oracle(test)"

    def frames(self, kind: Kind, seed: int = 0, protocol: str | None = None) -> ScoredFrames:
        """The scored test frames of one seed (by position)."""
        scores: Scores = {}
        for file in self.files[kind][seed]:
            scores |= read_scores(file, self.manifest)
        with warnings.catch_warnings(action="ignore"):  # events past the end: noted in the result
            return score_frames(scores, self.manifest, protocol or self.protocols[0], exclude=self.exclude)


def measure(subject: Subject, n_bootstrap: int) -> Measurement:
    """All metrics of a subject: by kind of model, protocol and metric, over seeds.

    Raises:
        EvaluationError: scores don't fit the manifest, or the metric that systems are ranked by is undefined.
    """
    rows: dict[Kind, dict[str, dict[str, MetricSpread]]] = {}
    for kind, seeds in subject.files.items():
        rows[kind] = {}
        for protocol in subject.protocols:
            frames = [subject.frames(kind, seed, protocol) for seed in range(len(seeds))]
            each = [bootstrap_metrics(own, np.ones((1, len(own.videos)))) for own in frames]
            rows[kind][protocol] = {
                name: MetricSpread(
                    mean=summary.mean,
                    std=summary.std,
                    ci95=summary.ci95,
                    per_seed=tuple(float(values[name][0]) for values in each),
                )
                for name, summary in summarise_seeds(frames, n_bootstrap=n_bootstrap).items()
            }
    threshold = subject.thresholds[0] if subject.thresholds else 0.5
    detail = evaluate_frames(
        subject.frames(subject.shown), n_bootstrap=0, threshold=threshold, n_excluded=len(subject.exclude)
    )
    if subject.metric not in rows[subject.shown][subject.protocols[0]]:
        why = detail.undefined.get(subject.metric)
        raise EvaluationError(f"{subject.dataset}: {subject.metric} is undefined for {subject.name}: {why}")
    shown = [subject.frames(subject.shown, seed) for seed in range(len(subject.files[subject.shown]))]
    shortcuts = compare_with_shortcuts(shown, n_bootstrap=n_bootstrap) if detail.shortcuts else {}
    return Measurement(rows=rows, detail=detail, shortcuts=shortcuts)


def compare_subjects(subjects: Sequence[Subject], n_bootstrap: int) -> tuple[list[Comparison], list[str]]:
    """Paired comparisons of the subjects of one dataset, in the metric that they are ranked by and in `within`.

    All pairs of few systems, else each with the first, Holm-corrected together in each metric. Oracles are not
    compared: they were chosen on the test set.

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
    metrics = [honest[0].metric]
    if _WITHIN not in metrics and first is not None and _defines_within(first):
        metrics.append(_WITHIN)
    return compare(systems, metrics, reference=reference, n_bootstrap=n_bootstrap), remarks


def _defines_within(frames: ScoredFrames) -> bool:
    """Whether a video has frames of both labels."""
    value = bootstrap_metrics(frames, np.ones((1, len(frames.videos))), only=[_WITHIN]).get(_WITHIN)
    return value is not None and not np.isnan(value[0])
