"""What `amiss backbones` tells."""

from dataclasses import asdict
from typing import Any

from amiss.backbones import SIZES, list_backbones, list_weights, presets_of
from amiss.engines import engines_of


def describe_backbones() -> list[dict[str, Any]]:
    """Every backbone, ready for JSON: its card, its size (None = unknown), engines, presets, sources of its weights."""
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
