"""amiss bench: suite → plan → cells, in parallel and resumable → results and reports."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

import torch

from amiss.bench._cell import KINDS, Cell
from amiss.bench._data import Data, Prepared, prepare_data, prepare_datasets
from amiss.bench._measure import Subject, compare_subjects, measure
from amiss.bench._others import subject_of_scores
from amiss.bench._page import write_page
from amiss.bench._plan import System, plan_systems
from amiss.bench._results import assemble
from amiss.bench._suite import Suite, load_suite
from amiss.bench._tables import to_markdown
from amiss.errors import AmissError, EvaluationError, OutputError, UsageError
from amiss.features import FeatureSet
from amiss.files import write_json, write_text
from amiss.jobs._progress import OnProgress, silent

T = TypeVar("T")
_PROCESS_BYTES = 800 << 20  # Python with torch
_MARK = "suite.yaml"


def run_bench(
    suite: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    workers: int | None = None,
    on_progress: OnProgress = silent,
) -> dict[str, Any]:
    """Run a suite and write `results.json`, `results.md`, `report.html`; `runs/` and `features/` hold what led to them.

    Finished cells (one recipe, feature set, seed and fold) are never run again; a killed run goes on where it was. The
    numbers don't depend on the number of workers.

    Args:
        suite: YAML file, see `load_suite`.
        out: folder, new or of an earlier run.
        workers: cells trained at a time, one CPU thread each; None = one per core, fewer where memory is short.
        on_progress: told cells done, of how many, and what is being done.

    Returns:
        What `results.json` holds.

    Raises:
        UsageError: the suite is wrong, or `out` holds something else.
        AmissError: the data are wrong or leak (see `prepare_data`), or no cell could be run.
    """
    began = time.monotonic()
    plan, folder = load_suite(suite), Path(out)
    if workers is not None and workers < 1:
        raise UsageError(f"workers is {workers}; it must be at least 1")
    _make_room(folder, Path(suite))

    def tell(what: str) -> None:
        on_progress(0, 1, what)

    prepared = prepare_datasets(plan, tell)
    data = prepare_data(plan, prepared, folder, tell)
    systems = plan_systems(plan, data, folder)
    cells = [cell for system in systems for cell in system.cells]
    todo = [cell for cell in cells if not cell.is_done]
    count = workers or default_workers(data)
    failed = _train(todo, count, len(cells), on_progress)
    subjects, marks, failures = _subjects_of(plan, systems, prepared, data, folder, failed)
    tell("metrics, intervals and comparisons")
    measured = _run(_measure, [(subject, plan.bootstrap) for subject in subjects], count)
    failures += [outcome for outcome in measured if isinstance(outcome, str)]
    metrics = [outcome for outcome in measured if not isinstance(outcome, str)]
    subjects = [subject for subject, outcome in zip(subjects, measured, strict=True) if not isinstance(outcome, str)]
    if not subjects:
        raise AmissError(f"no system of the suite could be measured: {'; '.join(failures[:3])}")
    by_dataset = [[s for s in subjects if s.dataset == d.label] for d in plan.datasets]
    compared = _run(_compare, [(same, plan.bootstrap) for same in by_dataset], count)
    results = assemble(
        plan, Path(suite), prepared, data, systems, subjects, metrics, compared, marks, failures,
        seconds=time.monotonic() - began, n_run=len(todo) - len(failed),
    )  # fmt: skip
    write_json(folder / "results.json", results)
    write_text(folder / "results.md", to_markdown(results))
    tell("report")
    write_page(folder / "report.html", results, subjects)
    on_progress(1, 1, "")
    return results


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


def _train(todo: Sequence[Cell], workers: int, total: int, on_progress: OnProgress) -> dict[str, str]:
    """Run cells; those that fail are told by key, the rest goes on."""
    done, failed = total - len(todo), {}
    on_progress(done, max(total, 1), "cells")
    for cell, error in _each(_run_cell, list(todo), workers):
        done += 1
        if error is not None:
            failed[cell.key] = error
        on_progress(done, total, f"{cell.folder.parent.name} {cell.folder.name.rpartition('-')[0]}")
    return failed


def _run_cell(cell: Cell) -> str | None:
    try:
        cell.run()
    except AmissError as error:
        return str(error)
    return None


def _measure(task: tuple[Subject, int]) -> dict[str, Any] | str:
    try:
        return measure(*task)
    except EvaluationError as error:
        return f"{task[0].dataset}, {task[0].name}: {error}"


def _compare(task: tuple[Sequence[Subject], int]) -> tuple[list[dict[str, Any]], list[str]]:
    return compare_subjects(*task)


def _each(function: Callable[[Any], T], tasks: list[Any], workers: int) -> Iterable[tuple[Any, T]]:
    """(task, result) as they are finished; one thread each, so that numbers don't depend on the number of workers."""
    if not tasks:
        return
    if workers == 1 or len(tasks) == 1:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            for task in tasks:
                yield task, function(task)
        finally:
            torch.set_num_threads(before)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(tasks)), context, _start_worker)
    try:
        # Blocked while workers start: Ctrl-C then ends one that still imports in `_start_worker`, without a traceback.
        before_mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            futures = {pool.submit(function, task): task for task in tasks}
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before_mask)
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool:
        raise AmissError(
            "a worker process died, most likely for want of memory: run again with fewer --workers; "
            "what was finished is kept"
        ) from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _run(function: Callable[[Any], T], tasks: list[Any], workers: int) -> list[T]:
    """Results in the order of the tasks."""
    by_task = {id(task): result for task, result in _each(function, tasks, workers)}
    return [by_task[id(task)] for task in tasks]


def _start_worker() -> None:
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends workers at once; files are whole or not there
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _subjects_of(
    suite: Suite, systems: Sequence[System], prepared: Sequence[Prepared], data: Sequence[Data], out: Path,
    failed: dict[str, str],
) -> tuple[list[Subject], list[str], list[str]]:  # fmt: skip
    """What has scores; what a reader must be warned of; what failed."""
    subjects, marks, failures = [], [], []
    for system in systems:
        broken = [failed[cell.key] for cell in system.cells if cell.key in failed]
        if broken:
            failures.append(f"{system.data.dataset.label}, {system.name}: {broken[0]}")
            continue
        subjects.append(_subject(system))
    for entry in suite.scores:
        subject, remarks = subject_of_scores(entry, prepared, data, out)
        subjects.append(subject)
        marks += remarks
    return subjects, marks, failures


def _subject(system: System) -> Subject:
    results = [cell.read() for cell in system.cells]
    seeds = tuple(dict.fromkeys(cell.seed for cell in system.cells))
    by_seed = {seed: [r for r in results if r.cell.seed == seed] for seed in seeds}
    return Subject(
        name=system.name,
        dataset=system.data.dataset.label,
        features=system.data.choice.name,
        metric=system.data.metric,
        protocols=tuple(system.data.dataset.protocols),
        manifest=system.data.test,
        files={kind: tuple(tuple(r.file(kind) for r in by_seed[seed]) for seed in seeds) for kind in KINDS},
        exclude=frozenset(video_id for r in results for video_id in r.values["unscored"]),
        thresholds=tuple(float(by_seed[seed][0].values["threshold"]["selected"]) for seed in seeds),
        seeds=seeds,
    )
