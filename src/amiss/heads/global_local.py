"""What UR-DMU and BN-WVAD share: an embedding and two layers of global and local self-attention.

Source: Zhou, Yu, Yang, "Dual Memory Units with Uncertainty Regulation for Weakly Supervised Video Anomaly Detection",
AAAI 2023 (arXiv 2302.05160), section 3.2; github.com/henrryzh1/UR-DMU.

Padded clips change nothing: they are zero wherever the embedding sees them, as beyond the ends of a video, and no clip
attends to them.

Shape letters: B bags · T clips · D feature dim · C channels · H attention heads.
"""

import math
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from amiss.heads._base import is_full
from amiss.heads._head_options import Dropout, HeadOptions

_REACH = 50  # clips; beyond it the local weight, e^(-50 / e) = 1e-8, is lost to float32
_AT_ONCE = 256  # clips up to which all pairs are weighted by one matrix product, several times as fast


def attend(query_BHTC: Tensor, key_BHTC: Tensor, value_BHTC: Tensor, *, mask_BT: Tensor) -> Tensor:
    """softmax(q kᵀ / √C) v over the real clips of each bag → [B, H, T, C]; in memory that grows with T, not T²."""
    bias = None
    if not is_full(mask_BT):
        lowest = torch.finfo(query_BHTC.dtype).min  # not -inf: a bag without real clips would give NaN
        bias = torch.zeros(mask_BT.shape, dtype=query_BHTC.dtype, device=mask_BT.device)
        bias = bias.masked_fill(~mask_BT, lowest)[:, None, None].expand(-1, 1, mask_BT.shape[1], -1)
    return F.scaled_dot_product_attention(query_BHTC, key_BHTC, value_BHTC, bias)


def local_sum(x_BTC: Tensor, mask_BT: Tensor) -> Tensor:
    """Σ_j g_ij x_j over the real clips j of a bag, g_ij = exp(-|i - j| / e) → [B, T, C]."""
    batch, clips, channels = x_BTC.shape
    real_BTC = x_BTC * mask_BT[..., None]
    place_T = torch.arange(clips, device=x_BTC.device, dtype=x_BTC.dtype)
    if clips <= _AT_ONCE:
        return torch.exp((place_T[:, None] - place_T).abs() / -math.e) @ real_BTC
    kernel = torch.exp((place_T[: 2 * _REACH + 1] - _REACH).abs() / -math.e)[None, None]
    rows = real_BTC.transpose(1, 2).reshape(batch * channels, 1, clips)
    return F.conv1d(rows, kernel, padding=_REACH).reshape(batch, channels, clips).transpose(1, 2)


def local_mean(x_BTC: Tensor, mask_BT: Tensor, *, by_column: bool = False) -> Tensor:
    """Σ_j g_ij x_j / Σ_j g_ij, with the g_ij of `local_sum` → [B, T, C].

    `by_column`: Σ_j (g_ij / Σ_i g_ij) x_j, as UR-DMU's code has it: clips near the ends of a bag count more there.
    """
    weight_BT1 = local_sum(mask_BT.to(x_BTC.dtype)[..., None], mask_BT).clamp(min=1e-6)
    if by_column:
        return local_sum(x_BTC / weight_BT1, mask_BT)
    return local_sum(x_BTC, mask_BT) / weight_BT1


class GlobalLocalAttention(nn.Module):
    """Every head attends to the whole bag, and takes the mean of the clips around: W [softmax(q kᵀ) v, G t].

    Args:
        channels: C, in and out; a multiple of `heads`.
        heads: that share the channels.
        dropout: of what comes out.
        by_column: see `local_mean`.
    """

    def __init__(self, channels: int, heads: int, dropout: float, *, by_column: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.by_column = by_column
        self.inputs = nn.Linear(channels, 4 * channels, bias=False)
        self.out = nn.Linear(2 * channels, channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BTC: Tensor, mask_BT: Tensor) -> Tensor:
        """[B, T, C] → [B, T, C]."""
        shape = (*x_BTC.shape[:2], self.heads, -1)
        query, key, value, local = self.inputs(x_BTC).chunk(4, dim=-1)
        parts = (part.reshape(shape).transpose(1, 2) for part in (query, key, value))
        attended_BHTC = attend(*parts, mask_BT=mask_BT)
        around_BTC = local_mean(local, mask_BT, by_column=self.by_column)
        around_BHTC = around_BTC.reshape(shape).transpose(1, 2)
        both_BTC = torch.cat([attended_BHTC, around_BHTC], dim=-1).transpose(1, 2).flatten(2)
        out: Tensor = self.dropout(self.out(both_BTC))
        return out


class GlobalLocalLayer(nn.Module):
    """x + attention(LN x), then x + feed-forward(LN x); arguments as of `GlobalLocalAttention`."""

    def __init__(self, channels: int, heads: int, dropout: float, *, by_column: bool = False) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attention = GlobalLocalAttention(channels, heads, dropout, by_column=by_column)
        self.norm2 = nn.LayerNorm(channels)
        self.fc1 = nn.Linear(channels, channels)
        self.fc2 = nn.Linear(channels, channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BTC: Tensor, mask_BT: Tensor) -> Tensor:
        """[B, T, C] → [B, T, C]."""
        x_BTC = x_BTC + self.attention(self.norm1(x_BTC), mask_BT)
        hidden = self.dropout(F.gelu(self.fc1(self.norm2(x_BTC))))
        out: Tensor = x_BTC + self.dropout(self.fc2(hidden))
        return out


class GlobalLocalOptions(HeadOptions):
    """Options that heads with this network have."""

    channels: Annotated[int, Field(ge=4, multiple_of=4)] = 512
    """Of the attention network."""
    dropout: Dropout = 0.0
    """Of the attention network."""
    local_weights: Literal["row", "column"] = "row"
    """How the weights of the clips around a clip are scaled: `row`, to a sum of 1, as published; `column` keeps the
    quirk of the originals' code, where what a clip gives sums to 1, so that the ends of a video count more."""


class GlobalLocalNetwork(nn.Module):
    """Convolution over 3 clips → ReLU → two layers of global and local attention with 4 heads: D → C channels."""

    def __init__(self, feature_dim: int, options: GlobalLocalOptions) -> None:
        super().__init__()
        channels, by_column = options.channels, options.local_weights == "column"
        self.embedding = nn.Conv1d(feature_dim, channels, 3, padding=1)
        layers = (GlobalLocalLayer(channels, 4, options.dropout, by_column=by_column) for _ in range(2))
        self.layers = nn.ModuleList(layers)

    def forward(self, x_BTD: Tensor, mask_BT: Tensor) -> Tensor:
        """[B, T, D] → [B, T, C]; padded clips have any value."""
        x_BTC = torch.relu(self.embedding((x_BTD * mask_BT[..., None]).transpose(1, 2))).transpose(1, 2)
        for layer in self.layers:
            x_BTC = layer(x_BTC, mask_BT)
        return x_BTC
