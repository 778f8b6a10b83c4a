"""Fusion: several backbones over the same clips, features concatenated (`motion+squeezenet1_1`)."""

from collections.abc import Sequence
from typing import NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from amiss.backbones._base import Backbone
from amiss.backbones._spec import FeatureSpec
from amiss.errors import UsageError

_SHARED = ("clip_len", "stride", "frame_rate")  # what parts that run on the same clips must agree in


def clips_that_differ(specs: Sequence[FeatureSpec]) -> str | None:
    """Why backbones can't run on the same clips; None = they can."""
    first = specs[0]
    for spec in specs[1:]:
        for name in _SHARED:
            if getattr(spec, name) != getattr(first, name):
                return (
                    f"{first.backbone} and {spec.backbone} can't run on the same clips: {name} is "
                    f"{getattr(first, name)} and {getattr(spec, name)}"
                )
        if (spec.tail == "drop") != (first.tail == "drop"):
            return f"{first.backbone} and {spec.backbone} can't run on the same clips: one of them drops the last one"
    return None


def fused_spec(specs: Sequence[FeatureSpec]) -> FeatureSpec:
    """What the features of several backbones are, concatenated. Rows and times are those of the first.

    Raises:
        UsageError: crops that can't be repeated to fit, or rows that are segments in some and clips in others.
    """
    first = specs[0]
    crops = max(spec.crops for spec in specs)
    for spec in specs:
        if spec.crops not in (1, crops):
            raise UsageError(f"{spec.backbone} has {spec.crops} crops, another part {crops}: only one can be repeated")
        if spec.segments != first.segments:
            rows = [f"{s.segments} segments of a video" if s.segments else "clips" for s in (first, spec)]
            raise UsageError(f"rows of {first.backbone} are {rows[0]}, rows of {spec.backbone} are {rows[1]}")
    return FeatureSpec(
        backbone="+".join(spec.backbone for spec in specs),
        weights="+".join(spec.weights for spec in specs),
        dim=sum(spec.dim for spec in specs),
        clip_len=first.clip_len,
        stride=first.stride,
        tail="last" if any(spec.tail == "last" for spec in specs) else first.tail,
        frame_rate=first.frame_rate,
        crops=crops,
        segments=first.segments,
        pooling=first.pooling,
        dtype="float32" if any(spec.dtype == "float32" for spec in specs) else "float16",
        resize="by part",
        crop="by part",
        parts=tuple(specs),
    )


class FusedBackbone(Backbone):
    """Backbones whose features are concatenated. Each sees the clip at its own size: use `encode`, or an engine."""

    def __init__(self, parts: Sequence[Backbone]) -> None:
        super().__init__()
        if (difference := clips_that_differ([part.spec for part in parts])) is not None:
            raise UsageError(difference)
        self.networks = nn.ModuleList(parts)
        tail = fused_spec([part.spec for part in parts]).tail
        for part in parts:
            part.spec = part.spec.with_(tail=tail)  # they see the same clips
        self.spec = fused_spec([part.spec for part in parts])

    @property
    def parts(self) -> tuple[Backbone, ...]:
        """The backbones, in order of concatenation."""
        return tuple(self.networks)  # type: ignore[arg-type]  # it holds nothing else

    @torch.inference_mode()
    def encode(self, frames: NDArray[np.uint8]) -> Tensor:
        rows = [part.encode(frames) for part in self.parts]
        return torch.cat([row.expand(self.spec.crops, -1) for row in rows], dim=1)

    def preprocess(self, frames: NDArray[np.uint8]) -> NoReturn:
        """Not for fusions: every part has its own.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"the parts of {self.spec.backbone} see clips at their own sizes: use encode, or an engine")

    def forward(self, clips: Tensor) -> NoReturn:
        """Not for fusions: every part has its own.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"the parts of {self.spec.backbone} see clips at their own sizes: use encode, or an engine")
