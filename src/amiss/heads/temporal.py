"""What several heads share: RTFM's multi-scale temporal network with its score network, for RTFM, the distribution head
and SAA; batch normalisation and the selection of top clips that honour masks, for others too.

Source: Tian et al., "Weakly-supervised Video Anomaly Detection with Robust Temporal Feature Magnitude Learning", ICCV
2021, section 3.2 and github.com/tianyu0207/RTFM. The non-local block is Wang et al., CVPR 2018, its dot-product form.

Padded clips change nothing: they are zero wherever a convolution sees them, as beyond the ends of a video, and batch
normalisation and the non-local block leave them out. Unlike the source, running statistics start with the first batch.

Shape letters: B bags · T clips · D feature dim · C channels · I inner channels of the non-local block.
"""

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amiss.heads._base import is_full
from amiss.heads._head_options import Count, Dropout, HeadOptions, HeadWithOptions


class MaskedBatchNorm(nn.BatchNorm1d):
    """Batch normalisation over the real clips of a batch; its first statistics come from the first batch.

    PyTorch's running variance starts at 1 and forgets that by a tenth a step. With normalised features the variances
    are a thousand times smaller: a head selected after some dozen steps would score with statistics that no batch had.
    So the n-th batch counts at least 1/n; from the tenth on it is PyTorch's rule.
    """

    momentum: float
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    _n_batches: int | None = None
    """The same number where it is known: a GPU would be waited for."""

    def forward(self, x_BCT: Tensor, mask_BT: Tensor) -> Tensor:  # type: ignore[override]
        """Normalise x [B, C, T]; padded clips come out as zero."""
        if is_full(mask_BT):
            return self._normalise(x_BCT)
        if not self.training:
            return self._normalise(x_BCT) * mask_BT[:, None]
        x_BTC = x_BCT.transpose(1, 2)
        return (
            torch.zeros_like(x_BTC).masked_scatter(mask_BT[..., None], self._normalise(x_BTC[mask_BT])).transpose(1, 2)
        )

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._n_batches = None
        super()._load_from_state_dict(*args, **kwargs)

    def _normalise(self, x: Tensor) -> Tensor:
        share = 0.0
        if self.training:
            self._n_batches = (int(self.num_batches_tracked) if self._n_batches is None else self._n_batches) + 1
            self.num_batches_tracked += 1
            share = max(self.momentum, 1 / self._n_batches)
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, self.training, share, self.eps
        )


class ConvUnit(nn.Module):
    """Conv1d along time → ReLU → batch normalisation; as many clips come out as went in."""

    def __init__(self, inputs: int, outputs: int, *, dilation: int = 1, bias: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, 3, padding=dilation, dilation=dilation, bias=bias)
        self.norm = MaskedBatchNorm(outputs)

    def forward(self, x_BCT: Tensor, mask_BT: Tensor) -> Tensor:
        """[B, inputs, T], zero where padded → [B, outputs, T], zero where padded."""
        out: Tensor = self.norm(torch.relu(self.conv(x_BCT)), mask_BT)
        return out


class NonLocalBlock(nn.Module):
    """x + BN(W y), y_t = 1/T Σ_s ⟨θ(x_t), φ(x_s)⟩ g(x_s): every clip sees every other. No softmax, as RTFM has it."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.theta = nn.Conv1d(channels, inner, 1)
        self.phi = nn.Conv1d(channels, inner, 1)
        self.g = nn.Conv1d(channels, inner, 1)
        self.out = nn.Conv1d(inner, channels, 1)
        self.norm = MaskedBatchNorm(channels)
        nn.init.zeros_(self.norm.weight)  # the block starts as the identity

    def forward(self, x_BCT: Tensor, mask_BT: Tensor) -> Tensor:
        """[B, C, T], zero where padded → the same."""
        theta_BTI = self.theta(x_BCT).transpose(1, 2)
        phi_BIT = self.phi(x_BCT) * mask_BT[:, None]
        g_BTI = self.g(x_BCT).transpose(1, 2) / mask_BT.sum(dim=1).clamp(min=1)[:, None, None]
        # the same product either way; a long video must not cost T²·I
        is_short = x_BCT.shape[2] <= theta_BTI.shape[2]
        y_BTI = (theta_BTI @ phi_BIT) @ g_BTI if is_short else theta_BTI @ (phi_BIT @ g_BTI)
        out: Tensor = x_BCT + self.norm(self.out(y_BTI.transpose(1, 2)), mask_BT)
        return out


class MultiScaleTemporalNetwork(nn.Module):
    """x + fuse[conv dilated 1, 2, 4 ∥ non-local(conv 1x1)]: context of every clip near and far, at any feature dim.

    Args:
        dim: feature dim D, in and out.
        channels: of each of the four branches.
    """

    def __init__(self, dim: int, channels: int) -> None:
        super().__init__()
        self.pyramid = nn.ModuleList([ConvUnit(dim, channels, dilation=dilation) for dilation in (1, 2, 4)])
        self.squeeze = nn.Conv1d(dim, channels, 1, bias=False)
        self.non_local = NonLocalBlock(channels, max(1, channels // 2))
        self.fuse = ConvUnit(4 * channels, dim, bias=False)

    def forward(self, x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """[B, T, D] → [B, T, D], zero where padded."""
        x_BDT = x_BTD.transpose(1, 2) * mask_BT[:, None]
        branches = [unit(x_BDT, mask_BT) for unit in self.pyramid]
        branches.append(self.non_local(torch.relu(self.squeeze(x_BDT)), mask_BT))
        out: Tensor = x_BDT + self.fuse(torch.cat(branches, dim=1), mask_BT)
        return out.transpose(1, 2)


class ScoreNetwork(nn.Module):
    """D → 512 → 128 → 1 with ReLU and dropout between: the logit of each clip."""

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, 512)
        self.fc2 = nn.Linear(512, 128)
        self.fc3 = nn.Linear(128, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """[B, T, D] → logits [B, T]."""
        hidden = self.dropout(torch.relu(self.fc1(x_BTD)))
        logits: Tensor = self.fc3(self.dropout(torch.relu(self.fc2(hidden))))
        return logits.squeeze(-1)


class TemporalOptions(HeadOptions):
    """Options that all heads with RTFM's network have."""

    dropout: Dropout = 0.7
    """Of features, classifier and, where clips are selected by it, selection."""
    channels: Count = 512
    """Of each branch of the temporal network."""


