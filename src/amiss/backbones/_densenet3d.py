"""3D DenseNets: every layer sees the outputs of all layers before it in its block. The feature is the global average.

Hara, Kataoka and Satoh, CVPR 2018, after Huang et al., "Densely Connected Convolutional Networks", CVPR 2017. Weights:
github.com/kenshohara/3D-ResNets-PyTorch (MIT); those of 2018 have dots in some tensor names (`norm.1` for `norm1`).
"""

import re
from collections.abc import Mapping
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amiss.backbones._resnet3d import HARA2018, hara2018
from amiss.backbones._video_network import Architecture

GROWTH, BOTTLENECK, STEM = 32, 4 * 32, 64
LAYERS = {121: (6, 12, 24, 16), 169: (6, 12, 32, 32), 201: (6, 12, 48, 32), 264: (6, 12, 64, 48)}


class _Layer(nn.Module):
    def __init__(self, c_in: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm3d(c_in)
        self.conv1 = nn.Conv3d(c_in, BOTTLENECK, 1, bias=False)
        self.norm2 = nn.BatchNorm3d(BOTTLENECK)
        self.conv2 = nn.Conv3d(BOTTLENECK, GROWTH, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(F.relu(self.norm1(x)))
        y = self.conv2(F.relu(self.norm2(y)))
        return torch.cat([x, y], dim=1)


class _Transition(nn.Module):
    """Half the channels, and half the size in time and space."""

    def __init__(self, c_in: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm3d(c_in)
        self.conv = nn.Conv3d(c_in, c_in // 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool3d(self.conv(F.relu(self.norm(x))), 2)


class _Stem(nn.Sequential):
    def __init__(self) -> None:
        super().__init__()
        self.add_module("conv0", nn.Conv3d(3, STEM, 7, (1, 2, 2), 3, bias=False))
        self.add_module("norm0", nn.BatchNorm3d(STEM))
        self.add_module("relu0", nn.ReLU())
        self.add_module("pool0", nn.MaxPool3d(3, 2, 1))


class DenseNet3D(nn.Module):
    """A 3D DenseNet without its classifier: clips [N, 3, T, H, W] → features [N, D], not negative."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.features = _Stem()
        channels = STEM
        for i, n_layers in enumerate(LAYERS[depth], start=1):
            block = nn.Sequential()
            for layer in range(1, n_layers + 1):
                block.add_module(f"denselayer{layer}", _Layer(channels))
                channels += GROWTH
            self.features.add_module(f"denseblock{i}", block)
            if i < len(LAYERS[depth]):
                self.features.add_module(f"transition{i}", _Transition(channels))
                channels //= 2
        self.features.add_module("norm5", nn.BatchNorm3d(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.features(x)).mean((2, 3, 4))


def undotted(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names of 2018 (`denselayer1.norm.1.weight`) → of 2020 and torchvision (`denselayer1.norm1.weight`)."""
    return {re.sub(r"(denselayer\d+\.(?:norm|conv))\.(\d)", r"\1\2", name): t for name, t in tensors.items()}


def _architecture(depth: int, dim: int) -> Architecture:
    return Architecture(
        name=f"densenet3d_{depth}",
        build=partial(DenseNet3D, depth),
        dim=dim,
        classifier=("classifier.",),
        gives_logits=True,
        rename=undotted,
        preprocessing=HARA2018,
        published=(hara2018(f"densenet-{depth}"),) if depth in (121, 201) else (),
        licence="MIT; weights trained on Kinetics-400",
        note=f"3D DenseNet-{depth}",
    )


ARCHITECTURES = tuple(_architecture(*sizes) for sizes in ((121, 1024), (169, 1664), (201, 1920), (264, 2688)))
ENTRIES = tuple(architecture.entry for architecture in ARCHITECTURES)
