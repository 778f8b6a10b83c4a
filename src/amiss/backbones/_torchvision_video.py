"""Torchvision's video networks, without their classifiers: the features are globally pooled.

R3D, MC3 and R(2+1)D: Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition", CVPR 2018.
S3D: Xie et al., "Rethinking Spatiotemporal Feature Learning", ECCV 2018. Swin3D: Liu et al., "Video Swin Transformer",
CVPR 2022. MViT: Fan et al., "Multiscale Vision Transformers", ICCV 2021, and Li et al., "MViTv2", CVPR 2022; the
feature is the class token, by which they classify. Torchvision is imported when one is built.
"""

from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from amiss.backbones._base import Backbone, BackboneEntry, BackboneInfo
from amiss.backbones._preprocessing import Preprocessing
from amiss.backbones._spec import FeatureSpec
from amiss.backbones.weights import PublishedWeights, Weights, choose_weights, load_weights, random_weights

SWAG_LICENCE = "BSD-3-Clause; weights (SWAG) CC-BY-NC-4.0, trained on images of Instagram and ImageNet-1k"
_LICENCES = {"https://github.com/facebookresearch/SWAG/blob/main/LICENSE": SWAG_LICENCE}  # that weights name


def published_weights(name: str) -> tuple[dict[str, PublishedWeights], str]:
    """Torchvision's weights of a network, by id, and the id of its default ones."""
    from torchvision.models import get_model_weights

    entries = get_model_weights(name)
    return {entry.name: _published(entry) for entry in entries}, entries.DEFAULT.name


def _published(entry: Any) -> PublishedWeights:
    licence = entry.meta.get("license", "")  # where it isn't that of the code
    return PublishedWeights(
        id=entry.name,
        url=entry.url,
        megabytes=entry.meta.get("_file_size", 0),
        licence=_LICENCES.get(licence, licence),
    )


def in_order(name: str) -> tuple[PublishedWeights, ...]:
    """Torchvision's weights of a network, the default ones first."""
    found, default = published_weights(name)
    return tuple(sorted(found.values(), key=lambda weights: weights.id != default))


def official_transforms(name: str, weights: Weights) -> Any:
    """The transforms that torchvision ships with these weights; those of the default weights for other files."""
    from torchvision.models import get_model_weights

    entries = get_model_weights(name)
    known = entries.__members__
    return known.get(weights.id, entries.DEFAULT).transforms()


def build_network(
    name: str, weights: Weights, classifier: str | None, replacement: nn.Module, **options: Any
) -> nn.Module:
    """A torchvision network with its weights and another module in place of its classifier, in eval mode.

    Args:
        name: torchvision's.
        weights: a file, or `random`: drawn from a fixed seed, without touching the global generator.
        classifier: dotted name of the module to replace; None = the last linear layer.
        replacement: what takes its place.
        options: of torchvision's builder.

    Raises:
        WeightsError: the file is of another network.
    """
    from torchvision.models import get_model

    with random_weights():
        network: nn.Module = get_model(name, weights=None, **options)
    if classifier is None:
        classifier = [path for path, module in network.named_modules() if isinstance(module, nn.Linear)][-1]
    network.set_submodule(classifier, replacement)
    if weights.path is not None:
        load_weights(network, weights.path, unused=(f"{classifier}.", "aux", "AuxLogits."))
    return network.eval().requires_grad_(False)


class TorchvisionVideo(Backbone):
    """A torchvision video network that gives its pooled features."""

    def __init__(self, name: str, classifier: str, dim: int, weights: str | Path, crops: int) -> None:
        super().__init__()
        chosen = choose_weights(name, weights, *published_weights(name))
        self.network = build_network(name, chosen, classifier, nn.Identity())
        official = official_transforms(name, chosen)
        size = tuple(official.resize_size)
        self.preprocessing = Preprocessing(
            resize=(size[0], size[1]) if len(size) == 2 else size[0],
            interpolation=official.interpolation.value,
            crop=official.crop_size[0],
            crops=crops,
            mean=tuple(official.mean),
            std=tuple(official.std),
        )
        self.spec = FeatureSpec(
            backbone=name,
            weights=chosen.id,
            weights_sha256=chosen.sha256,
            dim=dim,
            **self.preprocessing.spec_fields(),
        )

    def forward(self, clips: Tensor) -> Tensor:
        features: Tensor = self.network(clips)
        return features.flatten(1)


def _entry(name: str, classifier: str, dim: int, side: int, note: str) -> BackboneEntry:
    info = BackboneInfo(
        name=name,
        kind="video network",
        dim=dim,
        input_size=(side, side),
        licence="BSD-3-Clause; weights trained on Kinetics-400 (CC-BY-4.0)",
        note=note,
    )
    return BackboneEntry(info, partial(TorchvisionVideo, name, classifier, dim), partial(in_order, name))


ENTRIES = (
    _entry("r3d_18", "fc", 512, 112, "ResNet-18 with 3D convolutions"),
    _entry("mc3_18", "fc", 512, 112, "ResNet-18, 3D then 2D convolutions"),
    _entry("r2plus1d_18", "fc", 512, 112, "ResNet-18, convolutions split into space and time"),
    _entry("s3d", "classifier", 1024, 224, "Inception, convolutions split into space and time"),
    _entry("swin3d_t", "head", 768, 224, "Video Swin Transformer, tiny"),
    _entry("swin3d_s", "head", 768, 224, "Video Swin Transformer, small"),
    _entry("swin3d_b", "head", 1024, 224, "Video Swin Transformer, base"),
    _entry("mvit_v1_b", "head", 768, 224, "Multiscale Vision Transformer, base"),
    _entry("mvit_v2_s", "head", 768, 224, "Multiscale Vision Transformer 2, small"),
)
