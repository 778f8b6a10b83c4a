"""The one-click loss: clips near a clicked frame of an anomalous video shall score high, the others of it low.

After GlanceVAD (Zhang et al. 2024, arXiv 2403.06154): clicks are rendered as Gaussians over time; after some steps each
click spreads to its neighbours as long as they score nearly as high.

Shape letters: B bags · T clips (or segments).
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from amiss.heads import HeadOutput, crop_mean, mean_logits
from amiss.training._recipe import GlanceLossSettings


def glance_loss(
    output: HeadOutput,
    mask_BT: Tensor,
    clicks: Sequence[NDArray[np.float64]],
    settings: GlanceLossSettings,
    *,
    crops: int = 1,
    step: int = 0,
) -> Tensor | None:
    """Weighted binary cross-entropy of clip scores and rendered clicks, over the bags that have clicks.

    Args:
        output: of a head on B bags (times crops).
        mask_BT: [B * crops, T] which clips are real.
        clicks: where in its video, 0..1, each click of a bag lies; [B] arrays, some of them empty.
        settings: of the loss.
        crops: folded into the batch.
        step: of the training.

    Returns:
        A scalar; None where no bag of the batch has a click.
    """
    rows = [row for row, at in enumerate(clicks) if len(at)]
    if not rows:
        return None
    logits = mean_logits(output, crops)[rows]
    real = mask_BT[::crops][rows]
    scores = crop_mean(output.scores.detach(), crops)[rows].double().cpu().numpy()
    lengths = real.sum(dim=1).tolist()
    targets = np.zeros(scores.shape)
    for row, (bag, length) in enumerate(zip(rows, lengths, strict=True)):
        at = clicks[bag]
        if settings.grow_after is not None and step > settings.grow_after:
            at = grown(at, scores[row, :length], settings.grow_while)
        targets[row, :length] = rendered(at, length, settings.sigma)
    wanted = torch.from_numpy(targets).to(logits)
    return settings.weight * F.binary_cross_entropy_with_logits(logits[real], wanted[real]).float()


def rendered(clicks: NDArray[np.float64], length: int, sigma: float) -> NDArray[np.float64]:
    """Clicks, 0..1, as a curve over `length` clips: the largest of Gaussians of width `sigma` (of a video that reaches
    from -1 to 1), each from 0 to 1 over the video."""
    centres = (np.arange(length) + 0.5) / length
    curves = np.exp(-0.5 * ((2 * (centres - clicks[:, None])) / sigma) ** 2)
    low, high = curves.min(axis=1, keepdims=True), curves.max(axis=1, keepdims=True)
    scaled: NDArray[np.float64] = ((curves - low) / np.maximum(high - low, 1e-12)).max(axis=0)
    return scaled if length > 1 else np.ones(1)


def grown(clicks: NDArray[np.float64], scores: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Clicks, and the middles of the clips to both sides of each that score at least `share` of the clicked one."""
    length = len(scores)
    found = set(clicks.tolist())
    for click in clicks:
        centre = min(int(click * length), length - 1)
        for side in (-1, 1):
            at = centre + side
            while 0 <= at < length and scores[at] >= share * scores[centre]:
                found.add((at + 0.5) / length)
                at += side
    return np.array(sorted(found))
