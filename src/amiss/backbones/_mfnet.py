"""MFNet-3D: grouped 3D convolutions whose groups exchange information through a multiplexer.

Chen et al., "Multi-Fiber Networks for Video Recognition", ECCV 2018. Tensor names and weights:
github.com/cypw/PyTorch-MFNet (MIT). The feature keeps time: 768 channels × 8 steps of a 16-frame clip.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from amiss.backbones._preprocessing import Preprocessing
from amiss.backbones._video_network import Architecture
from amiss.backbones.weights import PublishedWeights

CHANNELS, STEPS, GROUPS = 768, 8, 16
_PAGE = "https://github.com/cypw/PyTorch-MFNet"

# per stage: channels, units, stride of the first unit
_STAGES = ((96, 3, (2, 1, 1)), (192, 4, (1, 2, 2)), (384, 6, (1, 2, 2)), (768, 3, (1, 2, 2)))


class _Pre(nn.Module):
    """BN, ReLU, convolution."""

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: tuple[int, int, int] = (1, 1, 1),
        stride: tuple[int, int, int] = (1, 1, 1),
        groups: int = 1,
    ) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
        self.bn = nn.BatchNorm3d(c_in)
        self.conv = nn.Conv3d(c_in, c_out, kernel, stride, padding, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(F.relu(self.bn(x)))
        return out


class _Unit(nn.Module):
    """Multi-fibre unit: the multiplexer i1, i2 adds to x, then grouped m1, m2 with a shortcut."""

    def __init__(self, c_in: int, c_out: int, stride: tuple[int, int, int], first: bool) -> None:
        super().__init__()
        self.conv_i1 = _Pre(c_in, c_out // 4)
        self.conv_i2 = _Pre(c_out // 4, c_in)
        self.conv_m1 = _Pre(c_in, c_out, (3, 3, 3), stride, GROUPS)
        self.conv_m2 = _Pre(c_out, c_out) if first else _Pre(c_out, c_out, (1, 3, 3), groups=GROUPS)
        self.conv_w1 = _Pre(c_in, c_out, stride=stride) if first else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = x + self.conv_i2(self.conv_i1(x))
        out: Tensor = self.conv_m2(self.conv_m1(y)) + self.conv_w1(x)
        return out


class _Stem(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(3, 16, (3, 5, 5), (1, 2, 2), (1, 2, 2), bias=False)
        self.bn = nn.BatchNorm3d(16)

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool3d(F.relu(self.bn(self.conv(x))), (1, 3, 3), (1, 2, 2), (0, 1, 1))


class _Tail(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bn = nn.BatchNorm3d(CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(x)).mean((3, 4)).flatten(1)


class MFNet(nn.Module):
    """MFNet-3D without its classifier: clips [N, 3, T, H, W] → features [N, 768 × T/2], channel by channel."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _Stem()
        channels = 16
        stages = []
        for c_out, units, stride in _STAGES:
            stage = nn.Sequential()
            for unit in range(units):
                first = unit == 0
                stage.add_module(f"B{unit + 1:02}", _Unit(channels, c_out, stride if first else (1, 1, 1), first))
                channels = c_out
            stages.append(stage)
        self.conv2, self.conv3, self.conv4, self.conv5 = stages
        self.tail = _Tail()

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv5(self.conv4(self.conv3(self.conv2(self.conv1(x)))))
        features: Tensor = self.tail(x)
        return features


ARCHITECTURES = (
    Architecture(
        name="mfnet",
        build=MFNet,
        dim=CHANNELS * STEPS,
        classifier=("classifier.",),
        preprocessing=Preprocessing(
            resize=(256, 256), crop=224, mean=(124 / 255, 117 / 255, 104 / 255), std=(1 / (0.0167 * 255),) * 3
        ),
        published=(
            PublishedWeights(id="ucf101", url=_PAGE, file="MFNet3D_UCF-101_Split-1_96.3.pth", megabytes=32),
            PublishedWeights(
                id="kinetics400",
                url=_PAGE,
                file="MFNet3D_Kinetics-400_72.8.pth",
                megabytes=32,
                licence="MIT; weights trained on Kinetics-400",
            ),
        ),
        licence="MIT; weights trained on Kinetics-400 and UCF-101",
        note="MFNet-3D, time kept",
    ),
)
ENTRIES = tuple(architecture.entry for architecture in ARCHITECTURES)
