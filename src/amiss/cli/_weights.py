"""Commands about published weights: weights list, fetch, verify, where."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from amiss.cli import _console as console
from amiss.cli._options import Json, Preset, Weights, weight_choice
from amiss.errors import AmissError

Names = Annotated[list[str] | None, typer.Argument(help="Backbones, see `amiss backbones`; none = all.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    weights = typer.Typer(help="Published weights of backbones: sources, downloads, checks.", no_args_is_help=True)
    weights.command("list")(console.guarded(list_))
    weights.command("fetch")(console.guarded(fetch))
    weights.command("verify")(console.guarded(verify))
    weights.command("where")(console.guarded(where))
    weights.command("quantise")(console.guarded(quantise))
    app.add_typer(weights, name="weights")


def list_(names: Names = None, as_json: Json = False) -> None:
    """List published weights: size, licence, SHA-256 as far as it is known, and whether they are on this machine."""
    from amiss.jobs import describe_weights

    entries = describe_weights(names or ())
    if as_json:
        console.print_json(entries)
        return
    for entry in entries:
        entry["id"] += " (default)" if entry["default"] else ""
        entry["megabytes"] = entry["megabytes"] and round(entry["megabytes"])
        where = "by hand" if entry["by_hand"] else f"extra {entry['extra']}" if entry["extra"] else "no"
        entry["here"] = "yes" if entry["path"] else where
    columns = ["backbone", "id", "file", "megabytes", "sha256_start", "here", "licence"]
    console.print_table(columns, [[entry[name] for name in columns] for entry in entries])


def fetch(
    names: Annotated[list[str], typer.Argument(help="Backbones, see `amiss backbones`; of a fusion, each network.")],
    weights: Annotated[str, typer.Option(help="Id of the weights, see `amiss weights list`.")] = "default",
) -> None:
    """Download published weights; a download that broke off is gone on with, and one that fails stops no other."""
    from amiss.jobs import fetch_weights

    def show(name: str, found: Path | AmissError) -> None:
        console.fail(str(found)) if isinstance(found, AmissError) else console.note(f"{name}: {found}")

    found = fetch_weights(names, weights, on_result=show, progress=lambda name: console.progress(f"download {name}"))
    if codes := [error.exit_code for error in found.values() if isinstance(error, AmissError)]:
        raise typer.Exit(max(codes))


def verify(names: Names = None, as_json: Json = False) -> None:
    """Check the weights on this machine by their SHA-256; where it isn't known, whether they can be read."""
    from amiss.jobs import verify_weights

    check = verify_weights(names or ())
    if as_json:
        console.print_json(check.entries)
    else:
        columns = ["backbone", "id", "verdict", "sha256", "path"]
        console.print_table(columns, [[entry[name] for name in columns] for entry in check.entries])
    for problem in check.problems:
        console.fail(problem)
    console.note(f"{check.n_here} weight files on this machine, {len(check.problems)} wrong")
    if check.problems:
        raise typer.Exit(1)


def where(names: Names = None, as_json: Json = False) -> None:
    """Tell the folders in which weights are looked for, or the files of some backbones."""
    from amiss.jobs import describe_weights, describe_weights_folders

    if not names:
        folders = describe_weights_folders()
        rows = [[entry["folder"], "yes" if entry["exists"] else "no"] for entry in folders]
        console.print_json(folders) if as_json else console.print_table(["folder, in this order", "exists"], rows)
        return
    entries = describe_weights(names)
    if as_json:
        console.print_json(entries)
    else:
        console.print_table(["backbone", "id", "path"], [[e["backbone"], e["id"], e["path"]] for e in entries])


def quantise(
    backbone: Annotated[str, typer.Argument(help="Backbone, see `amiss backbones`; of a fusion, each network.")],
    targets: Annotated[list[Path], typer.Argument(help="Videos like those to come: files, folders, a manifest.csv.")],
    weights: Weights = None,
    preset: Preset = "default",
    as_json: Json = False,
) -> None:
    """Make an int8 network for `--precision int8`: up to twice as fast on CPUs, and less exact; it tells how much."""
    from amiss.jobs import quantise_on_targets

    with console.progress("quantise") as on_progress:
        reports = quantise_on_targets(
            backbone, targets, weights=weight_choice(weights), preset=preset, on_progress=on_progress
        )
    if as_json:
        console.print_json([asdict(report) | {"path": str(report.path)} for report in reports])
        return
    columns = ["backbone", "least cosine", "without the mean", "ms per clip", "before", "ratio", "file"]
    rows = [
        [r.backbone, f"{r.cosine:.4f}", f"{r.contrast:.4f}", f"{r.ms:.0f}", f"{r.ms_before:.0f} ({r.before})",
         f"{r.ms_before / r.ms:.2f}", str(r.path)]
        for r in reports
    ]  # fmt: skip
    console.print_table(columns, rows)
