"""The D-512-32-1 network of Sultani et al. and its ranking losses: all pairs (Sultani), paired top-k (ekosman, Top-k).

Sources: Sultani, Chen, Shah, "Real-world Anomaly Detection in Surveillance Videos", CVPR 2018, equations 4-7, and its
Keras code; github.com/ekosman/AnomalyDetectionCVPR2018-Pytorch; github.com/Henryy-rs/top-k-Ranking-Loss.

Shape letters: B bags · T clips · D feature dim · N normal bags · A anomalous bags · P pairs.
"""

from abc import abstractmethod
from typing import Any, Literal, Self

import torch
from pydantic import model_validator
from torch import Tensor, nn

from amiss.heads._base import HeadOutput, LossTerms, bounded, crop_mean, full_mask
from amiss.heads._head_options import Count, Dropout, HeadOptions, HeadWithOptions, Weight

SMOOTHNESS = 8e-5
SPARSITY = 8e-5


def all_pairs_hinge(normal_N: Tensor, anomalous_A: Tensor) -> Tensor:
    """Σ_j mean_i max(0, 1 - s(A_j) + s(N_i)): every anomalous bag must beat every normal one by a margin of 1.

    Summed over anomalous bags and averaged over normal ones, as the original's Theano code does.
    """
    return (1 - anomalous_A[None, :] + normal_N[:, None]).clamp(min=0).sum(dim=1).mean()


def paired_hinge(normal_P: Tensor, anomalous_P: Tensor, k: int) -> Tensor:
    """mean_i max(0, k - k·s(A_i) + k·s(N_i)): the i-th anomalous bag must beat the i-th normal one.

    Args:
        normal_P: mean of the top k scores of each normal bag.
        anomalous_P: the same of each anomalous bag.
        k: the margin, and what turns means into the sums that the original ranks.
    """
    return (k - k * anomalous_P + k * normal_P).clamp(min=0).mean()


def sparsity(scores_AT: Tensor) -> Tensor:
    """Σ_t s_t per anomalous bag, [A]: anomalies are rare."""
    return scores_AT.sum(dim=1)


def smoothness(scores_AT: Tensor, mask_AT: Tensor) -> Tensor:
    """Σ_t (s_{t+1} - s_t)² per anomalous bag, [A]: scores change slowly."""
    both_real = mask_AT[:, 1:] & mask_AT[:, :-1]
    return (scores_AT.diff(dim=1).square() * both_real).sum(dim=1)


def top_mean(scores_BT: Tensor, mask_BT: Tensor, k: int, *, largest: bool = True) -> Tensor:
    """Mean of the k largest (or smallest) real scores of each bag, [B]; of all of them where a bag has fewer."""
    hidden = scores_BT.masked_fill(~mask_BT, -torch.inf if largest else torch.inf)
    picked = hidden.topk(min(k, scores_BT.shape[1]), dim=1, largest=largest).values
    real = picked.isfinite()
    return picked.masked_fill(~real, 0).sum(dim=1) / real.sum(dim=1).clamp(min=1)


class SultaniOptions(HeadOptions):
    """Options of `sultani`."""

    dropout: Dropout = 0.6
    """After the first and second layer."""
    weight_penalty: Weight = 0.001
    """Times ΣW² over the kernels of all three layers (biases are free)."""


class TopKOptions(HeadOptions):
    """Options of `topk`."""

    k: Count = 3
    """Clips per bag that are ranked."""
    dropout: Dropout = 0.6
    """After the first and second layer."""
    weight_penalty: Weight = 0.001
    """Times Σ‖θ‖₂ over layers, not squared, biases included."""
    normal: Literal["top", "top-and-bottom"] = "top"
    """Which scores stand for a normal bag: `top`, the k highest, or `top-and-bottom`, k/2 highest and k/2 lowest (the
    code of December 2021, with k = 4)."""

    @model_validator(mode="after")
    def _halves(self) -> Self:
        if self.normal == "top-and-bottom" and self.k % 2:
            raise ValueError(f"normal='top-and-bottom' needs an even k; it is {self.k}")
        return self


