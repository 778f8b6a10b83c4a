"""The distribution head as it was published: densities with fixed constants, and bugs that are kept and named.

Source: github.com/FatemeBameri/Pytorch-Weakly-Anomaly-Detection, the states of November 2023 and January 2024.

Shape letters: B bags · T clips · D feature dim · R rows = bags x crops · K selected clips · G gaps between two clips ·
N normal, A anomalous bags.
"""

import math
from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor

from amiss.heads._base import HeadOutput, LossTerms, bounded, crop_mean, full_mask
from amiss.heads._head_options import Weight
from amiss.heads.temporal import (
    TemporalHead,
    TemporalOptions,
    flat_smoothness,
    flat_sparsity,
    gather_clips,
    mean_of_clips,
)

SELECTED = 3  # pairs of clips per bag
LARGEST = 4  # density values kept per clip
BANDWIDTH = 1.5  # of the kernel estimate

# ln p(x) of the ten densities, with the original's constants: nothing is ever fitted
LOG_DENSITIES: dict[str, Callable[[Tensor], Tensor]] = {
    "cauchy": lambda x: -torch.log1p(((x - 2) / 1.5) ** 2) - math.log(math.pi * 1.5),
    "half-cauchy": lambda x: -torch.log1p((x / 0.5) ** 2) + math.log(2 / (math.pi * 0.5)),
    "exponential": lambda x: math.log(1.5) - 1.5 * x,
    "geometric": lambda x: x * math.log(0.7) + math.log(0.3),
    "gumbel": lambda x: -(x - 1) / 2 - torch.exp(-(x - 1) / 2) - math.log(2),
    "gamma": lambda x: math.log(2) - 2 * x,
    "half-normal": lambda x: -(x**2) / 2 + 0.5 * math.log(2 / math.pi),
    "normal": lambda x: -(x**2) / 8 - 0.5 * math.log(8 * math.pi),
    "student-t": lambda x: -1.5 * torch.log1p(x**2 / 2) - math.log(2 * math.sqrt(2)),
    "beta": lambda x: math.log(3) + 2 * torch.log1p(-x),
}
UNUSABLE = ("geometric", "beta")  # the original raises: features are no counts and exceed 1


def density_value(x: Tensor, family: str) -> Tensor:
    """10^(ln p(x)): the original takes the antilogarithm of a natural logarithm to base 10."""
    return torch.pow(10.0, LOG_DENSITIES[family](x))


