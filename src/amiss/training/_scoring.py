"""Which parts of a detector's scoring count, and in which scale: from scores of videos that weren't trained on.

Shape letters: T clips.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from amiss.datasets import Video
from amiss.detection import Detector, Scoring
from amiss.features import FeatureSet
from amiss.heads import change_agrees, is_open, level_tells_more, moments, top_quarter_means
from amiss.training._crossfit import Logits
from amiss.training._recipe import ScoringSettings


def fit_scoring(
    detector: Detector,
    settings: ScoringSettings,
    videos: Sequence[Video],
    logits: Mapping[str, Logits],
    features: FeatureSet,
) -> tuple[str, ...]:
    """Give a detector what `scoring` of its recipe asks for, where the videos show that it helps.

    Args:
        detector: without scoring.
        settings: of the recipe.
        videos: of training.
        logits: of the head, [T] of each video that was scored by heads not trained on it; where a label has
            none, the detector's own scores of all videos give the scales, and `auto` is `never`.
        features: of the videos.

    Returns:
        What was decided, in words.
    """
    plain = Scoring(
        change_reach=settings.change_reach,
        smoothing=settings.smoothing,
        smoothing_form=settings.smoothing_form,
        causal=settings.causal,
    )
    detector.scoring = plain
    if settings.change == settings.level == "never":
        return _smoothing(settings)
    scored = [video for video in videos if video.video_id in logits]
    is_judged = {video.label for video in scored} == {0, 1}
    scored = scored if is_judged else list(videos)
    labels = np.array([video.label for video in scored], dtype=np.intp)
    rows = {video.video_id: features.load(video.video_id) for video in scored}
    own = [np.mean(logits[video_id], axis=0) if is_judged else detector.head_logits(x) for video_id, x in rows.items()]
    notes = []
    if settings.change != "never":
        changes = [detector.changes(x) for x in rows.values()]
        finite = [np.nan_to_num(d, nan=moments(changes)[0]) for d in changes]
        errors = change_agrees(own, finite, labels) if is_judged else 0.0
        used = is_open(settings.change, errors)
        detector.scoring = replace(detector.scoring, change=moments(changes) if used else None)
        notes.append(_decided("change", settings.change, used, errors))
    if settings.level != "never":
        errors = level_tells_more(own, labels) if is_judged else 0.0
        used = is_open(settings.level, errors)
        detector.scoring = replace(detector.scoring, level=moments(top_quarter_means(own)) if used else None)
        notes.append(_decided("level", settings.level, used, errors))
    detector.scoring = replace(detector.scoring, logit=moments(own))
    return (*notes, *_smoothing(settings))


def rescale(scoring: Scoring, logits: Mapping[str, Logits]) -> Scoring:
    """The same parts, in the scale that these logits have; `logits`: of clips [T] by video, of a head that the scoring
    wasn't fitted to."""
    if not logits or (scoring.change is None and scoring.level is None):
        return scoring
    own = [np.mean(rounds, axis=0) for rounds in logits.values()]
    level = None if scoring.level is None else moments(top_quarter_means(own))
    return replace(scoring, logit=moments(own), level=level)


def scored_logits(detector: Detector, logits: Mapping[str, Logits], features: FeatureSet) -> dict[str, Logits]:
    """Logits of heads → what the detector's scoring makes of them."""
    if detector.scoring.is_plain:
        return dict(logits)
    found = {}
    for video_id, rounds in logits.items():
        changes = detector.changes(features.load(video_id))
        found[video_id] = tuple(detector.scoring.apply(own, changes) for own in rounds)
    return found


def _decided(part: str, choice: str, used: bool, errors: float) -> str:
    verdict = "counts" if used else "does not count"
    measured = (
        f"it helps by {errors:.1f} standard errors"
        if errors
        else "whether it helps can't be told: that takes 20 videos of each label, scored by heads not trained on them"
    )
    return f"scoring.{part} ({choice}): {verdict}; {measured}"


def _smoothing(settings: ScoringSettings) -> tuple[str, ...]:
    clips = settings.smoothing
    form = "" if settings.smoothing_form == "around" else f", {settings.smoothing_form}"
    return (f"scores are means of {clips} clips{form} (scoring.smoothing): say so beside results",) if clips > 1 else ()
