"""amiss's own head: which video, where in it, and how much changes there, each learned at once and used if it helps.

Rows are projected on their principal components, and averaged with their neighbours. Two ridge regressions look at
them. The *classifier* tells anomalous videos from normal ones. The *localiser* learned from pseudo-labels: in each
anomalous video, the half of its clips that rank highest, by the classifier and by how much the picture changes there.
A clip's score is the product of up to three sigmoids: of its own logit, of the change around it, and of the level of
its video. Which of them count, the labels of the training videos decide (`_amiss_fit.py`).

Shape letters: B bags · T clips · D feature dim · K components · P = 3 K numbers of a window.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from amiss.heads._amiss_fit import fit_amiss
from amiss.heads._base import HeadOutput, LossTerms, bounded, crop_mean, full_mask
from amiss.heads._head_options import Count, Dropout, HeadOptions, HeadWithOptions, Weight
from amiss.heads._parts import change_around, mean_around, product_logit, top_quarter_mean
from amiss.heads.pooled import pool_windows
from amiss.settings import Gate

_PAST = 24  # clips that the level of a stream is taken from


class AmissOptions(HeadOptions):
    """Options of `amiss`."""

    components: Count = 256
    """Principal components that rows are projected on, at most."""
    reach: Annotated[int, Field(ge=0)] = 1
    """Clips on each side that are averaged with a clip; causal: before it."""
    change_reach: Count = 3
    """Clips on each side that the change is measured over; causal: one, before it."""
    short: Annotated[int, Field(ge=0)] = 8
    """Where half of the training videos have no more clips than this, an event fills its video: a window is then as
    long as half of the videos are, and its maximum and deviation count as well, as in `pooled`."""
    spread_weight: Annotated[float, Field(ge=0)] = 0.3
    """What these two count beside the mean."""
    rounds: Annotated[int, Field(ge=0)] = 3
    """Rounds of pseudo-labels, where videos are longer."""
    repeats: Count = 3
    """Fits with other folds, averaged."""
    change: Gate = "auto"
    """Whether the change around a clip counts; `auto`: if it agrees with the classifier inside anomalous videos, and
    less inside normal ones, by 3 standard errors; never with fewer than 20 videos of a label, or where videos are
    short."""
    level: Gate = "auto"
    """Whether the level of the video counts; `auto`: if it tells videos apart better than single clips do, by 3
    standard errors; never with fewer than 20 videos of a label."""
    causal: bool = False
    """Whether a clip's score depends on earlier clips alone. Without it, streams are scored from the clips up to now,
    too, by windows that were made for both sides."""
    dropout: Dropout = 0.0
    """Of windows, where the head is trained by steps."""
    weight_penalty: Weight = 0.001
    """Times ‖w‖², where the head is trained by steps."""


class AmissHead(HeadWithOptions):
    """amiss's own: ridge regression and pseudo-labels on whole videos and clips, change, level; each part if it helps.

    Made to be fitted at once, `fit_bags`; `loss` trains the classifier by steps, on the highest logit of each bag.
    """

    name = "amiss"
    fits_at_once = True
    Options = AmissOptions
    settings: AmissOptions
    center: Tensor
    scales: Tensor
    span: Tensor
    uses: Tensor

    def __init__(self, feature_dim: int, **options: Any) -> None:
        super().__init__(feature_dim, **options)
        if self.settings.causal:  # at most; how much of it counts, training decides
            self.context = _PAST - 1 + max(self.settings.reach + 1, self.settings.short, sum(self.change_window) + 1)
        size = min(self.settings.components, feature_dim)
        self.project = nn.Linear(feature_dim, size, bias=False)
        self.classifier = nn.Linear(3 * size, 1)
        self.localiser = nn.Linear(3 * size, 1)
        self.dropout = nn.Dropout(self.settings.dropout)
        nn.init.orthogonal_(self.project.weight)
        nn.init.xavier_normal_(self.classifier.weight)
        nn.init.zeros_(self.classifier.bias)
        self.register_buffer("center", torch.zeros(feature_dim))  # of rows
        self.register_buffer("scales", torch.tensor([[0.0, 1.0]] * 3))  # mean and deviation of logit, change, level
        self.register_buffer("span", torch.tensor(0))  # clips of a window, where videos are short; 0 = by `reach`
        self.register_buffer("uses", torch.zeros(3, dtype=torch.bool))  # localiser, change, level

    def forward(self, features: Tensor, mask: Tensor | None = None) -> HeadOutput:
        """Scores [B, T] of features [B, T, D]; a bag's is its highest.

        `extras`: bag_logit [B], and, before they are standardised, the parts [B, T]: logit, change, level.
        """
        mask = full_mask(features) if mask is None else mask
        x_BTK = self.projected(features)
        windows = self.dropout(self.windows(x_BTK, mask))
        logit = level_logit = self.classifier(windows).squeeze(-1)
        level = self.level(level_logit, mask)
        if self.uses[0]:
            logit = self.combined(level_logit, self.localiser(windows).squeeze(-1), mask)
        change = change_around(x_BTK, mask, *self.change_window)
        parts = {"logit": logit, "change": change.nan_to_num(float(self.scales[1, 0])), "level": level}
        logits = self._product(parts)
        logits = logits.masked_fill(~mask, torch.finfo(logits.dtype).min)
        bag_logit = logits.amax(dim=1)
        return HeadOutput(torch.sigmoid(logits), torch.sigmoid(bag_logit), {"bag_logit": bag_logit, **parts}, logits)

    def _product(self, parts: dict[str, Tensor]) -> Tensor:
        """Log-odds [B, T] of the product of the sigmoids of those parts that are used."""
        scaled = zip(parts.items(), self.scales, strict=True)
        z: dict[str, Tensor] = {name: (part - scale[0]) / scale[1] for (name, part), scale in scaled}
        if not self.uses[1:].any():
            return z["logit"]
        others = [z[name] for name, used in zip(("change", "level"), self.uses[1:], strict=True) if used]
        return product_logit([z["logit"], *others]).to(z["logit"].dtype)

    def projected(self, features: Tensor) -> Tensor:
        """[..., D] → [..., K]."""
        x: Tensor = self.project(bounded(features) - self.center)
        return x

    def windows(self, x_BTK: Tensor, mask: Tensor) -> Tensor:
        """Mean, and where videos are short maximum and deviation, of the window around each clip → [B, T, P]."""
        if not self.span:
            mean = mean_around(x_BTK, mask, self.settings.reach, 0 if self.settings.causal else self.settings.reach)
            return F.pad(mean, (0, 2 * mean.shape[-1]))
        span, size = int(self.span), x_BTK.shape[-1]
        if self.settings.causal:
            ahead = F.pad(x_BTK.transpose(1, 2), (span - 1, 0), mode="replicate").transpose(1, 2)
            pooled = pool_windows(ahead, F.pad(mask, (span - 1, 0), value=True), span)
            pooled = pooled[:, span // 2 : span // 2 + x_BTK.shape[1]]
        else:
            pooled = pool_windows(x_BTK, mask, min(span, x_BTK.shape[1]))
        return torch.cat([pooled[..., :size], self.settings.spread_weight * pooled[..., size:]], dim=-1)

    def level(self, logit_BT: Tensor, mask: Tensor) -> Tensor:
        """Mean of the highest quarter of each bag's logits [B, T], for each of its clips; causal: of the last ones."""
        if not self.settings.causal:
            return top_quarter_mean(logit_BT, mask)[:, None].expand_as(logit_BT)
        before = F.pad(logit_BT, (_PAST - 1, 0)).unfold(1, _PAST, 1)
        real = F.pad(mask, (_PAST - 1, 0)).unfold(1, _PAST, 1)
        found: Tensor = top_quarter_mean(before.flatten(0, 1), real.flatten(0, 1)).view(logit_BT.shape)
        return found

    def combined(self, classifier_BT: Tensor, localiser_BT: Tensor, mask: Tensor) -> Tensor:
        """The localiser's logits, lifted to the classifier's level of the video; causal: the mean of both."""
        if self.settings.causal:
            return (classifier_BT + localiser_BT) / 2
        return localiser_BT + (top_quarter_mean(classifier_BT, mask) - top_quarter_mean(localiser_BT, mask))[:, None]

    @property
    def change_window(self) -> tuple[int, int]:
        """Clips before and after, over which change is measured."""
        return (1, 0) if self.settings.causal else (self.settings.change_reach,) * 2

    def loss(self, output: HeadOutput, labels: Tensor, *, crops: int = 1, step: int = 0) -> LossTerms:
        """Cross-entropy of the bags' highest logits, crops averaged before the sigmoid, + λ ‖w‖²."""
        logit_B = crop_mean(output.extras["bag_logit"], crops)
        return LossTerms(
            {
                "classification": F.binary_cross_entropy_with_logits(logit_B, labels.to(logit_B.dtype)),
                "weights": self.settings.weight_penalty * self.classifier.weight.square().sum(),
            }
        )

    @torch.no_grad()
    def fit_bags(self, bags: Sequence[NDArray[np.float32]], labels: NDArray[np.intp]) -> None:
        """Learn everything: components, classifier, rounds of pseudo-labels, and which parts help.

        Args:
            bags: [C, T, D] each.
            labels: [B] 0 = normal, 1 = anomalous, both present.
        """
        fit_amiss(self, bags, labels)
