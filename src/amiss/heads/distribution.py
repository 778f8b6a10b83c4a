"""The distribution head: how is a feature statistic distributed in normal clips, how in anomalous ones?

`fitted` is the sound form of the idea of github.com/FatemeBameri/Pytorch-Weakly-Anomaly-Detection: densities fitted to
the data, their divergence has a gradient, and the log-likelihood ratio scores a clip. `original-2023` and
`original-2024` are the published code.

Shape letters: B bags · T clips · D feature dim · R rows = bags x crops · N normal clips · A anomalous clips.
"""

import math
import warnings
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import AfterValidator
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from amiss.errors import UsageError
from amiss.heads._base import Head, HeadOutput, LossTerms, bounded, crop_mean, full_mask
from amiss.heads._head_options import Share, Weight
from amiss.heads.densities import (
    FAMILIES,
    KS_LIMIT,
    Array,
    Density,
    FittedDensities,
    choose_density,
    divergences,
    fit_density,
)
from amiss.heads.distribution_original import OriginalDistributionHead
from amiss.heads.temporal import TemporalHead, TemporalOptions, gather_clips, mil_count, select_top, top_mean

SAMPLES = 512  # remembered per class
GRID = 512  # points of the log-likelihood ratio
LEAST_SPREAD = 1e-3  # of ln u within a class; below it there is nothing to fit
MOMENTUM = 0.1  # of the running moments
NORMAL, ANOMALOUS = 0, 1


def js_of_samples(normal_N: Tensor, anomalous_A: Tensor, mean_2: Tensor, variance_2: Tensor) -> Tensor:
    """JS = ½ E_A[ln 2a/(a+n)] + ½ E_N[ln 2n/(a+n)] in nats; n and a are normal densities with the given moments."""

    def log_ratio(t: Tensor) -> Tensor:
        log_n, log_a = (
            -0.5 * ((t - mean_2[c]).square() / variance_2[c] + variance_2[c].log()) for c in (NORMAL, ANOMALOUS)
        )
        return log_a - log_n

    of_anomalous = math.log(2) - F.softplus(-log_ratio(anomalous_A)).mean()
    of_normal = math.log(2) - F.softplus(log_ratio(normal_N)).mean()
    return (of_anomalous + of_normal) / 2


def log_magnitude(x_BTD: Tensor) -> Tensor:
    """ln u = ln ‖x‖₂ [B, T]."""
    t_BT: Tensor = torch.linalg.vector_norm(x_BTD, dim=2).clamp(min=1e-6).log()
    return t_BT


def _check_density(name: str) -> str:
    allowed = ["auto", *(family for family in FAMILIES if family != "geometric")]  # magnitudes are no counts
    if name not in allowed:
        raise ValueError(f"must be one of {allowed}")
    return name


class FittedOptions(TemporalOptions):
    """Options of `distribution`, variant `fitted`."""

    variant: Literal["fitted"] = "fitted"
    """Names this form of the head."""
    density: Annotated[str, AfterValidator(_check_density)] = "auto"
    """`auto` (least AIC among the families whose Kolmogorov-Smirnov distance is at most 0.1, else a kernel estimate),
    or the name of a family, with a warning where it doesn't fit."""
    separation: Weight = 1.0
    """λ: weight of the term that drives the densities apart."""
    mix: Share = 0.5
    """w: share of the likelihood ratio in a clip's score."""
    sparsity: Weight = 8e-3
    """Weight of the mean score in anomalous bags."""
    smoothness: Weight = 8e-4
    """Weight of the mean squared difference of neighbours in anomalous bags."""


