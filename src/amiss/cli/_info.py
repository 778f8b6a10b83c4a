"""Commands that list what there is: backbones, presets, heads, recipes, datasets, protocols; doctor."""

from dataclasses import asdict

import typer

from amiss.cli import _console as console
from amiss.cli._data import Json


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
    from amiss.backbones import describe_presets

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
    from amiss.heads import describe_heads

    _show([{"name": name, "what": what} for name, what in describe_heads().items()], ["name", "what"], as_json)


def recipes(as_json: Json = False) -> None:
    """List the recipes, with their sources and their differences from them."""
    from amiss.training import list_recipes

    entries = [recipe.model_dump(mode="json") for recipe in list_recipes()]
    _show(entries, ["name", "head", "source", "differences"], as_json)


def datasets(as_json: Json = False) -> None:
    """List the datasets that `amiss dataset build` knows."""
    from amiss.datasets import list_datasets

    _show([asdict(info) for info in list_datasets()], ["name", "title", "size", "needs", "licence"], as_json)


def protocols(as_json: Json = False) -> None:
    """List the protocols: rules that turn scores and annotations into a metric."""
    from amiss.evaluation import ALIASES, PROTOCOLS

    entries: list[dict[str, object]] = [
        {"name": p.id, "dataset": p.dataset, "rule": p.summary} for p in PROTOCOLS.values()
    ]
    entries += [{"name": alias, "dataset": alias.split("/")[0], "rule": f"= {name}"} for alias, name in ALIASES.items()]
    _show(entries, ["name", "dataset", "rule"], as_json)


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
