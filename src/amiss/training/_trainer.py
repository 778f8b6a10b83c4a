"""One recipe + manifest + features → a run directory with detectors."""

import copy
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from amiss.datasets import Glances, Manifest
from amiss.detection import Calibration, Detector, Normalisation
from amiss.errors import UsageError
from amiss.features import FeatureSet
from amiss.heads import Head, has_option
from amiss.training._bags import (
    Bags,
    find_all_zero,
    fit_normalisation,
    hash_data,
    hash_glances,
    load_bags,
    resolve_recipe,
)
from amiss.training._calibrate import calibrate_detector, clicked_of, measure_clicked
from amiss.training._classes import make_head
from amiss.training._crossfit import TEACHING_FOLDS, NoLog, clip_targets, taught
from amiss.training._data_check import DataCheck
from amiss.training._holdout import Split, split_training
from amiss.training._loop import TrainingLoop
from amiss.training._progress import OnProgress, RunProgress
from amiss.training._provenance import git_revision, package_versions
from amiss.training._recipe import Recipe
from amiss.training._run_folder import RunFolder, TrainReport

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
        _check_plugins(recipe, head, split)
        recipe = _with_most_steps(recipe, split.max_steps)
        if head.fits_at_once:
            recipe = recipe.model_copy(update={"steps": 1})
        run = RunFolder(Path(out), recipe, identity, resume=resume)
        if (finished := run.read_report()) is not None:
            return finished
        normalisation = fit_normalisation(recipe, split.fit, features)
        fit, held_out = (
            load_bags(recipe, part, features, normalisation, glances) for part in (split.fit, split.held_out)
        )
        told = _run_progress(progress, recipe, split, glances)
        if recipe.is_taught:
            fit = _taught(recipe, head, fit, held_out, split, features, seed, told, glances)
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
                loop.advance(log, lambda step: told.step(step, loop.status))
                if on_evaluate is not None:
                    on_evaluate(loop.step, detector_of(loop.head_now(), loop.step))
                if time.monotonic() - saved >= _CHECKPOINT_SECONDS:
                    run.save_checkpoint({"loop": loop.state(), "seconds": time.monotonic() - began})
                    saved = time.monotonic()
        last = detector_of(loop.head_now(), loop.step)
        selected = detector_of(loop.head_selected(), loop.selected_step)
        out_of_fold, logits, scoring = calibrate_detector(selected, split, recipe, features, seed, told.fold, glances)
        found = None
        if glances:
            found = measure_clicked(glances, logits, selected, split, recipe, features, seed, told.fold)
        if loop.selected_step == loop.step:
            last.scoring, last.calibration = selected.scoring, selected.calibration
        else:  # cross-fitting it, too, would double the cost
            last.scoring = selected.scoring
            calibrate_detector(last, split, recipe, features, seed, None, glances)
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
        scoring=scoring,
        out_of_fold=out_of_fold,
        glances=found,
        trained_with_glances=recipe.glance_loss.weight > 0,
        selected_by=_chosen_by(recipe, split),
        data=data,
    )
    report = replace(report, remarks=remarks_on(report, manifest))
    run.finish(report)
    return report


def _with_most_steps(recipe: Recipe, most: int | None) -> Recipe:
    """The recipe, and who teaches it, with so many training steps at most; None = as they are."""
    if most is None:
        return recipe
    teaching = recipe.teaching
    if teaching.teacher is not None:
        teaching = teaching.model_copy(update={"teacher": _with_most_steps(teaching.teacher, most)})
    return recipe.model_copy(update={"steps": min(recipe.steps, most), "teaching": teaching})


def _check_clicks(recipe: Recipe, split: Split, glances: Glances | None, fits_at_once: bool) -> None:
    """Refuse a recipe that chooses by clicks, or trains with them, where there are none.

    Raises:
        UsageError: says what to do.
    """
    if recipe.selection.by == "glances" and split.held_out and not clicked_of(split.held_out, glances):
        raise UsageError(
            "selection.by is 'glances', but no held-out video has a click: give clicks of training videos (--glances "
            "FILE), or select by 'clips'"
        )
    if recipe.glance_loss.weight and fits_at_once:
        raise UsageError(
            f"head {recipe.head!r} is fitted at once, without steps: glance_loss.weight must be 0. To train with "
            "clicks name a recipe that takes steps, such as topk"
        )
    if recipe.glance_loss.weight and not clicked_of(split.fit, glances):
        raise UsageError(
            f"glance_loss.weight is {recipe.glance_loss.weight:g}, but no training video has a click: give clicks "
            "(--glances FILE), or leave it 0"
        )


