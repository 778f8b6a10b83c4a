"""amiss bench: suite → plan → cells, in parallel and resumable → results and reports."""

import os
import time
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path

from amiss.bench._assemble import bench_result, dataset_result, system_result, unfinished_marks
from amiss.bench._cell import Cell
from amiss.bench._measure import Subject, compare_subjects, measure
from amiss.bench._others import subject_of_scores
from amiss.bench._plan import Plan, System, make_plan
from amiss.bench._prepare import Data
from amiss.bench._report import write_report
from amiss.bench._results import KINDS, BenchResult, Measurement, score_file
from amiss.bench._suite import load_suite
from amiss.bench._tables import to_markdown
from amiss.bench._workers import Workers
from amiss.errors import AmissError, EvaluationError, OutputError, UsageError
from amiss.evaluation import Comparison
from amiss.executors import RunMetrics, TaskLostError, executor_for
from amiss.features import FeatureSet
from amiss.files import write_json, write_text
from amiss.jobs import OnProgress, silent

_PROCESS_BYTES = 800 << 20  # Python with torch
_MARK = "suite.yaml"


def run_bench(
    suite: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    workers: int | None = None,
    cluster: str | None = None,
    minutes: float | None = None,
    retry: bool = False,
    metrics: RunMetrics | None = None,
    on_progress: OnProgress = silent,
) -> BenchResult:
    """Run a suite and write `results.json`, `results.md`, `report.html`; `runs/` and `features/` hold what led to them.

    Finished cells (one recipe, feature set, seed and fold) are never run again, and those that failed only with
    `retry`; a killed run goes on where it was. Cells of an earlier version of the code that decides numbers are run
    again, with a warning. The numbers don't depend on the number of workers.

    Args:
        suite: YAML file, see `load_suite`.
        out: folder, new or of an earlier run.
        workers: cells trained at a time, one CPU thread each; None = one per core, fewer where memory is short, or
            what the cluster has room for.
        cluster: of Ray, see `executor_for`; `out`, features and videos must have the same paths on its machines.
        minutes: after so many no further cell is begun, and what is finished is reported, by whole seeds; 0 = only
            report, None = run all.
        retry: run cells again that failed before.
        metrics: count trainings, see `amiss.executors.serve_metrics`.
        on_progress: told cells done, of how many, and what is being done.

    Returns:
        What `results.json` holds.

    Raises:
        UsageError: the suite is wrong, or `out` holds something else.
        AmissError: the data are wrong or leak (see `make_plan`), or no cell could be run.
    """
    began = time.monotonic()
    file, folder, checked = Path(suite), Path(out), load_suite(suite)
    if workers is not None and workers < 1:
        raise UsageError(f"workers is {workers}; it must be at least 1")
    if minutes is not None and not minutes >= 0:
        raise UsageError(f"minutes is {minutes:g}; it must be at least 0")
    _make_room(folder, file)

    def tell(what: str) -> None:
        on_progress(0, 1, what)

    plan = make_plan(checked, file, folder, tell)
    missing = [cell for cell in plan.cells if not cell.is_done]
    before = {} if retry else {cell.key: why for cell in missing if (why := cell.failure) is not None}
    todo = [cell for cell in missing if cell.key not in before]
    _tell_of_earlier(todo)
    if workers is None and cluster is None:
        workers = min(default_workers(plan.data), max(len(todo), len(plan.systems)))
    with Workers(executor_for(cluster, workers, cpus=1, metrics=metrics)) as pool:
        until = None if minutes is None else time.time() + 60 * minutes
        failed = before | _train(todo, plan, pool, until, on_progress)
        whole, plan = plan, plan.finished(failed)
        subjects, marks = _subjects_of(plan)
        failures = _failures(whole, failed, before)
        tell("metrics, intervals and comparisons")
        measured = pool.map(_measure, [(subject, checked.bootstrap) for subject in subjects])
        failures += [outcome for outcome in measured if isinstance(outcome, str)]
        good = [(s, outcome) for s, outcome in zip(subjects, measured, strict=True) if not isinstance(outcome, str)]
        if not good:
            why = "; ".join(failures[:3]) or f"none of {len(whole.cells)} trainings is finished"
            raise AmissError(f"no system of the suite could be measured: {why}")
        rows = [system_result(subject, outcome, plan) for subject, outcome in good]
        names = [own.dataset.label for own in plan.datasets]
        same = [[subject for subject, _ in good if subject.dataset == name] for name in names]
        compared = pool.map(_compare, [(subjects, checked.bootstrap) for subjects in same])
    datasets = [
        dataset_result(own, plan, [row for row in rows if row.dataset == own.dataset.label], outcome)
        for own, outcome in zip(plan.datasets, compared, strict=True)
    ]
    result = bench_result(
        plan,
        datasets,
        [*marks, *unfinished_marks(whole, plan, failed)],
        failures,
        seconds=time.monotonic() - began,
        n_run=sum(cell.is_done for cell in todo),
    )
    write_json(folder / "results.json", result.to_dict())
    write_text(folder / "results.md", to_markdown(result))
    tell("report")
    write_report(folder / "report.html", result, [subject for subject, _ in good])
    on_progress(1, 1, "")
    return result