def kernel_log_density(x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
    """ln of the Gaussian kernel estimate from a bag's clips at each of them, [B, T]; no gradient (original)."""
    x_BTD = x_BTD.detach()
    distances = torch.cdist(x_BTD, x_BTD, compute_mode="donot_use_mm_for_euclid_dist")
    exponents = (-0.5 * (distances / BANDWIDTH) ** 2).masked_fill(~mask_BT[:, None], -torch.inf)
    scale = x_BTD.shape[2] * math.log(BANDWIDTH * math.sqrt(2 * math.pi))
    return exponents.logsumexp(dim=2) - mask_BT.sum(dim=1, keepdim=True).log() - scale


def clip_differences(x_BTD: Tensor, gaps: int) -> Tensor:
    """exp(mean_j |x_p - x_q|) for the pairs of clips p < q ≤ p + gaps → [B, T, G] at [p, q - p - 1]; 0 past the end."""
    n_clips = x_BTD.shape[1]
    table = x_BTD.new_zeros(len(x_BTD), n_clips, gaps)
    for gap in range(1, min(gaps, n_clips - 1) + 1):
        table[:, :-gap, gap - 1] = (x_BTD[:, gap:] - x_BTD[:, :-gap]).abs().mean(dim=2).clamp(max=80).exp()
    return table


def js_divergence(p: Tensor, q: Tensor) -> Tensor:
    """½ KL(p‖m) + ½ KL(q‖m), m = ½ (p + q), each argument normalised to sum 1 only after m was formed."""
    p, q = p.double(), q.double()  # densities far out in a tail are too small to be squared in float32
    m = (p + q) / 2

    def kl(a: Tensor) -> Tensor:
        real = (a != 0) & (m != 0)
        share, share_m = a[real] / a.sum(), m[real] / m.sum()
        return (share * (share / share_m).log()).sum()

    return ((kl(p) + kl(q)) / 2).float()


class OriginalOptions(TemporalOptions):
    """Options of `distribution`, variants `original-2023` and `original-2024`."""

    variant: Literal["original-2023", "original-2024"] = "original-2024"
    """`original-2023` (neighbours up to 2 clips apart, densities of crop-averaged features, a second term that spreads
    the selected features apart), or `original-2024` (up to 3 apart, densities of all crops)."""
    densities: Annotated[tuple[str, str], Field(strict=False)] = ("half-normal", "gamma")
    """Families for anomalous and normal bags; None or left out = gumbel and normal in 2023, half-normal and gamma in
    2024. `kernel` (2023 only) is a Gaussian kernel estimate per video."""
    alpha: Weight = 1e-4
    """Weight of the distribution term."""
    sparsity: Weight = 8e-3
    """Weight of the sparsity term."""
    smoothness: Weight = 8e-4
    """Weight of the smoothness term."""
    spread: Weight = 50.0
    """Weight of the 2023 variant's second term."""
    spread_range: Annotated[float, Field(gt=0)] = 200.0
    """Range of that term."""

    @model_validator(mode="before")
    @classmethod
    def _default_densities(cls, values: dict[str, Any]) -> dict[str, Any]:
        values = {name: value for name, value in values.items() if name != "densities" or value is not None}
        return ({"densities": ("gumbel", "normal")} if values.get("variant") == "original-2023" else {}) | values

    @model_validator(mode="after")
    def _usable(self) -> Self:
        usable = [family for family in LOG_DENSITIES if family not in UNUSABLE]
        if self.variant == "original-2023":
            usable.append("kernel")
        if not set(self.densities) <= set(usable):
            raise ValueError(f"densities is {list(self.densities)}; it must be two (anomalous, normal) of {usable}")
        return self


class OriginalDistributionHead(TemporalHead):
    """The head of FatemeBameri's code at every feature size (the published code runs only at 1024, or not at all).

    RTFM's network with one more ReLU. Kept quirks: clips are selected as the later ones of the three most different
    pairs of neighbours, a clip can come twice, and normal bags use the selection from the *features of the anomalous
    bag* beside them; densities have fixed constants; 10^ln p instead of p; only a clip's four largest density values
    count; the hinge max(0, 1 - JS) can't close, as JS ≤ ln 2; in training, the divergence of `original-2024` is 0 with
    zero gradient, because dropout and ReLU put every clip's largest density at x = 0; smoothness and sparsity run over
    the flattened batch.
    """

    name = "distribution"
    Options = OriginalOptions
    settings: OriginalOptions

    def __init__(self, feature_dim: int, **options: Any) -> None:
        super().__init__(feature_dim, **options)
        self.first = self.settings.variant == "original-2023"
        self.gaps = 2 if self.first else 3

    def forward(self, features: Tensor, mask: Tensor | None = None) -> HeadOutput:
        """Scores [B, T] of features [B, T, D]; a bag's is the mean over its three selected clips.

        `extras`: features [B, T, D] after the temporal network, dropout and ReLU, mask [B, T].
        """
        mask = full_mask(features) if mask is None else mask
        x_BTD = torch.relu(self.dropout(self.temporal(bounded(features), mask)))
        logits = self.classifier(x_BTD)
        scores = torch.sigmoid(logits).masked_fill(~mask, 0)
        bag_score = mean_of_clips(scores, *self._select(x_BTD.detach(), mask))
        return HeadOutput(scores, bag_score, {"features": x_BTD, "mask": mask}, logits)

    def _select(self, z_BTD: Tensor, mask_BT: Tensor) -> tuple[Tensor, Tensor]:
        """The later clips of the most different pairs → index [B, K] and weight [B, K]; a bag of one clip gives it."""
        differences = clip_differences(z_BTD, self.gaps)
        later = [F.pad(mask_BT, (0, self.gaps))[:, gap : gap + mask_BT.shape[1]] for gap in range(1, self.gaps + 1)]
        pairs = mask_BT[..., None] & torch.stack(later, dim=2)
        ranked = self.dropout(torch.ones_like(differences)) * differences
        value, place = ranked.masked_fill(~pairs, -1).flatten(1).topk(min(SELECTED, ranked[0].numel()), dim=1)
        real = value >= 0
        index = torch.where(real, place // self.gaps + place % self.gaps + 1, 0)
        real[:, 0] = True
        return index, real.to(z_BTD.dtype)

    def select(self, output: HeadOutput, labels: Tensor, crops: int) -> tuple[Tensor, Tensor]:
        """Index [B, K] and weight [B, K] of the clips that stand for each bag in the loss, with the original's bug."""
        mask = output.extras["mask"][::crops]
        z = crop_mean(output.extras["features"].detach(), crops)
        anomalous = (labels == 1).nonzero().squeeze(1)
        source = torch.arange(len(labels), device=labels.device)
        normal = (labels == 0).nonzero().squeeze(1)
        source[normal] = anomalous[torch.arange(len(normal), device=labels.device) % len(anomalous)]
        index, weight = self._select(z[source], mask[source])
        return index.minimum(mask.sum(dim=1, keepdim=True) - 1), weight

    def loss(self, output: HeadOutput, labels: Tensor, *, crops: int = 1, step: int = 0) -> LossTerms:
        """BCE of video scores + α (max(0, 1 - JS) [+ spread term]) + sparsity and smoothness of the anomalous bags."""
        own = self.settings
        index, weight = self.select(output, labels, crops)
        scores = crop_mean(output.scores, crops)
        video_scores = mean_of_clips(scores, index, weight)
        js = js_divergence(*self.density_vectors(output, labels, crops))
        terms = {
            "classification": F.binary_cross_entropy(video_scores, labels.to(scores.dtype)),
            "distribution": own.alpha * (1 - js).clamp(min=0),
        }
        if self.first:
            distance = self._selected_distance(output, labels, crops, index, weight)
            terms["spread"] = own.alpha * own.spread * (1 - distance.clamp(max=own.spread_range) / own.spread_range)
        anomalous = labels == 1
        terms["sparsity"] = own.sparsity * flat_sparsity(scores[anomalous])
        mask = output.extras["mask"][::crops]
        terms["smoothness"] = own.smoothness * flat_smoothness(scores[anomalous], mask[anomalous])
        return LossTerms(terms)

    def density_vectors(self, output: HeadOutput, labels: Tensor, crops: int) -> tuple[Tensor, Tensor]:
        """The largest density values of all clips as one vector each for normal and anomalous bags, equally long."""
        x, mask, of_row = output.extras["features"], output.extras["mask"], labels.repeat_interleave(crops)
        if self.first:
            x, mask, of_row = crop_mean(x, crops), mask[::crops], labels
        vectors = []
        for label, family in ((0, self.settings.densities[1]), (1, self.settings.densities[0])):
            rows, real = x[of_row == label], mask[of_row == label]
            if family == "kernel":
                vectors.append(kernel_log_density(rows, real)[real])
            else:
                values = density_value(rows[real], family)
                vectors.append(values.topk(min(LARGEST, values.shape[-1]), dim=-1).values.flatten())
        length = min(map(len, vectors))
        return vectors[0][:length], vectors[1][:length]

    def _selected_distance(
        self, output: HeadOutput, labels: Tensor, crops: int, index: Tensor, weight: Tensor
    ) -> Tensor:
        """Mean Euclidean distance between the selected clips of the i-th normal and the i-th anomalous bag."""
        pairs = min(int((labels == 0).sum()), int((labels == 1).sum()))
        index, weight = index.repeat_interleave(crops, 0), weight.repeat_interleave(crops, 0)
        clips = gather_clips(output.extras["features"], index)
        normal, anomalous = (
            (labels == label).repeat_interleave(crops).nonzero()[: pairs * crops, 0] for label in (0, 1)
        )
        weights = weight[anomalous, :, None] * weight[normal, None, :]
        return (torch.cdist(clips[anomalous], clips[normal]) * weights).sum() / weights.sum()
