"""Fits the head `amiss` to all training bags, and decides from their labels which of its parts count.

Scores that teach or decide anything are of bags that weren't fitted on (folds).

Shape letters: B bags · C crops · T clips · D feature dim · K components · P numbers of a window.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import rankdata
from sklearn.decomposition import PCA
from torch import Tensor, nn

from amiss.heads._amiss_windows import change_around
from amiss.heads._base import full_mask

if TYPE_CHECKING:
    from amiss.heads.amiss import AmissHead, Gate

Array = NDArray[np.float64]

_FOLDS = 3
_ERRORS = 3.0  # standard errors, from which on a part counts
_FEWEST = 20  # videos of each label, below which standard errors are themselves uncertain, and nothing is decided
_PCA_ROWS = 8192  # that components are fitted to at most, evenly spaced


@dataclass(frozen=True)
class _Bags:
    """What the regressions see of the bags."""

    windows: list[NDArray[np.float32]]
    """[C * T, P] of each."""
    crops: int
    """C."""
    labels: NDArray[np.intp]
    """[B]."""
    penalty: float
    """Of the ridge, times the mean variance of a number."""

    def regress(self, targets: Sequence[Array], chosen: NDArray[np.intp]) -> tuple[Array, float]:
        """Weights [P] and bias of the regression on the chosen bags; clips of a bag share its weight."""
        rows = np.concatenate([self.windows[i] for i in chosen])
        y = np.concatenate([np.tile(targets[i], self.crops) for i in chosen])
        share = np.concatenate([np.full(len(self.windows[i]), 1 / len(self.windows[i])) for i in chosen])
        return ridge(rows, y, share, self.penalty)

    def score(self, bag: int, weights: Array, bias: float) -> Array:
        """Logits [T], averaged over crops."""
        logits: Array = (self.windows[bag] @ weights + bias).reshape(self.crops, -1).mean(axis=0)
        return logits

    def out_of_fold(self, targets: Sequence[Array], fold_B: NDArray[np.intp]) -> list[Array]:
        """Logits [T] of every bag, by the regression on the other folds."""
        logits: list[Array] = [np.zeros(0)] * len(self.windows)
        for fold in range(fold_B.max() + 1):
            weights, bias = self.regress(targets, np.flatnonzero(fold_B != fold))
            for bag in np.flatnonzero(fold_B == fold).tolist():
                logits[bag] = self.score(bag, weights, bias)
        return logits


def fit_amiss(head: AmissHead, bags: Sequence[NDArray[np.float32]], labels: NDArray[np.intp]) -> None:
    """What `AmissHead.fit_bags` promises."""
    settings = head.settings
    _fit_components(head, bags)
    lengths = [bag.shape[1] for bag in bags]
    is_short = np.median(lengths) <= settings.short
    head.span.fill_(int(np.median(lengths)) if is_short else 0)
    projected = [head.projected(torch.from_numpy(bag)) for bag in bags]
    windows = [head.windows(x, full_mask(x)).flatten(0, 1).numpy() for x in projected]
    if not is_short:
        windows = [w[:, : w.shape[1] // 3] for w in windows]
    penalty = max(1.0, windows[0].shape[1] / len(bags))
    data = _Bags(windows, bags[0].shape[0], labels, penalty)
    whole = [np.full(n, float(label)) for n, label in zip(lengths, labels, strict=True)]
    n_folds = min(_FOLDS, int(np.bincount(labels, minlength=2).min()))
    if is_short or n_folds < 2:
        weights, bias = data.regress(whole, np.arange(len(bags)))
        _take(head.classifier, _Fit.scaled(weights, bias, [data.score(i, weights, bias) for i in range(len(bags))]))
        head.uses.zero_()
        head.scales.copy_(torch.tensor([[0.0, 1.0]] * 3))
        return
    _fit_rounds(head, data, projected, whole, n_folds)


def _fit_components(head: AmissHead, bags: Sequence[NDArray[np.float32]]) -> None:
    rows = np.concatenate([bag.reshape(-1, head.feature_dim) for bag in bags])
    if len(rows) > _PCA_ROWS:
        rows = rows[np.linspace(0, len(rows) - 1, _PCA_ROWS).round().astype(np.intp)]
    rows = rows.clip(-1e4, 1e4)
    size = min(head.project.out_features, len(rows))
    found = PCA(size, iterated_power=2, random_state=0).fit(rows)
    head.project.weight.zero_()
    head.project.weight[:size] = torch.from_numpy(found.components_)
    head.center.copy_(torch.from_numpy(found.mean_))


@dataclass(frozen=True)
class _Fit:
    """A regression on all bags, in the scale in which its scores out of fold have mean 0 and deviation 1."""

    weights: Array
    """[P]."""
    bias: float
    """One number."""
    scores: list[Array]
    """Out of fold, [T] of each bag."""

    @classmethod
    def scaled(cls, weights: Array, bias: float, scores: Sequence[Array]) -> _Fit:
        """Bring all three to that scale."""
        mean, std = _moments(scores)
        return cls(weights / std, (bias - mean) / std, [(s - mean) / std for s in scores])

    @classmethod
    def mean(cls, fits: Sequence[_Fit]) -> _Fit:
        """Of fits with other folds."""
        scores = [np.mean(of_bag, axis=0) for of_bag in zip(*(fit.scores for fit in fits), strict=True)]
        return cls.scaled(np.mean([f.weights for f in fits], axis=0), float(np.mean([f.bias for f in fits])), scores)


def _fit_rounds(
    head: AmissHead, data: _Bags, projected: Sequence[Tensor], whole: Sequence[Array], n_folds: int
) -> None:
    """Classifier and localiser by rounds of pseudo-labels, and the gates of what counts."""
    settings, labels = head.settings, data.labels
    change = _standardised(_changes(projected, (settings.change_reach,) * 2))
    draws = np.random.default_rng(int(torch.randint(2**31, ())))  # torch's generator is what training seeds
    folds = [_folds(labels, n_folds, draws) for _ in range(settings.repeats)]
    classifier = _Fit.mean([_fit_taught(data, whole, fold_B, settings.rounds) for fold_B in folds])
    _take(head.classifier, classifier)
    untaught = data.out_of_fold(whole, folds[0])
    uses_change = _gate(settings.change, change_agrees(untaught, change, labels))
    head.uses[0] = head.uses[1] = uses_change
    final = classifier.scores
    if uses_change:
        localiser = _Fit.mean([_fit_taught(data, whole, fold_B, settings.rounds, change) for fold_B in folds])
        _take(head.localiser, localiser)
        final = [_for_bag(head.combined, c, s) for c, s in zip(classifier.scores, localiser.scores, strict=True)]
    levels = [_for_bag(head.level, s) for s in classifier.scores]
    for part, values in enumerate((final, _changes(projected, head.change_window), levels)):
        head.scales[part] = torch.tensor(_moments(values))
    head.uses[2] = _gate(settings.level, level_tells_more(classifier.scores, labels))


def _fit_taught(
    data: _Bags,
    whole: Sequence[Array],
    fold_B: NDArray[np.intp],
    rounds: int,
    change: Sequence[Array] | None = None,
) -> _Fit:
    """Rounds of pseudo-labels by the scores of the round before, times the change around each clip if given."""
    targets = whole
    scores = data.out_of_fold(targets, fold_B)
    for _ in range(rounds):
        taught = scores = _standardised(scores)
        if change is not None:
            taught = [expit(z) * expit(d) for z, d in zip(scores, change, strict=True)]
        targets = pseudo_labels(taught, data.labels)
        scores = data.out_of_fold(targets, fold_B)
    return _Fit.scaled(*data.regress(targets, np.arange(len(data.labels))), scores)


def pseudo_labels(scores: Sequence[Array], labels: NDArray[np.intp]) -> list[Array]:
    """1 where a clip of an anomalous bag is in the upper half of its bag, by scores averaged with its neighbours'."""
    return [label * (_ranks(_smooth(s)) > 0.5).astype(float) for s, label in zip(scores, labels, strict=True)]


