"""amiss train: a recipe on a feature set → detectors."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from amiss.datasets import read_glances, read_manifest
from amiss.features import near_duplicates, open_feature_set
from amiss.jobs._missing import Missing, with_features
from amiss.jobs._progress import OnProgress, silent
from amiss.training import DataCheck, Recipe, keep_copies_together, load_recipe

if TYPE_CHECKING:  # torch takes seconds: a wrong path is told before
    from amiss.training import TrainReport


def train_recipe(
    recipe: str,
    data: str | os.PathLike[str],
    features: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    seed: int = 0,
    seeds: int | None = None,
    settings: Sequence[str] = (),
    resume: bool = False,
    missing: Missing = "error",
    glances: str | os.PathLike[str] | None = None,
    on_start: Callable[[Recipe], object] = lambda _: None,
    on_progress: OnProgress = silent,
) -> list[TrainReport]:
    """Train with one seed, or with several. Copies among the videos are told, and never held out from each other.

    Args:
        recipe: name, see `amiss recipes`, or a file.
        data: manifest.
        features: folder of the feature set.
        out: run directory; with `seeds`, of one run directory each.
        seed: of everything random.
        seeds: train with the seeds 0 to so many, less one, instead.
        settings: fields of the recipe to change, as `key=value`.
        resume: go on with a run that was stopped.
        missing: whether training videos without features are an error, or left out and named in the reports.
        glances: file of clicked frames, see `read_glances`: the reports say how well scores agree with them.
        on_start: given the recipe, with the changes in it, before anything is read.
        on_progress: told steps done, and of how many.

    Returns:
        One report per seed.

    Raises:
        UsageError: unknown recipe or field.
        ManifestError, FeatureError: manifest or features can't be read, or don't fit.
        DetectorError: `out` has another run.
    """
    chosen = load_recipe(recipe, settings)
    on_start(chosen)
    manifest, stored = read_manifest(data), open_feature_set(features)
    clicks = None if glances is None else read_glances(glances, manifest)
    manifest, dropped = with_features(manifest, stored, missing, "train", "val")
    on_progress(0, 1, "looking for copies among the videos")
    copies = near_duplicates(stored, [video.video_id for video in manifest.split("train", "val")])
    manifest, found = keep_copies_together(manifest, copies), DataCheck(dropped=dropped, copies=copies)
    from amiss.training import train, train_seeds

    if seeds is not None:
        return train_seeds(
            chosen, manifest, stored, out, seeds, resume=resume, progress=on_progress, data=found, glances=clicks
        )
    return [
        train(chosen, manifest, stored, out, seed=seed, resume=resume, progress=on_progress, data=found, glances=clicks)
    ]


def why_stored_only(features: str | os.PathLike[str]) -> str | None:
    """Why a detector trained on these features scores stored ones only, no videos; None = it scores videos, too.

    Raises:
        FeatureError: no feature set.
    """
    from amiss.backbones import why_not_from_video  # with torch, which takes seconds

    return why_not_from_video(open_feature_set(features).spec)
