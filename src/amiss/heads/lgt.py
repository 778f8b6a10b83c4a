"""LGT: a local transformer and two graphs over time, VadCLIP's visual branch; made for CLIP's features.

Source: Wu, Zhou, Pang, Zhou, Yan, Wang, Zhang, "VadCLIP: Adapting Vision-Language Models for Weakly Supervised Video
Anomaly Detection", AAAI 2024 (arXiv 2308.11681), section 3.2; github.com/nwpu-zxr/VadCLIP.

A video is read in chunks of 256 clips, each by itself. Padded clips change nothing, see the option `padding`.

Shape letters: B bags · N chunks of all bags · L clips of a chunk · T clips · D feature dim · C channels.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from amiss.heads._base import HeadOutput, LossTerms, bounded, crop_mean, full_mask
from amiss.heads._class_vectors import ClassOptions, ClassVectors
from amiss.heads._head_options import Count, Dropout, HeadWithOptions, Weight
from amiss.heads.global_local import attend, local_sum
from amiss.heads.temporal import top_mean


def quick_gelu(x: Tensor) -> Tensor:
    """x σ(1.702 x), CLIP's activation."""
    return x * torch.sigmoid(1.702 * x)


class FeedForward(nn.Module):
    """C → 4 C → C."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, 4 * channels)
        self.fc2 = nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """[..., C] → [..., C]."""
        out: Tensor = self.fc2(quick_gelu(self.fc1(x)))
        return out


class LocalLayer(nn.Module):
    """x + attention(LN x) inside blocks of `window` clips, then x + feed-forward(LN x)."""

    def __init__(self, channels: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.norm1 = nn.LayerNorm(channels)
        self.inputs = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.norm2 = nn.LayerNorm(channels)
        self.feed_forward = FeedForward(channels)
        nn.init.xavier_uniform_(self.inputs.weight)
        nn.init.zeros_(self.inputs.bias)
        nn.init.zeros_(self.out.bias)

    def forward(self, x_NLC: Tensor, mask_NL: Tensor) -> Tensor:
        """[N, L, C] → [N, L, C]; L is a multiple of the window."""
        blocks = (-1, 1, self.window, x_NLC.shape[2])
        parts = (part.reshape(blocks) for part in self.inputs(self.norm1(x_NLC)).chunk(3, dim=-1))
        attended = attend(*parts, mask_BT=mask_NL.reshape(-1, self.window)).reshape(x_NLC.shape)
        x_NLC = x_NLC + self.out(attended)
        out: Tensor = x_NLC + self.feed_forward(self.norm2(x_NLC))
        return out


class GraphLayer(nn.Module):
    """A x W + residual: a convolution over 5 clips where the number of channels changes, else x itself."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(inputs, outputs)))
        self.residual = nn.Conv1d(inputs, outputs, 5, padding=2) if inputs != outputs else None

    def forward(self, x_NLC: Tensor, sum_over_graph: Callable[[Tensor], Tensor]) -> Tensor:
        """[N, L, inputs] → [N, L, outputs]."""
        rest = x_NLC if self.residual is None else self.residual(x_NLC.transpose(1, 2)).transpose(1, 2)
        return quick_gelu(sum_over_graph(x_NLC @ self.weight) + rest)


def similarity_graph(x_NLC: Tensor, mask_NL: Tensor, threshold: float) -> Tensor:
    """softmax over the real clips j of cos(x_i, x_j), cosines up to the threshold set to 0 → [N, L, L]."""
    unit = F.normalize(x_NLC, dim=2)
    cosine = unit @ unit.transpose(1, 2)
    kept = torch.where(cosine > threshold, cosine, 0)
    lowest = torch.finfo(kept.dtype).min  # not -inf: a chunk without real clips would give NaN
    return kept.masked_fill(~mask_NL[:, None], lowest).softmax(dim=-1) * mask_NL[:, :, None]


class LGTOptions(ClassOptions):
    """Options of `lgt`; the defaults are those for UCF-Crime."""

    channels: Annotated[int, Field(ge=2, multiple_of=2)] = 512
    """Of the network. Features of another dim are projected, which the original never needs: CLIP's have 512."""
    chunk: Count = 256
    """Clips that are read together."""
    layers: Count = 2
    """Of the local transformer (XD-Violence: 1)."""
    window: Count = 8
    """Clips of a block in which the local transformer attends (XD-Violence: 64); `chunk` is a multiple of it."""
    threshold: Annotated[float, Field(ge=-1, le=1)] = 0.7
    """Cosine above which two clips are similar."""
    padding: Literal["masked", "seen"] = "masked"
    """`seen` keeps the quirk of the original's code: a chunk is filled up with zero rows, and all but the similarity
    graph take them for clips."""
    dropout: Dropout = 0.0
    """Of what the classifier sees."""
    scores: Literal["classifier", "alignment"] = "classifier"
    """What a clip's score is, where classes are told apart: that of the classifier (best for UCF-Crime's AUC), or the
    probability that it is of any class but `normal` (best for XD-Violence's AP)."""
    contrast: Weight = 0.1
    """Weight of the mean |cosine| of the vector of `normal` with the others, where these are learned."""

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.chunk % self.window:
            raise ValueError(f"chunk is {self.chunk} and window {self.window}; chunk must be a multiple of it")
        if self.scores == "alignment" and not self.classes:
            raise ValueError("scores is 'alignment', and there are no classes to align with; name them")
        return self


