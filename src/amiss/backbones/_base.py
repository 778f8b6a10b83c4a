"""What every backbone is: a clip → one feature vector, with the preprocessing that belongs to its weights.

Shape letters: N clips · C crops · T frames of a clip · H, W pixels · D feature dim.
"""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from amiss.backbones._spec import FeatureSpec


class Backbone(nn.Module, ABC):
    """A network (or a formula) that turns clips into features. Always in eval mode, without gradients."""

    spec: FeatureSpec

    @abstractmethod
    def preprocess(self, frames: NDArray[np.uint8]) -> Tensor:
        """One clip as decoded → the network's input, one per crop.

        Args:
            frames: [T, H, W, 3] uint8 RGB, any size.

        Returns:
            [C, 3, T, H', W'] float32, normalised as the weights need it.
        """

    @abstractmethod
    def forward(self, clips: Tensor) -> Tensor:
        """Preprocessed clips [N, 3, T, H', W'] → features [N, D]."""