def change_agrees(scores: Sequence[Array], changes: Sequence[Array], labels: NDArray[np.intp]) -> float:
    """By how many standard errors score and change correlate more inside anomalous bags than inside normal ones."""
    found = np.array([_correlation(s, d) for s, d in zip(scores, changes, strict=True)])
    anomalous, normal = found[labels == 1], found[labels == 0]
    return _in_errors(anomalous.mean() - normal.mean(), anomalous, normal)


def level_tells_more(scores: Sequence[Array], labels: NDArray[np.intp]) -> float:
    """By how many standard errors the levels of bags tell labels apart better than their clips do (AUC, DeLong)."""
    levels = [np.sort(s)[-max(1, len(s) // 4) :].mean(keepdims=True) for s in scores]
    by_level, by_clip = _placements(levels, labels), _placements(scores, labels)
    gain = by_level - by_clip
    anomalous, normal = gain[labels == 1], gain[labels == 0]
    return _in_errors(anomalous.mean(), anomalous, normal)


def ridge(rows: NDArray[np.floating], y: Array, share: Array, penalty: float) -> tuple[Array, float]:
    """Ridge regression of targets 0 and 1 → weights [P] and bias, both classes weighted alike.

    Args:
        rows: [N, P].
        y: [N] 0 or 1, both present.
        share: [N] weight of a row among those of its class.
        penalty: times the mean variance of the rows' numbers.
    """
    weight = share.copy()
    for value in (0, 1):
        weight[y == value] *= 0.5 / weight[y == value].sum()
    mean = weight @ rows
    centred = (rows - mean).astype(rows.dtype)
    weighted = centred * weight[:, None].astype(rows.dtype)
    gram = (centred.T @ weighted).astype(np.float64)
    variance = max(float(np.trace(gram)) / len(gram), 1e-12)
    weights = np.linalg.solve(gram + penalty * variance * np.eye(len(gram)), weighted.T @ (2 * y - 1))
    return weights, -float(mean @ weights)


def _changes(projected: Sequence[Tensor], window: tuple[int, int]) -> list[Array]:
    """Change around each clip of each bag, mean over crops; NaN where there is nothing to compare with."""
    return [change_around(x, full_mask(x), *window).double().mean(dim=0).numpy() for x in projected]


def _for_bag(function: Callable[..., Tensor], *scores: Array) -> Array:
    """A function of batches and their mask, for the scores [T] of one bag."""
    batches = [torch.from_numpy(s)[None] for s in scores]
    return np.asarray(function(*batches, torch.ones_like(batches[0], dtype=torch.bool))[0])


def _standardised(scores: Sequence[Array]) -> list[Array]:
    """Brought to mean 0 and deviation 1 together; 0 where a number is missing."""
    mean, std = _moments(scores)
    return [np.nan_to_num((s - mean) / std) for s in scores]


def _moments(values: Sequence[Array]) -> tuple[float, float]:
    """Mean and deviation of all numbers that are finite."""
    joined = np.concatenate(values)
    joined = joined[np.isfinite(joined)]
    if not len(joined):
        return 0.0, 1.0
    return float(joined.mean()), max(float(joined.std()), 1e-6)


def _folds(labels: NDArray[np.intp], n_folds: int, draws: np.random.Generator) -> NDArray[np.intp]:
    """Fold of each bag, labels spread evenly."""
    fold_B = np.zeros(len(labels), np.intp)
    for label in (0, 1):
        drawn = draws.permutation(np.flatnonzero(labels == label))
        fold_B[drawn] = np.arange(len(drawn)) % n_folds
    return fold_B


def _ranks(scores: Array) -> Array:
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


def _in_errors(difference: float, anomalous: Array, normal: Array) -> float:
    if min(len(anomalous), len(normal)) < _FEWEST:
        return 0.0
    error = np.sqrt(anomalous.var(ddof=1) / len(anomalous) + normal.var(ddof=1) / len(normal))
    return float(difference / max(error, 1e-12))


def _gate(choice: Gate, errors: float) -> bool:
    return errors > _ERRORS if choice == "auto" else choice == "always"


def _take(linear: nn.Linear, fit: _Fit) -> None:
    """Weights of the first numbers of a window; those of the others are 0."""
    linear.weight.zero_()
    linear.weight[0, : len(fit.weights)] = torch.from_numpy(fit.weights)
    linear.bias.fill_(fit.bias)