def default_workers(data: Sequence[Data]) -> int:
    """One process per core at hand, fewer where their bags would take more than three quarters of the memory."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    largest = max((_bag_bytes(one.features, len(one.manifest.videos)) for one in data), default=0)
    if not hasattr(os, "sysconf"):
        return cores
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * 3 // 4
    return max(1, min(cores, memory // (_PROCESS_BYTES + largest)))


def _bag_bytes(features: FeatureSet, n_videos: int) -> int:
    """Memory of the training bags: 32 segments a video; more than 2 GiB lie in a file."""
    spec = features.spec
    return min(n_videos * (spec.segments or 32) * spec.crops * spec.dim * 4, 2 << 30)


def _make_room(folder: Path, suite: Path) -> None:
    try:
        if folder.exists() and not (folder / _MARK).is_file() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(f"{folder} is not empty and no benchmark of before: choose another --out")
        write_text(folder / _MARK, suite.read_text(encoding="utf-8"))
    except UsageError:
        raise
    except OSError as error:
        raise OutputError(f"can't use {folder}: {error.strerror or error}") from error


def _tell_of_earlier(todo: Sequence[Cell]) -> None:
    if earlier := sum(cell.has_earlier_results for cell in todo):
        warnings.warn(
            f"{earlier} cells have results of an earlier version of amiss, which count no more: they are run again",
            stacklevel=3,
        )


def _train(
    todo: Sequence[Cell], plan: Plan, pool: Workers, until: float | None, on_progress: OnProgress
) -> dict[str, str]:
    """Run cells, and begin none after `until` (Unix time); those that fail are told by key, the rest goes on."""
    total = len(plan.cells)
    done, failed = total - len(todo), {}
    on_progress(done, max(total, 1), "cells")
    names = [f"{cell.system.name} {cell.name} {cell.key[:10]}" for cell in todo]
    for number, error in pool.each(_run_cell, [(cell, until) for cell in todo], names):
        cell = todo[number]
        if error is not None:
            failed[cell.key] = str(error)
            if not (error.transient or isinstance(error, OutputError | TaskLostError)):  # of the machine, not the cell
                cell.remember(str(error))
        elif not cell.is_done:
            continue  # its time was over
        done += 1
        on_progress(done, total, f"{cell.system.name} {cell.name}")
    return failed


def _run_cell(task: tuple[Cell, float | None]) -> None:
    cell, until = task
    if until is None or time.time() < until:
        cell.run()


def _measure(task: tuple[Subject, int]) -> Measurement | str:
    try:
        return measure(*task)
    except EvaluationError as error:
        return f"{task[0].dataset}, {task[0].name}: {error}"


def _compare(task: tuple[Sequence[Subject], int]) -> tuple[list[Comparison], list[str]]:
    return compare_subjects(*task)


def _failures(plan: Plan, failed: dict[str, str], before: Collection[str]) -> list[str]:
    """The systems with cells that failed, and why; `before`: keys of those that weren't run again."""
    found = []
    for system in plan.systems:
        broken = [cell.key for cell in system.cells if cell.key in failed]
        if broken:
            again = " (failed before, and isn't run again without --retry)" if broken[0] in before else ""
            found.append(f"{system.data.dataset.label}, {system.name}: {failed[broken[0]]}{again}")
    return found


def _subjects_of(plan: Plan) -> tuple[list[Subject], list[str]]:
    """What has scores; what a reader must be warned of."""
    subjects, marks = [_subject(system) for system in plan.systems], list[str]()
    for entry in plan.suite.scores:
        subject, remarks = subject_of_scores(entry, plan)
        subjects.append(subject)
        marks += remarks
    return subjects, marks


def _subject(system: System) -> Subject:
    cells = [(cell, cell.read()) for cell in system.cells]
    seeds = tuple(dict.fromkeys(cell.seed for cell in system.cells))
    by_seed = {seed: [pair for pair in cells if pair[0].seed == seed] for seed in seeds}
    return Subject(
        name=system.name,
        dataset=system.data.dataset.label,
        features=system.data.choice.name,
        metric=system.data.metric,
        protocols=tuple(system.data.dataset.protocols),
        manifest=system.data.test,
        files={
            kind: tuple(tuple(score_file(cell.folder, kind) for cell, _ in by_seed[seed]) for seed in seeds)
            for kind in KINDS
        },
        exclude=frozenset(video_id for _, result in cells for video_id in result.unscored),
        thresholds=tuple(by_seed[seed][0][1].threshold["selected"] for seed in seeds),
        seeds=seeds,
    )
