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
from sklearn.decomposition import PCA
from torch import Tensor, nn

from amiss.heads._base import full_mask
from amiss.heads._gates import (
    Array,
    change_agrees,
    is_open,
    level_tells_more,
    moments,
    pseudo_labels,
    standardised,
)
from amiss.heads._parts import change_around

if TYPE_CHECKING:
    from amiss.heads.amiss import AmissHead

_FOLDS = 3
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
        fit = _Fit.scaled(weights, bias, [data.score(i, weights, bias) for i in range(len(bags))])
        _take(head.classifier, fit)
        # no score is of a bag that wasn't fitted on, so nothing can be decided
        head.uses.copy_(torch.tensor([False, settings.change == "always", settings.level == "always"]))
        head.scales.copy_(torch.tensor([[0.0, 1.0]] * 3))
        if head.uses.any():
            _take_scales(head, projected, fit.scores, fit.scores)
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
        mean, std = moments(scores)
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
    change = standardised(_changes(projected, (settings.change_reach,) * 2))
    draws = np.random.default_rng(int(torch.randint(2**31, ())))  # torch's generator is what training seeds
    folds = [_folds(labels, n_folds, draws) for _ in range(settings.repeats)]
    classifier = _Fit.mean([_fit_taught(data, whole, fold_B, settings.rounds) for fold_B in folds])
    _take(head.classifier, classifier)
    untaught = data.out_of_fold(whole, folds[0])
    uses_change = is_open(settings.change, change_agrees(untaught, change, labels))
    head.uses[0] = head.uses[1] = uses_change
    final = classifier.scores
    if uses_change:
        localiser = _Fit.mean([_fit_taught(data, whole, fold_B, settings.rounds, change) for fold_B in folds])
        _take(head.localiser, localiser)
        final = [_for_bag(head.combined, c, s) for c, s in zip(classifier.scores, localiser.scores, strict=True)]
    _take_scales(head, projected, classifier.scores, final)
    head.uses[2] = is_open(settings.level, level_tells_more(classifier.scores, labels))


def _take_scales(
    head: AmissHead, projected: Sequence[Tensor], classifier: Sequence[Array], final: Sequence[Array]
) -> None:
    """Mean and deviation of what may count: the final logit, the change, the level by the classifier."""
    levels = [_for_bag(head.level, s) for s in classifier]
    for part, values in enumerate((final, _changes(projected, head.change_window), levels)):
        head.scales[part] = torch.tensor(moments(values))


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
        taught = scores = standardised(scores)
        if change is not None:
            taught = [expit(z) * expit(d) for z, d in zip(scores, change, strict=True)]
        targets = pseudo_labels(taught, data.labels)
        scores = data.out_of_fold(targets, fold_B)
    return _Fit.scaled(*data.regress(targets, np.arange(len(data.labels))), scores)


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


def _folds(labels: NDArray[np.intp], n_folds: int, draws: np.random.Generator) -> NDArray[np.intp]:
    """Fold of each bag, labels spread evenly."""
    fold_B = np.zeros(len(labels), np.intp)
    for label in (0, 1):
        drawn = draws.permutation(np.flatnonzero(labels == label))
        fold_B[drawn] = np.arange(len(drawn)) % n_folds
    return fold_B


def _take(linear: nn.Linear, fit: _Fit) -> None:
    """Weights of the first numbers of a window; those of the others are 0."""
    linear.weight.zero_()
    linear.weight[0, : len(fit.weights)] = torch.from_numpy(fit.weights)
    linear.bias.fill_(fit.bias)
