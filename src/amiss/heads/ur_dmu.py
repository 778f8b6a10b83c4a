"""UR-DMU: two memories, of what is normal and what is anomalous, and latent vectors of normal clips that are uncertain.

Source: Zhou, Yu, Yang, "Dual Memory Units with Uncertainty Regulation for Weakly Supervised Video Anomaly Detection",
AAAI 2023 (arXiv 2302.05160), equations 3-12; github.com/henrryzh1/UR-DMU.

Shape letters: B bags · T clips · D feature dim · C channels · M slots of a memory · R rows = bags x crops · P pairs of
bags. N and A: rows of normal and of anomalous bags.
"""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.linalg import vector_norm

from amiss.heads._base import HeadOutput, LossTerms, bounded, crop_mean, full_mask
from amiss.heads._head_options import Count, Dropout, HeadWithOptions, Weight
from amiss.heads.global_local import GlobalLocalNetwork, GlobalLocalOptions
from amiss.heads.temporal import mean_of_clips, mil_count, select_top, top_mean


class Memory(nn.Module):
    """M learned vectors. A clip x attends to them by σ(x m / √C), and reads their sum."""

    def __init__(self, slots: int, channels: int) -> None:
        super().__init__()
        limit = channels**-0.5
        self.memory_block = nn.Parameter(torch.empty(slots, channels).uniform_(-limit, limit))

    def forward(self, x_BTC: Tensor) -> tuple[Tensor, Tensor]:
        """[B, T, C] → saliency [B, T] in 0..1, the mean of the M//16 + 1 highest attentions, and what is read."""
        slots, channels = self.memory_block.shape
        attention_BTM = torch.sigmoid(x_BTC @ self.memory_block.T / channels**0.5)
        saliency = attention_BTM.topk(slots // 16 + 1, dim=-1).values.mean(dim=-1)
        return saliency, attention_BTM @ self.memory_block


def kl_divergence(mean_RTC: Tensor, log_variance_RTC: Tensor, mask_RT: Tensor, over: str) -> Tensor:
    """Of N(mean, variance) from N(0, 1): sum over channels, mean over clips; or sum over clips, mean over the rest."""
    each = (mean_RTC.square() + log_variance_RTC.exp() - 1 - log_variance_RTC) / 2 * mask_RT[..., None]
    if over == "clips":
        return each.sum(dim=1).mean()
    return each.sum() / mask_RT.sum().clamp(min=1)


class URDMUOptions(GlobalLocalOptions):
    """Options of `ur-dmu`."""

    dropout: Dropout = 0.5
    """Of the attention network."""
    anomalous_slots: Count = 60
    """Vectors of the memory of what is anomalous."""
    normal_slots: Count = 60
    """Vectors of the memory of what is normal."""
    noise: Weight = 1.0
    """Times the deviation by which latent vectors of normal clips are drawn in training; 0 = their means."""
    memory_weight: Weight = 0.1
    """Weight of the four terms that tell the memories what they are for."""
    triplet: Weight = 0.1
    """Weight of the triplet term."""
    kl: Weight = 1e-3
    """Weight of the divergence of the normal latent vectors from N(0, 1)."""
    kl_over: Literal["channels", "clips"] = "channels"
    """What the divergence is summed over: `channels` is the formula; `clips` keeps the quirk of the original's code,
    which sums over the clips of a bag and takes the mean over channels, so that it grows with the bag."""
    distance: Weight = 1e-4
    """Weight of the term that makes latent vectors of anomalous clips long."""
    margin: Weight = 100.0
    """By which they must be longer than those of normal clips."""


class URDMUHead(HeadWithOptions):
    """Global and local attention, what each clip reads from two memories, and a classifier on both.

    The i-th normal bag is paired with the i-th anomalous one in the triplet and distance terms; bags without a partner
    are left out there. Each crop attends by itself; saliencies, scores and selected features are averaged over crops.
    """

    name = "ur-dmu"
    Options = URDMUOptions
    settings: URDMUOptions

    def __init__(self, feature_dim: int, **options: Any) -> None:
        super().__init__(feature_dim, **options)
        channels = self.settings.channels
        self.temporal = GlobalLocalNetwork(feature_dim, self.settings)
        self.anomalous_memory = Memory(self.settings.anomalous_slots, channels)
        self.normal_memory = Memory(self.settings.normal_slots, channels)
        self.mean = nn.Linear(channels, channels)
        self.log_variance = nn.Linear(channels, channels)
        self.fc1 = nn.Linear(2 * channels, 128)
        self.fc2 = nn.Linear(128, 1)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> HeadOutput:
        """Scores [B, T] of features [B, T, D]; a bag's is the mean of its top T//16 + 1.

        `extras`, of each memory: saliency [B, T], read [B, T, C], latent [B, T, C] (the means); and features [B, T, C]
        after the attention network, mask [B, T].
        """
        mask = full_mask(features) if mask is None else mask
        x_BTC = self.temporal(bounded(features), mask)
        extras: dict[str, Any] = {"features": x_BTC, "mask": mask}
        for name, memory in (("anomalous", self.anomalous_memory), ("normal", self.normal_memory)):
            saliency, read = memory(x_BTC)
            extras |= {f"{name}_saliency": saliency, f"{name}_read": read, f"{name}_latent": self.mean(read)}
        logits = self._classify(x_BTC, extras["anomalous_latent"] + extras["normal_latent"])
        scores = torch.sigmoid(logits).masked_fill(~mask, 0)
        return HeadOutput(scores, top_mean(scores, mask), extras, logits)

    def _classify(self, x_BTC: Tensor, latent_BTC: Tensor) -> Tensor:
        """→ logits [B, T]."""
        logits: Tensor = self.fc2(torch.relu(self.fc1(torch.cat([x_BTC, latent_BTC], dim=-1))))
        return logits.squeeze(-1)

    def loss(self, output: HeadOutput, labels: Tensor, *, crops: int = 1, step: int = 0) -> LossTerms:
        """BCE of the bags + memories + triplet + KL + distance. Normal clips are scored with latent vectors drawn."""
        own, of = self.settings, output.extras
        mask_BT = of["mask"][::crops]
        normal, anomalous = labels == 0, labels == 1
        rows_N, rows_A = (which.repeat_interleave(crops) for which in (normal, anomalous))
        mask_N = of["mask"][rows_N]
        latent_N, log_variance_N = of["normal_latent"][rows_N], self.log_variance(of["normal_read"][rows_N])
        drawn_N = latent_N + own.noise * self._noise(mask_N, latent_N) * (log_variance_N / 2).exp()
        logits_N = self._classify(of["features"][rows_N], drawn_N + of["anomalous_latent"][rows_N])
        scores_N = torch.sigmoid(logits_N).masked_fill(~mask_N, 0)
        bags_N, bags_A = (
            top_mean(crop_mean(scores, crops), mask_BT[which])
            for scores, which in ((scores_N, normal), (output.scores[rows_A], anomalous))
        )
        terms = {
            "classification": F.binary_cross_entropy(
                torch.cat([bags_N, bags_A]), torch.cat([torch.zeros_like(bags_N), torch.ones_like(bags_A)])
            ),
            **{name: own.memory_weight * term for name, term in self._memory_terms(of, labels, crops).items()},
            "kl": own.kl * kl_divergence(latent_N, log_variance_N, mask_N, own.kl_over),
        }

        def selected(values_RTC: Tensor, saliency_RT: Tensor, mask_RT: Tensor) -> Tensor:
            """Mean over the clips that a memory knows best, one row per pair of bags: [P, C]."""
            index, weight = select_top(saliency_RT, mask_RT, mil_count(mask_RT))
            return crop_mean(mean_of_clips(values_RTC, index, weight), crops)[:pairs]

        pairs = min(int(normal.sum()), int(anomalous.sum()))
        mask_A, x_A = of["mask"][rows_A], of["features"][rows_A]
        known_N, known_A = of["normal_saliency"][rows_N].detach(), of["anomalous_saliency"][rows_A].detach()
        anchor = selected(of["features"][rows_N], known_N, mask_N)
        positive = selected(x_A, of["normal_saliency"][rows_A].detach(), mask_A)
        negative = selected(x_A, known_A, mask_A)
        anchor, positive, negative = (F.normalize(part, dim=1) for part in (anchor, positive, negative))
        terms["triplet"] = own.triplet * F.triplet_margin_loss(anchor, positive, negative, margin=1.0)
        short = vector_norm(selected(drawn_N, known_N, mask_N), dim=1)
        long = vector_norm(selected(of["anomalous_latent"][rows_A], known_A, mask_A), dim=1)
        terms["distance"] = own.distance * torch.relu(own.margin - long + short).mean()
        return LossTerms(terms)

    @staticmethod
    def _noise(mask_RT: Tensor, like_RTC: Tensor) -> Tensor:
        """Standard normal numbers [R, T, C], as many drawn as there are real clips; 0 elsewhere."""
        drawn = torch.randn(int(mask_RT.sum()), like_RTC.shape[2], device=like_RTC.device, dtype=like_RTC.dtype)
        return torch.zeros_like(like_RTC).masked_scatter(mask_RT[..., None], drawn)

    @staticmethod
    def _memory_terms(of: dict[str, Any], labels: Tensor, crops: int) -> dict[str, Tensor]:
        """What memories must know: all normal clips, or none; of anomalous bags some, and not all."""
        mask = of["mask"][::crops]
        by_normal, by_anomalous = (crop_mean(of[f"{name}_saliency"], crops) for name in ("normal", "anomalous"))
        normal, anomalous = labels == 0, labels == 1

        def all_are(target: float, saliency: Tensor) -> Tensor:
            real = saliency[normal][mask[normal]]
            return F.binary_cross_entropy(real, torch.full_like(real, target))

        def some_are_high(saliency: Tensor) -> Tensor:
            top = top_mean(saliency.masked_fill(~mask, 0)[anomalous], mask[anomalous])
            return F.binary_cross_entropy(top, torch.ones_like(top))

        return {
            "normal_known": all_are(1.0, by_normal),
            "normal_unknown": all_are(0.0, by_anomalous),
            "anomalous_known": some_are_high(by_anomalous),
            "anomalous_unknown": some_are_high(1 - by_normal),
        }
