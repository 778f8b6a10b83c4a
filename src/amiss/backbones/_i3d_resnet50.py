"""I3D-ResNet50, plain and with non-local blocks. The feature is the global average before the classifier.

Wang et al., "Non-local Neural Networks", CVPR 2018; weights: github.com/facebookresearch/video-nonlocal-net (Caffe2
pickles). Tensor names: github.com/Tushar-N/pytorch-resnet3d. The features of RTFM and its followers come from it.
"""

import re
from collections.abc import Mapping
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from amiss.backbones._preprocessing import Preprocessing
from amiss.backbones._video_network import Architecture
from amiss.backbones.weights import PublishedWeights

DIM = 2048
# not what the weights were trained with, but what all published features of surveillance videos were made with
TEN_CROP_EXTRACTOR = Preprocessing(resize=(256, 340), interpolation="lanczos", crop=224, value_range=(-1.0, 1.0))
_URL = "https://dl.fbaipublicfiles.com/video-nonlocal/"

# per layer: mid channels, for each block whether its first convolution spans three frames, non-local after which blocks
_LAYERS = (
    (64, (1, 1, 1), ()),
    (128, (1, 0, 1, 0), (1, 3)),
    (256, (1, 0, 1, 0, 1, 0), (1, 3, 5)),
    (512, (0, 1, 0), ()),
)


class _NonLocal(nn.Module):
    """x + BN(out(softmax(θφ / √inner) g)): each place attends to all; keys and values are pooled in space."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 2
        self.theta = nn.Conv3d(channels, inner, 1)
        self.phi = nn.Conv3d(channels, inner, 1)
        self.g = nn.Conv3d(channels, inner, 1)
        self.out = nn.Conv3d(inner, channels, 1)
        self.bn = nn.BatchNorm3d(channels)

    def forward(self, x: Tensor) -> Tensor:
        pooled = F.max_pool3d(x, (1, 2, 2))
        query, key, value = self.theta(x), self.phi(pooled), self.g(pooled)
        q_NPC, k_NQC, v_NQC = (t.flatten(2).transpose(1, 2) for t in (query, key, value))
        y_NPC = F.scaled_dot_product_attention(q_NPC, k_NQC, v_NQC)
        y: Tensor = self.bn(self.out(y_NPC.transpose(1, 2).reshape(x.shape[0], -1, *x.shape[2:])))
        return x + y


class _Bottleneck(nn.Module):
    def __init__(self, c_in: int, mid: int, stride: int, temporal: int, non_local: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(c_in, mid, (1 + 2 * temporal, 1, 1), padding=(temporal, 0, 0), bias=False)
        self.bn1 = nn.BatchNorm3d(mid)
        self.conv2 = nn.Conv3d(mid, mid, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False)
        self.bn2 = nn.BatchNorm3d(mid)
        self.conv3 = nn.Conv3d(mid, 4 * mid, 1, bias=False)
        self.bn3 = nn.BatchNorm3d(4 * mid)
        self.downsample: nn.Module = nn.Identity()
        if c_in != 4 * mid:
            shortcut = nn.Conv3d(c_in, 4 * mid, 1, (1, stride, stride), bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm3d(4 * mid))
        self.nl = _NonLocal(4 * mid) if non_local else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        out: Tensor = self.nl(F.relu(y + self.downsample(x)))
        return out


class I3DResNet50(nn.Module):
    """I3D-ResNet50 without its classifier: clips [N, 3, T, H, W] → features [N, 2048]."""

    def __init__(self, non_local: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(3, 64, (5, 7, 7), 2, (2, 3, 3), bias=False)
        self.bn1 = nn.BatchNorm3d(64)
        channels = 64
        layers = []
        for mid, temporal, places in _LAYERS:
            blocks = []
            for block, flag in enumerate(temporal):
                stride = 2 if block == 0 and mid > 64 else 1
                blocks.append(_Bottleneck(channels, mid, stride, flag, non_local and block in places))
                channels = 4 * mid
            layers.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = layers

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool3d(F.relu(self.bn1(self.conv1(x))), (2, 3, 3), 2)
        x = F.max_pool3d(self.layer1(x), (2, 1, 1))
        x = self.layer4(self.layer3(self.layer2(x)))
        return x.mean((2, 3, 4))


_BLOBS = {
    r"conv1_(w)": "conv1",
    r"res_conv1_bn_(s|b|rm|riv)": "bn1",
    r"res(\d)_(\d+)_branch2([abc])_(w)": "layer{}.{}.conv{}",
    r"res(\d)_(\d+)_branch2([abc])_bn_(s|b|rm|riv)": "layer{}.{}.bn{}",
    r"res(\d)_(\d+)_branch1_(w)": "layer{}.{}.downsample.0",
    r"res(\d)_(\d+)_branch1_bn_(s|b|rm|riv)": "layer{}.{}.downsample.1",
    r"nonlocal_conv(\d)_(\d+)_(theta|phi|g|out)_(w|b)": "layer{}.{}.nl.{}",
    r"nonlocal_conv(\d)_(\d+)_(bn)_(s|b|rm|riv)": "layer{}.{}.nl.{}",
}
_KIND = {"w": "weight", "b": "bias", "s": "weight", "rm": "running_mean", "riv": "running_var"}


def from_caffe2(blobs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Caffe2 names (`res3_1_branch2a_bn_rm`) → ours (`layer2.1.bn1.running_mean`); other names stay.

    Blobs of the optimiser and the classifier are left out.
    """
    if "conv1_w" not in blobs:
        return dict(blobs)
    renamed = {_renamed(name): blob for name, blob in blobs.items()}
    return {name: blob for name, blob in renamed.items() if name}


def _renamed(blob: str) -> str:
    for pattern, name in _BLOBS.items():
        if match := re.fullmatch(pattern, blob):
            *place, kind = match.groups()
            if place:
                place[0] = str(int(place[0]) - 1)
            place = [{"a": "1", "b": "2", "c": "3"}.get(part, part) for part in place]
            return f"{name.format(*place)}.{_KIND[kind]}"
    return ""


def _architecture(name: str, file: str, non_local: bool) -> Architecture:
    return Architecture(
        name=name,
        build=partial(I3DResNet50, non_local),
        dim=DIM,
        classifier=("fc.",),
        rename=from_caffe2,
        preprocessing=TEN_CROP_EXTRACTOR,
        published=(PublishedWeights(id="kinetics400", url=_URL + file, megabytes=220),),
        licence="Apache-2.0; weights CC-BY-NC-4.0, trained on ImageNet and Kinetics-400",
        note="I3D, ResNet-50" + (" with non-local blocks" if non_local else ""),
    )


ARCHITECTURES = (
    _architecture("i3d_resnet50", "i3d_baseline_32x2_IN_pretrain_400k.pkl", False),
    _architecture("i3d_resnet50_nl", "i3d_nonlocal_32x2_IN_pretrain_400k.pkl", True),
)
ENTRIES = tuple(architecture.entry for architecture in ARCHITECTURES)