class TemporalHead(HeadWithOptions):
    """RTFM's network, which the distribution heads use too: temporal network, dropout, score network.

    Starts with Xavier-uniform weights and zero biases.
    """

    Options: ClassVar[type[TemporalOptions]] = TemporalOptions
    settings: TemporalOptions

    def __init__(self, feature_dim: int, **options: Any) -> None:
        super().__init__(feature_dim, **options)
        self.temporal = MultiScaleTemporalNetwork(feature_dim, self.settings.channels)
        self.classifier = ScoreNetwork(feature_dim, self.settings.dropout)
        self.dropout = nn.Dropout(self.settings.dropout)
        for layer in self.modules():
            if isinstance(layer, nn.Conv1d | nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)


def mil_count(mask_BT: Tensor) -> Tensor:
    """T//16 + 1, the number of clips that stand for a bag of T real ones → [B]."""
    return mask_BT.sum(dim=1) // 16 + 1


def select_top(ranked_BT: Tensor, mask_BT: Tensor, k: int | Tensor, most: int | None = None) -> tuple[Tensor, Tensor]:
    """The k (or k[b]) real clips of largest value in each bag → index [B, K], weight [B, K]: 0 for none.

    Args:
        ranked_BT: values.
        mask_BT: which clips are real.
        k: how many.
        most: what no k[b] is above; without it a GPU is asked for the largest, and waited for.
    """
    if isinstance(k, Tensor):
        k = k[:, None]
        most = int(k.max()) if most is None else most
    else:
        most = k
    most = min(most, ranked_BT.shape[1])
    index_BK = ranked_BT.masked_fill(~mask_BT, -torch.inf).topk(most, dim=1).indices
    wanted_BK = torch.arange(most, device=mask_BT.device) < k
    return index_BK, (gather_clips(mask_BT, index_BK) & wanted_BK).to(ranked_BT.dtype)


def gather_clips(values: Tensor, index_BK: Tensor) -> Tensor:
    """Clips [B, K] of values [B, T, ...] → [B, K, ...]."""
    return values[torch.arange(len(values), device=values.device)[:, None], index_BK]


def mean_of_clips(values: Tensor, index_BK: Tensor, weight_BK: Tensor) -> Tensor:
    """Weighted mean over the clips [B, K] of values [B, T, ...] → [B, ...]; 0 where all weights are 0."""
    weight = weight_BK.reshape(*weight_BK.shape, *[1] * (values.ndim - 2))
    return (gather_clips(values, index_BK) * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


def top_mean(scores_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Mean of the top T//16 + 1 scores of each bag → [B]; 0 for a bag without real clips."""
    most = scores_BT.shape[1] // 16 + 1
    return mean_of_clips(scores_BT, *select_top(scores_BT.detach(), mask_BT, mil_count(mask_BT), most))


def flat_smoothness(scores_AT: Tensor, mask_AT: Tensor) -> Tensor:
    """Σ_t (s_{t+1} - s_t)² over all bags laid end to end. Quirk of RTFM's code: it crosses from one bag to the next."""
    scores, real = scores_AT.flatten(), mask_AT.flatten()
    # the real clip before each, by its place: a GPU needn't be asked how many there are
    latest = torch.where(real, torch.arange(len(real), device=real.device), -1).cummax(dim=0).values
    before = F.pad(latest[:-1], (1, 0), value=-1)
    return ((scores - scores[before]) * (real & (before >= 0))).square().sum()


def flat_sparsity(scores_AT: Tensor) -> Tensor:
    """‖s‖₂ of the scores of all bags as one vector. Quirk of RTFM's code: the paper sums absolute values."""
    norm: Tensor = torch.linalg.vector_norm(scores_AT)
    return norm
