"""train: recipe + manifest + features → a run directory with detectors."""

import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from amiss.datasets import Manifest, Video
from amiss.detection import Calibration, Detector, Normalisation, threshold_from_normal
from amiss.errors import UsageError
from amiss.features import FeatureSet
from amiss.files import write_json
from amiss.heads import Head, create_head
from amiss.training._bags import find_all_zero, fit_normalisation, hash_data, load_bags, resolve_recipe
from amiss.training._holdout import Split, split_training
from amiss.training._loop import TrainingLoop
from amiss.training._provenance import git_revision, package_versions
from amiss.training._recipe import Recipe
from amiss.training._run_folder import RunFolder, TrainReport

OnProgress = Callable[[float, float, str], None]
"""Called with (step, steps at most, how good it is)."""
OnEvaluate = Callable[[int, Detector], None]
"""Called with (step, detector of that step, not calibrated) at each evaluation."""

_CHECKPOINT_SECONDS = 20.0  # least time between checkpoints: large heads would write more than they train
_ENOUGH_HELD_OUT = 10  # held-out normal videos for a threshold; where there are fewer, all normal videos give it


def train(
    recipe: Recipe,
    manifest: Manifest,
    features: FeatureSet,
    out: str | os.PathLike[str],
    *,
    seed: int = 0,
    resume: bool = False,
    progress: OnProgress | None = None,
    on_evaluate: OnEvaluate | None = None,
) -> TrainReport:
    """Train a head and write a run directory: recipe.yaml, metrics.jsonl, tensorboard/, last/, selected/, report.json.

    Also what the head of the selected step has to tell (`distribution`: `densities.png` and `densities.json`).

    Test rows of the manifest are not looked at. The same seed gives the same numbers on the same machine, also where
    the run was killed and resumed. Trains on a CUDA device where there is one.

    Args:
        recipe: of `load_recipe`.
        manifest: videos of split train, and optionally val.
        features: of all these videos.
        out: run directory; must be empty or not exist, or with `resume` hold this run.
        seed: of weights, batches, dropout and the held-out part.
        resume: go on where a stopped run was; a finished one is left as it is.
        progress: told at each step.
        on_evaluate: told at each evaluation; for benchmarks that follow a test set apart.

    Raises:
        UsageError: unknown head or option, or `out` holds something else.
        ManifestError: no normal or no anomalous training video.
        FeatureError: training videos without features.
        OutputError: `out` can't be written.
        AmissError: the loss is no longer finite.
    """
    began = time.monotonic()
    recipe = resolve_recipe(recipe, features)
    videos = manifest.split("train", "val")
    skipped = find_all_zero(videos, features)
    identity = {"seed": seed, "data_hash": hash_data(videos, features)}
    with _deterministic(seed):
        head = create_head(recipe.head, features.spec.dim, **recipe.head_options)
        split = split_training(manifest, recipe.selection, seed, skipped)
        recipe = recipe.model_copy(update={"steps": min(recipe.steps, split.max_steps or recipe.steps)})
        run = RunFolder(Path(out), recipe, identity, resume=resume)
        if (finished := run.read_report()) is not None:
            return finished
        normalisation = fit_normalisation(recipe, split.fit, features)
        fit, held_out = (load_bags(recipe, part, features, normalisation) for part in (split.fit, split.held_out))
        loop = TrainingLoop(recipe, head, fit, held_out, seed)
        state = run.load_checkpoint()
        if state is not None:
            try:
                loop.restore(state["loop"])
                began -= state["seconds"]
            except Exception as error:  # of another version, with the right name: its parts may be anything
                raise run.unusable_checkpoint(error) from error

        def detector_of(head: Head, step: int) -> Detector:
            return _uncalibrated(head, step, recipe, features, normalisation, identity)

        saved = time.monotonic()
        with run.open_log(after_step=loop.step) as log:
            while not loop.is_done:
                loop.advance(log, lambda step: progress and progress(step, recipe.steps, loop.status))
                if on_evaluate is not None:
                    on_evaluate(loop.step, detector_of(loop.head_now(), loop.step))
                if time.monotonic() - saved >= _CHECKPOINT_SECONDS:
                    run.save_checkpoint({"loop": loop.state(), "seconds": time.monotonic() - began})
                    saved = time.monotonic()
        last = _calibrated(detector_of(loop.head_now(), loop.step), split, features)
        selected = _calibrated(detector_of(loop.head_selected(), loop.selected_step), split, features)
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
        notes=(split.note, f"input normalisation: {recipe.normalise}", f"threshold: {selected.calibration.method}"),
    )
    run.finish(report)
    return report


def train_seeds(
    recipe: Recipe,
    manifest: Manifest,
    features: FeatureSet,
    out: str | os.PathLike[str],
    seeds: int,
    *,
    resume: bool = False,
    progress: OnProgress | None = None,
) -> list[TrainReport]:
    """Train with seeds 0..n-1 into `out/seed0`, `out/seed1`, … and write `out/report.json` over them.

    Raises:
        UsageError: `seeds` is below 1; and what `train` raises.
    """
    if seeds < 1:
        raise UsageError(f"seeds is {seeds}; it must be at least 1")
    if (Path(out) / "recipe.yaml").is_file():
        raise UsageError(f"{out} holds a run of one seed: choose another --out for several")
    reports = []
    for seed in range(seeds):

        def tell(done: float, total: float, what: str, seed: int = seed) -> None:
            if progress is not None:
                progress(seed + done / total, seeds, f"seed {seed}: {what}")

        folder = Path(out) / f"seed{seed}"
        reports.append(train(recipe, manifest, features, folder, seed=seed, resume=resume, progress=tell))
    aucs = [report.selected_auc for report in reports if report.selected_auc is not None]
    summary = {
        "recipe": recipe.name,
        "selected_auc": {
            "mean": statistics.fmean(aucs) if aucs else None,
            "std": statistics.stdev(aucs) if len(aucs) > 1 else None,
        },
        "seeds": [report.to_dict() for report in reports],
    }
    write_json(Path(out) / "report.json", summary)
    return reports


def _uncalibrated(
    head: Head,
    step: int,
    recipe: Recipe,
    features: FeatureSet,
    normalisation: Normalisation,
    identity: dict[str, Any],
) -> Detector:
    provenance = {
        "recipe": recipe.model_dump(mode="json"),
        "step": step,
        **identity,
        "git_revision": git_revision(),
        "versions": package_versions(),
    }
    return Detector(features.spec, head, normalisation, Calibration(0.5, "not calibrated", 0), provenance)


def _calibrated(detector: Detector, split: Split, features: FeatureSet) -> Detector:
    """Give a detector its threshold from normal videos: held-out ones where there are enough.

    Scores of videos that were trained on are extreme: normal ones reach 1e-9. There the threshold is moved up half way
    to what half of the anomalous videos reach.
    """

    def scores_of(videos: Sequence[Video], label: int) -> list[NDArray[np.float64]]:
        return [detector.score_features(features.load(video.video_id)) for video in videos if video.label == label]

    if sum(video.label == 0 for video in split.held_out) >= _ENOUGH_HELD_OUT:
        detector.calibration = threshold_from_normal(scores_of(split.held_out, 0), source="held-out")
        return detector
    videos = split.fit + split.held_out
    found = threshold_from_normal(scores_of(videos, 0), source="training")
    reached = float(np.median([scores.max() for scores in scores_of(videos, 1)]))
    if reached > found.threshold:
        method = f"half way from {found.method} to the median of the largest scores of anomalous ones"
        found = replace(found, threshold=(found.threshold + reached) / 2, method=method)
    detector.calibration = found
    return detector


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
