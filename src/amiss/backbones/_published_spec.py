"""The spec of features that others made, without having the weights that they made them with."""

import os
from pathlib import Path

from amiss.backbones._registry import create_backbone, entry_of
from amiss.backbones._spec import FeatureSpec
from amiss.backbones.weights import Unfetched, choose_weights
from amiss.errors import UsageError


def published_spec(
    name: str, weights: str | os.PathLike[str] = "default", *, crops: int = 1, preset: str = "default"
) -> FeatureSpec:
    """What features of a backbone are. Nothing is downloaded; the hash of published weights stays open.

    Args:
        name: one of `list_backbones()`.
        weights: id of published weights, `default`, `random`, or a file.
        crops: spatial views per clip: 1, 5 or 10.
        preset: preprocessing of a published project.

    Raises:
        UsageError: unknown name, preset or number of crops, or it has no such weights.
    """
    if "+" in name:
        raise UsageError(f"{name}: no project published features of fused backbones; name one")
    entry = entry_of(name)
    if entry.info.weights == ("none",):
        return create_backbone(name, "none", crops=crops, preset=preset).spec
    published = {one.id: one for one in entry.published()}
    named = [choice for choice in entry.info.weights if choice not in ("default", "random", "FILE")]
    ids = list(published) or named  # a third party may only name its weights
    chosen, sha256 = os.fspath(weights), None
    if chosen == "default" and ids:
        chosen = ids[0]
    elif Path(chosen).is_file():
        file = choose_weights(name, Path(chosen), published, "")
        chosen, sha256 = file.id, file.sha256
    elif chosen not in (*ids, "random"):
        raise UsageError(f"{name} has no published weights {chosen!r}; it has {ids or 'none'}")
    card = Unfetched(chosen) if chosen in published else "random"
    return create_backbone(name, card, crops=crops, preset=preset).spec.with_(weights=chosen, weights_sha256=sha256)
