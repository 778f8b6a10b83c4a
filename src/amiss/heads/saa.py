"""SAA: a classifier and an attention that must agree, and must also explain the label without the most attended clips.

Source: Fan, Yu, Lu, Han, "Weakly-Supervised Video Anomaly Detection With Snippet Anomalous Attention", IEEE TCSVT 34(7)
2024 (arXiv 2309.16309), equations 9-16. The authors published network and evaluation but no training code; where the
paper leaves a choice open, it is an option here.

Shape letters: B bags · T clips · D feature dim · R rows = bags x crops. S = classifier's scores, A = attention.
"""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amiss.heads._base import HeadOutput, LossTerms, bounded, full_mask
from amiss.heads._head_options import Count, Dropout, HeadOptions, HeadWithOptions, Share, Weight
from amiss.heads.temporal import MultiScaleTemporalNetwork, ScoreNetwork, top_mean


def suppress(scores_RT: Tensor, attention_RT: Tensor, mask_RT: Tensor, epsilon: float) -> Tensor:
    """Erase the scores of the most attended clips: those with A ≥ θ, θ = ε (max A - min A) + min A per video."""
    highest = attention_RT.masked_fill(~mask_RT, -torch.inf).amax(dim=1, keepdim=True)
    lowest = attention_RT.masked_fill(~mask_RT, torch.inf).amin(dim=1, keepdim=True)
    return scores_RT * (attention_RT < epsilon * (highest - lowest) + lowest)


def mean_over(values_RT: Tensor, mask_RT: Tensor) -> Tensor:
    """Mean over all real clips of all rows."""
    return (values_RT * mask_RT).sum() / mask_RT.sum().clamp(min=1)


