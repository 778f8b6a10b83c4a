"""RTFM: anomalous clips have features of large magnitude, normal ones of small.

Source: Tian et al., "Weakly-supervised Video Anomaly Detection with Robust Temporal Feature Magnitude Learning", ICCV
2021 (arXiv 2101.10030), equations 3-7; github.com/tianyu0207/RTFM.

Shape letters: B bags · T clips · D feature dim · R rows = bags x crops · K selected clips · C crops.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.linalg import vector_norm

from amiss.heads._base import HeadOutput, LossTerms, bounded, crop_mean, full_mask
from amiss.heads._head_options import Count, Weight
from amiss.heads.temporal import (
    TemporalHead,
    TemporalOptions,
    flat_smoothness,
    flat_sparsity,
    mean_of_clips,
    select_top,
)


def magnitude_term(selected_BCD: Tensor, labels: Tensor, margin: float) -> Tensor:
    """mean_i (|m - ‖a_i‖| + ‖n_i‖)², n_i and a_i selected features of the i-th normal and anomalous bag: equation 5 as
    coded. Bags without a partner are left out; all sizes are known, so that no GPU is asked for one.
    """
    magnitude_BC: Tensor = vector_norm(selected_BCD, dim=2)[labels.argsort(stable=True)]  # the normal ones first
    n_normal = (labels == 0).sum()
    place_B = torch.arange(len(labels), device=labels.device)
    partner_B = place_B + n_normal
    is_pair_B = (place_B < n_normal) & (partner_B < len(labels))
    anomalous_BC = magnitude_BC[partner_B.clamp(max=len(labels) - 1)]
    terms_B = ((margin - anomalous_BC).abs() + magnitude_BC).square().mean(dim=1)
    return torch.where(is_pair_B, terms_B, 0).sum() / is_pair_B.sum()


class RTFMOptions(TemporalOptions):
    """Options of `rtfm`."""

    k: Count = 3
    """Clips selected per bag."""
    margin: Weight = 100.0
    """m that anomalous magnitudes are drawn to."""
    alpha: Weight = 1e-4
    """Weight of the magnitude term."""
    sparsity: Weight = 8e-3
    """Weight of the sparsity term."""
    smoothness: Weight = 8e-4
    """Weight of the smoothness term."""


class RTFMHead(TemporalHead):
    """Multi-scale temporal network, feature magnitudes that select k clips of a bag, and a classifier scored on those.

    Any feature dim and crop count; the original has 2048 and 10 built in. Magnitudes and scores are averaged over crops
    before clips are selected. Kept quirks of the original: magnitudes are taken after dropout; in training a dropout
    mask hides most clips from the selection; smoothness and sparsity run over the flattened batch; the i-th normal bag
    is paired with the i-th anomalous one (bags without a partner are left out of the magnitude term).
    """

    name = "rtfm"
    Options = RTFMOptions
    settings: RTFMOptions

    def forward(self, features: Tensor, mask: Tensor | None = None) -> HeadOutput:
        """Scores [B, T] of features [B, T, D]; a bag's is the mean over its k clips of largest magnitude.

        `extras`: features [B, T, D] after the temporal network, magnitudes [B, T], mask [B, T].
        """
        mask = full_mask(features) if mask is None else mask
        x_BTD = self.dropout(self.temporal(bounded(features), mask))
        logits = self.classifier(x_BTD)
        scores = torch.sigmoid(logits).masked_fill(~mask, 0)
        magnitudes = vector_norm(x_BTD, dim=2)
        bag_score = mean_of_clips(scores, *select_top(magnitudes.detach(), mask, self.settings.k))
        return HeadOutput(scores, bag_score, {"features": x_BTD, "magnitudes": magnitudes, "mask": mask}, logits)

    def select(self, output: HeadOutput, crops: int) -> tuple[Tensor, Tensor]:
        """Video scores [B] and mean features [R, D] of the clips that have the largest crop-averaged magnitudes."""
        magnitudes = crop_mean(output.extras["magnitudes"], crops)
        visible = self.dropout(torch.ones_like(magnitudes))
        index, weight = select_top(visible * magnitudes, output.extras["mask"][::crops], self.settings.k)
        rows = (index.repeat_interleave(crops, dim=0), weight.repeat_interleave(crops, dim=0))
        video_scores = mean_of_clips(crop_mean(output.scores, crops), index, weight)
        return video_scores, mean_of_clips(output.extras["features"], *rows)

    def loss(self, output: HeadOutput, labels: Tensor, *, crops: int = 1, step: int = 0) -> LossTerms:
        """BCE of video scores + α · magnitude + sparsity and smoothness of the anomalous bags."""
        weights = self.settings
        video_scores, selected_RD = self.select(output, crops)
        selected_BCD = selected_RD.reshape(len(labels), crops, -1)
        anomalous_B1 = labels[:, None] == 1
        scores_BT, mask_BT = crop_mean(output.scores, crops), output.extras["mask"][::crops]
        return LossTerms(
            {
                "classification": F.binary_cross_entropy(video_scores, labels.to(video_scores.dtype)),
                "magnitude": weights.alpha * magnitude_term(selected_BCD, labels, weights.margin),
                "sparsity": weights.sparsity * flat_sparsity(scores_BT * anomalous_B1),
                "smoothness": weights.smoothness * flat_smoothness(scores_BT, mask_BT & anomalous_B1),
            }
        )
