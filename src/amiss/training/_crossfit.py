"""Scores of training videos by heads that haven't seen them: cross-fitting, for map, threshold and what data tell."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from amiss.datasets import Glances, Video
from amiss.detection import Calibration, Detector
from amiss.features import FeatureSet
from amiss.training._bags import fit_normalisation, load_bags
from amiss.training._classes import make_head
from amiss.training._loop import TrainingLoop
from amiss.training._recipe import Recipe

OnFold = Callable[[int, int], object]
"""Called with (folds done, of how many)."""
Logits = tuple[NDArray[np.float64], ...]
"""Clip logits [T] of a video, one array per round of cross-fitting."""


class _NoLog:
    """Steps of folds are not logged."""

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Drop them."""


def cross_fit(
    recipe: Recipe,
    videos: Sequence[Video],
    features: FeatureSet,
    steps: int,
    seed: int,
    on_fold: OnFold = lambda done, total: None,
    glances: Glances | None = None,
) -> dict[str, Logits]:
    """The clip logits of each video, by a head trained on the other folds for `steps` steps.

    Videos of one group are in one fold. A fold without which one of the labels would be missing is left out.

    Args:
        recipe: resolved; its `calibration` says how many folds and rounds.
        videos: usable training videos.
        features: of them.
        steps: of the selected weights.
        seed: of folds, weights, batches and dropout.
        on_fold: told after each fold.
        glances: clicks, for a recipe that trains with them: those of a video are never seen by the head that scores it.
    """
    settings = recipe.calibration
    fewest = min(np.bincount([v.label for v in videos], minlength=2))
    n_folds = min(settings.folds, int(fewest))
    if n_folds < 2:
        return {}
    logits: dict[str, Logits] = defaultdict(tuple)
    for turn in range(settings.rounds):
        fold_of = assign_folds(videos, n_folds, [seed, 4, turn])
        for fold in range(n_folds):
            rest = [v for v in videos if fold_of[v.video_id] != fold]
            if {v.label for v in rest} == {0, 1}:
                fold_seed = int(np.random.SeedSequence([seed, 5, turn, fold]).generate_state(1)[0])
                detector = _train_on(recipe, rest, features, steps, fold_seed, glances)
                for video in videos:
                    if fold_of[video.video_id] == fold:
                        logits[video.video_id] += (detector.logits(features.load(video.video_id)),)
            on_fold(turn * n_folds + fold + 1, settings.rounds * n_folds)
    return dict(logits)


def _train_on(
    recipe: Recipe, videos: Sequence[Video], features: FeatureSet, steps: int, seed: int, glances: Glances | None
) -> Detector:
    torch.manual_seed(seed)
    head = make_head(recipe, features.spec.dim)
    normalisation = fit_normalisation(recipe, videos, features)
    fit = load_bags(recipe, videos, features, normalisation, glances)
    loop = TrainingLoop(recipe, head, fit, load_bags(recipe, [], features, normalisation), seed, stop=steps)
    while not loop.is_done:
        loop.advance(_NoLog(), lambda step: None)
    return Detector(features.spec, loop.head_now(), normalisation, Calibration(0.5, "not calibrated", 0))


def assign_folds(videos: Sequence[Video], n_folds: int, seed: Sequence[int]) -> dict[str, int]:
    """Video id → fold: groups whole, the largest first, each to the fold that has the least of its labels."""
    groups: dict[tuple[str, str], list[Video]] = defaultdict(list)
    for video in videos:
        groups[("video", video.video_id) if video.group is None else ("group", video.group)].append(video)
    names = sorted(groups)
    shuffled = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    size = np.maximum(np.bincount([v.label for v in videos], minlength=2), 1)
    filled = np.zeros((n_folds, 2))
    fold_of: dict[str, int] = {}
    for name in sorted(shuffled, key=lambda name: -len(groups[name])):
        more = np.bincount([v.label for v in groups[name]], minlength=2) / size
        fold = int((((filled + more) ** 2).sum(axis=1) - (filled**2).sum(axis=1)).argmin())
        filled[fold] += more
        fold_of |= {video.video_id: fold for video in groups[name]}
    return fold_of
