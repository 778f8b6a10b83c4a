"""What was planned and measured → the results of a benchmark."""

import math
import platform
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from amiss._version import __version__
from amiss.bench._measure import Subject
from amiss.bench._plan import Plan, System
from amiss.bench._prepare import Prepared
from amiss.bench._results import (
    BenchResult,
    Cost,
    DatasetResult,
    FeaturesResult,
    GlanceSpread,
    Measurement,
    Provenance,
    Spread,
    Sweep,
    SystemResult,
)
from amiss.evaluation import Comparison
from amiss.files import sha256_file
from amiss.jobs import mean_std

ENOUGH_SEEDS = 3


def system_result(subject: Subject, measured: Measurement, plan: Plan) -> SystemResult:
    """A measured system, with what its training tells where it was trained here."""
    result = SystemResult(
        name=subject.name,
        dataset=subject.dataset,
        features=subject.features,
        metric=subject.metric,
        shown=subject.shown,
        seeds=subject.seeds,
        rows=measured.rows,
        detail=measured.detail,
        shortcuts=measured.shortcuts,
    )
    found: dict[str, object] = {}
    oracle, chosen = result.ranked("oracle(test)"), result.ranked("selected")
    if oracle is not None and chosen is not None:
        found["optimism"] = _spread([a - b for a, b in zip(oracle.per_seed, chosen.per_seed, strict=True)])
    system = plan.system(subject.dataset, subject.name)
    if system is None:
        files = [file for seeds in subject.files.values() for seed in seeds for file in seed]
        found["scores_sha256"] = tuple(sha256_file(file) for file in files)
    else:
        found |= _of_training(system)
    return result.model_copy(update=found)


def dataset_result(
    own: Prepared, plan: Plan, systems: Sequence[SystemResult], compared: tuple[Sequence[Comparison], Sequence[str]]
) -> DatasetResult:
    """A dataset with its systems; `compared`: see `compare_subjects`."""
    data = plan.data_of(own.dataset)
    every = [one.manifest for one in data] or [own.manifest]
    used = {video.video_id for manifest in every for video in manifest.videos}  # by any of the feature sets
    train = [video for video in own.manifest.split("train", "val") if video.video_id in used]
    test = [video for video in own.test.split("test") if video.video_id in used]
    tested = {video.video_id for video in own.test.split("test")}
    comparisons, remarks = compared
    return DatasetResult(
        name=own.dataset.label,
        metric=own.metric,
        protocols=tuple(own.dataset.protocols),
        folds=own.dataset.folds,
        source=own.manifest.source,
        n_train=len(train),
        n_train_anomalous=sum(video.label for video in train),
        n_test=len(test),
        n_test_anomalous=sum(video.label for video in test),
        notes=own.notes,
        features=tuple(
            FeaturesResult(
                name=one.choice.name,
                backbone=one.features.spec.backbone,
                weights=one.features.spec.weights,
                dim=one.features.spec.dim,
                crops=one.features.spec.crops,
                stride=one.features.spec.stride,
                segments=one.features.spec.segments,
                spec_hash=one.features.spec.hash,
                n_videos=len(one.manifest.videos),
                dropped=len(one.dropped),
                dropped_test=len(tested.intersection(one.dropped)),
                notes=one.notes,
            )
            for one in data
        ),
        systems=tuple(systems),
        comparisons=tuple(comparisons),
        remarks=tuple(remarks),
        sweeps=tuple(_sweeps(own, plan, {row.name: row for row in systems})),
    )


def bench_result(
    plan: Plan,
    datasets: Sequence[DatasetResult],
    marks: Sequence[str],
    failures: Sequence[str],
    *,
    seconds: float,
    n_run: int,
) -> BenchResult:
    """The whole benchmark.

    Args:
        plan: what was run.
        datasets: with their systems.
        marks: what a reader must be warned of.
        failures: systems that could not be measured, and why.
        seconds: that this call took.
        n_run: cells that it ran.
    """
    suite, systems = plan.suite, [system for dataset in datasets for system in dataset.systems]
    found = [*marks, *(mark for own in plan.datasets for mark in own.marks), *_version_marks(systems)]
    found += _seed_marks(plan)
    return BenchResult(
        name=suite.name,
        note=suite.note,
        marks=tuple(found),
        failures=tuple(failures),
        datasets=tuple(datasets),
        provenance=Provenance(
            suite=plan.file.name,
            suite_sha256=sha256_file(plan.file),
            suite_text=plan.file.read_text(encoding="utf-8"),
            amiss=__version__,
            versions=next((system.versions for system in systems if system.versions), {}),
            machine=f"{platform.system()} {platform.machine()}",
            seeds=tuple(suite.seed_list),
            bootstrap=suite.bootstrap,
            cells=len(plan.cells),
            cells_run_now=n_run,
            training_seconds=sum(system.seconds for system in systems if system.seconds is not None),
            seconds=seconds,
        ),
    )


