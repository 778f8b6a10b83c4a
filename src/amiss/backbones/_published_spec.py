"""The spec of features that others made with published weights, without having these weights."""

from amiss.backbones._registry import create_backbone, entry_of
from amiss.backbones._spec import FeatureSpec
from amiss.errors import UsageError


def published_spec(name: str, weights: str = "default", *, crops: int = 1, preset: str = "default") -> FeatureSpec:
    """What features of a backbone with its published weights are. Nothing is downloaded; the weights' hash stays open.

    Args:
        name: one of `list_backbones()`.
        weights: id of published weights, or `default`.
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
    spec = create_backbone(name, "random", crops=crops, preset=preset).spec
    named = [choice for choice in entry.info.weights if choice not in ("default", "random", "FILE")]
    ids = [published.id for published in entry.published()] or named  # a third party may only name its weights
    chosen = ids[0] if weights == "default" and ids else weights
    if chosen not in ids:
        raise UsageError(f"{name} has no published weights {weights!r}; it has {ids or 'none'}")
    return spec.with_(weights=chosen)
