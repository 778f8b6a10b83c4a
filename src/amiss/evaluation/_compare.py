"""Is A better than B? Means over seeds, their intervals, and paired tests over the same resampled videos."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amiss.errors import EvaluationError, UsageError
from amiss.evaluation._bootstrap import bootstrap_metrics, intervals, resample_videos
from amiss.evaluation._event_evaluation import event_summary
from amiss.evaluation._frame_metrics import frame_metrics
from amiss.evaluation._metric_names import METRICS
from amiss.evaluation._scored_frames import ScoredFrames
from amiss.evaluation._shortcuts import against_shortcuts
from amiss.evaluation._undefined import Metric, settle

Values = NDArray[np.float64]


@dataclass(frozen=True)
class SeedSummary:
    """A metric over training seeds."""

    mean: float
    """Over seeds."""
    std: float
    """Sample standard deviation over seeds; 0 for a single seed."""
    ci95: tuple[float, float]
    """Of the mean, over resampled seeds and resampled videos."""
    n_seeds: int
    """How many."""


@dataclass(frozen=True)
class Comparison:
    """How much better A is than B in a metric, on the same videos."""

    a: str
    """Name of the first system."""
    b: str
    """Name of the second."""
    metric: str
    """One of `METRICS`."""
    difference: float
    """A - B, each the mean over its seeds."""
    ci95: tuple[float, float]
    """Of the difference."""
    p: float
    """Two-sided, from the bootstrap."""
    p_holm: float
    """Corrected for all comparisons in this metric made together (Holm 1979)."""

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def summarise_seeds(
    frames: Sequence[ScoredFrames], *, n_bootstrap: int = 1000, seed: int = 0
) -> dict[str, SeedSummary]:
    """Mean, spread and interval of each metric over seeds (hierarchical bootstrap: seeds, then videos).

    Args:
        frames: one per training seed, of the same videos under the same protocol.
        n_bootstrap: replicates.
        seed: of the resampling.

    Returns:
        Metric → summary; metrics that are undefined for any seed are left out.

    Raises:
        EvaluationError: the seeds were not scored on the same frames.
    """
    replicates, values = _system("the seeds", frames, frames[0], n_bootstrap, seed)
    summary = {}
    for name, per_seed in values.items():
        low, high = intervals({name: replicates[name]})[name]
        std = float(np.std(per_seed, ddof=1)) if len(per_seed) > 1 else 0.0
        summary[name] = SeedSummary(float(np.mean(per_seed)), std, (low, high), len(per_seed))
    return summary


def compare_with_shortcuts(
    frames: Sequence[ScoredFrames], *, n_bootstrap: int = 1000, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """How a system, as the mean over its seeds, stands to each shortcut: see `against_shortcuts`.

    Args:
        frames: one per training seed, of the same videos under the same protocol.
        n_bootstrap: replicates.
        seed: of the resampling.

    Raises:
        EvaluationError: the seeds were not scored on the same frames.
    """
    replicates, values = _system("the seeds", frames, frames[0], n_bootstrap, seed)
    means = {name: float(np.mean(per_seed)) for name, per_seed in values.items()}
    weights = resample_videos(frames[0].anomalous, n_bootstrap, seed)
    return against_shortcuts(frames[0], means, replicates, weights)


def compare(
    systems: Mapping[str, Sequence[ScoredFrames]],
    metric: str | Sequence[str] = "auc",
    *,
    reference: str | None = None,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> list[Comparison]:
    """Compare systems in pairs: the same resampled videos for both, and Holm's correction over all pairs of a metric.

    Args:
        systems: name → scored frames, one per training seed, all of the same videos under the same protocol.
        metric: of `METRICS`, one or several.
        reference: compare the others with this one only; None = every pair.
        n_bootstrap: replicates.
        seed: of the resampling.

    Raises:
        UsageError: unknown metric or reference, or fewer than two systems.
        EvaluationError: the systems were not scored on the same frames, or the metric is undefined for them.
    """
    metrics = [metric] if isinstance(metric, str) else list(metric)
    if unknown := [name for name in metrics if name not in METRICS]:
        raise UsageError(f"metric {unknown[0]!r} is unknown; there are {', '.join(METRICS)}")
    if len(systems) < 2 or (reference is not None and reference not in systems):
        raise UsageError(
            f"a comparison needs two systems, one of them the reference {reference!r}; got {list(systems)}"
        )
    first = next(iter(systems.values()))[0]
    drawn: dict[str, dict[str, Values]] = {}
    means: dict[str, dict[str, float]] = {}
    for index, (name, frames) in enumerate(systems.items()):
        replicates, values = _system(name, frames, first, n_bootstrap, seed, draw=index)
        if missing := [wanted for wanted in metrics if wanted not in values]:
            why = settle(_metrics(frames[0]))[1].get(missing[0])
            raise EvaluationError(f"{missing[0]} is undefined for {name}: {why}")
        drawn[name] = {wanted: replicates[wanted] for wanted in metrics}
        means[name] = {wanted: float(np.mean(values[wanted])) for wanted in metrics}
    pairs = (
        [(name, reference) for name in systems if name != reference] if reference else list(combinations(systems, 2))
    )
    found = []
    for wanted in metrics:
        results = []
        for a, b in pairs:
            differences = drawn[a][wanted] - drawn[b][wanted]
            low, high = intervals({wanted: differences})[wanted]
            results.append((a, b, means[a][wanted] - means[b][wanted], (low, high), _p_value(differences)))
        corrected = holm([result[-1] for result in results])
        found += [Comparison(a, b, wanted, d, ci, p, h) for (a, b, d, ci, p), h in zip(results, corrected, strict=True)]
    return found


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: smallest p times n, the next times n - 1, …, never falling, at most 1."""
    order = np.argsort(p_values, kind="stable")
    corrected = np.empty(len(p_values))
    steps = np.asarray(p_values)[order] * np.arange(len(p_values), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(value) for value in corrected]


