"""What scores of bags that weren't fitted on tell: pseudo-labels of clips, and which parts of a score count.

Labels of whole videos are all that is needed.

Shape letters: B bags · T clips.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from amiss.settings import Gate

Array = NDArray[np.float64]

_ERRORS = 3.0  # standard errors, from which on a part counts
_FEWEST = 20  # videos of each label, below which standard errors are themselves uncertain, and nothing is decided


def is_open(choice: Gate, errors: float) -> bool:
    """Whether a part counts that helps by so many standard errors; `auto` asks for more than 3."""
    return errors > _ERRORS if choice == "auto" else choice == "always"


def pseudo_labels(scores: Sequence[Array], labels: NDArray[np.intp]) -> list[Array]:
    """Targets [T] of each bag's clips: 1 in the upper half of an anomalous bag, else 0.

    Where no clip of an anomalous bag ranks above another (it has one clip, or a head scores its chunk as a whole), all
    are 1: something is anomalous there.

    Args:
        scores: [T] of each bag, by what wasn't fitted on it; they are averaged with their neighbours' before.
        labels: [B] 0 = normal, 1 = anomalous.
    """
    return [label * _upper_half(_ranks(_smooth(s))) for s, label in zip(scores, labels, strict=True)]


def change_agrees(scores: Sequence[Array], changes: Sequence[Array], labels: NDArray[np.intp]) -> float:
    """By how many standard errors score and change correlate more inside anomalous bags than inside normal ones.

    Args:
        scores: [T] of each bag, by what wasn't fitted on it.
        changes: [T] how much changes around each clip.
        labels: [B] 0 = normal, 1 = anomalous.

    Returns:
        0 where a label has fewer than 20 bags: that says nothing.
    """
    if _are_few(labels):
        return 0.0
    found = np.array([_correlation(s, d) for s, d in zip(scores, changes, strict=True)])
    anomalous, normal = found[labels == 1], found[labels == 0]
    return _in_errors(anomalous.mean() - normal.mean(), anomalous, normal)


def level_tells_more(scores: Sequence[Array], labels: NDArray[np.intp]) -> float:
    """By how many standard errors the levels of bags tell labels apart better than their clips do (AUC, DeLong).

    Args:
        scores: [T] of each bag, by what wasn't fitted on it; its level is the mean of the highest quarter.
        labels: [B] 0 = normal, 1 = anomalous.

    Returns:
        0 where a label has fewer than 20 bags: that says nothing.
    """
    if _are_few(labels):
        return 0.0
    by_level, by_clip = _placements(top_quarter_means(scores), labels), _placements(scores, labels)
    gain = by_level - by_clip
    anomalous, normal = gain[labels == 1], gain[labels == 0]
    return _in_errors(anomalous.mean(), anomalous, normal)


def top_quarter_means(scores: Sequence[Array]) -> list[Array]:
    """Mean [1] of the highest quarter of each bag's scores [T]."""
    return [np.sort(s)[-max(1, len(s) // 4) :].mean(keepdims=True) for s in scores]


def standardised(scores: Sequence[Array]) -> list[Array]:
    """Brought to mean 0 and deviation 1 together; 0 where a number is missing."""
    mean, std = moments(scores)
    return [np.nan_to_num((s - mean) / std) for s in scores]


def moments(values: Sequence[Array]) -> tuple[float, float]:
    """Mean and deviation of all numbers that are finite."""
    joined = np.concatenate(values)
    joined = joined[np.isfinite(joined)]
    if not len(joined):
        return 0.0, 1.0
    return float(joined.mean()), max(float(joined.std()), 1e-6)


def _upper_half(ranks: Array) -> Array:
    """1 where a rank is above the middle, else 0; 1 throughout where none is."""
    upper = ranks > 0.5
    return upper.astype(float) if upper.any() else np.ones(len(ranks))


def _ranks(scores: Array) -> Array:
    from scipy.stats import rankdata  # takes half a second, and only training needs it

    return np.asarray((rankdata(scores) - 0.5) / len(scores))


def _smooth(scores: Array) -> Array:
    """Mean over a clip and its neighbours."""
    kernel = np.ones(3)
    return np.asarray(np.convolve(scores, kernel, "same") / np.convolve(np.ones(len(scores)), kernel, "same"))[
        : len(scores)
    ]


def _correlation(a: Array, b: Array) -> float:
    spread = a.std() * b.std()
    return float(((a - a.mean()) * (b - b.mean())).mean() / spread) if spread > 1e-12 else 0.0


def _placements(scores: Sequence[Array], labels: NDArray[np.intp]) -> Array:
    """Of each bag, the share of pairs with a clip of the other label that are in the right order; ties count half."""
    weights = np.concatenate([np.full(len(s), 1 / len(s)) for s in scores])
    owner = np.repeat(np.arange(len(scores)), [len(s) for s in scores])
    values, inverse = np.unique(np.concatenate(scores), return_inverse=True)
    found = np.zeros(len(scores))
    for label in (0, 1):
        others = labels[owner] != label
        mass = np.bincount(inverse[others], weights[others], len(values))
        below = (np.cumsum(mass) - mass / 2) / mass.sum()
        right = below if label else 1 - below
        found += np.bincount(owner, weights * right[inverse] * ~others, len(scores))
    return found


def _are_few(labels: NDArray[np.intp]) -> bool:
    return bool(np.bincount(labels, minlength=2).min() < _FEWEST)


def _in_errors(difference: float, anomalous: Array, normal: Array) -> float:
    error = np.sqrt(anomalous.var(ddof=1) / len(anomalous) + normal.var(ddof=1) / len(normal))
    return float(difference / max(error, 1e-12))
