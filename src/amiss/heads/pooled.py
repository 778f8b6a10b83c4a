"""A plain classifier of whole videos: logistic regression on the clips' mean, maximum and standard deviation.

No multiple instance learning: the label is taken to hold for the pooled video. Where videos are short (a clip of a
fight is a fight from end to end) that costs little, and a convex fit with one penalty is hard to beat.

Source: the linear classifier on pooled features that video recognition compares with, e.g. Karpathy et al.,
"Large-scale Video Classification with Convolutional Neural Networks", CVPR 2014; fitted by scikit-learn.

Shape letters: B bags · T clips · D feature dim · P = 3 D pooled dim.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from amiss.heads._base import HeadOutput, LossTerms, bounded, crop_mean, full_mask
from amiss.heads._head_options import Dropout, HeadOptions, HeadWithOptions, Weight

_LIMIT = 5.0  # standard deviations; as in the detectors' normalisation
_STEPS = 2000  # of the solver, at most


class PooledOptions(HeadOptions):
    """Options of `pooled`."""

    inverse_penalty: Annotated[float, Field(gt=0)] = 10.0
    """C of the logistic regression: loss + ‖w‖² / (2 C), on standardised features of mean square 1 / P."""
    spread_weight: Annotated[float, Field(ge=0, le=1)] = 0.3
    """What each number of maximum and standard deviation counts beside one of the mean in distances of videos, to which
    the penalty applies: of few clips they are less certain."""
    dropout: Dropout = 0.0
    """Of pooled features, where the head is trained by steps."""
    weight_penalty: Weight = 0.001
    """Times ‖w‖², where the head is trained by steps."""


class PooledHead(HeadWithOptions):
    """Logistic regression on a video's pooled clips: for short videos, anomalous from end to end.

    A clip's score is that of the window around it, which is as long as half of the training videos are at least (all of
    a shorter video): a window then looks like the videos that were learned from. Made to be fitted at once, `fit_bags`;
    `loss` trains the same network by steps, on whole videos, without standardisation.
    """

    name = "pooled"
    fits_at_once = True
    Options = PooledOptions
    settings: PooledOptions
    mean: Tensor
    std: Tensor
    span: Tensor

    def __init__(self, feature_dim: int, **options: Any) -> None:
        super().__init__(feature_dim, **options)
        self.linear = nn.Linear(3 * feature_dim, 1)
        self.dropout = nn.Dropout(self.settings.dropout)
        nn.init.xavier_normal_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self.register_buffer("mean", torch.zeros(3 * feature_dim))
        self.register_buffer("std", torch.ones(3 * feature_dim))
        self.register_buffer("span", torch.tensor(0))  # clips of a window; 0 = the whole video

    def forward(self, features: Tensor, mask: Tensor | None = None) -> HeadOutput:
        """Scores [B, T] of features [B, T, D]; a bag's is its highest. `extras`: bag_logit [B], mask [B, T].

        In training every clip has the score of the whole bag.
        """
        mask = full_mask(features) if mask is None else mask
        span = features.shape[1] if self.training or not self.span else min(int(self.span), features.shape[1])
        if span == features.shape[1]:
            logits = self._logit(pool_bags(bounded(features), mask))[:, None].expand(mask.shape)
        else:
            logits = self._logit(pool_windows(bounded(features), mask, span))
        logits = logits.masked_fill(~mask, torch.finfo(logits.dtype).min)
        bag_logit = logits.amax(dim=1)
        scores = torch.sigmoid(logits)
        return HeadOutput(scores, torch.sigmoid(bag_logit), {"bag_logit": bag_logit, "mask": mask}, logits)

    def _logit(self, pooled: Tensor) -> Tensor:
        """[..., P] → [...]."""
        z = ((pooled - self.mean) / self.std).clamp(-_LIMIT, _LIMIT) if self.span else pooled
        logit: Tensor = self.linear(self.dropout(z / z.shape[-1] ** 0.5)).squeeze(-1)
        return logit

    def loss(self, output: HeadOutput, labels: Tensor, *, crops: int = 1, step: int = 0) -> LossTerms:
        """Cross-entropy of the bags, crops averaged before the sigmoid, + λ ‖w‖²."""
        logit_B = crop_mean(output.extras["bag_logit"], crops)
        return LossTerms(
            {
                "classification": F.binary_cross_entropy_with_logits(logit_B, labels.to(logit_B.dtype)),
                "weights": self.settings.weight_penalty * self.linear.weight.square().sum(),
            }
        )

    @torch.no_grad()
    def fit_bags(self, bags: Sequence[NDArray[np.float32]], labels: NDArray[np.intp]) -> None:
        """Standardise and fit, classes weighted alike; crops of a bag are averaged once pooled.

        Args:
            bags: [C, T, D] each.
            labels: [B] 0 = normal, 1 = anomalous, both present.
        """
        rows = [pool_bags(bounded(x), full_mask(x)).mean(dim=0) for x in map(torch.from_numpy, bags)]
        pooled_BP = torch.stack(rows).double().numpy()
        mean, std = pooled_BP.mean(axis=0), pooled_BP.std(axis=0)
        std = np.maximum(std, 1e-6 * max(float(np.abs(pooled_BP).max()), 1e-6))
        share_P = np.repeat([1, self.settings.spread_weight, self.settings.spread_weight], self.feature_dim)
        scale_P = np.sqrt(share_P / share_P.sum())
        z_BP = ((pooled_BP - mean) / std).clip(-_LIMIT, _LIMIT) * scale_P
        model = LogisticRegression(C=self.settings.inverse_penalty, class_weight="balanced", max_iter=_STEPS)
        model.fit(z_BP, labels)
        self.linear.weight.copy_(
            torch.from_numpy(model.coef_ * scale_P * np.sqrt(len(scale_P)))
        )  # forward divides by √P
        self.linear.bias.copy_(torch.from_numpy(model.intercept_))
        self.mean.copy_(torch.from_numpy(mean))
        self.std.copy_(torch.from_numpy(std))
        self.span.fill_(int(np.median([bag.shape[1] for bag in bags])))


def pool_bags(x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
    """Mean, maximum and standard deviation over the real clips of each bag → [B, P]; 0 where there is none."""
    real = mask_BT[..., None]
    count = mask_BT.sum(dim=1).clamp(min=1)[:, None]
    mean = (x_BTD * real).sum(dim=1) / count
    variance = ((x_BTD - mean[:, None]).square() * real).sum(dim=1) / count
    largest = x_BTD.masked_fill(~real, -torch.inf).amax(dim=1)
    return torch.cat([mean, largest.masked_fill(~mask_BT.any(dim=1)[:, None], 0), variance.sqrt()], dim=1)


def pool_windows(x_BTD: Tensor, mask_BT: Tensor, span: int) -> Tensor:
    """The same over a window of `span` clips around each clip, moved inwards at the ends → [B, T, P].

    Real clips come before padded ones; a bag of fewer than `span` real clips is one window.
    """
    n_real = mask_BT.sum(dim=1, keepdim=True)
    clips = torch.arange(mask_BT.shape[1], device=x_BTD.device)
    first_BT = (clips - span // 2).clamp(min=0).minimum((n_real - span).clamp(min=0))
    padded = F.pad(x_BTD, (0, 0, 0, span - 1))
    real = F.pad(mask_BT, (0, span - 1))
    windows = padded.unfold(1, span, 1).transpose(2, 3)  # [B, T, span, D]
    pooled = pool_bags(windows.flatten(0, 1), real.unfold(1, span, 1).flatten(0, 1)).reshape(*mask_BT.shape, -1)
    return pooled.gather(1, first_BT[..., None].expand(-1, -1, pooled.shape[-1]))