def _p_value(differences: Values) -> float:
    defined = differences[~np.isnan(differences)]
    tail = min((defined <= 0).sum(), (defined >= 0).sum())
    return float(min(1.0, 2 * (tail + 1) / (len(defined) + 1)))


def _metrics(frames: ScoredFrames) -> dict[str, Metric]:
    return frame_metrics(frames) | event_summary(frames)


def _system(
    name: str, frames: Sequence[ScoredFrames], same_as: ScoredFrames, n_bootstrap: int, seed: int, draw: int = 0
) -> tuple[dict[str, Values], dict[str, list[float]]]:
    """Replicates of the mean over (resampled) seeds, and the values of each seed, of every defined metric."""
    for own in frames:
        same_videos = [video.video_id for video in own.videos] == [video.video_id for video in same_as.videos]
        if own.protocol != same_as.protocol or not same_videos or not np.array_equal(own.labels, same_as.labels):
            raise EvaluationError(
                f"{name}: scored on other frames ({own.protocol}, {len(own.videos)} videos, {len(own.labels)} frames) "
                f"than the first ({same_as.protocol}, {len(same_as.videos)} videos, {len(same_as.labels)} frames); "
                "compare on the same test videos and protocol"
            )
    settled = [settle(_metrics(own))[0] for own in frames]
    values = {n: [s[n] for s in settled] for n in METRICS if all(s[n] is not None for s in settled)}
    weights = resample_videos(same_as.anomalous, n_bootstrap, seed)
    per_seed = [bootstrap_metrics(own, weights) for own in frames]
    rng = np.random.default_rng([seed, draw])
    picked = rng.integers(len(frames), size=(n_bootstrap, len(frames)))
    rows = np.arange(n_bootstrap)[:, None]
    replicates = {n: np.stack([drawn[n] for drawn in per_seed], axis=1)[rows, picked].mean(axis=1) for n in values}
    return replicates, values
