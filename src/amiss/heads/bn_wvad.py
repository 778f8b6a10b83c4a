"""BN-WVAD: what is far from the mean that batch normalisation keeps is anomalous.

Source: Zhou, Qu, Xu, Shen, "BatchNorm-based Weakly Supervised Video Anomaly Detection", IEEE TCSVT 2024 (arXiv
2311.15367), equations 3-9; github.com/cool-xuan/BN-WVAD.

Shape letters: B bags · T clips · D feature dim · C channels of a layer · R rows = bags x crops · S selected clips.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amiss.heads._base import HeadOutput, LossTerms, bounded, crop_mean, full_mask
from amiss.heads._head_options import HeadWithOptions, Share, Weight
from amiss.heads.global_local import GlobalLocalNetwork, GlobalLocalOptions
from amiss.heads.temporal import MaskedBatchNorm, select_top, top_mean

_LEAST_VARIANCE = 1e-12  # of a channel that was constant in training
_LEAST_DISTANCE = 1e-6


def divergence(x: Tensor, norm: MaskedBatchNorm) -> Tensor:
    """√Σ_c (x_c - μ_c)² / σ_c² with the running statistics of a layer: [..., C] → [...]. The paper's DFM."""
    squares = (x - norm.running_mean.clone()).square() / norm.running_var.clamp(min=_LEAST_VARIANCE)
    return squares.sum(dim=-1).clamp(min=_LEAST_DISTANCE**2).sqrt()