def _check_plugins(recipe: Recipe, head: Head, split: Split) -> None:
    """Refuse plug-ins that the head has no use for, and teaching where nobody could teach.

    Raises:
        UsageError: says what to do.
    """
    judge = recipe.head_options.get("head", recipe.head)  # of each part, in late fusion
    if recipe.is_taught and head.fits_at_once:
        own = "; it has rounds of its own: head_options.rounds" if has_option(judge, "rounds") else ""
        raise UsageError(
            f"head {judge!r} is fitted at once, without steps: teaching.rounds must be 0, and teaching.teacher "
            f"null{own}"
        )
    if (teacher := recipe.teaching.teacher) is not None and teacher.alternatives:
        names = [teacher.head, *(other.name for other in teacher.alternatives)]
        raise UsageError(f"teaching.teacher {teacher.name!r} chooses between recipes: name one of them, {names}")
    if recipe.is_taught:
        for label, name in enumerate(("normal", "anomalous")):
            apart = {
                ("video", v.video_id) if v.group is None else ("group", v.group) for v in split.fit if v.label == label
            }
            if len(apart) < 2:
                raise UsageError(
                    f"teaching needs two {name} training videos of different groups, so that each is scored by a head "
                    f"that hasn't seen it; there is {len(apart)}: add videos, or leave teaching.rounds 0 and "
                    "teaching.teacher null"
                )
    for part in ("change", "level"):
        if getattr(recipe.scoring, part) != "never" and has_option(judge, part):
            raise UsageError(
                f"head {judge!r} has this part itself: scoring.{part} must be 'never' (see head_options.{part})"
            )
    if recipe.scoring.causal and head.context is None:
        raise UsageError(
            f"scoring.causal is true, and head {recipe.head!r} with these options needs more than the clips just "
            "before: leave scoring.causal false"
        )


def _run_progress(on_progress: OnProgress | None, recipe: Recipe, split: Split, glances: Glances | None) -> RunProgress:
    """How many trainings this run takes."""
    turns, settings = recipe.teaching.turns, recipe.calibration
    held_out = np.bincount([video.label for video in split.held_out], minlength=2)
    crosses = settings.folds > 1 and (held_out.min() < settings.enough_held_out or bool(glances))
    folds = settings.folds * settings.rounds if crosses else 0
    before = TEACHING_FOLDS * turns + (recipe.teaching.rounds > 0)
    return RunProgress(on_progress, recipe.steps, before, folds * (1 + TEACHING_FOLDS * turns))


def _taught(
    recipe: Recipe,
    head: Head,
    fit: Bags,
    held_out: Bags,
    split: Split,
    features: FeatureSet,
    seed: int,
    told: RunProgress,
    glances: Glances | None,
) -> Bags:
    """The bags to fit on, with what their clips shall score."""
    steps, own = recipe.steps, 0.0
    if recipe.teaching.rounds:  # heads that rank are trained as long as is best for the head as it is without
        own = 1 / told.before
        untaught = TrainingLoop(recipe, copy.deepcopy(head), fit, held_out, seed)
        while not untaught.is_done:
            untaught.advance(NoLog(), lambda step: told.teaching(own * step / recipe.steps, "training a first head"))
        steps = untaught.selected_step

    def tell(share: float) -> None:
        told.teaching(own + (1 - own) * share, "scoring clips to teach them")

    return taught(fit, split.fit, clip_targets(recipe, split.fit, features, steps, seed, tell, glances))


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


@contextmanager
def _deterministic(seed: int) -> Iterator[None]:
    """Seeded, deterministic torch inside; the caller's generators and settings are as before afterwards."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS is not deterministic
    before = torch.get_deterministic_debug_mode()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.set_deterministic_debug_mode("warn")  # use_deterministic_algorithms imports torch's compiler: seconds
        try:
            yield
        finally:
            torch.set_deterministic_debug_mode(before)
