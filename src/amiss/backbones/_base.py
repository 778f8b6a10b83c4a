"""What every backbone is: a clip → one feature vector, with the preprocessing that belongs to its weights.

Shape letters: N clips · C crops · T frames of a clip · H, W pixels · D feature dim.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from amiss.backbones._preprocessing import Preprocessing
from amiss.backbones._spec import CLIP_LEN, FeatureSpec
from amiss.backbones.weights import PublishedWeights
from amiss.errors import UsageError


class Backbone(nn.Module, ABC):
    """A network (or a formula) that turns clips into features. Always in eval mode, without gradients."""

    spec: FeatureSpec
    """What its features are."""
    preprocessing: Preprocessing | None = None
    """Frames → input, as its weights need it; None = it has a `preprocess` of its own."""

    def preprocess(self, frames: NDArray[np.uint8]) -> Tensor:
        """One clip as decoded → the network's input, one per crop.

        Args:
            frames: [T, H, W, 3] uint8 RGB, any size.

        Returns:
            [C, 3, T', H', W'] float32, normalised as the weights need it; T' < T where the spec samples frames.

        Raises:
            UsageError: not such frames, or the backbone says nothing of its preprocessing.
        """
        if self.preprocessing is None:
            raise UsageError(f"{type(self).__name__} needs `preprocessing`, or a `preprocess` of its own")
        return self.preprocessing(frames)

    @abstractmethod
    def forward(self, clips: Tensor) -> Tensor:
        """Preprocessed clips [N, 3, T', H', W'] → features [N, D]."""

    @torch.inference_mode()
    def encode(self, frames: NDArray[np.uint8]) -> Tensor:
        """One clip as decoded, [T, H, W, 3] uint8 RGB → its features [C, D], one per crop."""
        features: Tensor = self(self.preprocess(frames))
        return features


@dataclass(frozen=True, kw_only=True)
class BackboneInfo:
    """What can be said of a backbone without building it."""

    name: str
    kind: Literal["formula", "video network", "image network"]
    dim: int
    """Length of a feature vector."""
    clip_len: int = CLIP_LEN
    """Frames per clip."""
    input_size: tuple[int, int]
    """Height and width of the network's input."""
    weights: tuple[str, ...] = ("default", "random", "FILE")
    """Choices; `("none",)` for formulas."""
    licence: str
    """Of code and published weights."""
    note: str = ""


@dataclass(frozen=True)
class BackboneEntry:
    """One line of the registry. Third parties name one by an entry point of the group `amiss.backbones`."""

    info: BackboneInfo
    create: Callable[[str | Path, int], Backbone]
    """(weights choice, crops) → the backbone, in eval mode without gradients."""
    published: Callable[[], tuple[PublishedWeights, ...]] = tuple
    """Its published weights, the default ones first."""
    create_logits: Callable[[str | Path, int], Backbone] | None = None
    """As `create`, but it gives the logits of its classifier; None = it can't."""
