"""Commands that list what there is: backbones, presets, heads, recipes, datasets, protocols; doctor."""

from typing import Annotated

import typer

from amiss.cli import _console as console
from amiss.cli._options import Json


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (backbones, presets, heads, recipes, datasets, protocols, doctor):
        app.command()(console.guarded(command))


def backbones(as_json: Json = False) -> None:
    """List the backbones."""
    from amiss.jobs import describe_backbones

    entries = describe_backbones()
    if as_json:
        console.print_json(entries)
        return
    columns = {"name": "name", "kind": "kind", "dim": "dim", "input_size": "input", "parameters_millions": "params M",
               "gflops_per_clip": "GFLOPs/clip", "licence": "licence"}  # fmt: skip
    console.print_table(list(columns.values()), [[entry[name] for name in columns] for entry in entries])


def presets(as_json: Json = False) -> None:
    """List the presets: how published projects preprocessed frames for which backbones."""
    from amiss.jobs import describe_presets

    entries = describe_presets()
    if as_json:
        console.print_json(entries)
        return
    rows = [
        [entry["name"], " ".join(name for network in entry["networks"] for name in network["backbones"]),
         entry["stride"], entry["tail"], entry["source"]]
        for entry in entries
    ]  # fmt: skip
    console.print_table(["name", "backbones", "stride", "tail", "source"], rows)


def heads(as_json: Json = False) -> None:
    """List the heads."""
    from amiss.jobs import describe_heads

    _show(describe_heads(), ["name", "what"], as_json)


def recipes(
    long: Annotated[bool, typer.Option("--long", help="Also where they differ from their sources, and why.")] = False,
    as_json: Json = False,
) -> None:
    """List the recipes with their sources."""
    from amiss.jobs import describe_plugins, describe_recipes

    entries = describe_recipes()
    _show(entries, ["name", "head", "source"], as_json)
    if as_json or not long:
        return
    for entry in entries:
        if entry["differences"]:
            console.out.print(f"\n{entry['name']}: {str(entry['differences']).strip()}", markup=False)
    console.out.print(f"\n{describe_plugins()}", markup=False)


def datasets(as_json: Json = False) -> None:
    """List the datasets that `amiss dataset build` knows."""
    from amiss.jobs import describe_datasets

    _show(describe_datasets(), ["name", "title", "size", "needs", "licence"], as_json)


def protocols(as_json: Json = False) -> None:
    """List the protocols: rules that turn scores and annotations into a metric."""
    from amiss.jobs import describe_protocols

    _show(describe_protocols(), ["name", "dataset", "rule"], as_json)


def doctor(as_json: Json = False) -> None:
    """Tell what amiss finds on this machine."""
    from amiss.jobs import diagnose

    found = diagnose()
    if as_json:
        console.print_json(found)
    else:
        console.print_table(["what", "found"], list(found.items()))


def _show(entries: list[dict[str, object]], columns: list[str], as_json: bool) -> None:
    if as_json:
        console.print_json(entries)
    else:
        console.print_table(columns, [[entry[name] for name in columns] for entry in entries])
