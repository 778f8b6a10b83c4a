"""The distribution head as it was published: densities with fixed constants, and bugs that are kept and named.

Source: github.com/FatemeBameri/Pytorch-Weakly-Anomaly-Detection, the states of November 2023 and January 2024.

Shape letters: B bags · T clips · D feature dim · R rows = bags x crops · K selected clips · G gaps between two clips ·
N normal, A anomalous bags.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from amiss.errors import UsageError
from amiss.heads._base import HeadOutput, LossTerms, bounded, crop_mean, full_mask
from amiss.heads.temporal import (
    TemporalHead,
    check_options,
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


class OriginalDistributionHead(TemporalHead):
    """The head of FatemeBameri's code at every feature size (the published code runs only at 1024, or not at all).

    RTFM's network with one more ReLU. Kept quirks: clips are selected as the later ones of the three most different
    pairs of neighbours, a clip can come twice, and normal bags use the selection from the *features of the anomalous
    bag* beside them; densities have fixed constants; 10^ln p instead of p; only a clip's four largest density values
    count; the hinge max(0, 1 - JS) can't close, as JS ≤ ln 2; in training, the divergence of `original-2024` is 0 with
    zero gradient, because dropout and ReLU put every clip's largest density at x = 0; smoothness and sparsity run over
    the flattened batch. Options:
        variant: `original-2023` (neighbours up to 2 clips apart, densities of crop-averaged features, a second term
            that spreads the selected features apart), or `original-2024` (up to 3 apart, densities of all crops).
        densities: families for anomalous and normal bags; None = gumbel and normal in 2023, half-normal and gamma in
            2024. `kernel` (2023 only) is a Gaussian kernel estimate per video.
        alpha, sparsity, smoothness: weights of the distribution, sparsity and smoothness terms.
        spread, spread_range: weight and range of the 2023 variant's second term.
        dropout: of features, selection and classifier.
        channels: of each branch of the temporal network.
    """

    name = "distribution"

    def __init__(
        self,
        feature_dim: int,
        *,
        variant: str = "original-2024",
        densities: tuple[str, str] | list[str] | None = None,
        alpha: float = 1e-4,
        sparsity: float = 8e-3,
        smoothness: float = 8e-4,
        spread: float = 50.0,
        spread_range: float = 200.0,
        dropout: float = 0.7,
        channels: int = 512,
    ) -> None:
        super().__init__(feature_dim, dropout=dropout, channels=channels)
        self.first = variant == "original-2023"
        usable = [*(f for f in LOG_DENSITIES if f not in UNUSABLE), *(["kernel"] if self.first else [])]
        default = ("gumbel", "normal") if self.first else ("half-normal", "gamma")
        chosen = default if densities is None else tuple(densities)
        if len(chosen) != 2 or any(family not in usable for family in chosen):
            raise UsageError(
                f"densities is {densities!r}; it must be two (anomalous, normal) of {usable} for {variant}"
            )
        check_options(alpha=alpha, sparsity=sparsity, smoothness=smoothness, spread=spread)
        if spread_range <= 0:
            raise UsageError(f"spread_range is {spread_range}; it must be above 0")
        self.variant, self.densities, self.gaps = variant, chosen, 2 if self.first else 3
        self.alpha, self.sparsity, self.smoothness = alpha, sparsity, smoothness
        self.spread, self.spread_range = spread, spread_range

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments that rebuild this head."""
        names = ("variant", "alpha", "sparsity", "smoothness", "spread", "spread_range", "channels")
        values = {name: getattr(self, name) for name in names}
        return {**values, "densities": list(self.densities), "dropout": self.dropout.p}

    def forward(self, features: Tensor, mask: Tensor | None = None) -> HeadOutput:
        """Scores [B, T] of features [B, T, D]; a bag's is the mean over its three selected clips.

        `extras`: features [B, T, D] after the temporal network, dropout and ReLU, mask [B, T].
        """
        mask = full_mask(features) if mask is None else mask
        x_BTD = torch.relu(self.dropout(self.temporal(bounded(features), mask)))
        scores = torch.sigmoid(self.classifier(x_BTD)).masked_fill(~mask, 0)
        bag_score = mean_of_clips(scores, *self._select(x_BTD.detach(), mask))
        return HeadOutput(scores, bag_score, {"features": x_BTD, "mask": mask})

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
        index, weight = self.select(output, labels, crops)
        scores = crop_mean(output.scores, crops)
        video_scores = mean_of_clips(scores, index, weight)
        js = js_divergence(*self.density_vectors(output, labels, crops))
        terms = {
            "classification": F.binary_cross_entropy(video_scores, labels.to(scores.dtype)),
            "distribution": self.alpha * (1 - js).clamp(min=0),
        }
        if self.first:
            distance = self._selected_distance(output, labels, crops, index, weight)
            terms["spread"] = self.alpha * self.spread * (1 - distance.clamp(max=self.spread_range) / self.spread_range)
        anomalous = labels == 1
        terms["sparsity"] = self.sparsity * flat_sparsity(scores[anomalous])
        mask = output.extras["mask"][::crops]
        terms["smoothness"] = self.smoothness * flat_smoothness(scores[anomalous], mask[anomalous])
        return LossTerms(terms)

    def density_vectors(self, output: HeadOutput, labels: Tensor, crops: int) -> tuple[Tensor, Tensor]:
        """The largest density values of all clips as one vector each for normal and anomalous bags, equally long."""
        x, mask, of_row = output.extras["features"], output.extras["mask"], labels.repeat_interleave(crops)
        if self.first:
            x, mask, of_row = crop_mean(x, crops), mask[::crops], labels
        vectors = []
        for label, family in ((0, self.densities[1]), (1, self.densities[0])):
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