class _RankingHead(HeadWithOptions):
    """The network. D → 512, ReLU, dropout → 32 (linear), dropout → 1, sigmoid; weights drawn Xavier-normal."""

    context = 1
    settings: SultaniOptions | TopKOptions

    def __init__(self, feature_dim: int, **options: Any) -> None:
        super().__init__(feature_dim, **options)
        self.fc1 = nn.Linear(feature_dim, 512)
        self.fc2 = nn.Linear(512, 32)
        self.fc3 = nn.Linear(32, 1)
        self.dropout = nn.Dropout(self.settings.dropout)
        for layer in (self.fc1, self.fc2, self.fc3):
            nn.init.xavier_normal_(layer.weight)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> HeadOutput:
        """Scores [B, T] of features [B, T, D]; each clip is scored by itself. `extras`: mask [B, T]."""
        mask = full_mask(features) if mask is None else mask
        hidden = self.dropout(torch.relu(self.fc1(bounded(features))))
        logits = self.fc3(self.dropout(self.fc2(hidden))).squeeze(-1)
        scores = torch.sigmoid(logits).masked_fill(~mask, 0)
        return HeadOutput(scores, self.bag_scores(scores, mask), {"mask": mask}, logits)

    @abstractmethod
    def bag_scores(self, scores_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """[B], what the ranking compares."""

    def _split(self, output: HeadOutput, labels: Tensor, crops: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Scores and masks, averaged over crops: normal [N, T] twice, anomalous [A, T] twice."""
        scores, mask = crop_mean(output.scores, crops), output.extras["mask"][::crops]
        normal = labels == 0
        return scores[normal], mask[normal], scores[~normal], mask[~normal]


class SultaniHead(_RankingHead):
    """Sultani et al. 2018: the maxima of all normal and anomalous bags of the batch are ranked against each other.

    Biases start at zero, as in Keras.
    """

    name = "sultani"
    Options = SultaniOptions

    def __init__(self, feature_dim: int, **options: Any) -> None:
        super().__init__(feature_dim, **options)
        for layer in (self.fc1, self.fc2, self.fc3):
            nn.init.zeros_(layer.bias)

    def bag_scores(self, scores_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """The highest score of each bag."""
        return top_mean(scores_BT, mask_BT, 1)

    def weight_term(self) -> Tensor:
        """λ ΣW² over kernels."""
        kernels = (self.fc1.weight, self.fc2.weight, self.fc3.weight)
        return self.settings.weight_penalty * torch.stack([kernel.square().sum() for kernel in kernels]).sum()

    def loss(self, output: HeadOutput, labels: Tensor, *, crops: int = 1, step: int = 0) -> LossTerms:
        """All-pairs hinge + sparsity and smoothness summed over anomalous bags + weight penalty."""
        normal, normal_mask, anomalous, anomalous_mask = self._split(output, labels, crops)
        return LossTerms(
            {
                "ranking": all_pairs_hinge(
                    self.bag_scores(normal, normal_mask), self.bag_scores(anomalous, anomalous_mask)
                ),
                "sparsity": SPARSITY * sparsity(anomalous).sum(),
                "smoothness": SMOOTHNESS * smoothness(anomalous, anomalous_mask).sum(),
                "weights": self.weight_term(),
            }
        )


class TopKHead(_RankingHead):
    """Top-k ranking: the sums of the k highest scores are ranked pair by pair; k = 1 is ekosman's loss.

    The i-th normal bag of the batch is paired with the i-th anomalous one; bags without a partner are left out of the
    ranking. In a bag of fewer than k clips all of them count, at the same weight in the hinge.
    """

    name = "topk"
    Options = TopKOptions
    settings: TopKOptions

    def bag_scores(self, scores_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """Mean of the k highest scores of each bag."""
        return top_mean(scores_BT, mask_BT, self.settings.k)

    def _normal_scores(self, scores_NT: Tensor, mask_NT: Tensor) -> Tensor:
        if self.settings.normal == "top":
            return self.bag_scores(scores_NT, mask_NT)
        half = self.settings.k // 2
        return (top_mean(scores_NT, mask_NT, half) + top_mean(scores_NT, mask_NT, half, largest=False)) / 2

    def weight_term(self) -> Tensor:
        """λ Σ‖θ‖₂ over layers, kernel and bias of a layer as one vector."""
        layers = (self.fc1, self.fc2, self.fc3)
        norms = [torch.cat([layer.weight.flatten(), layer.bias]).norm() for layer in layers]
        return self.settings.weight_penalty * torch.stack(norms).sum()

    def loss(self, output: HeadOutput, labels: Tensor, *, crops: int = 1, step: int = 0) -> LossTerms:
        """Paired top-k hinge + sparsity and smoothness averaged over pairs + weight penalty."""
        normal, normal_mask, anomalous, anomalous_mask = self._split(output, labels, crops)
        pairs = min(len(normal), len(anomalous))
        hinge = paired_hinge(
            self._normal_scores(normal[:pairs], normal_mask[:pairs]),
            self.bag_scores(anomalous[:pairs], anomalous_mask[:pairs]),
            self.settings.k,
        )
        return LossTerms(
            {
                "ranking": hinge,
                "sparsity": SPARSITY * sparsity(anomalous).mean(),
                "smoothness": SMOOTHNESS * smoothness(anomalous, anomalous_mask).mean(),
                "weights": self.weight_term(),
            }
        )
