"""The loss of clips that are taught: their scores shall be what others say of them.

Shape letters: B bags · T clips (or segments).
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from amiss.heads import HeadOutput, mean_logits


def clip_loss(
    output: HeadOutput, mask_BT: Tensor, targets: Sequence[NDArray[np.float64]], weight: float = 1.0, crops: int = 1
) -> Tensor | None:
    """Weighted cross-entropy of clip scores and targets; what is anomalous in them and what is normal weigh alike.

    Args:
        output: of a head on B bags (times crops).
        mask_BT: [B * crops, T] which clips are real.
        targets: [T] 0..1 of the real clips of each bag; some of them empty: nobody says anything of that bag.
        weight: of the loss.
        crops: folded into the batch.

    Returns:
        A scalar; None where no bag of the batch has targets.
    """
    rows = [row for row, own in enumerate(targets) if len(own)]
    if not rows:
        return None
    logits = mean_logits(output, crops)[rows][mask_BT[::crops][rows]]
    wanted = torch.cat([torch.from_numpy(targets[row]) for row in rows]).to(logits)
    sides = [(wanted, F.logsigmoid(logits)), (1 - wanted, F.logsigmoid(-logits))]
    terms = [-(share * log_p).sum() / share.sum().clamp(min=1e-12) for share, log_p in sides]
    return weight * torch.stack(terms).mean().float()
