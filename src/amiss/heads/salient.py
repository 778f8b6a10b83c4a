"""Salient features: structured self-attention picks the clips that decide; the bag as a whole is classified.

Source: Watanabe, Okabe, Harada, Kashima, "Real-World Video Anomaly Detection by Extracting Salient Features", ICIP 2022
(arXiv 2209.06435); github.com/sakurada-cnq/salient_feature_anomaly.

Shape letters: B bags · T clips · D feature dim · R attention hops.
"""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amiss.heads._base import HeadOutput, LossTerms, bounded, full_mask
from amiss.heads._head_options import Count, Dropout, HeadOptions, HeadWithOptions


class SalientOptions(HeadOptions):
    """Options of `salient`. Published with `d_a` and `r` of 64 and 3, and of 128 and 7."""

    d_a: Count = 64
    """Hidden units of the attention."""
    r: Count = 3
    """Hops of the attention."""
    dropout: Dropout = 0.3
    """Of the attention weights, in training."""
    chunk: Count | None = 32
    """Clips per piece in evaluation; None = whole video. Training runs had 32, the published numbers have 28."""
    clip_scores: Literal["attention", "chunk"] = "attention"
    """`attention`, or `chunk`: every clip of a piece gets the piece's score, as the original evaluates."""


class SalientHead(HeadWithOptions):
    """Self-attention picks the clips that decide; the bag is scored as a whole, with no ranking and no sparsity.

    A = softmax_t(W₂ tanh(W₁ xᵀ)), M = Xᵀ A, score = σ(fc2(fc1(M))), with no activation between fc1 and fc2.

    The method scores bags. A clip's score is its share of the attention times the bag's score, scaled so that the bag's
    largest clip has the bag's score. Trained on bags of T clips, it sees long videos in pieces of `chunk` clips (the
    last one shorter), each a bag of its own; the video's bag score is the largest of theirs. Each crop is a sample of
    its own in the loss.
    """

    name = "salient"
    Options = SalientOptions
    settings: SalientOptions

    def __init__(self, feature_dim: int, **options: Any) -> None:
        super().__init__(feature_dim, **options)
        d_a, r = self.settings.d_a, self.settings.r
        self.w1 = nn.Linear(feature_dim, d_a)
        self.w2 = nn.Linear(d_a, r)
        self.fc1 = nn.Linear(feature_dim * r, 32)
        self.fc2 = nn.Linear(32, 1)
        self.dropout = nn.Dropout(self.settings.dropout)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> HeadOutput:
        """Scores [B, T] of features [B, T, D]; in eval mode in pieces of `chunk` clips.

        `extras`: attention [B, T, R], summing to 1 over the clips of a piece.
        """
        mask = full_mask(features) if mask is None else mask
        chunk = self.settings.chunk
        if self.training or chunk is None or chunk >= features.shape[1]:
            return self._score_bags(features, mask)
        n_bags, n_clips, _ = features.shape
        n_pieces = -(-n_clips // chunk)
        missing = n_pieces * chunk - n_clips
        pieces = self._score_bags(
            F.pad(features, (0, 0, 0, missing)).reshape(n_bags * n_pieces, chunk, -1),
            F.pad(mask, (0, missing)).reshape(n_bags * n_pieces, chunk),
        )
        scores = pieces.scores.reshape(n_bags, -1)[:, :n_clips]
        attention = pieces.extras["attention"].reshape(n_bags, -1, self.settings.r)[:, :n_clips]
        return HeadOutput(scores, pieces.bag_score.reshape(n_bags, -1).amax(dim=1), {"attention": attention})

    def _score_bags(self, features: Tensor, mask: Tensor) -> HeadOutput:
        x_BTD = bounded(features) * mask[..., None]
        logits_BTR = self.w2(torch.tanh(self.w1(x_BTD))).masked_fill(~mask[..., None], torch.finfo(x_BTD.dtype).min)
        attention_BTR = logits_BTR.softmax(dim=1) * mask[..., None]
        salient_BDR = x_BTD.transpose(1, 2) @ self.dropout(attention_BTR)
        bag_score = torch.sigmoid(self.fc2(self.fc1(salient_BDR.flatten(1)))).squeeze(-1) * mask.any(dim=1)
        if self.settings.clip_scores == "chunk":
            share_BT = mask.to(bag_score.dtype)
        else:
            mass_BT = attention_BTR.sum(dim=2)
            share_BT = mass_BT / mass_BT.amax(dim=1, keepdim=True).clamp(min=torch.finfo(mass_BT.dtype).tiny)
        return HeadOutput(bag_score[:, None] * share_BT, bag_score, {"attention": attention_BTR})

    def loss(self, output: HeadOutput, labels: Tensor, *, crops: int = 1, step: int = 0) -> LossTerms:
        """Binary cross-entropy of bag scores; each crop counts as a bag."""
        target = labels.repeat_interleave(crops).to(output.bag_score.dtype)
        return LossTerms({"classification": F.binary_cross_entropy(output.bag_score, target)})
