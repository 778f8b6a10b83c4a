"""One recipe + manifest + features → a run directory with detectors."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from amiss.datasets import Glances, Manifest, Video
from amiss.detection import Calibration, Detector, Normalisation, threshold_from_normal
from amiss.errors import UsageError
from amiss.evaluation import ClickedScores, GlanceResult, measure_glances
from amiss.features import FeatureSet, row_spans
from amiss.heads import Head
from amiss.training._bags import (
    find_all_zero,
    fit_normalisation,
    hash_data,
    hash_glances,
    load_bags,
    resolve_recipe,
)
from amiss.training._classes import make_head
from amiss.training._crossfit import Logits, OnFold, cross_fit
from amiss.training._data_check import DataCheck
from amiss.training._holdout import Split, split_training
from amiss.training._loop import TrainingLoop
from amiss.training._out_of_fold import OutOfFold
from amiss.training._provenance import git_revision, package_versions
from amiss.training._recipe import Recipe
from amiss.training._run_folder import RunFolder, TrainReport

OnProgress = Callable[[float, float, str], None]
"""Called with (step, steps at most, how good it is)."""
OnEvaluate = Callable[[int, Detector], None]
"""Called with (step, detector of that step, not calibrated) at each evaluation."""

_CHECKPOINT_SECONDS = 20.0  # least time between checkpoints: large heads would write more than they train


def train_one(
    recipe: Recipe,
    manifest: Manifest,
    features: FeatureSet,
    out: str | os.PathLike[str],
    *,
    seed: int,
    resume: bool,
    progress: OnProgress | None,
    on_evaluate: OnEvaluate | None,
    data: DataCheck,
    glances: Glances | None = None,
) -> TrainReport:
    """`train` with one recipe, whatever alternatives it names."""
    began = time.monotonic()
    recipe = resolve_recipe(recipe, features)
    videos = manifest.split("train", "val")
    skipped = find_all_zero(videos, features)
    identity = {"seed": seed, "data_hash": hash_data(videos, features), "clicks_hash": hash_glances(glances)}
    with _deterministic(seed):
        head = make_head(recipe, features.spec.dim)
        split = split_training(manifest, recipe.selection, seed, skipped)
        _check_clicks(recipe, split, glances, head.fits_at_once)
        steps = 1 if head.fits_at_once else min(recipe.steps, split.max_steps or recipe.steps)
        recipe = recipe.model_copy(update={"steps": steps})
        run = RunFolder(Path(out), recipe, identity, resume=resume)
        if (finished := run.read_report()) is not None:
            return finished
        normalisation = fit_normalisation(recipe, split.fit, features)
        fit, held_out = (
            load_bags(recipe, part, features, normalisation, glances) for part in (split.fit, split.held_out)
        )
        loop = TrainingLoop(recipe, head, fit, held_out, seed)
        state = run.load_checkpoint()
        if state is not None:
            try:
                loop.restore(state["loop"])
                began -= state["seconds"]
            except Exception as error:  # of another version, with the right name: its parts may be anything
                raise run.unusable_checkpoint(error) from error

        def detector_of(head: Head, step: int) -> Detector:
            return _uncalibrated(head, step, recipe, features, normalisation, identity, [v.video_id for v in videos])

        saved = time.monotonic()
        with run.open_log(after_step=loop.step) as log:
            while not loop.is_done:
                loop.advance(log, lambda step: progress and progress(step, recipe.steps, loop.status))
                if on_evaluate is not None:
                    on_evaluate(loop.step, detector_of(loop.head_now(), loop.step))
                if time.monotonic() - saved >= _CHECKPOINT_SECONDS:
                    run.save_checkpoint({"loop": loop.state(), "seconds": time.monotonic() - began})
                    saved = time.monotonic()
        last = detector_of(loop.head_now(), loop.step)
        selected = detector_of(loop.head_selected(), loop.selected_step)

        def tell_fold(fold: int, folds: int) -> None:
            if progress is not None:
                progress(recipe.steps, recipe.steps, f"cross-fitting: {fold} of {folds}")

        out_of_fold, logits = _calibrate(selected, split, recipe, features, seed, tell_fold, glances)
        found = None
        if glances:
            found = _measure_glances(glances, logits, split, recipe, features, seed, loop.selected_step, tell_fold)
        if loop.selected_step == loop.step:
            last.calibration = selected.calibration
        else:  # cross-fitting it, too, would double the cost
            _calibrate(last, split, recipe, features, seed, None, glances)
    last.save(run.folder / "last")
    selected.save(run.folder / "selected")
    selected.head.write_report(run.folder)
    by_evaluation = [score.video_auc for score in loop.selection.history]
    at_selected = -(-loop.selected_step // recipe.evaluate_every) - 1
    report = TrainReport(
        recipe=recipe.name,
        seed=seed,
        steps=loop.step,
        stopped="early" if loop.selection.should_stop else "budget",
        selected_step=loop.selected_step,
        selected_auc=by_evaluation[at_selected] if by_evaluation else None,
        last_auc=by_evaluation[-1] if by_evaluation else None,
        threshold=selected.calibration.threshold,
        seconds=time.monotonic() - began,
        step_seconds=loop.step_seconds,
        parameters=sum(p.numel() for p in loop.head.parameters() if p.requires_grad),
        n_normal=sum(v.label == 0 for v in split.fit),
        n_anomalous=sum(v.label == 1 for v in split.fit),
        held_out=tuple(v.video_id for v in split.held_out),
        skipped=tuple(sorted(skipped)),
        normalise=recipe.normalise,
        data_hash=str(identity["data_hash"]),
        clicks_hash=str(identity["clicks_hash"]),
        notes=(
            split.note,
            f"input normalisation: {recipe.normalise}",
            f"threshold: {selected.calibration.method}",
        ),
        out_of_fold=out_of_fold,
        glances=found,
        trained_with_glances=recipe.glance_loss.weight > 0,
        selected_by=_chosen_by(recipe, split),
        data=data,
    )
    report = replace(report, remarks=remarks_on(report, manifest))
    run.finish(report)
    return report


def _check_clicks(recipe: Recipe, split: Split, glances: Glances | None, fits_at_once: bool) -> None:
    """Refuse a recipe that chooses by clicks, or trains with them, where there are none.

    Raises:
        UsageError: says what to do.
    """
    if recipe.selection.by == "glances" and split.held_out and not _clicked(split.held_out, glances):
        raise UsageError(
            "selection.by is 'glances', but no held-out video has a click: give clicks of training videos (--glances "
            "FILE), or select by 'clips'"
        )
    if recipe.glance_loss.weight and fits_at_once:
        raise UsageError(f"head {recipe.head!r} is fitted at once, without steps: glance_loss.weight must be 0")
    if recipe.glance_loss.weight and not _clicked(split.fit, glances):
        raise UsageError(
            f"glance_loss.weight is {recipe.glance_loss.weight:g}, but no training video has a click: give clicks "
            "(--glances FILE), or leave it 0"
        )


def _clicked(videos: Sequence[Video], glances: Glances | None) -> list[Video]:
    return [video for video in videos if glances and video.video_id in glances]


def _chosen_by(recipe: Recipe, split: Split) -> str | None:
    if not split.held_out:
        return None
    return "glances" if recipe.selection.by == "glances" else f"video labels ({recipe.selection.by})"


def remarks_on(report: TrainReport, manifest: Manifest) -> tuple[str, ...]:
    """What a user should look at, videos named by their files."""
    found = report.out_of_fold
    said = report.data.remarks(manifest)
    if report.trained_with_glances:
        said += (
            "trained with glances: clicks are more than video labels, so say it wherever you report these numbers",
        )
    if report.selected_by == "glances":
        said += ("selected by glances: clicks are more than video labels, so say it wherever you report these numbers",)
    if report.selected_auc is not None and report.selected_auc < 0.5 and (found is None or found.video_auc >= 0.5):
        said += (
            f"anomalous held-out videos score below normal ones (video AUC {report.selected_auc:.3f}): "
            "there may be too few, or these features don't show what is anomalous",
        )
    return said + (found.remarks(manifest) if found is not None else ())


def _uncalibrated(
    head: Head,
    step: int,
    recipe: Recipe,
    features: FeatureSet,
    normalisation: Normalisation,
    identity: dict[str, Any],
    video_ids: list[str],
) -> Detector:
    provenance = {
        "recipe": recipe.model_dump(mode="json"),
        "step": step,
        "videos": video_ids,
        **identity,
        "git_revision": git_revision(),
        "versions": package_versions(),
    }
    return Detector(features.spec, head, normalisation, Calibration(0.5, "not calibrated", 0), provenance)


def _calibrate(
    detector: Detector,
    split: Split,
    recipe: Recipe,
    features: FeatureSet,
    seed: int,
    on_fold: OnFold | None,
    glances: Glances | None,
) -> tuple[OutOfFold | None, dict[str, Logits]]:
    """Give a detector its map and threshold, from videos that weren't trained on.

    The held-out videos alone where there are enough of them or `on_fold` is None; else all, by cross-fitting. Where
    that is impossible, scores stay the head's, and the threshold comes from the training videos themselves.

    Returns:
        What these videos say, None where that is impossible; and the logits of their clips.
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
        logits = {video.video_id: (detector.logits(features.load(video.video_id)),) for video in videos}
    if {video.label for video in videos if video.video_id in logits} != {0, 1}:
        detector.calibration = _threshold_from_training(detector, split.fit + split.held_out, features)
        return None, {}
    seconds = time.monotonic() - began
    lengths_s = {v.video_id: length for v in videos if (length := _length_s(v, features)) is not None}
    found, detector.calibration = OutOfFold.of(videos, logits, source, settings.false_alarms, seconds, lengths_s)
    return found, logits


def _measure_glances(
    glances: Glances,
    logits: Mapping[str, Logits],
    split: Split,
    recipe: Recipe,
    features: FeatureSet,
    seed: int,
    steps: int,
    on_fold: OnFold,
) -> GlanceResult | None:
    """How well scores of clicked videos by heads not trained on them agree with the clicks.

    Where threshold and map come from the held-out videos alone, the others are cross-fitted for this.
    """
    videos = _clicked(split.fit + split.held_out, glances)
    if any(video.video_id not in logits for video in videos) and recipe.calibration.folds > 1:
        logits = cross_fit(recipe, split.fit + split.held_out, features, steps, seed, on_fold, glances) or logits
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


@contextmanager
def _deterministic(seed: int) -> Iterator[None]:
    """Seeded, deterministic torch inside; the caller's generators and settings are as before afterwards."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS is not deterministic
    before = torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before)