class Alignment(nn.Module):
    """Likeness of clips to classes, whose vectors are first turned to what the bag shows."""

    def __init__(self, options: LGTOptions, channels: int) -> None:
        super().__init__()
        self.classes = ClassVectors(options.classes, channels, options.class_dim)
        self.feed_forward = FeedForward(channels)

    def forward(self, x_BTC: Tensor, logits_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """cos(x, t' + MLP(t')) / 0.07, t' = t + the bag's mean clip weighted by logits → [B, T, 1 + classes]."""
        shown_BC = F.normalize(((logits_BT * mask_BT)[..., None] * x_BTC).sum(dim=1), dim=1)
        turned = self.classes() + shown_BC[:, None]
        turned = turned + self.feed_forward(turned)
        return F.normalize(x_BTC, dim=2) @ F.normalize(turned, dim=2).transpose(1, 2) / 0.07


class LGTHead(HeadWithOptions):
    """Attention in blocks of clips, a graph of similar and one of near clips, and a classifier.

    Needs the whole video: each clip depends on its place in a chunk. Crops are averaged before the loss takes the top
    T//16 + 1 clips of each bag. With `classes`, clips are also compared with vectors of classes (the alignment
    branch; the original's vectors come from CLIP's text encoder, with learned words around each name).
    """

    name = "lgt"
    Options = LGTOptions
    settings: LGTOptions

    def __init__(self, feature_dim: int, **options: Any) -> None:
        super().__init__(feature_dim, **options)
        own = self.settings
        channels, half = own.channels, own.channels // 2
        self.projection = nn.Linear(feature_dim, channels) if feature_dim != channels else nn.Identity()
        self.positions = nn.Embedding(own.chunk, channels)
        nn.init.normal_(self.positions.weight, std=0.01)
        self.layers = nn.ModuleList([LocalLayer(channels, own.window) for _ in range(own.layers)])
        self.similar = nn.ModuleList([GraphLayer(channels, half), GraphLayer(half, half)])
        self.near = nn.ModuleList([GraphLayer(channels, half), GraphLayer(half, half)])
        self.linear = nn.Linear(channels, channels)
        self.feed_forward = FeedForward(channels)
        self.classifier = nn.Linear(channels, 1)
        self.dropout = nn.Dropout(own.dropout)
        self.alignment = Alignment(own, channels) if own.classes else None
        if self.alignment is not None:
            self.class_names = self.alignment.classes.names

    def forward(self, features: Tensor, mask: Tensor | None = None) -> HeadOutput:
        """Scores [B, T] of features [B, T, D]; a bag's is the mean of its top T//16 + 1.

        `extras`: features [B, T, C] that the classifier saw, mask [B, T]; with `classes` also class_logits
        [B, T, 1 + classes], whose softmax says what a clip shows, `normal` first.
        """
        mask = full_mask(features) if mask is None else mask
        x_BTC = self.dropout(self._encode(bounded(features), mask))
        logits = self.classifier(x_BTC + self.feed_forward(x_BTC)).squeeze(-1)
        scores = torch.sigmoid(logits).masked_fill(~mask, 0)
        extras = {"features": x_BTC, "mask": mask, "anomaly": scores}
        if self.alignment is not None:
            extras["class_logits"] = class_logits = self.alignment(x_BTC, logits, mask)
            if self.settings.scores == "alignment":
                logits = class_logits[..., 1:].logsumexp(dim=2) - class_logits[..., 0]
                scores = torch.sigmoid(logits).masked_fill(~mask, 0)
        return HeadOutput(scores, top_mean(scores, mask), extras, logits)

    def _encode(self, x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """[B, T, D] → [B, T, C], chunk by chunk."""
        own = self.settings
        bags, clips = mask_BT.shape
        is_short = clips <= own.chunk and own.padding == "masked"
        length = math.ceil(clips / own.window) * own.window if is_short else own.chunk
        fill = -clips % length
        mask_NL = F.pad(mask_BT, (0, fill)).reshape(-1, length)
        real = mask_NL[..., None]
        x_NLD = F.pad(x_BTD * mask_BT[..., None], (0, 0, 0, fill)).reshape(-1, length, x_BTD.shape[2])
        seen = torch.ones_like(mask_NL) if own.padding == "seen" else mask_NL
        x_NLC = (self.projection(x_NLD) * real + self.positions.weight[:length]) * seen[..., None]
        for layer in self.layers:
            x_NLC = layer(x_NLC, seen)
        x_NLC = x_NLC * seen[..., None]
        similar = similarity_graph(x_NLC, mask_NL, own.threshold)
        by_similar = by_near = x_NLC
        for layer in self.similar:
            by_similar = layer(by_similar, similar.matmul) * seen[..., None]
        for layer in self.near:
            by_near = layer(by_near, partial(local_sum, mask_BT=seen)) * seen[..., None]
        out: Tensor = self.linear(torch.cat([by_similar, by_near], dim=2))
        return out.reshape(bags, -1, own.channels)[:, :clips]

    def loss(self, output: HeadOutput, labels: Tensor, *, crops: int = 1, step: int = 0) -> LossTerms:
        """Cross-entropy of the mean of the top T//16 + 1 scores of each bag; with `classes`, the same of the highest
        logits of each class, and the contrast of `normal` with the others."""
        mask_BT = output.extras["mask"][::crops]
        bags = top_mean(crop_mean(output.extras["anomaly"], crops), mask_BT)
        terms = {"classification": F.binary_cross_entropy(bags, (labels > 0).to(bags.dtype))}
        if self.alignment is not None:
            logits_BTK = crop_mean(output.extras["class_logits"], crops)
            by_class = [top_mean(logits_BTK[..., k], mask_BT) for k in range(logits_BTK.shape[2])]
            terms["classes"] = F.cross_entropy(torch.stack(by_class, dim=1), labels)
            vectors = F.normalize(self.alignment.classes(), dim=1)
            terms["contrast"] = self.settings.contrast * (vectors[1:] @ vectors[0]).abs().mean()
        return LossTerms(terms)
