"""What there is, ready for JSON: what `amiss backbones`, `presets`, `heads`, `recipes`, `datasets`, `protocols` tell.

Each function imports what it lists when it is called: torch takes seconds, and datasets and protocols don't need it.
"""

from dataclasses import asdict
from typing import Any


def describe_backbones() -> list[dict[str, Any]]:
    """Every backbone: its card, its size (None = unknown), engines, presets, sources of its weights."""
    from amiss.backbones import SIZES, list_backbones, list_weights, presets_of
    from amiss.engines import engines_of

    entries = []
    for info in list_backbones():
        parameters, gflops = SIZES.get(info.name, (None, None))
        entries.append(
            asdict(info)
            | {
                "parameters_millions": parameters,
                "gflops_per_clip": gflops,
                "engines": engines_of(info),
                "presets": presets_of(info.name),
                "sources": [record.to_dict() for record in list_weights([info.name])],
            }
        )
    return entries


def describe_presets() -> list[dict[str, Any]]:
    """How published projects preprocessed frames, for which backbones."""
    from amiss import backbones

    return backbones.describe_presets()


def describe_heads() -> list[dict[str, Any]]:
    """Every head in a line."""
    from amiss import heads

    return [{"name": name, "what": what} for name, what in heads.describe_heads().items()]


def describe_recipes() -> list[dict[str, Any]]:
    """Every recipe: all its fields, with its source and its differences from it."""
    from amiss.training import list_recipes

    return [recipe.model_dump(mode="json") for recipe in list_recipes()]


def describe_plugins() -> str:
    """What can be added to any recipe, in words."""
    from amiss.training import PLUGINS

    lines = [f"  {settings}: {what}" for settings, what in PLUGINS.items()]
    return "\n".join(["Plug-ins, for any recipe (--set):", *lines])


def describe_datasets() -> list[dict[str, Any]]:
    """The datasets that manifests can be built of: size, licence, what files they need."""
    from amiss.datasets import list_datasets

    return [asdict(info) for info in list_datasets()]


def describe_protocols() -> list[dict[str, Any]]:
    """The rules that turn scores and annotations into a metric, and their aliases."""
    from amiss.evaluation import ALIASES, PROTOCOLS

    entries = [{"name": p.id, "dataset": p.dataset, "rule": p.summary} for p in PROTOCOLS.values()]
    aliases = ALIASES.items()
    return entries + [{"name": a, "dataset": a.split("/")[0], "rule": f"= {name}"} for a, name in aliases]
