"""TCA: one attention map read twice, over the whole video and over a window, and a classifier that looks back.

Source: Pu, Wu, Yang, Wang, "Learning Prompt-Enhanced Context Features for Weakly-Supervised Video Anomaly Detection",
IEEE TIP 2024 (arXiv 2306.14451), equations 1-8; github.com/yujiangpu20/PEL4VAD.

Padded clips change nothing (in the original every clip attends to them).

Shape letters: B bags · T clips · Q clips that attend · D feature dim · K channels of the attention · C channels.
"""

import math
from typing import Annotated, Any, Literal, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from amiss.heads._base import HeadOutput, LossTerms, bounded, crop_mean, full_mask
from amiss.heads._class_vectors import ClassOptions, ClassVectors
from amiss.heads._head_options import Count, Dropout, HeadWithOptions, Weight
from amiss.heads.temporal import mean_of_clips, mil_count, select_top, top_mean

_QUERIES = 1024  # clips that attend at once: a long video must not cost T² memory


class TCAOptions(ClassOptions):
    """Options of `tca`; the defaults are those for UCF-Crime."""

    attention_channels: Count = 128
    """Of query, key and value."""
    channels: Count | None = None
    """Of the first layer after the attention; None = D/2, as published."""
    out_channels: Count = 300
    """Of the second, which the classifier sees."""
    window: Count = 9
    """Clips around a clip, itself included, in the local map (ShanghaiTech: 5)."""
    distance_weight: float = 0.6
    """w of the distance prior exp(-|w d² - b|), learned from there (XD-Violence 0.06, ShanghaiTech 0.08)."""
    distance_bias: float = 0.2
    """b of the distance prior (XD-Violence 0.02, ShanghaiTech 0.1)."""
    normalise: Literal["features", "time", "none"] = "features"
    """What comes out of the attention, after a signed square root: to length 1 over features, or over time, which keeps
    the quirk of the original's code (a clip's score then depends on how long its video is); `none`, also without the
    root, as for XD-Violence."""
    kernel: Count = 9
    """Clips that the classifier sees: the clip and those before it (XD-Violence, ShanghaiTech: 3)."""
    dropout: Dropout = 0.1
    """After both layers."""
    causal: bool = False
    """Whether no clip attends to later ones. Scores can then be had live, and are those of the whole video."""
    reach: Count = 24
    """Where causal, how many clips the global map covers, itself included. A score depends on reach + kernel - 1."""
    prompt: Weight = 1.0
    """Weight of the prompt term, where classes are told apart (ShanghaiTech: 9)."""
    temperature: Annotated[float, Field(gt=0)] = 0.09
    """By which cosines of videos and classes are divided, learned from there (XD-Violence 0.05, ShanghaiTech 0.2)."""

    @model_validator(mode="after")
    def _looks_back_alone(self) -> Self:
        if self.causal and self.normalise == "time":
            raise ValueError("normalise is 'time', which looks ahead, and causal is true; give one of them up")
        return self


class DistancePrior(nn.Module):
    """exp(-|w d² - b|) of the distance d of two clips, w and b learned: added to their similarity."""

    def __init__(self, weight: float, bias: float) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([weight]))
        self.b = nn.Parameter(torch.tensor([bias]))

    def forward(self, distance: Tensor) -> Tensor:
        """Of the same shape."""
        return torch.exp(-(self.w * distance.square() - self.b).abs())


