"""Parts that a score can be made of: means over windows of clips, how much changes there, the highest quarter of a bag.

The head `amiss` is made of them; a detector adds them to any head.

Shape letters: B bags · T clips · K components, or any other numbers of a clip.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor


def top_quarter_mean(logit_BT: Tensor, mask: Tensor) -> Tensor:
    """Mean of the highest quarter of each bag's real clips → [B]; 0 of a bag without any."""
    count = (mask.sum(dim=1) // 4).clamp(min=1)
    ordered = logit_BT.masked_fill(~mask, -torch.inf).sort(dim=1, descending=True).values
    taken = torch.arange(mask.shape[1], device=mask.device) < count[:, None]
    return torch.where(taken & ordered.isfinite(), ordered, 0).sum(dim=1) / count


def mean_around(x_BTK: Tensor, mask: Tensor, before: int, after: int) -> Tensor:
    """Mean over the real clips among `before` clips before each clip, itself, and `after` clips after it."""
    length = x_BTK.shape[1]
    real = mask[..., None].to(x_BTK.dtype)
    padded, counted = (F.pad(t, (0, 0, before, after)) for t in (x_BTK * real, real))
    shifts = range(before + after + 1)
    total = torch.stack([padded[:, s : s + length] for s in shifts]).sum(dim=0)
    count = torch.stack([counted[:, s : s + length] for s in shifts]).sum(dim=0)
    return total / count.clamp(min=1)


def change_around(x_BTK: Tensor, mask: Tensor, before: int, after: int) -> Tensor:
    """Mean distance [B, T] between the clips of the window around each clip, over all pairs; NaN where it has none."""
    length, width = x_BTK.shape[1], before + after
    total, count = x_BTK.new_zeros(mask.shape), x_BTK.new_zeros(mask.shape)
    for lag in range(1, min(width, length - 1) + 1):
        both = (mask[:, lag:] & mask[:, :-lag]).to(x_BTK.dtype)
        apart = (x_BTK[:, lag:] - x_BTK[:, :-lag]).norm(dim=-1) * both
        # the pair (a, a + lag) lies in the windows of the clips a + lag - after .. a + before
        for start in range(before, lag - after - 1, -1):
            first, last = max(0, start), min(length, length - lag + start)
            if first < last:
                total[:, first:last] += apart[:, first - start : last - start]
                count[:, first:last] += both[:, first - start : last - start]
    return torch.where(count > 0, total / count, torch.nan)


def product_logit(logits: Iterable[Tensor]) -> Tensor:
    """Log-odds of the product of the sigmoids of logits of one shape, computed in float64; at least one."""
    log_p = torch.stack([F.logsigmoid(z.double()) for z in logits]).sum(dim=0)
    return log_p - torch.log(-torch.expm1(log_p))
