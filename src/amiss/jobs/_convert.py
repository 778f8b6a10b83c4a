"""amiss convert: another project's trained head → detector."""

import os
from pathlib import Path

from amiss._version import __version__
from amiss.backbones import FeatureSpec, published_spec
from amiss.convert import EVALUATION_OPTIONS, from_reference, read_checkpoint
from amiss.detection import Calibration, Detector, Normalisation
from amiss.errors import OutputError, UsageError
from amiss.files import sha256_file
from amiss.heads import Head

_UNIT_ROWS = ("sultani", "topk")
"""Kinds whose originals take one view of each clip and rows of unit length; the others ten crops, as they come."""


def convert_checkpoint(
    checkpoint: str | os.PathLike[str], kind: str, backbone: str, out: str | os.PathLike[str]
) -> Detector:
    """Make a detector of a head that another project trained, and save it.

    It scores as the original was evaluated. Its threshold, 0.5, is not calibrated.

    Args:
        checkpoint: file, see `amiss.convert.read_checkpoint`.
        kind: of head, see `amiss.convert.from_reference`.
        backbone: that makes the features it was trained on; assumed to have its published weights.
        out: folder of the detector; must be empty or not exist.

    Raises:
        UsageError: unknown kind or backbone, a kind that is a backbone, or features of another length.
        WeightsError: the checkpoint is missing, damaged or of another network.
        OutputError: `out` isn't empty, or can't be written.
    """
    tensors = read_checkpoint(checkpoint)
    head = from_reference(kind, tensors, **EVALUATION_OPTIONS.get(kind, {}))
    if not isinstance(head, Head):
        raise UsageError(
            f"{kind} is a backbone: give its checkpoint to `amiss extract --weights`, it needs no converting"
        )
    spec = _features_of(backbone, kind)
    if spec.dim != head.feature_dim:
        raise UsageError(
            f"{checkpoint} takes features of length {head.feature_dim}, and {backbone} gives {spec.dim}: "
            "name the backbone it was trained on"
        )
    folder = Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder} is not an empty folder; choose another one")
    detector = Detector(
        spec,
        head,
        Normalisation("l2" if kind in _UNIT_ROWS else "none"),
        Calibration(0.5, "not calibrated", 0),
        {
            "converted": {"kind": kind, "file": Path(checkpoint).name, "sha256": sha256_file(checkpoint)},
            "versions": {"amiss": __version__},
        },
        name=str(folder),
    )
    detector.save(folder)
    return detector


def _features_of(backbone: str, kind: str) -> FeatureSpec:
    spec = published_spec(backbone)
    return spec.with_(crops=10) if kind not in _UNIT_ROWS and spec.crop != "none" else spec
