"""Backbone registry: name → backbone. A new one is a file with `ENTRIES` and one line in `_names.py`."""

import importlib
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from amiss.backbones._base import Backbone, BackboneEntry, BackboneInfo
from amiss.backbones._fusion import FusedBackbone, clips_that_differ
from amiss.backbones._names import FAMILIES
from amiss.backbones._preprocessing import CROPS
from amiss.backbones._presets import apply_preset, check_preset
from amiss.backbones._spec import FeatureSpec, differing_fields
from amiss.backbones._video_network import Architecture
from amiss.backbones.weights import find_weights
from amiss.errors import SpecMismatchError, UsageError, WeightsError
from amiss.files import sha256_file
from amiss.registry import Registry

WeightsChoice = str | os.PathLike[str]


def _built_in() -> dict[str, BackboneEntry]:
    modules = [importlib.import_module(name) for name in FAMILIES]
    return {entry.info.name: entry for module in modules for entry in module.ENTRIES}


BACKBONES: Registry[BackboneEntry] = Registry(
    "backbone", _built_in, group="amiss.backbones", entry_type=BackboneEntry, listed_by="amiss backbones"
)


def entry_of(name: str) -> BackboneEntry:
    """A backbone's line of the registry.

    Raises:
        UsageError: unknown name (the closest ones are suggested), or an entry point that doesn't load.
    """
    return BACKBONES[name]


def list_backbones() -> list[BackboneInfo]:
    """All backbones: the built-in ones, then those of installed entry points `amiss.backbones`.

    An entry point that doesn't load is left out, and a warning says so.
    """
    return [entry.info for _, entry in BACKBONES.items()]


def list_architectures() -> list[Architecture]:
    """The networks whose original checkpoints `amiss.convert` reads: their family's file names the tensors."""
    modules = [importlib.import_module(name) for name in FAMILIES]
    return [architecture for module in modules for architecture in getattr(module, "ARCHITECTURES", ())]


def find_backbone(name: str) -> BackboneInfo | None:
    """What the registry says of one backbone, whatever the others are like; None = there is none of that name."""
    try:
        return entry_of(name).info
    except UsageError:
        return None


def create_backbone(
    name: str,
    weights: WeightsChoice | Mapping[str, WeightsChoice] = "default",
    *,
    crops: int = 1,
    stride: int | None = None,
    frame_rate: float | None = None,
    preset: str = "default",
    output: Literal["features", "logits"] = "features",
) -> Backbone:
    """Build a backbone, or several fused by `+`, with weights.

    Args:
        name: one of `list_backbones()`, or several joined by `+`.
        weights: `default` (the published ones, downloaded if they aren't on this machine), `random`, the id of other
            published ones, or a file; `none` for formulas. For a fusion also a mapping from name to choice; a single
            choice goes to every part that takes weights.
        crops: spatial views per clip: 1, 5 or 10.
        stride: frames from the start of one clip to the start of the next; None = the preset's, or the clip length.
        frame_rate: frames per second that videos are resampled to; None = the preset's, or the video's own.
        preset: preprocessing and clips of a published project (`presets_of`); `default` = the preprocessing that the
            weights were trained with, and 16 frames as they come; `native` = also clips as those weights saw them. For
            a fusion every part must have it.
        output: `features`, or the `logits` of the network's classifier, which few have (3D ResNets and DenseNets).

    Raises:
        UsageError: unknown name or preset, or an option out of range.
        WeightsError: weights are missing, damaged or of another network.
    """
    names = name.split("+")
    if len(set(names)) != len(names):
        raise UsageError(f"{name}: each backbone can be fused once")
    if isinstance(weights, Mapping) and (strangers := sorted(set(weights) - set(names))):
        raise UsageError(f"weights are given for {strangers}, which are not in {name}")
    if stride is not None and stride < 1:
        raise UsageError(f"stride is {stride}; it must be at least 1 frame")
    if frame_rate is not None and not (math.isfinite(frame_rate) and frame_rate > 0):
        raise UsageError(f"frame_rate is {frame_rate}; it must be a number above 0")
    if crops not in CROPS:
        raise UsageError(f"crops is {crops}; it must be one of {CROPS}")
    entries = {n: entry_of(n) for n in names}
    create = {n: entries[n].create if output == "features" else entries[n].create_logits for n in names}
    if without := [n for n in names if create[n] is None]:
        able = [n for n, entry in BACKBONES.items() if entry.create_logits is not None]
        raise UsageError(f"{without[0]} can't give logits; these can: {', '.join(able)}")
    for n in names:  # before anything is downloaded
        check_preset(n, preset, crops)
    created: dict[str, Backbone] = {}
    for n in sorted(names, key=lambda n: entries[n].info.kind != "formula"):  # what they refuse costs no download
        created[n] = create[n](_choice(entries[n].info, weights, fused=len(names) > 1), crops)  # type: ignore[misc]
    parts = [created[n] for n in names]
    for part in parts:
        part.spec = part.spec.with_(stride=part.spec.clip_len)
        apply_preset(part, preset)
        asked = {"stride": stride, "frame_rate": frame_rate}
        part.spec = part.spec.with_(**{name: value for name, value in asked.items() if value is not None})
    backbone = parts[0] if len(parts) == 1 else FusedBackbone(parts)
    return backbone.eval().requires_grad_(False)


