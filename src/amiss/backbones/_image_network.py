"""What image networks share as backbones: they see a few frames of each clip, and what they say of them is pooled.

Feature of a clip with frame features f_1 … f_T: [mean_t f_t, mean_t |f_t+1 - f_t|], what is there and how it changes.
With one crop the whole frame is squeezed into the network's square, since what is amiss may be at the edge; 5 and 10
crops are cut as the weights were trained.

Shape letters: N clips · T frames of a clip that are seen · F dim of a frame's feature.
"""

from typing import Any

import torch
from torch import Tensor, nn

from amiss.backbones._base import Backbone
from amiss.backbones._preprocessing import Preprocessing
from amiss.backbones._spec import FeatureSpec
from amiss.backbones.weights import Weights

SAMPLED = 4  # frames per clip; more cost time in proportion and change results little


class ImageNetwork(Backbone):
    """An image network without its classifier, over a clip.

    Args:
        name: of the backbone.
        network: frames [N, 3, H, W] → features [N, F], also with further axes of length 1.
        dim: 2 F.
        weights: those that it has.
        preprocessing: frames → its input.
    """

    def __init__(self, name: str, network: nn.Module, dim: int, weights: Weights, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.network = network
        self.preprocessing = preprocessing
        self.spec = FeatureSpec(
            backbone=name, weights=weights.id, weights_sha256=weights.sha256, dim=dim, **preprocessing.spec_fields()
        )

    def forward(self, clips: Tensor) -> Tensor:
        frames = clips.transpose(1, 2).flatten(0, 1)
        x_NTF = self.network(frames).flatten(1).unflatten(0, (clips.shape[0], clips.shape[2]))
        change_NF = (x_NTF[:, 1:] - x_NTF[:, :-1]).abs().sum(1) / max(x_NTF.shape[1] - 1, 1)
        return torch.cat([x_NTF.mean(1), change_NF], dim=1)


def image_preprocessing(crops: int, side: int, shorter_side: int, **how: Any) -> Preprocessing:
    """Frames of a clip → the square that an image network sees.

    Args:
        crops: 1 = the whole frame, else crops as the weights were trained with.
        side: of the square.
        shorter_side: of the frame, where crops are cut from it.
        how: further fields of `Preprocessing`.
    """
    return Preprocessing(
        resize=(side, side) if crops == 1 else shorter_side,
        crop=None if crops == 1 else side,
        crops=crops,
        antialias=True,
        sampled=SAMPLED,
        **how,
    )
