"""Scores of training videos by heads that haven't seen them: cross-fitting, for map, threshold, teaching, and what data
tell.

Shape letters: T clips (or segments).
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

from amiss.datasets import Glances, Video
from amiss.detection import Calibration, Detector
from amiss.features import FeatureSet, pool
from amiss.heads import moments, pseudo_labels
from amiss.training._bags import Bags, fit_normalisation, load_bags, resolve_recipe
from amiss.training._classes import make_head
from amiss.training._loop import TrainingLoop
from amiss.training._recipe import Recipe

OnFold = Callable[[float, int], object]
"""Called with (folds done, a part of the one under way among them; of how many)."""
Logits = tuple[NDArray[np.float64], ...]
"""Clip logits [T] of a video, one array per round of cross-fitting."""
Targets = Mapping[str, NDArray[np.float64]]
"""Video id → what its clips (or segments, as bags have them) shall score, [T] 0..1."""
_Train = Callable[[list[Video], int, Callable[[float], object]], Detector]
"""Trains on videos with a seed, and tells what share is done."""

TEACHING_FOLDS = 3
"""Parts that training videos are scored in, each by a head trained on the others, to teach."""


class NoLog:
    """Takes the metrics of steps and drops them: those of folds are not logged."""

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

    Videos of one group are in one fold. A fold without which one of the labels would be missing is left out. Where
    clips are taught, those of each fold's other videos are taught anew: nothing of a video comes to the head that
    scores it.

    Args:
        recipe: resolved; its `calibration` says how many folds and rounds.
        videos: usable training videos.
        features: of them.
        steps: of the selected weights.
        seed: of folds, weights, batches and dropout.
        on_fold: told after each step.
        glances: clicks, for a recipe that trains with them: those of a video are never seen by the head that scores it.
    """
    settings = recipe.calibration
    n_folds = min(settings.folds, _fewest(videos))
    logits: dict[str, Logits] = defaultdict(tuple)
    for turn in range(settings.rounds if n_folds > 1 else 0):

        def tell(done: float, turn: int = turn) -> None:
            on_fold(turn * n_folds + done, settings.rounds * n_folds)

        train = partial(_train_on, recipe, features, steps, glances, None)
        for video_id, own in _score_folds(videos, features, n_folds, train, [seed, 4, turn], tell).items():
            logits[video_id] += (own,)
    return dict(logits)


def clip_targets(
    recipe: Recipe,
    videos: Sequence[Video],
    features: FeatureSet,
    steps: int,
    seed: int,
    on_share: Callable[[float], object] = lambda share: None,
    glances: Glances | None = None,
) -> dict[str, NDArray[np.float64]]:
    """What `teaching` wants the clips of videos to score, from scores by heads that weren't trained on them.

    From the second turn on such a head was taught by scores of heads that were: what a video shows comes back to it in
    others' targets. So these are for teaching alone; what `cross_fit` measures is free of it.

    Args:
        recipe: resolved; its `teaching` says who teaches.
        videos: usable training videos.
        features: of them.
        steps: that heads of the recipe itself are trained for.
        seed: of folds, weights, batches and dropout.
        on_share: told what share is done, 0..1.
        glances: clicks, for recipes that train with them.

    Returns:
        Video id → [T] of its bag, 0..1; videos that can't be scored this way are missing, as are all where a label has
        fewer than two videos.
    """
    teacher, rounds = recipe.teaching.teacher, recipe.teaching.rounds
    n_folds = min(TEACHING_FOLDS, _fewest(videos))
    targets: dict[str, NDArray[np.float64]] = {}
    if n_folds < 2:
        return targets
    turns = recipe.teaching.turns
    for turn in range(turns):
        if teacher is not None and turn == 0:
            own = resolve_recipe(teacher, features)
            train = partial(_train_on, own, features, own.steps, glances, None)
        else:
            train = partial(_train_on, recipe, features, steps, glances, targets)

        def tell(done: float, turn: int = turn) -> None:
            on_share((turn + done / n_folds) / turns)

        logits = _score_folds(videos, features, n_folds, train, [seed, 6, turn], tell)
        scored = [video for video in videos if video.video_id in logits]
        labels = np.array([video.label for video in scored], dtype=np.intp)
        of_bags = [_as_bag(logits[video.video_id], recipe) for video in scored]
        found = pseudo_labels(of_bags, labels) if rounds else _soft(of_bags, labels)
        targets = {video.video_id: own for video, own in zip(scored, found, strict=True)}
    return targets