class AttentionNetwork(nn.Module):
    """Conv 3 → conv 3 → conv 1 along time, LeakyReLU and dropout between: the attention logit of each clip."""

    def __init__(self, dim: int, dropout: float, logit_dropout: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(dim, 512, 3, padding=1)
        self.conv2 = nn.Conv1d(512, 512, 3, padding=1)
        self.conv3 = nn.Conv1d(512, 1, 1)
        self.dropout = nn.Dropout(dropout)
        self.logit_dropout = nn.Dropout(dropout if logit_dropout else 0.0)

    def forward(self, x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """[B, T, D], zero where padded → logits [B, T]."""
        hidden = self.dropout(F.leaky_relu(self.conv1(x_BTD.transpose(1, 2)), 0.2)) * mask_BT[:, None]
        logits: Tensor = self.logit_dropout(self.conv3(F.leaky_relu(self.conv2(hidden), 0.2)))
        return logits.squeeze(1)


class SAAOptions(HeadOptions):
    """Options of `saa`, with the paper's open points at their recommended values."""

    epsilon: Share = 0.2
    """How far the suppressed branch cuts into the attention's range (0.2; 0.7 is the other reading)."""
    alpha: Share = 0.8
    """Weight of the full branches; the suppressed ones get 1 - alpha."""
    gamma: Weight = 0.8
    """Weight of the norm term."""
    mu: Weight = 0.01
    """Weight of the smoothness term."""
    sparsity: Weight = 1.0
    """Weight of the sparsity term."""
    guide_step: int = 400
    """Step from which the attention is guided by S > 0.5 instead of S."""
    pool: Literal["topk", "mean", "all"] = "topk"
    """Video score of a branch: mean of the top T//16 + 1 clips, plain mean, or every clip against the label (it
    explodes on the suppressed branches, where scores are exactly 0)."""
    reduction: Literal["mean", "sum"] = "mean"
    """Norm, smoothness and sparsity as mean over clips, or summed over clips and averaged over videos."""
    regularise: Literal["all", "anomalous"] = "all"
    """Smoothness and sparsity on all bags, or only on anomalous ones as in Sultani et al."""
    detach_guide: bool = False
    """No gradient through S where it guides A."""
    dropout: Dropout = 0.7
    """Everywhere."""
    logit_dropout: bool = True
    """False drops the quirk that dropout acts on the attention logit."""
    channels: Count | None = None
    """Of each branch of the temporal network; None = D/4, as published."""


class SAAHead(HeadWithOptions):
    """Temporal embedding, attention A and classifier S; a clip's score is A · S.

    Each crop is a sample of its own in the loss. RGB and audio features are concatenated before they come here (1024 +
    128 for XD-Violence). Quirk kept: dropout acts on the attention logit itself, so that in training most of A is
    exactly 0.5.
    """

    name = "saa"
    Options = SAAOptions
    settings: SAAOptions

    def __init__(self, feature_dim: int, **options: Any) -> None:
        super().__init__(feature_dim, **options)
        dropout, channels = self.settings.dropout, self.settings.channels
        self.temporal = MultiScaleTemporalNetwork(feature_dim, channels or max(1, feature_dim // 4))
        self.attention = AttentionNetwork(feature_dim, dropout, self.settings.logit_dropout)
        self.classifier = ScoreNetwork(feature_dim, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> HeadOutput:
        """Scores A · S [B, T] of features [B, T, D]; a bag's is the mean of its top T//16 + 1.

        `extras`: attention A [B, T], class_scores S [B, T], mask [B, T].
        """
        mask = full_mask(features) if mask is None else mask
        x_BTD = self.temporal(bounded(features), mask)
        attention = torch.sigmoid(self.attention(x_BTD, mask)).masked_fill(~mask, 0)
        class_scores = torch.sigmoid(self.classifier(self.dropout(x_BTD))).masked_fill(~mask, 0)
        scores = attention * class_scores
        extras = {"attention": attention, "class_scores": class_scores, "mask": mask}
        return HeadOutput(scores, top_mean(scores, mask), extras)

    def loss(self, output: HeadOutput, labels: Tensor, *, crops: int = 1, step: int = 0) -> LossTerms:
        """Multi-branch classification, guide and norm of the attention, smoothness and sparsity (equations 9-15)."""
        own = self.settings
        attention, class_scores, mask = (output.extras[name] for name in ("attention", "class_scores", "mask"))
        labels = labels.repeat_interleave(crops)
        normal, anomalous = labels == 0, labels == 1
        branches = {"class": class_scores, "attended": output.scores}
        terms = {}
        for name, scores in branches.items():
            suppressed = suppress(scores, attention, mask, own.epsilon)
            terms[name] = own.alpha * self._classification(scores, mask, labels)
            terms[f"{name}_suppressed"] = (1 - own.alpha) * self._classification(suppressed, mask, labels)
        target = class_scores.detach() if own.detach_guide else class_scores
        if step >= own.guide_step:
            target = (class_scores > 0.5).to(attention.dtype)
        terms["guide_normal"] = mean_over(attention[normal].square(), mask[normal])
        terms["guide_anomalous"] = mean_over((attention - target)[anomalous].square(), mask[anomalous])
        terms["norm"] = own.gamma * self._reduce(attention[anomalous], mask[anomalous])
        chosen = anomalous if own.regularise == "anomalous" else torch.ones_like(anomalous)
        both_real = (mask[:, 1:] & mask[:, :-1])[chosen]
        smooth = [self._reduce(scores[chosen].diff(dim=1).square(), both_real) for scores in branches.values()]
        sparse = [self._reduce(scores[chosen], mask[chosen]) for scores in branches.values()]
        terms["smoothness"] = own.mu * torch.stack(smooth).sum()
        terms["sparsity"] = own.sparsity * torch.stack(sparse).sum()
        return LossTerms(terms)

    def _classification(self, scores_RT: Tensor, mask_RT: Tensor, labels_R: Tensor) -> Tensor:
        """Binary cross-entropy of one branch against the bags' labels."""
        target = labels_R.to(scores_RT.dtype)
        if self.settings.pool == "all":
            return F.binary_cross_entropy(scores_RT[mask_RT], target[:, None].expand_as(scores_RT)[mask_RT])
        if self.settings.pool == "mean":
            return F.binary_cross_entropy(scores_RT.sum(dim=1) / mask_RT.sum(dim=1).clamp(min=1), target)
        return F.binary_cross_entropy(top_mean(scores_RT, mask_RT), target)

    def _reduce(self, values_RT: Tensor, mask_RT: Tensor) -> Tensor:
        if self.settings.reduction == "sum":
            return (values_RT * mask_RT).sum(dim=1).mean()
        return mean_over(values_RT, mask_RT)