class TemporalContextAttention(nn.Module):
    """W [σ(α) softmax(S) v + (1 - σ(α)) softmax(S in a window) v], S = q kᵀ / √K + exp(-|w d² - b|), d = |i - j|."""

    def __init__(self, dim: int, options: TCAOptions) -> None:
        super().__init__()
        self.options = options
        channels = options.attention_channels
        self.q = nn.Linear(dim, channels)
        self.k = nn.Linear(dim, channels)
        self.v = nn.Linear(dim, channels)
        self.o = nn.Linear(channels, dim)
        self.alpha = nn.Parameter(torch.tensor(0.0))
        self.prior = DistancePrior(options.distance_weight, options.distance_bias)

    def forward(self, x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """[B, T, D] → [B, T, D]."""
        query, key, value = self.q(x_BTD), self.k(x_BTD), self.v(x_BTD)
        parts = [
            self._attend(part, start, key, value, mask_BT)
            for start, part in zip(range(0, query.shape[1], _QUERIES), query.split(_QUERIES, dim=1), strict=True)
        ]
        mixed_BTK = torch.cat(parts, dim=1) * mask_BT[..., None]
        if self.options.normalise != "none":
            rooted = torch.relu(mixed_BTK).clamp(min=1e-12).sqrt() - torch.relu(-mixed_BTK).clamp(min=1e-12).sqrt()
            mixed_BTK = F.normalize(rooted * mask_BT[..., None], dim=1 if self.options.normalise == "time" else 2)
        out: Tensor = self.o(mixed_BTK)
        return out

    def _attend(self, query_BQK: Tensor, start: int, key_BTK: Tensor, value_BTK: Tensor, mask_BT: Tensor) -> Tensor:
        """What the clips from `start` on read, global and local mixed: [B, Q, K]."""
        own = self.options
        i = torch.arange(start, start + query_BQK.shape[1], device=mask_BT.device)[:, None]
        later_QT = torch.arange(mask_BT.shape[1], device=mask_BT.device) - i
        if own.causal:
            seen_QT, near_QT = ((-span < later_QT) & (later_QT <= 0) for span in (own.reach, own.window))
        else:
            seen_QT = torch.ones_like(later_QT, dtype=torch.bool)
            near_QT = (later_QT >= -(own.window // 2)) & (later_QT < own.window - own.window // 2)
        similarity = query_BQK @ key_BTK.transpose(1, 2) / own.attention_channels**0.5
        similarity = similarity + self.prior(later_QT.to(query_BQK.dtype))
        lowest = torch.finfo(similarity.dtype).min  # not -inf: a bag without real clips would give NaN
        wide, local = (
            similarity.masked_fill(~(allowed & mask_BT[:, None]), lowest).softmax(dim=-1) @ value_BTK
            for allowed in (seen_QT, near_QT)
        )
        mixed: Tensor = torch.lerp(local, wide, torch.sigmoid(self.alpha))
        return mixed


def weighted_mean(x_RTC: Tensor, weight_RT: Tensor) -> Tensor:
    """Mean of the clips of each row, weights e^(10 s) - 1 of s in 0..1 → [R, C]."""
    share_RT = F.normalize((10 * weight_RT).exp() - 1, p=1, dim=1)
    return (share_RT[:, None] @ x_RTC).squeeze(1)


class PromptTerm(nn.Module):
    """What a bag's high clips show is like the vector of its class, what an anomalous one's low clips show like normal.

    All videos of a batch are compared with the vectors of all, by their cosine over a learned temperature.
    """

    def __init__(self, options: TCAOptions, channels: int) -> None:
        super().__init__()
        self.classes = ClassVectors(options.classes, channels, options.class_dim)
        self.logit_scale = nn.Parameter(torch.tensor(-math.log(options.temperature)))

    def likeness(self, x: Tensor) -> Tensor:
        """Of [..., C] to each class → [..., 1 + classes]."""
        return F.normalize(x, dim=-1) @ F.normalize(self.classes(), dim=1).T * self.logit_scale.exp()

    def forward(self, x_RTC: Tensor, scores_RT: Tensor, mask_RT: Tensor, labels_R: Tensor) -> Tensor:
        """Divergence of the likenesses from which videos are of one class; labels are numbers of classes."""
        high_RC, low_RC = (weighted_mean(x_RTC, s.masked_fill(~mask_RT, 0)) for s in (scores_RT, 1 - scores_RT))
        anomalous = labels_R > 0
        shown = torch.cat([high_RC, low_RC[anomalous]])
        labels = torch.cat([labels_R, torch.zeros_like(labels_R[anomalous])])
        likeness = self.likeness(shown)[:, labels]
        same = (labels[:, None] == labels).to(likeness.dtype)
        return F.kl_div(likeness.log_softmax(dim=1), (10 * same).softmax(dim=1), reduction="batchmean")


class TCAHead(HeadWithOptions):
    """Attention whose one map is read over the whole video and in a window, two layers, a causal classifier.

    The attention looks ahead; with `causal` it doesn't. The loss takes the highest clip of a normal bag and the top
    T//16 + 1 of an anomalous one. Crops are averaged before (in the original each is a sample of its own). With
    `classes`, the prompt term draws what a video shows towards the vector of its class.
    """

    name = "tca"
    Options = TCAOptions
    settings: TCAOptions

    def __init__(self, feature_dim: int, **options: Any) -> None:
        super().__init__(feature_dim, **options)
        own = self.settings
        channels = own.channels or max(1, feature_dim // 2)
        self.context = max(own.reach, own.window) + own.kernel - 1 if own.causal else None
        self.attention = TemporalContextAttention(feature_dim, own)
        self.norm = nn.LayerNorm(feature_dim)
        self.linear1 = nn.Conv1d(feature_dim, channels, 1)
        self.linear2 = nn.Conv1d(channels, own.out_channels, 1)
        self.classifier = nn.Conv1d(own.out_channels, 1, own.kernel)
        self.dropout = nn.Dropout(own.dropout)
        self.prompt = PromptTerm(own, channels) if own.classes else None
        if self.prompt is not None:
            self.class_names = self.prompt.classes.names
        for layer in self.modules():
            if isinstance(layer, nn.Conv1d | nn.Linear):
                nn.init.xavier_uniform_(layer.weight)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> HeadOutput:
        """Scores [B, T] of features [B, T, D]; a bag's is the mean of its top T//16 + 1.

        `extras`: features [B, T, C] after the first layer, mask [B, T]; with `classes` and in eval mode class_logits
        [B, T, 1 + classes], the likeness of these features to the vectors of classes.
        """
        mask = full_mask(features) if mask is None else mask
        x_BTD = bounded(features) * mask[..., None]
        x_BDT = self.norm(x_BTD + self.attention(x_BTD, mask)).transpose(1, 2)
        hidden_BCT = self.dropout(F.gelu(self.linear1(x_BDT)))
        seen = self.dropout(F.gelu(self.linear2(hidden_BCT))) * mask[:, None]
        logits = self.classifier(F.pad(seen, (self.settings.kernel - 1, 0))).squeeze(1)
        scores = torch.sigmoid(logits).masked_fill(~mask, 0)
        extras = {"features": hidden_BCT.transpose(1, 2), "mask": mask}
        if self.prompt is not None and not self.training:
            extras["class_logits"] = self.prompt.likeness(extras["features"])
        return HeadOutput(scores, top_mean(scores, mask), extras, logits)

    def loss(self, output: HeadOutput, labels: Tensor, *, crops: int = 1, step: int = 0) -> LossTerms:
        """Cross-entropy of the bags, by the highest clip of a normal one and the top T//16 + 1 of an anomalous one; and
        the prompt term."""
        mask_BT = output.extras["mask"][::crops]
        scores_BT = crop_mean(output.scores, crops)
        count_B = torch.where(labels > 0, mil_count(mask_BT), 1)
        bags = mean_of_clips(scores_BT, *select_top(scores_BT.detach(), mask_BT, count_B))
        terms = {"classification": F.binary_cross_entropy(bags, (labels > 0).to(bags.dtype))}
        if self.prompt is not None:
            rows = labels.repeat_interleave(crops)
            term = self.prompt(output.extras["features"], output.scores, output.extras["mask"], rows)
            terms["prompt"] = self.settings.prompt * term
        return LossTerms(terms)