class NormalityNetwork(nn.Module):
    """C → C/16 → C/32 → 1 per clip, batch normalisation and ReLU between: the logit of each clip's score."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide, narrow = max(1, channels // 16), max(1, channels // 32)
        self.conv1 = nn.Conv1d(channels, wide, 1)
        self.bn1 = MaskedBatchNorm(wide)
        self.conv2 = nn.Conv1d(wide, narrow, 1)
        self.bn2 = MaskedBatchNorm(narrow)
        self.conv3 = nn.Conv1d(narrow, 1, 1)

    @property
    def norms(self) -> tuple[MaskedBatchNorm, MaskedBatchNorm]:
        """Both layers of batch normalisation."""
        return self.bn1, self.bn2

    def forward(self, x_BTC: Tensor, mask_BT: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """[B, T, C] → what each batch normalisation sees, [B, T, C/16] and [B, T, C/32], and logits [B, T]."""
        wide = self.conv1(x_BTC.transpose(1, 2))
        narrow = self.conv2(torch.relu(self.bn1(wide, mask_BT)))
        logits = self.conv3(torch.relu(self.bn2(narrow, mask_BT)))
        return (wide.transpose(1, 2), narrow.transpose(1, 2)), logits.squeeze(1)


class BNWVADOptions(GlobalLocalOptions):
    """Options of `bn-wvad`."""

    video_share: Share = 0.2
    """Of every anomalous bag, the most divergent clips that count as anomalous."""
    batch_share: Share = 0.4
    """The same over all anomalous bags of the batch together; a clip that either chooses counts."""
    margin: Weight = 1.0
    """By which anomalous clips must be further away than normal ones."""
    wide_weight: Weight = 5.0
    """Weight of the separation at the first batch normalisation."""
    narrow_weight: Weight = 20.0
    """Weight of the separation at the second."""


class BNWVADHead(HeadWithOptions):
    """Global and local attention, and clips' distances from the running means of two batch normalisations.

    A clip's original score is u = (DFM₁ + DFM₂) · s, unbounded; here it is u / (1 + u), in the same order. Crops are
    averaged after that (the original averages DFM and s one by one). Needs balanced batches: the running statistics
    stand for what is normal because most clips are.
    """

    name = "bn-wvad"
    Options = BNWVADOptions
    settings: BNWVADOptions

    def __init__(self, feature_dim: int, **options: Any) -> None:
        super().__init__(feature_dim, **options)
        self.temporal = GlobalLocalNetwork(feature_dim, self.settings)
        self.normality = NormalityNetwork(self.settings.channels)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> HeadOutput:
        """Scores [B, T] of features [B, T, D]; a bag's is the mean of its top T//16 + 1.

        `extras`: hidden ([B, T, C/16], [B, T, C/32]) before each batch normalisation, divergences ([B, T], [B, T]),
        normality [B, T], the s above, mask [B, T].
        """
        mask = full_mask(features) if mask is None else mask
        hidden, logits = self.normality(self.temporal(bounded(features), mask), mask)
        first, second = (divergence(x, norm) for x, norm in zip(hidden, self.normality.norms, strict=True))
        log_scores = (first + second).log() + F.logsigmoid(logits)
        scores = torch.sigmoid(log_scores).masked_fill(~mask, 0)
        normality = torch.sigmoid(logits).masked_fill(~mask, 0)
        extras = {"hidden": hidden, "divergences": (first, second), "normality": normality, "mask": mask}
        return HeadOutput(scores, top_mean(scores, mask), extras, log_scores)

    def loss(self, output: HeadOutput, labels: Tensor, *, crops: int = 1, step: int = 0) -> LossTerms:
        """Mean ‖s‖₂ of normal bags + at both layers the margin by which selected anomalous clips are further away."""
        own, extras = self.settings, output.extras
        mask = extras["mask"][::crops]
        terms = {"normal": torch.linalg.vector_norm(crop_mean(extras["normality"], crops)[labels == 0], dim=1).mean()}
        layers = {"wide": own.wide_weight, "narrow": own.narrow_weight}
        for layer, (name, weight) in enumerate(layers.items()):
            norm = self.normality.norms[layer]
            hidden = crop_mean(extras["hidden"][layer], crops)
            distances = crop_mean(extras["divergences"][layer].detach(), crops)
            normal, anomalous = self._select(hidden, distances, mask, labels)
            gap = divergence(normal, norm) - divergence(anomalous, norm)
            terms[f"separation_{name}"] = weight * torch.relu(gap + own.margin).mean()
        return LossTerms(terms)

    def _select(
        self, hidden_BTC: Tensor, distance_BT: Tensor, mask_BT: Tensor, labels_B: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Clips that count as normal and as anomalous, [S, C] each.

        As many normal clips as anomalous ones: first the most divergent of every normal bag, then the second, and so
        on; from the first again where there are too few.
        """
        normal, anomalous = labels_B == 0, labels_B == 1
        mask_AT, place_AT = mask_BT[anomalous], _places(distance_BT[anomalous], mask_BT[anomalous])
        per_bag = (mask_AT.sum(dim=1).double() * self.settings.video_share).long()
        index, weight = select_top(-place_AT, mask_AT, per_bag)
        in_batch = max(1, int(mask_AT.sum() * self.settings.batch_share))
        of_bag_AT = torch.zeros_like(mask_AT).scatter(1, index, weight > 0)
        chosen_AT = (of_bag_AT | (place_AT < in_batch)) & mask_AT
        anomalous_SC = hidden_BTC[anomalous][chosen_AT]
        each = len(anomalous_SC) // int(normal.sum()) + 1
        index, weight = select_top(-_places(distance_BT[normal], mask_BT[normal]), mask_BT[normal], each)
        bags = torch.arange(len(index), device=index.device)[:, None].expand_as(index)
        real = weight.T.flatten() > 0
        bag_S, clip_S = bags.T.flatten()[real], index.T.flatten()[real]
        turns = torch.arange(len(anomalous_SC), device=index.device) % len(bag_S)
        return hidden_BTC[normal][bag_S[turns], clip_S[turns]], anomalous_SC


def _places(distance_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Each clip's place among all of them, 0 for the most divergent, [B, T]; real clips come before padding.

    Of equally divergent ones, which are common in the narrow layer, the earlier comes first: otherwise padding would
    decide which of them the bag and the batch choose, and so how many.
    """
    order = distance_BT.masked_fill(~mask_BT, -torch.inf).flatten().sort(descending=True, stable=True).indices
    return order.argsort().view_as(distance_BT).float()
