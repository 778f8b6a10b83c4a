"""3D ResNets: plain, wide, ResNeXt and pre-activated. The feature is the global average before the classifier.

Hara, Kataoka and Satoh, "Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and ImageNet?", CVPR 2018. Tensor
names and weights: github.com/kenshohara/3D-ResNets-PyTorch (MIT), the releases of 2018 (Kinetics-400) and 2020.

Shortcut where the size changes: A subsamples and pads channels with zeros, B is a convolution. The weights of 2018 use
A up to depth 34 and B above, those of 2020 B throughout; which one a file has is seen from its tensors.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from amiss.backbones._preprocessing import Preprocessing
from amiss.backbones._video_network import Architecture
from amiss.backbones.weights import PublishedWeights
from amiss.errors import UsageError

BLOCKS = {
    10: (1, 1, 1, 1),
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}
HARA2018 = Preprocessing(
    resize=112, antialias=True, crop=112, value_range=(0.0, 255.0), mean=(114.7748, 107.7354, 99.475)
)
HARA2020 = Preprocessing(
    resize=112, antialias=True, crop=112, mean=(0.4345, 0.4051, 0.3775), std=(0.2768, 0.2713, 0.2737)
)
PAGE_2018 = "https://drive.google.com/drive/folders/1zvl89AgFAApbH0At-gMuZSeQB_LpNP-M"
PAGE_2020 = "https://drive.google.com/drive/folders/1xbYbZ7rpyjftI_KCk6YuL-XrfQDz7Yd4"
_DATA_2020 = {"K": "Kinetics-700", "M": "Moments in Time", "S": "STAIR Actions"}


class _Block(nn.Module):
    """Residual block of two 3×3×3 convolutions, or three (1×1×1, 3×3×3, 1×1×1: bottleneck)."""

    def __init__(
        self,
        c_in: int,
        mid: int,
        c_out: int,
        stride: int,
        *,
        basic: bool,
        groups: int,
        pre_activated: bool,
        shortcut: str,
    ) -> None:
        super().__init__()
        self.pre_activated, self.stride, self.c_out = pre_activated, stride, c_out
        # per convolution: input and output channels, kernel, stride, groups
        if basic:
            steps = [(c_in, mid, 3, stride, 1), (mid, c_out, 3, 1, 1)]
        else:
            steps = [(c_in, mid, 1, 1, 1), (mid, mid, 3, stride, groups), (mid, c_out, 1, 1, 1)]
        for i, (a, b, kernel, step, parts) in enumerate(steps, start=1):
            self.add_module(f"conv{i}", nn.Conv3d(a, b, kernel, step, kernel // 2, groups=parts, bias=False))
            self.add_module(f"bn{i}", nn.BatchNorm3d(a if pre_activated else b))
        self.depth = len(steps)
        if shortcut == "B" and (stride != 1 or c_in != c_out):
            self.downsample = nn.Sequential(nn.Conv3d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm3d(c_out))

    def _shortcut(self, x: Tensor) -> Tensor:
        if hasattr(self, "downsample"):
            out: Tensor = self.downsample(x)
            return out
        if self.stride != 1:
            x = x[:, :, :: self.stride, :: self.stride, :: self.stride]
        missing = self.c_out - x.shape[1]
        return F.pad(x, (0, 0, 0, 0, 0, 0, 0, missing)) if missing else x

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for i in range(1, self.depth + 1):
            conv, norm = self.get_submodule(f"conv{i}"), self.get_submodule(f"bn{i}")
            if self.pre_activated:
                y = conv(F.relu(norm(y)))
            else:
                y = norm(conv(y))
                y = F.relu(y) if i < self.depth else y
        y = y + self._shortcut(x)
        return y if self.pre_activated else F.relu(y)


class ResNet3D(nn.Module):
    """A 3D ResNet without its classifier: clips [N, 3, T, H, W] → features [N, D].

    Args:
        depth: 10, 18, 34 (basic blocks, D = 512), 50, 101, 152 or 200 (bottlenecks, D = 2048).
        shortcut: `A` or `B`.
        width: channels of the first stage's 3×3×3 convolutions; later stages have 2, 4 and 8 times as many.
        groups: of the bottlenecks' 3×3×3 convolutions.
        pre_activated: BN and ReLU come before each convolution, and none after the last.

    Raises:
        UsageError: no such shortcut.
    """

    def __init__(
        self, depth: int, *, shortcut: str = "B", width: int = 64, groups: int = 1, pre_activated: bool = False
    ) -> None:
        super().__init__()
        if shortcut not in ("A", "B"):
            raise UsageError(f"shortcut is {shortcut!r}; it must be 'A' (zero padding) or 'B' (convolution)")
        basic = depth < 50
        self.conv1 = nn.Conv3d(3, 64, 7, (1, 2, 2), 3, bias=False)
        self.bn1 = nn.BatchNorm3d(64)
        block = partial(_Block, basic=basic, groups=groups, pre_activated=pre_activated, shortcut=shortcut)
        channels = 64
        layers = []
        for stage, n_blocks in enumerate(BLOCKS[depth]):
            mid, c_out = width << stage, (64 if basic else 256) << stage
            blocks = [block(channels, mid, c_out, 2 if stage > 0 else 1)]
            blocks += [block(c_out, mid, c_out, 1) for _ in range(n_blocks - 1)]
            layers.append(nn.Sequential(*blocks))
            channels = c_out
        self.layer1, self.layer2, self.layer3, self.layer4 = layers

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool3d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return x.mean((2, 3, 4))


def _shortcut_of(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    return {"shortcut": "B" if any(".downsample." in name for name in tensors) else "A"}


def hara2018(model: str) -> PublishedWeights:
    """Weights of the release of 2018, trained on Kinetics-400."""
    licence = "MIT; weights trained on Kinetics-400"
    return PublishedWeights(id="kinetics400_2018", url=PAGE_2018, file=f"{model}-kinetics.pth", licence=licence)


def _hara2020(depth: int) -> list[PublishedWeights]:
    """Weights of the release of 2020, by the data that they were trained on, each of which has terms of its own."""
    choices = {10: (), 50: ("K", "KM", "KMS", "KS", "M", "MS", "S")}.get(depth, ("K", "KM"))
    return [
        PublishedWeights(
            id=f"{letters}_200ep",
            url=PAGE_2020,
            file=f"r3d{depth}_{letters}_200ep.pth",
            licence=f"MIT; weights trained on {', '.join(_DATA_2020[letter] for letter in letters)}",
        )
        for letters in choices
    ]


def _architecture(name: str, depth: int, note: str, published: list[PublishedWeights], **options: Any) -> Architecture:
    return Architecture(
        name=name,
        build=partial(ResNet3D, depth, **options),
        dim=512 if depth < 50 else 2048,
        classifier=("fc.",),
        gives_logits=True,
        detect=_shortcut_of,
        preprocessing=HARA2020 if name.startswith("resnet3d") else HARA2018,
        preprocessing_of={"kinetics400_2018": HARA2018},
        published=tuple(published),
        licence=published[0].licence if published else "MIT",
        note=note,
    )


def _plain(depth: int) -> Architecture:
    published = _hara2020(depth) + ([hara2018(f"resnet-{depth}")] if depth > 10 else [])
    return _architecture(f"resnet3d_{depth}", depth, f"3D ResNet-{depth}", published)


def _pre_activated(depth: int) -> Architecture:
    published = [hara2018("preresnet-200")] if depth == 200 else []
    note = f"3D ResNet-{depth}, pre-activated"
    return _architecture(f"preact_resnet3d_{depth}", depth, note, published, pre_activated=True)


def _next(depth: int) -> Architecture:
    published = [hara2018("resnext-101")] if depth == 101 else []
    note = f"3D ResNeXt-{depth}, cardinality 32"
    return _architecture(f"resnext3d_{depth}", depth, note, published, width=128, groups=32)


ARCHITECTURES = (
    *(_plain(depth) for depth in BLOCKS),
    *(_pre_activated(depth) for depth in BLOCKS if depth > 10),
    *(_next(depth) for depth in (50, 101, 152)),
    _architecture("wide_resnet3d_50", 50, "3D Wide ResNet-50, twice as wide", [hara2018("wideresnet-50")], width=128),
)
ENTRIES = tuple(architecture.entry for architecture in ARCHITECTURES)
