"""amiss convert: another project's trained head → detector."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from amiss._version import __version__
from amiss.backbones import check_backbone_name
from amiss.errors import OutputError, UsageError, WeightsError
from amiss.features import POOLING_RULES, UNIT_LENGTH_RULES, open_feature_set
from amiss.files import sha256_file

if TYPE_CHECKING:  # torch takes seconds: a wrong path is told before
    from amiss.backbones import FeatureSpec
    from amiss.detection import Detector


@dataclass(frozen=True)
class _Evaluated:
    """What an original scored when its numbers were published."""

    poolings: tuple[str, ...] = ("none",)
    """Rules that made 32 segments of a video's clips, the usual one first; `none` = it scored the clips."""
    unit_rows: bool = False
    """Whether its rows have length 1."""
    crops: tuple[int, ...] = (10,)
    """Views of each clip, where the backbone has any; the usual number first."""
    preset: str = "default"
    """Preprocessing, of backbones that have it."""
    weights: dict[str, str] = field(default_factory=dict)
    """Backbone → weights, where they aren't the default ones."""
    apart: tuple[str, ...] = ()
    """How scores differ whatever the features are."""


_SEGMENTS = 32
_CROPPED = _Evaluated()
_SMOOTHED = "scores are not smoothed over {} clips after the head, as the original's are"
_ONE_VIEW = "the original scores crop {} of its ten alone, counted from 0"
_EVALUATED = {
    "sultani": _Evaluated(("matlab", "ekosman"), unit_rows=True, crops=(1,)),
    "topk": _Evaluated(("ekosman",), unit_rows=True, crops=(1,), preset="topk", weights={"resnet3d_152": "KM_200ep"}),
    "saa": _Evaluated(crops=(10, 5)),  # UCF-Crime, XD-Violence
    "ur-dmu": _Evaluated(crops=(10, 5)),
    "bn-wvad": _Evaluated(
        crops=(10, 5),
        apart=("scores u are u / (1 + u); crops are averaged after that, not distances and scores apart",),
    ),
    "tca": _Evaluated(apart=(_SMOOTHED.format(7),)),
    "tca-xd": _Evaluated(crops=(5,), apart=(_SMOOTHED.format(8),)),
    "tca-shanghaitech": _Evaluated(apart=(_SMOOTHED.format(3),)),
    "lgt": _Evaluated(crops=(1,), apart=(_ONE_VIEW.format(5),)),
    "lgt-xd": _Evaluated(crops=(1,), apart=(_ONE_VIEW.format(0),)),
}


@dataclass(frozen=True)
class Converted:
    """A detector that was made of another project's head."""

    detector: Detector
    differences: tuple[str, ...]
    """How its scores differ from those that the original was evaluated with; empty = they don't."""


