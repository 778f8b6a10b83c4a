"""train: recipe (and its alternatives) + manifest + features → a run directory with detectors; with many seeds, too."""

import os
import shutil
import statistics
from dataclasses import replace
from pathlib import Path

from sklearn.metrics import roc_auc_score

from amiss.datasets import Glances, Manifest
from amiss.errors import OutputError, UsageError
from amiss.features import FeatureSet
from amiss.files import write_json
from amiss.training._bags import find_all_zero, hash_data, hash_glances, resolve_recipe
from amiss.training._data_check import DataCheck
from amiss.training._progress import OnProgress
from amiss.training._recipe import Recipe
from amiss.training._run_folder import RunFolder, TrainReport
from amiss.training._trainer import OnEvaluate, remarks_on, train_one

_TRIED = "tried"
_CLEARLY = 0.02  # of AUC or rank, by which an alternative must be better: of 40 videos smaller differences are chance


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
    data: DataCheck | None = None,
    glances: Glances | None = None,
) -> TrainReport:
    """Train a head and write a run directory: recipe.yaml, metrics.jsonl, tensorboard/, last/, selected/, report.json.

    Where the recipe names alternatives, all are trained, in `tried/`, and the one is taken whose scores of training
    videos by heads not trained on them (`TrainReport.out_of_fold`) have the highest video AUC; an alternative only
    where its AUC is higher by 0.02. With `selection.by: glances` it is the glance rank (`TrainReport.glances`).

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
        data: what is known to be odd about the data, for the report.
        glances: clicked frames of training videos: how well scores by heads not trained on these videos agree with
            them is in the report. They choose nothing and train nothing, unless the recipe says so
            (`selection.by`, `glance_loss`).

    Raises:
        UsageError: unknown head or option, or `out` holds something else.
        ManifestError: no normal or no anomalous training video.
        FeatureError: training videos without features.
        OutputError: `out` can't be written.
        AmissError: the loss is no longer finite.
    """
    data = data or DataCheck()
    if recipe.alternatives:
        return _train_best(recipe, manifest, features, Path(out), seed, resume, progress, on_evaluate, data, glances)
    return train_one(
        recipe,
        manifest,
        features,
        out,
        seed=seed,
        resume=resume,
        progress=progress,
        on_evaluate=on_evaluate,
        data=data,
        glances=glances,
    )


def _train_best(
    recipe: Recipe,
    manifest: Manifest,
    features: FeatureSet,
    out: Path,
    seed: int,
    resume: bool,
    progress: OnProgress | None,
    on_evaluate: OnEvaluate | None,
    data: DataCheck,
    glances: Glances | None,
) -> TrainReport:
    """Train the recipe itself and its alternatives, in `tried/`; copy what the best one left."""
    candidates = {recipe.head: recipe.model_copy(update={"name": recipe.head, "alternatives": ()})}
    for alternative in recipe.alternatives:
        selection = alternative.selection.model_copy(update={"by": recipe.selection.by})
        candidates[alternative.name] = alternative.model_copy(update={"alternatives": (), "selection": selection})
    resolved = resolve_recipe(recipe, features)
    videos = manifest.split("train", "val")
    find_all_zero(videos, features)
    identity = {"seed": seed, "data_hash": hash_data(videos, features), "clicks_hash": hash_glances(glances)}
    run = RunFolder(out, resolved, identity, resume=resume)
    if (finished := run.read_report()) is not None:
        return finished
    reports: dict[str, TrainReport] = {}
    for number, (name, candidate) in enumerate(candidates.items()):

        def tell(done: float, total: float, what: str, number: int = number, name: str = name) -> None:
            if progress is not None:
                progress(number + done / total, len(candidates), f"{name}: {what}" if what else name)

        reports[name] = train_one(
            candidate,
            manifest,
            features,
            out / _TRIED / name,
            seed=seed,
            resume=resume,
            progress=tell,
            on_evaluate=on_evaluate,
            data=data,
            glances=glances,
        )
    by_glances = recipe.selection.by == "glances"
    if by_glances:
        measure = "glance rank"
        worth = {name: report.glances.rank for name, report in reports.items() if report.glances is not None}
    else:
        measure, worth = "video AUC", _comparable_aucs(reports, {video.video_id: video.label for video in videos})
    first = next(iter(reports))
    best = max(reports, key=lambda name: worth.get(name, 0.0) - (0.0 if name == first else _CLEARLY))
    if worth:
        compared = ", ".join(f"{name} {value:.3f}" for name, value in worth.items())
        note = f"taken: {best}; {measure} of training videos, by heads not trained on them: {compared}"
    else:
        note = f"taken: {best}, untried: there are too few videos to compare {' and '.join(reports)}"
    _copy_run(out / _TRIED / best, out)
    seconds = sum(report.seconds for report in reports.values())
    notes = (note, *reports[best].notes)
    report = replace(reports[best], recipe=recipe.name, taken=best, notes=notes, seconds=seconds)
    if by_glances and worth:  # also where no step was selected
        report = replace(report, selected_by="glances")
        report = replace(report, remarks=remarks_on(report, manifest))
    run.finish(report)
    return report


def _comparable_aucs(reports: dict[str, TrainReport], labels: dict[str, int]) -> dict[str, float]:
    """Video AUC of each, over the videos that all have scores of; empty where one has none."""
    scores = {name: report.out_of_fold.scores for name, report in reports.items() if report.out_of_fold is not None}
    common = sorted(set.intersection(*map(set, scores.values()))) if len(scores) == len(reports) else []
    truth = [labels[video_id] for video_id in common]
    if len(set(truth)) < 2:
        return {}
    return {name: float(roc_auc_score(truth, [own[i] for i in common])) for name, own in scores.items()}


def _copy_run(tried: Path, out: Path) -> None:
    """Everything but recipe and report, which are of the whole."""
    try:
        for path in tried.iterdir():
            if path.is_dir():
                shutil.copytree(path, out / path.name, dirs_exist_ok=True)
            elif path.name not in ("recipe.yaml", "report.json"):
                shutil.copy2(path, out / path.name)
    except OSError as error:
        raise OutputError(f"can't write run directory {out}: {error.strerror or error}") from error


def train_seeds(
    recipe: Recipe,
    manifest: Manifest,
    features: FeatureSet,
    out: str | os.PathLike[str],
    seeds: int,
    *,
    resume: bool = False,
    progress: OnProgress | None = None,
    data: DataCheck | None = None,
    glances: Glances | None = None,
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
        reports.append(
            train(
                recipe,
                manifest,
                features,
                folder,
                seed=seed,
                resume=resume,
                progress=tell,
                data=data,
                glances=glances,
            )
        )
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
