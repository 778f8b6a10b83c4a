"""A trained head → a detector with scoring, score map and threshold, from videos that it wasn't trained on."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from amiss.datasets import Glances, Video
from amiss.detection import Calibration, Detector, threshold_from_normal
from amiss.evaluation import ClickedScores, GlanceResult, measure_glances
from amiss.features import FeatureSet, row_spans
from amiss.training._crossfit import Logits, OnFold, cross_fit
from amiss.training._holdout import Split
from amiss.training._out_of_fold import OutOfFold
from amiss.training._recipe import Recipe
from amiss.training._scoring import fit_scoring, rescale, scored_logits


def calibrate_detector(
    detector: Detector,
    split: Split,
    recipe: Recipe,
    features: FeatureSet,
    seed: int,
    on_fold: OnFold | None,
    glances: Glances | None,
) -> tuple[OutOfFold | None, dict[str, Logits], tuple[str, ...]]:
    """Give a detector its scoring, its map and its threshold, from videos that weren't trained on.

    The held-out videos alone where there are enough of them or `on_fold` is None, when the scoring keeps its parts and
    is only brought to the scale of this head; else all, by cross-fitting. Where that is impossible, scores stay the
    head's, and the threshold comes from the training videos themselves.

    Returns:
        What these videos say, None where that is impossible; the logits of their clips; and what to know of the
        scoring, in words.
    """
    began, settings = time.monotonic(), recipe.calibration
    held_out = np.bincount([video.label for video in split.held_out], minlength=2)
    videos = split.held_out
    logits: dict[str, Logits] = {}
    source = f"of the {len(videos)} held-out videos"
    if held_out.min() < settings.enough_held_out and on_fold is not None and settings.folds > 1:
        videos = split.fit + split.held_out
        logits = cross_fit(recipe, videos, features, detector.provenance["step"], seed, on_fold, glances)
        source = f"each scored by a head trained on the others ({settings.folds} folds)"
    if not logits and held_out.min():
        videos, source = split.held_out, f"of the {len(split.held_out)} held-out videos"
        logits = {video.video_id: (detector.head_logits(features.load(video.video_id)),) for video in videos}
    decided: tuple[str, ...] = ()
    if on_fold is not None:
        decided = fit_scoring(detector, recipe.scoring, split.fit + split.held_out, logits, features)
    else:
        detector.scoring = rescale(detector.scoring, logits)
    logits = scored_logits(detector, logits, features)
    if {video.label for video in videos if video.video_id in logits} != {0, 1}:
        detector.calibration = _threshold_from_training(detector, split.fit + split.held_out, features)
        return None, {}, decided
    seconds = time.monotonic() - began
    lengths_s = {v.video_id: length for v in videos if (length := _length_s(v, features)) is not None}
    found, detector.calibration = OutOfFold.of(videos, logits, source, settings.false_alarms, seconds, lengths_s)
    return found, logits, decided


def measure_clicked(
    glances: Glances,
    logits: Mapping[str, Logits],
    detector: Detector,
    split: Split,
    recipe: Recipe,
    features: FeatureSet,
    seed: int,
    on_fold: OnFold,
) -> GlanceResult | None:
    """How well scores of clicked videos by heads not trained on them agree with the clicks.

    Where threshold and map come from the held-out videos alone, the others are cross-fitted for this.
    """
    videos = clicked_of(split.fit + split.held_out, glances)
    if any(video.video_id not in logits for video in videos) and recipe.calibration.folds > 1:
        steps = detector.provenance["step"]
        found = cross_fit(recipe, split.fit + split.held_out, features, steps, seed, on_fold, glances)
        logits = scored_logits(detector, found, features) or logits
    scored = {
        video.video_id: ClickedScores(
            logits[video.video_id],
            row_spans(video, features),
            glances[video.video_id],
        )
        for video in videos
        if video.video_id in logits
    }
    return measure_glances(scored)


def _length_s(video: Video, features: FeatureSet) -> float | None:
    """How long a video is, as manifest or feature set know it."""
    stored = features.times(video.video_id)
    if stored is not None and stored.knots is not None:
        return stored.until(stored.n_frames)
    known = features.measured(video)
    return None if known.n_frames is None or known.fps is None else known.n_frames / known.fps


def _threshold_from_training(detector: Detector, videos: Sequence[Video], features: FeatureSet) -> Calibration:
    """A threshold where no video can be spared.

    Scores of videos that were trained on are extreme: normal ones reach 1e-9. There the threshold is moved up half way
    to what half of the anomalous videos reach.
    """

    def scores_of(label: int) -> list[NDArray[np.float64]]:
        return [detector.score_features(features.load(video.video_id)) for video in videos if video.label == label]

    found = threshold_from_normal(scores_of(0), source="training")
    reached = float(np.median([scores.max() for scores in scores_of(1)]))
    if reached > found.threshold:
        method = f"half way from {found.method} to the median of the largest scores of anomalous ones"
        found = replace(found, threshold=(found.threshold + reached) / 2, method=method)
    return replace(found, method=f"{found.method}; so few say little: expect anything")


def clicked_of(videos: Sequence[Video], glances: Glances | None) -> list[Video]:
    """The videos that have clicks."""
    return [video for video in videos if glances and video.video_id in glances]
