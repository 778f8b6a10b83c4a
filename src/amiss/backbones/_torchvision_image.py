"""Any image classifier of torchvision as a frame backbone: the input of its last layer, pooled over the clip."""

from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from amiss.backbones._base import BackboneEntry, BackboneInfo
from amiss.backbones._image_network import SAMPLED, ImageNetwork, image_preprocessing
from amiss.backbones._torchvision_video import (
    SWAG_LICENCE,
    build_network,
    in_order,
    official_transforms,
    published_weights,
)
from amiss.backbones.weights import choose_weights

# name: (frame feature dim, input side)
_NETWORKS = {
    "alexnet": (4096, 224),
    "convnext_base": (1024, 224),
    "convnext_large": (1536, 224),
    "convnext_small": (768, 224),
    "convnext_tiny": (768, 224),
    "densenet121": (1024, 224),
    "densenet161": (2208, 224),
    "densenet169": (1664, 224),
    "densenet201": (1920, 224),
    "efficientnet_b0": (1280, 224),
    "efficientnet_b1": (1280, 240),
    "efficientnet_b2": (1408, 288),
    "efficientnet_b3": (1536, 300),
    "efficientnet_b4": (1792, 380),
    "efficientnet_b5": (2048, 456),
    "efficientnet_b6": (2304, 528),
    "efficientnet_b7": (2560, 600),
    "efficientnet_v2_l": (1280, 480),
    "efficientnet_v2_m": (1280, 480),
    "efficientnet_v2_s": (1280, 384),
    "googlenet": (1024, 224),
    "inception_v3": (2048, 299),
    "maxvit_t": (512, 224),
    "mnasnet0_5": (1280, 224),
    "mnasnet0_75": (1280, 224),
    "mnasnet1_0": (1280, 224),
    "mnasnet1_3": (1280, 224),
    "mobilenet_v2": (1280, 224),
    "mobilenet_v3_large": (1280, 224),
    "mobilenet_v3_small": (1024, 224),
    "regnet_x_16gf": (2048, 224),
    "regnet_x_1_6gf": (912, 224),
    "regnet_x_32gf": (2520, 224),
    "regnet_x_3_2gf": (1008, 224),
    "regnet_x_400mf": (400, 224),
    "regnet_x_800mf": (672, 224),
    "regnet_x_8gf": (1920, 224),
    "regnet_y_128gf": (7392, 384),
    "regnet_y_16gf": (3024, 224),
    "regnet_y_1_6gf": (888, 224),
    "regnet_y_32gf": (3712, 224),
    "regnet_y_3_2gf": (1512, 224),
    "regnet_y_400mf": (440, 224),
    "regnet_y_800mf": (784, 224),
    "regnet_y_8gf": (2016, 224),
    "resnet101": (2048, 224),
    "resnet152": (2048, 224),
    "resnet18": (512, 224),
    "resnet34": (512, 224),
    "resnet50": (2048, 224),
    "resnext101_32x8d": (2048, 224),
    "resnext101_64x4d": (2048, 224),
    "resnext50_32x4d": (2048, 224),
    "shufflenet_v2_x0_5": (1024, 224),
    "shufflenet_v2_x1_0": (1024, 224),
    "shufflenet_v2_x1_5": (1024, 224),
    "shufflenet_v2_x2_0": (2048, 224),
    "squeezenet1_0": (512, 224),
    "squeezenet1_1": (512, 224),
    "swin_b": (1024, 224),
    "swin_s": (768, 224),
    "swin_t": (768, 224),
    "swin_v2_b": (1024, 256),
    "swin_v2_s": (768, 256),
    "swin_v2_t": (768, 256),
    "vgg11": (4096, 224),
    "vgg11_bn": (4096, 224),
    "vgg13": (4096, 224),
    "vgg13_bn": (4096, 224),
    "vgg16": (4096, 224),
    "vgg16_bn": (4096, 224),
    "vgg19": (4096, 224),
    "vgg19_bn": (4096, 224),
    "vit_b_16": (768, 224),
    "vit_b_32": (768, 224),
    "vit_h_14": (1280, 518),
    "vit_l_16": (1024, 224),
    "vit_l_32": (1024, 224),
    "wide_resnet101_2": (2048, 224),
    "wide_resnet50_2": (2048, 224),
}
_SWAG_ONLY = {"regnet_y_128gf", "vit_h_14"}
_WITH_AUXILIARY = {"googlenet", "inception_v3"}  # their weights expect inputs as TensorFlow scaled them


def create(name: str, dim: int, weights: str | Path, crops: int) -> ImageNetwork:
    """The backbone with these weights."""
    chosen = choose_weights(name, weights, *published_weights(name))
    options: dict[str, Any] = {}
    if name in _WITH_AUXILIARY:
        options = {"aux_logits": False, "init_weights": False, "transform_input": True}
    official = official_transforms(name, chosen)
    side = official.crop_size[0]
    if name.startswith("vit_"):
        options["image_size"] = side  # its position embedding has one length
    if name.startswith("squeezenet"):  # its classifier is a convolution
        network = build_network(name, chosen, "classifier", nn.AdaptiveAvgPool2d(1), **options)
    else:
        network = build_network(name, chosen, None, nn.Identity(), **options)
    preprocessing = image_preprocessing(
        crops,
        side,
        official.resize_size[0],
        interpolation=official.interpolation.value,
        mean=tuple(official.mean),
        std=tuple(official.std),
    )
    return ImageNetwork(name, network, dim, chosen, preprocessing)


def _entry(name: str, frame_dim: int, side: int) -> BackboneEntry:
    info = BackboneInfo(
        name=name,
        kind="image network",
        dim=2 * frame_dim,
        input_size=(side, side),
        licence=SWAG_LICENCE
        if name in _SWAG_ONLY
        else "BSD-3-Clause; weights trained on ImageNet-1k (non-commercial research)",
        note=f"{SAMPLED} frames per clip, pooled: mean and change",
    )
    return BackboneEntry(info, partial(create, name, info.dim), partial(in_order, name))


ENTRIES = tuple(_entry(name, *sizes) for name, sizes in _NETWORKS.items())