def convert_checkpoint(
    checkpoint: str | os.PathLike[str],
    kind: str,
    out: str | os.PathLike[str],
    *,
    backbone: str | None = None,
    like: str | os.PathLike[str] | None = None,
    preset: str | None = None,
    weights: str | None = None,
    segments: int | None = None,
    pooling: str | None = None,
    crops: int | None = None,
    chunk: int | None = None,
) -> Converted:
    """Make a detector of a head that another project trained, and save it. Its threshold, 0.5, is not calibrated.

    What the head was trained on is said by a feature set, or by a backbone and the options after it; what is left out
    is as the original had it.

    Args:
        checkpoint: file, see `amiss.convert.read_checkpoint`.
        kind: of head, see `amiss.convert.from_reference`.
        out: folder of the detector; must be empty or not exist.
        backbone: that made the features.
        like: folder of a feature set of the same kind, instead of a backbone.
        preset: preprocessing, see `amiss presets`.
        weights: of the backbone: an id, `random` or a file.
        segments: rows that a video's clips are pooled to.
        pooling: rule for that, see `amiss.features.pool`; `none` = the head scores clips.
        crops: views of each clip, 1, 5 or 10.
        chunk: of `salient`: clips that are scored as one.

    Raises:
        UsageError: unknown name, a kind that is a backbone, options that don't go together, or features of another
            length.
        FeatureError: `like` is no feature set.
        WeightsError: the checkpoint is missing, damaged or of another network.
        OutputError: `out` isn't empty, or can't be written.
    """
    if not Path(checkpoint).is_file():
        raise WeightsError(f"checkpoint {checkpoint} doesn't exist")
    if backbone is not None:
        check_backbone_name(backbone)
    from amiss.convert import EVALUATION_OPTIONS, from_reference, read_checkpoint
    from amiss.detection import Calibration, Detector, Normalisation
    from amiss.heads import Head

    options = dict(EVALUATION_OPTIONS.get(kind, {}))
    if chunk is not None:
        if "chunk" not in options:
            raise UsageError(f"a {kind} head has no chunks; leave out --chunk")
        options["chunk"] = chunk
    head = from_reference(kind, read_checkpoint(checkpoint), **options)
    if not isinstance(head, Head):
        raise UsageError(
            f"{kind} is a backbone: give its checkpoint to `amiss extract --weights`, it needs no converting"
        )
    original = _EVALUATED.get(kind, _CROPPED)
    if like is not None:
        given = {"--backbone": backbone, "--preset": preset, "--weights": weights, "--segments": segments,
                 "--pooling": pooling, "--crops": crops}  # fmt: skip
        if unwanted := [name for name, value in given.items() if value is not None]:
            raise UsageError(f"--like says what the features are; leave out {' and '.join(unwanted)}")
        spec = open_feature_set(like).spec
    elif backbone is not None:
        spec = _stated(original, backbone, preset, weights, segments, pooling, crops)
    else:
        raise UsageError("say what the head was trained on: --like FEATURES, or --backbone NAME")
    if spec.dim != head.feature_dim:
        raise UsageError(
            f"{checkpoint} takes features of length {head.feature_dim}, and {like or backbone} gives {spec.dim}: "
            "name what it was trained on"
        )
    folder = Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder} is not an empty folder; choose another one")
    detector = Detector(
        spec,
        head,
        Normalisation("l2" if original.unit_rows else "none"),
        Calibration(0.5, "not calibrated", 0),
        {
            "converted": {"kind": kind, "file": Path(checkpoint).name, "sha256": sha256_file(checkpoint)},
            "versions": {"amiss": __version__},
        },
        name=str(folder),
    )
    detector.save(folder)
    return Converted(detector, tuple(_differences(original, spec, kind, chunk)))


def _stated(
    original: _Evaluated,
    backbone: str,
    preset: str | None,
    weights: str | None,
    segments: int | None,
    pooling: str | None,
    crops: int | None,
) -> FeatureSpec:
    if pooling is None:
        pooling = original.poolings[0]
        if segments is not None and pooling == "none":
            raise UsageError(f"--segments {segments} needs --pooling, the rule that makes them")
    if pooling not in POOLING_RULES:
        raise UsageError(f"unknown pooling rule {pooling!r}; known are {list(POOLING_RULES)}")
    if segments is not None and (pooling == "none" or segments < 1):
        reason = "pooling is 'none'" if pooling == "none" else "it must be at least 1"
        raise UsageError(f"--segments is {segments}, but {reason}")
    from amiss.backbones import presets_of, published_spec

    if preset is None:
        preset = original.preset if original.preset in presets_of(backbone) else "default"
    weights = weights or original.weights.get(backbone, "default")
    spec = published_spec(backbone, weights, crops=crops or 1, preset=preset)
    if crops is None and spec.crop != "none":
        spec = spec.with_(crops=original.crops[0])
    return spec if pooling == "none" else spec.with_(segments=segments or _SEGMENTS, pooling=pooling)


def _differences(original: _Evaluated, spec: FeatureSpec, kind: str, chunk: int | None) -> list[str]:
    from amiss.backbones import presets_of
    from amiss.convert import EVALUATION_OPTIONS

    found = list(original.apart)
    pooling = spec.pooling if spec.segments is not None else "none"
    if pooling not in original.poolings:
        found.append(f"{_rows(spec.segments, pooling)} are scored, not {_rows(_SEGMENTS, original.poolings[0])}")
    elif pooling != "none" and spec.segments != _SEGMENTS:
        found.append(f"{spec.segments} segments are scored, not {_SEGMENTS}")
    if original.unit_rows and pooling not in UNIT_LENGTH_RULES:
        found.append("rows are brought to length 1 after pooling")
    if spec.crops not in original.crops:
        found.append(f"crops are {spec.crops}, not {original.crops[0]}")
    if spec.preset == "default" != original.preset and original.preset in presets_of(spec.backbone):
        found.append(f"preprocessing is that of the weights, not preset {original.preset}")
    usual = EVALUATION_OPTIONS.get(kind, {}).get("chunk")
    if chunk is not None and chunk != usual:
        found.append(f"{chunk} clips are scored as one, not {usual}")
    return found


def _rows(segments: int | None, pooling: str | None) -> str:
    return "clips" if segments is None or pooling == "none" else f"{segments} segments ({pooling or 'unknown rule'})"