class FittedDistributionHead(TemporalHead):
    """RTFM's network; the densities of feature magnitudes in normal and in anomalous clips separate and score.

    u of a clip is the magnitude of its feature after the temporal network. Class N are the clips of normal bags, class
    A the T//16 + 1 highest-scored clips of anomalous bags. In training λ(1 - JS/ln 2) drives the two apart, with
    log-normal densities by running moments. `finish` fits a density per class to the latest samples of training,
    magnitudes as eval mode gives them. A clip's score is
    (1 - w) σ(logit) + w σ(α LLR(u) + β), LLR = ln a(u) - ln n(u), with α and β by logistic regression. Before training,
    or where all samples are the same, there is nothing to fit and the classifier scores alone.
    """

    name = "distribution"
    Options = FittedOptions
    settings: FittedOptions
    samples: Tensor
    seen: Tensor
    mean: Tensor
    variance: Tensor
    span: Tensor
    log_ratio: Tensor
    calibration: Tensor
    stale: Tensor
    fitted: Tensor

    def __init__(self, feature_dim: int, **options: Any) -> None:
        super().__init__(feature_dim, **options)
        self.register_buffer("samples", torch.zeros(2, SAMPLES))
        self.register_buffer("seen", torch.tensor(0))
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("variance", torch.ones(2))
        self.register_buffer("span", torch.tensor([0.0, 1.0]))
        self.register_buffer("log_ratio", torch.zeros(GRID))
        self.register_buffer("calibration", torch.tensor([1.0, 0.0]))
        self.register_buffer("stale", torch.tensor(False))
        self.register_buffer("fitted", torch.tensor(False))

    def forward(self, features: Tensor, mask: Tensor | None = None) -> HeadOutput:
        """Scores [B, T] of features [B, T, D]; a bag's is the mean of its top T//16 + 1.

        `extras`: log_magnitude ln u [B, T]; mask [B, T]; in training scored_log_magnitude [B, T], the ln u that these
        weights give in eval mode; in eval mode, once densities are fitted, log_ratio [B, T], in nats.
        """
        mask = full_mask(features) if mask is None else mask
        x_BTD = self.temporal(bounded(features), mask)
        logits = self.classifier(self.dropout(x_BTD))
        t_BT = log_magnitude(x_BTD)
        scores, extras = torch.sigmoid(logits), {"log_magnitude": t_BT, "mask": mask}
        if self.training:
            extras["scored_log_magnitude"] = self._as_scored(features, mask)
        elif self.stale:
            warnings.warn(
                "distribution head: it has learned since its densities were fitted, the classifier scores alone: "
                "call finish() after training",
                stacklevel=2,
            )
        elif self.fitted:
            extras["log_ratio"] = self._log_ratio(t_BT)
            likelihood = torch.sigmoid(self.calibration[0] * extras["log_ratio"] + self.calibration[1])
            mix = self.settings.mix
            scores = (1 - mix) * scores + mix * likelihood
        scores = scores.masked_fill(~mask, 0)
        return HeadOutput(scores, top_mean(scores, mask), extras)

    def loss(self, output: HeadOutput, labels: Tensor, *, crops: int = 1, step: int = 0) -> LossTerms:
        """BCE of bag scores + λ (1 - JS/ln 2) + sparsity and smoothness of the anomalous bags."""
        scores, mask = crop_mean(output.scores, crops), output.extras["mask"][::crops]
        anomalous = labels == 1
        t_RT, real_RT, of_row = output.extras["log_magnitude"], output.extras["mask"], labels.repeat_interleave(crops)
        chosen = [x[anomalous].repeat_interleave(crops, 0) for x in select_top(scores.detach(), mask, mil_count(mask))]

        def of_classes(t_RT: Tensor) -> tuple[Tensor, Tensor]:
            return t_RT[of_row == 0][real_RT[of_row == 0]], gather_clips(t_RT[of_row == 1], chosen[0])[chosen[1] > 0]

        t_normal, t_anomalous = of_classes(t_RT)
        mean, variance = self._moments(t_normal, t_anomalous)
        if self.training:
            self._remember(*of_classes(output.extras["scored_log_magnitude"]))
        js = js_of_samples(t_normal, t_anomalous, mean, variance)
        both_real = (mask[:, 1:] & mask[:, :-1])[anomalous]
        steps = scores[anomalous].diff(dim=1).square() * both_real
        return LossTerms(
            {
                "classification": F.binary_cross_entropy(top_mean(scores, mask), labels.to(scores.dtype)),
                "separation": self.settings.separation * (1 - js / math.log(2)),
                "sparsity": self.settings.sparsity * scores[anomalous].sum() / mask[anomalous].sum(),
                "smoothness": self.settings.smoothness * steps.sum() / both_real.sum().clamp(min=1),
            }
        )

    def _moments(self, t_normal: Tensor, t_anomalous: Tensor) -> tuple[Tensor, Tensor]:
        """Running mean [2] and variance [2], differentiable in this batch's share."""
        mean = torch.stack([t.mean() for t in (t_normal, t_anomalous)])
        variance = torch.stack([t.var(unbiased=False) for t in (t_normal, t_anomalous)])
        share = MOMENTUM if self.seen > 0 else 1.0
        mean = (1 - share) * self.mean + share * mean
        variance = (1 - share) * self.variance + share * variance
        if self.training:
            self.mean.copy_(mean.detach())
            self.variance.copy_(variance.detach())
        return mean, variance + 1e-4

    @torch.no_grad()
    def _as_scored(self, features: Tensor, mask: Tensor) -> Tensor:
        """ln u [B, T] as eval mode gives it: batch normalisation by running statistics, not by this batch's."""
        self.temporal.eval()
        t_BT = log_magnitude(self.temporal(bounded(features), mask))
        self.temporal.train()
        return t_BT

    def _remember(self, t_normal: Tensor, t_anomalous: Tensor) -> None:
        """Put samples of the batch, equally many of both classes, in place of the oldest ones."""
        count = min(len(t_normal), len(t_anomalous), SAMPLES)
        places = (self.seen + torch.arange(count, device=self.seen.device)) % SAMPLES
        for label, t in ((NORMAL, t_normal), (ANOMALOUS, t_anomalous)):
            self.samples[label, places] = t[torch.randperm(len(t), device=t.device)[:count]].to(self.samples.dtype)
        self.seen += count
        self.stale.fill_(True)

    def finish(self) -> None:
        """Fit the densities, where training has given samples since they were fitted."""
        if self.stale:
            self.fit()

    def write_report(self, folder: Path) -> None:
        """Write `densities.png` and `densities.json`, where there were samples to fit.

        Raises:
            OutputError: they can't be written.
        """
        from amiss.heads._density_report import write_densities  # draws: not everyone who scores needs matplotlib

        if (found := self.fit()) is not None:
            write_densities(found, folder)

    @torch.no_grad()
    def fit(self) -> FittedDensities | None:
        """Fit both densities to the samples remembered from training, and the scores' calibration.

        Returns:
            The densities of magnitudes, e.g. for a figure; None where there are no samples yet or all are the
            same.
        """
        self.stale.fill_(False)
        count = min(int(self.seen), SAMPLES)
        t = self.samples[:, :count].double().cpu().numpy()
        self.fitted.fill_(count > 1 and bool((np.ptp(t, axis=1) > LEAST_SPREAD).all()))
        if not self.fitted:
            return None
        u_normal, u_anomalous = np.exp(t)
        normal, anomalous = self._fit_class(u_normal), self._fit_class(u_anomalous)
        t_grid = np.linspace(t.min(), t.max(), GRID)
        grid = np.exp(t_grid)
        with np.errstate(invalid="ignore"):
            ratio = np.nan_to_num(np.clip(anomalous.log_pdf(grid) - normal.log_pdf(grid), -20, 20))
        of_samples = np.interp(t.ravel(), t_grid, ratio)[:, None]
        logistic = LogisticRegression().fit(of_samples, np.repeat([NORMAL, ANOMALOUS], count))
        self.span.copy_(torch.tensor([t_grid[0], t_grid[-1]]))
        self.log_ratio.copy_(torch.from_numpy(ratio))
        self.calibration.copy_(torch.tensor([max(float(logistic.coef_[0, 0]), 0.0), float(logistic.intercept_[0])]))
        return FittedDensities(normal, anomalous, divergences(anomalous, normal, grid), (u_normal, u_anomalous))

    def _fit_class(self, u: Array) -> Density:
        if self.settings.density == "auto":
            return choose_density(u)
        density = fit_density(u, self.settings.density)
        if density.ks > KS_LIMIT:
            warnings.warn(
                f"distribution head: a {density.family} density doesn't fit (Kolmogorov-Smirnov {density.ks:.2f}): "
                "use density='auto'",
                stacklevel=2,
            )
        return density

    def _log_ratio(self, t_BT: Tensor) -> Tensor:
        """ln a(u) - ln n(u) by linear interpolation; beyond the samples, its value at their end."""
        place = ((t_BT - self.span[0]) / (self.span[1] - self.span[0])).clamp(0, 1) * (GRID - 1)
        left = place.long().clamp(max=GRID - 2)
        return torch.lerp(self.log_ratio[left], self.log_ratio[left + 1], place - left)


VARIANTS: dict[str, type[FittedDistributionHead | OriginalDistributionHead]] = {
    "fitted": FittedDistributionHead,
    "original-2023": OriginalDistributionHead,
    "original-2024": OriginalDistributionHead,
}


def create_distribution_head(feature_dim: int, *, variant: Any = "fitted", **options: Any) -> Head:
    """Densities of normal and of anomalous clips; variants `fitted`, `original-2023`, `original-2024`.

    Other options as in `FittedOptions` or `OriginalOptions`.

    Raises:
        UsageError: unknown variant, or an option that it doesn't have or can't take.
    """
    if variant not in list(VARIANTS):
        raise UsageError(f"variant is {variant!r}; allowed are {list(VARIANTS)}")
    return VARIANTS[variant](feature_dim, variant=variant, **options)
