"""Commands about published weights: weights list, fetch, verify, where."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from amiss.cli import _console as console
from amiss.cli._data import Json, Weights, weight_choice
from amiss.errors import AmissError

if TYPE_CHECKING:
    from amiss.jobs import OnProgress

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
    from amiss.backbones import list_weights

    entries = [record.to_dict() for record in list_weights(names or ())]
    if as_json:
        console.print_json(entries)
        return
    for entry in entries:
        entry["id"] += " (default)" if entry["default"] else ""
        entry["megabytes"] = entry["megabytes"] and round(entry["megabytes"])
        entry["here"] = "yes" if entry["path"] else "by hand" if entry["by_hand"] else "no"
    columns = ["backbone", "id", "file", "megabytes", "sha256_start", "here", "licence"]
    console.print_table(columns, [[entry[name] for name in columns] for entry in entries])


def fetch(
    names: Annotated[list[str], typer.Argument(help="Backbones, see `amiss backbones`; of a fusion, each network.")],
    weights: Annotated[str, typer.Option(help="Id of the weights, see `amiss weights list`.")] = "default",
) -> None:
    """Download published weights; a download that broke off is gone on with, and one that fails stops no other."""
    from amiss.backbones import fetch_weights

    codes = []
    for name in _networks(names):
        with console.progress(f"download {name}") as on_progress:

            def tell(done: int, total: int | None, on_progress: "OnProgress" = on_progress) -> None:
                on_progress(done / 1e6, (total or 0) / 1e6, "MB")

            try:
                path = fetch_weights(name, weights, tell)
            except AmissError as error:
                console.fail(str(error))
                codes.append(error.exit_code)
            else:
                console.note(f"{name}: {path}")
    if codes:
        raise typer.Exit(max(codes))


def _networks(names: list[str]) -> list[str]:
    """Backbones, each once; of a fusion those that aren't formulas, which have no weights."""
    from amiss.backbones import find_backbone

    networks = []
    for name in names:
        for part in name.split("+"):
            info = find_backbone(part)
            if part == name or info is None or info.weights != ("none",):
                networks.append(part)
    return list(dict.fromkeys(networks))


def verify(names: Names = None, as_json: Json = False) -> None:
    """Check the weights on this machine by their SHA-256; where it isn't known, whether they can be read."""
    from amiss.backbones import list_weights

    entries, wrong = [], []
    for record in list_weights(names or ()):
        verdict, sha256 = record.verify()
        if names or verdict != "missing":
            entries.append(record.to_dict() | {"verdict": verdict, "sha256": sha256})
        if verdict == "wrong":
            wrong.append(record)
    if as_json:
        console.print_json(entries)
    else:
        columns = ["backbone", "id", "verdict", "sha256", "path"]
        console.print_table(columns, [[entry[name] for name in columns] for entry in entries])
    for record in wrong:
        console.fail(record.advice())
    here = sum(entry["verdict"] != "missing" for entry in entries)
    console.note(f"{here} weight files on this machine, {len(wrong)} wrong")
    if wrong:
        raise typer.Exit(1)


def where(names: Names = None, as_json: Json = False) -> None:
    """Tell the folders in which weights are looked for, or the files of some backbones."""
    from amiss.backbones import list_weights, weights_folders

    if not names:
        folders = [{"folder": str(path), "exists": path.exists()} for path in weights_folders()]
        rows = [[entry["folder"], "yes" if entry["exists"] else "no"] for entry in folders]
        console.print_json(folders) if as_json else console.print_table(["folder, in this order", "exists"], rows)
        return
    entries = [record.to_dict() for record in list_weights(names)]
    if as_json:
        console.print_json(entries)
    else:
        console.print_table(["backbone", "id", "path"], [[e["backbone"], e["id"], e["path"]] for e in entries])


def quantise(
    backbone: Annotated[str, typer.Argument(help="Backbone, see `amiss backbones`; of a fusion, each network.")],
    targets: Annotated[list[Path], typer.Argument(help="Videos like those to come: files, folders, a manifest.csv.")],
    weights: Weights = None,
    preset: Annotated[
        str, typer.Option(help="Preprocessing of a named project, see `amiss presets`; default: the weights' own.")
    ] = "default",
    as_json: Json = False,
) -> None:
    """Make an int8 network for `--precision int8`: up to twice as fast on CPUs, and less exact; it tells how much."""
    from amiss.backbones import create_backbone
    from amiss.jobs import quantise_backbone, video_files

    built = create_backbone(backbone, weight_choice(weights), preset=preset)
    with console.progress("quantise") as on_progress:
        reports = quantise_backbone(built, video_files(targets), on_progress)
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
