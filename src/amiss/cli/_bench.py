"""The command that compares: bench."""

from pathlib import Path
from typing import Annotated

import typer

from amiss.cli import _console as console
from amiss.cli._options import Cluster, Json, MetricsPort


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(console.guarded(bench))


def bench(
    suite: Annotated[Path, typer.Argument(help="Suite (YAML), see docs/how-to/benchmark-suites.md.")],
    out: Annotated[Path, typer.Option(help="Folder of the benchmark; the same one goes on where it was.")],
    workers: Annotated[
        int | None,
        typer.Option(help="Trainings at a time, a CPU thread each; default: one per core, as memory allows."),
    ] = None,
    cluster: Cluster = None,
    metrics_port: MetricsPort = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            help="Begin no training after so many minutes, and report the seeds that are finished; 0: only report.",
            min=0,
        ),
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Run trainings again that failed before.")] = False,
    as_json: Json = False,
) -> None:
    """Compare recipes, features and settings over seeds; writes tables and a report."""
    from amiss.bench import load_suite

    load_suite(suite)
    from amiss.bench import bench_tables, run_bench  # with torch, which takes seconds: a wrong suite is told before
    from amiss.executors import serve_metrics

    with serve_metrics(metrics_port) as metrics, console.progress("bench") as on_progress:
        results = run_bench(
            suite,
            out,
            workers=workers,
            cluster=cluster,
            minutes=minutes,
            retry=retry,
            metrics=metrics,
            on_progress=on_progress,
        )
    for mark in results.marks:
        console.warn(mark)
    if as_json:
        console.print_json(results.to_dict())
    else:
        for title, columns, rows in bench_tables(results):
            console.print_table(columns, rows, title)
        console.note(f"{out / 'report.html'}, {out / 'results.md'}, {out / 'results.json'}")
    for failure in results.failures:
        console.fail(failure)
    if results.failures:
        raise typer.Exit(1)