def taught(bags: Bags, videos: Sequence[Video], targets: Targets) -> Bags:
    """The bags of these videos, with what their clips shall score."""
    return replace(bags, clip_targets=tuple(targets.get(video.video_id, np.empty(0)) for video in videos))


def _as_bag(values: NDArray[np.float64], recipe: Recipe) -> NDArray[np.float64]:
    """Numbers of clips [T] → of the bag that the recipe makes of them, by means."""
    return values if recipe.pooling == "none" else pool(values[:, None], "rtfm", recipe.segments)[:, 0].astype(float)


def _soft(logits: Sequence[NDArray[np.float64]], labels: NDArray[np.intp]) -> list[NDArray[np.float64]]:
    """Scores by standardised logits; 0 in normal bags, of which that is known."""
    mean, std = moments(logits)
    return [label * expit((own - mean) / std) for own, label in zip(logits, labels, strict=True)]


def _fewest(videos: Sequence[Video]) -> int:
    """Videos of the label that has fewer."""
    return int(np.bincount([v.label for v in videos], minlength=2).min())


def _score_folds(
    videos: Sequence[Video],
    features: FeatureSet,
    n_folds: int,
    train: _Train,
    key: list[int],
    tell: Callable[[float], object],
) -> dict[str, NDArray[np.float64]]:
    """Logits [T] of the clips of each video, by a detector trained on the other folds. `key`: of the random numbers."""
    logits = {}
    fold_of = assign_folds(videos, n_folds, key)
    seed, stream, turn = key
    for fold in range(n_folds):
        rest = [v for v in videos if fold_of[v.video_id] != fold]
        if {v.label for v in rest} == {0, 1}:
            fold_seed = int(np.random.SeedSequence([seed, stream + 1, turn, fold]).generate_state(1)[0])
            detector = train(rest, fold_seed, partial(_tell_fold, tell, fold))
            for video in videos:
                if fold_of[video.video_id] == fold:
                    logits[video.video_id] = detector.logits(features.load(video.video_id))
        tell(fold + 1)
    return logits


def _tell_fold(tell: Callable[[float], object], fold: int, share: float) -> None:
    tell(fold + share)


def _train_on(
    recipe: Recipe,
    features: FeatureSet,
    steps: int,
    glances: Glances | None,
    targets: Targets | None,
    videos: list[Video],
    seed: int,
    on_share: Callable[[float], object],
) -> Detector:
    """A detector of the recipe's head alone. `targets`: of clips; None = as the recipe's `teaching` says."""
    own_share = 1.0
    if targets is None and recipe.is_taught:
        own_share = 1 / (1 + TEACHING_FOLDS * recipe.teaching.turns)
        targets = clip_targets(
            recipe, videos, features, steps, seed, lambda share: on_share(share * (1 - own_share)), glances
        )
    torch.manual_seed(seed)
    head = make_head(recipe, features.spec.dim)
    normalisation = fit_normalisation(recipe, videos, features)
    fit = load_bags(recipe, videos, features, normalisation, glances)
    if targets:
        fit = taught(fit, videos, targets)
    loop = TrainingLoop(recipe, head, fit, load_bags(recipe, [], features, normalisation), seed, stop=steps)
    while not loop.is_done:
        loop.advance(NoLog(), lambda step: on_share(1 - own_share * (1 - step / loop.n_steps)))
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