def _of_training(system: System) -> dict[str, object]:
    """The fields of a `SystemResult` that its cells tell."""
    cells = [cell.read() for cell in system.cells]
    held_out = [cell.held_out for cell in cells if cell.held_out is not None]
    kinds = cells[0].steps
    notes = {cell.train.notes[0] for cell in cells}
    found: dict[str, object] = {
        "held_out": _spread(held_out) if len(held_out) == len(cells) else None,
        "steps": {kind: float(np.mean([cell.steps[kind] for cell in cells])) for kind in kinds},
        "selection": notes.pop() if len(notes) == 1 else None,
        "seconds": sum(cell.seconds for cell in cells),
        "cost": Cost(
            **{
                name: float(np.median([getattr(c.cost, name) for c in cells]))
                for name in type(cells[0].cost).model_fields
            }
        ),
        "versions": cells[0].versions,
        "all_versions": tuple(sorted({str(sorted(cell.versions.items(), key=str)) for cell in cells})),
        "data_hashes": tuple(sorted({cell.train.data_hash for cell in cells})),
        "recipe": system.variant.recipe.model_dump(mode="json"),
    }
    reports = [cell.train for cell in cells]
    found["selected_by"] = reports[0].selected_by
    clicked = [report.glances for report in reports if report.glances is not None]
    if len(clicked) == len(cells):
        found["glances"] = GlanceSpread(
            rank=_spread([own.rank for own in clicked]),
            ci95=clicked[0].rank_ci95,
            middle_rank=clicked[0].middle_rank,
            peak_hit=_spread([own.peak_hit for own in clicked]),
            peak_hit_chance=clicked[0].peak_hit_chance,
            n_videos=clicked[0].n_videos,
        )
    if system.data.dataset.folds is not None:
        seeds = sorted({cell.seed for cell in cells})
        found["fold_mean"] = {
            kind: _spread([float(np.mean([c.values[kind] for c in cells if c.seed == seed])) for seed in seeds])
            for kind in kinds
        }
    return found


def _sweeps(own: Prepared, plan: Plan, rows: Mapping[str, SystemResult]) -> list[Sweep]:
    """For each swept recipe: the setting that held-out videos choose, and the one that the test set would have."""
    groups: dict[tuple[int, str], list[System]] = {}
    for system in plan.systems:
        if system.data.dataset.label == own.dataset.label and system.variant.swept and system.name in rows:
            groups.setdefault((id(system.variant.choice), system.data.choice.name), []).append(system)
    sweeps = []
    for (_, features), members in groups.items():
        if len(members) < 2:
            continue
        mine = [rows[member.name] for member in members]
        selected = [ranked for row in mine if (ranked := row.ranked("selected")) is not None]
        oracles = [ranked for row in mine if (ranked := row.ranked("oracle(test)")) is not None]
        values = [ranked.mean for ranked in selected]
        held_out = [row.held_out.mean if row.held_out else math.nan for row in mine]
        best = int(np.argmax(values))
        chosen = None if np.isnan(held_out).any() else int(np.argmax(held_out))
        ranks = [row.glances.rank.mean if row.glances else None for row in mine]
        known = [rank for rank in ranks if rank is not None]
        by_glances = ranks.index(max(known)) if len(known) == len(ranks) else None
        sweeps.append(
            Sweep(
                features=features,
                settings=tuple(dict(member.variant.swept) for member in members),
                names=tuple(member.name for member in members),
                held_out=tuple(None if math.isnan(value) else value for value in held_out),
                values=tuple(values),
                stds=tuple(ranked.std for ranked in selected),
                oracles=tuple(ranked.mean for ranked in oracles),
                chosen=None if chosen is None else mine[chosen].name,
                chosen_value=None if chosen is None else values[chosen],
                glance_ranks=tuple(ranks),
                chosen_by_glances=None if by_glances is None else mine[by_glances].name,
                chosen_by_glances_value=None if by_glances is None else values[by_glances],
                best_on_test=mine[best].name,
                best_on_test_value=values[best],
            )
        )
    return sweeps


def unfinished_marks(plan: Plan, finished: Plan, failed: Collection[str]) -> list[str]:
    """What a reader must be warned of where a run was stopped.

    Args:
        plan: the whole.
        finished: what of it is reported.
        failed: keys of cells that were run and failed.
    """
    missing = sum(not cell.is_done and cell.key not in failed for cell in plan.cells)
    if not missing:
        return []
    shown = {(system.data.dataset.label, system.name) for system in finished.systems}
    absent = [
        f"{system.name} ({system.data.dataset.label})"
        for system in plan.systems
        if (system.data.dataset.label, system.name) not in shown and not any(c.key in failed for c in system.cells)
    ]
    named = f", and these are not shown: {', '.join(absent)}" if absent else ""
    return [
        f"{missing} of {len(plan.cells)} trainings are missing, the same command goes on: rows have the seeds that are "
        f"finished{named}"
    ]


def _seed_marks(plan: Plan) -> list[str]:
    """Where systems have too few training seeds."""
    seeds = [len({cell.seed for cell in system.cells}) for system in plan.systems]
    few = [count for count in seeds if count < ENOUGH_SEEDS]
    if not few:
        return []
    where = "" if len(few) == len(seeds) else f" in {len(few)} of {len(seeds)} rows"
    counts = " or ".join(map(str, sorted(set(few))))
    return [f"{counts} training seed(s){where}: too few to tell a difference from luck; take 3 or more"]


def _version_marks(systems: Sequence[SystemResult]) -> list[str]:
    differing = {version for system in systems for version in system.all_versions}
    if len(differing) < 2:
        return []
    return [f"cells were run by {len(differing)} different versions of amiss or its packages: run all of them again"]


def _spread(values: Sequence[float]) -> Spread:
    mean, std = mean_std(values) or (math.nan, math.nan)
    return Spread(mean=mean, std=std)
