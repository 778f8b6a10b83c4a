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

_SHARED = ("clip_len", "stride", "tail", "frame_rate", "crops")  # what the parts must agree in


class FusedBackbone(Backbone):
    """Backbones whose features are concatenated. Each sees the clip at its own size: use `encode`, or an engine."""

    def __init__(self, parts: Sequence[Backbone]) -> None:
        super().__init__()
        first = parts[0].spec
        for part in parts[1:]:
            for name in _SHARED:
                if getattr(part.spec, name) != getattr(first, name):
                    raise UsageError(
                        f"{first.backbone} and {part.spec.backbone} can't be fused: {name} is {getattr(first, name)} "
                        f"and {getattr(part.spec, name)}"
                    )
        self.networks = nn.ModuleList(parts)
        specs = tuple(part.spec for part in parts)
        self.spec = FeatureSpec(
            backbone="+".join(spec.backbone for spec in specs),
            weights="+".join(spec.weights for spec in specs),
            dim=sum(spec.dim for spec in specs),
            clip_len=first.clip_len,
            stride=first.stride,
            tail=first.tail,
            frame_rate=first.frame_rate,
            crops=first.crops,
            resize="by part",
            crop="by part",
            parts=specs,
        )

    @property
    def parts(self) -> tuple[Backbone, ...]:
        """The backbones, in order of concatenation."""
        return tuple(self.networks)  # type: ignore[arg-type]  # it holds nothing else

    @torch.inference_mode()
    def encode(self, frames: NDArray[np.uint8]) -> Tensor:
        return torch.cat([part.encode(frames) for part in self.parts], dim=1)

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
