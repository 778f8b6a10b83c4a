"""Suites of recipes x feature sets x seeds, their results, tables and report."""

import typing

from amiss.late import import_late as _import_late

if typing.TYPE_CHECKING:
    from amiss.bench._cell import RESULTS
    from amiss.bench._results import BenchResult, CellResult, DatasetResult, SystemResult
    from amiss.bench._run import run_bench
    from amiss.bench._suite import Suite, Variant, list_variants, load_suite
    from amiss.bench._tables import bench_tables

__all__ = [
    "RESULTS",
    "BenchResult",
    "CellResult",
    "DatasetResult",
    "Suite",
    "SystemResult",
    "Variant",
    "bench_tables",
    "list_variants",
    "load_suite",
    "run_bench",
]

__getattr__ = _import_late(__name__)