def _choice(info: BackboneInfo, weights: WeightsChoice | Mapping[str, WeightsChoice], *, fused: bool) -> str | Path:
    given = weights.get(info.name, "default") if isinstance(weights, Mapping) else weights
    choice = given if isinstance(given, str) else Path(given)
    if info.weights != ("none",):
        return choice
    if choice not in ("default", "none") and (isinstance(weights, Mapping) or not fused):
        raise UsageError(f"{info.name} is a formula and takes no weights, not {os.fspath(choice)}")
    return "none"


def why_not_from_video(spec: FeatureSpec) -> str | None:
    """Why such features can't be made of a video here, and what to do; None = they can, where weights are at hand."""
    parts = spec.parts or (spec,)
    foreign = [part.backbone for part in parts if find_backbone(part.backbone) is None]
    if foreign:
        rows = f"{spec.segments} segments of a video" if spec.segments else f"clips of {spec.clip_len} frames"
        views = f", {spec.crops} crops" if spec.crops > 1 else ""
        return (
            f"these are features of {spec.backbone} ({spec.dim}-d, {rows}{views}), and amiss has no backbone "
            f"{' and no '.join(repr(name) for name in foreign)} to make them of a video: make them as their project "
            "does, import them (`amiss features import`), and score them as they are (`amiss detect --features`)"
        )
    if (difference := clips_that_differ(parts)) is not None:
        return (
            f"{difference}. Extract them one by one, join them (`amiss features concat`), and score them as they are "
            "(`amiss detect --features`)"
        )
    return None


def create_backbone_for(spec: FeatureSpec, weights: WeightsChoice | None = None) -> Backbone:
    """Rebuild the backbone that a FeatureSpec names, and check that it gives the same features.

    Args:
        spec: of a detector or feature set.
        weights: a file; None = look it up by name in `$AMISS_WEIGHTS` and torch hub's cache. Where the spec has no
            hash of it (features or heads that others made), the file is taken at the user's word.

    Raises:
        UsageError: no such backbone, or parts that can't run on the same clips.
        WeightsError: the weights are missing, or the file is another one (by sha256).
        SpecMismatchError: what this version builds differs; names the fields.
    """
    parts = spec.parts or (spec,)
    if (why_not := why_not_from_video(spec)) is not None:
        raise UsageError(why_not)
    choices = _choices_for(parts, weights)
    built = []
    for wanted, choice in zip(parts, choices, strict=True):
        part = create_backbone(
            wanted.backbone,
            choice,
            crops=wanted.crops,
            stride=wanted.stride,
            frame_rate=wanted.frame_rate,
            preset=wanted.preset,
            output=wanted.output,
        )
        found = part.spec
        same_file = found.weights_sha256 is not None and found.weights_sha256 == wanted.weights_sha256
        on_their_word = wanted.weights_sha256 is None and isinstance(choice, Path)
        if same_file or on_their_word:
            found = found.with_(weights=wanted.weights)  # a renamed file
        found = found.with_(pooling=wanted.pooling)  # where its clips are shorter than those of the fusion
        if differences := differing_fields(found, wanted):
            raise SpecMismatchError(
                f"backbone {wanted.backbone} as this version of amiss builds it gives other features than it was "
                f"asked for: {'; '.join(differences)}"
            )
        built.append(part)
    backbone = built[0] if len(built) == 1 else FusedBackbone(built).eval()
    backbone.spec = spec
    return backbone


def _choices_for(parts: Sequence[FeatureSpec], weights: WeightsChoice | None) -> list[WeightsChoice]:
    """The choice of weights for each part."""
    choices: list[WeightsChoice] = [part.weights for part in parts]
    from_files = [i for i, part in enumerate(parts) if part.weights not in ("none", "random")]
    if weights is not None and not from_files:
        names = "+".join(part.backbone for part in parts)
        raise UsageError(f"{names} was used without a weight file; leave out {weights}")
    if weights is not None and len(from_files) > 1:  # the hash says whose file it is
        digest = sha256_file(find_weights(Path(weights).name, explicit=weights))
        unhashed = [i for i in from_files if parts[i].weights_sha256 is None]
        owners = [i for i in from_files if parts[i].weights_sha256 == digest] or unhashed
        if len(owners) != 1 and owners == unhashed:
            raise WeightsError(
                f"{weights} (sha256 {digest[:12]}…) is not known as a weight file of one "
                f"of {[parts[i].backbone for i in from_files]}"
            )
        for i in owners:
            choices[i] = find_weights(parts[i].weights, parts[i].weights_sha256, explicit=weights)
        from_files = [i for i in from_files if i not in owners]
        weights = None
    for i in from_files:
        is_file = "." in parts[i].weights  # ids of published weights have no dot
        if weights is not None or is_file:
            choices[i] = find_weights(parts[i].weights, parts[i].weights_sha256, explicit=weights)
    return choices
