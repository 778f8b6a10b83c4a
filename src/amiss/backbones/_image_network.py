"""What image networks share as backbones: they see a few frames of each clip, and what they say of them is pooled.

Feature of a clip with frame features f_1 … f_T: [mean_t f_t, mean_t |f_t+1 - f_t|], what is there and how it changes.
With one crop the whole frame is squeezed into the network's square, since what is amiss may be at the edge; 5 and 10
crops are cut as the weights were trained.

Shape letters: N clips · T frames of a clip that are seen · F dim of a frame's feature · P places of its map.
"""

from typing import Any

import torch
import torch.nn.functional as F
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


class MovingImageNetwork(ImageNetwork):
    """The same of an image network's last map, by place: places count as much as moves there.

    Feature of a clip with maps f_tp, place p at time t: [Σ_p w_p mean_t f_tp, Σ_p w_p mean_t |f_t+1,p - f_tp|]. What
    moves at p is the mean absolute difference of successive frames, as the network sees them; w_p is that, less its
    mean over places, 0 at least, and all w_p add up to 1.

    Args:
        network: frames [N, 3, H, W] → maps [N, F, H', W']; H and W are multiples of H' and W'.
    """

    def forward(self, clips: Tensor) -> Tensor:
        frames = clips.transpose(1, 2).flatten(0, 1)
        maps = self.network(frames)
        x_NTFP = maps.flatten(2).unflatten(0, (clips.shape[0], clips.shape[2]))
        pairs = max(x_NTFP.shape[1] - 1, 1)
        change_NFP = (x_NTFP[:, 1:] - x_NTFP[:, :-1]).abs().sum(1) / pairs
        moves_NHW = (clips[:, :, 1:] - clips[:, :, :-1]).abs().mean(1).sum(1) / pairs
        w_N1P = _shares(F.avg_pool2d(moves_NHW, clips.shape[-1] // maps.shape[-1]).flatten(1))[:, None]
        return torch.cat([(x_NTFP.mean(1) * w_N1P).sum(2), (change_NFP * w_N1P).sum(2)], dim=1)


def _shares(moves_NP: Tensor) -> Tensor:
    """How much moves at each place → weights that add up to 1; the same for all where nothing does."""
    above = (moves_NP - moves_NP.mean(1, keepdim=True)).clamp(min=0) + 1e-6
    return above / above.sum(1, keepdim=True)


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
