"""Presets: how published projects fed these backbones, where it isn't the weights' own preprocessing.

A preset is for features that must match a project's own; by default a backbone gets what its weights were trained with.
The readers' clips belong to it: stride, and whether the last incomplete clip is left out.
"""

from dataclasses import dataclass, replace
from fnmatch import fnmatch
from typing import Any, Literal

from amiss.backbones._base import Backbone
from amiss.backbones._i3d_resnet50 import TEN_CROP_EXTRACTOR
from amiss.backbones._preprocessing import Preprocessing
from amiss.backbones._resnet3d import HARA2018, HARA2020
from amiss.backbones._spec import CLIP_LEN
from amiss.errors import UsageError

_IMAGENET = Preprocessing(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
_KINETICS = Preprocessing(mean=(0.43216, 0.394666, 0.37645), std=(0.22803, 0.22145, 0.216989))  # torchvision's
_MVIT = Preprocessing(mean=(0.45,) * 3, std=(0.225,) * 3)
_HARA = Preprocessing(mean=HARA2020.mean, std=HARA2020.std)
_MXNET = Preprocessing(mean=(124 / 255, 117 / 255, 104 / 255), std=(1 / (0.0167 * 255),) * 3)
_HARA_NETWORKS = ("resnet3d_*", "preact_resnet3d_*", "resnext3d_*", "wide_resnet3d_*", "densenet3d_*")


def _float(normalised: Preprocessing, height: int, width: int, crop: int | None = None) -> Preprocessing:
    """Bilinear, after scaling to 0..1."""
    return replace(normalised, resize=(height, width), rounded=False, crop=crop)


@dataclass(frozen=True, kw_only=True)
class Preset:
    """What a project did."""

    source: str
    networks: tuple[tuple[tuple[str, ...], Preprocessing], ...]
    """Names of backbones (`*` stands for anything), and their preprocessing."""
    stride: int = CLIP_LEN
    tail: Literal["last", "pad", "drop"] = "drop"

    def preprocessing(self, backbone: str) -> Preprocessing | None:
        """That of a backbone; None = the project didn't use it."""
        found = (p for names, p in self.networks if any(fnmatch(backbone, name) for name in names))
        return next(found, None)


PRESETS = {
    "ekosman": Preset(
        source="github.com/ekosman/AnomalyDetectionCVPR2018-Pytorch; i3d, mfnet and resnet3d see frames at native size",
        networks=(
            (("c3d",), _float(_MXNET, 128, 171, 112)),
            (("r2plus1d_18",), _float(_KINETICS, 128, 171, 112)),
            (("s3d",), _float(_KINETICS, 256, 256, 224)),
            (("mvit_v2_s",), _float(_MVIT, 256, 256, 224)),
            (("i3d",), Preprocessing()),
            (("mfnet",), _IMAGENET),
            (("resnet3d_*",), _HARA),
        ),
    ),
    "topk": Preset(
        source="github.com/Henryy-rs/top-k-Ranking-Loss",
        networks=(
            (("c3d",), _float(_MXNET, 128, 171, 112)),
            (("i3d",), _float(Preprocessing(), 224, 224)),
            (("mfnet",), _float(_IMAGENET, 224, 224)),
            (("resnet3d_*",), _float(_HARA, 224, 224)),
        ),
    ),
    "nevinbaiju": Preset(
        source="github.com/nevinbaiju/anomaly-detection; its reader drops every 17th frame, colours are BGR",
        networks=(
            (
                ("c3d", *_HARA_NETWORKS),
                Preprocessing(resize=(112, 112), interpolation="area", colour="bgr", value_range=(0.0, 255.0)),
            ),
        ),
        stride=CLIP_LEN + 1,
    ),
    "gottimukkala": Preset(
        source="github.com/GowthamGottimukkala/I3D_Feature_Extraction_resnet: the default, without incomplete clips",
        networks=(
            (
                ("i3d_resnet50", "i3d_resnet50_nl"),
                TEN_CROP_EXTRACTOR,
            ),
        ),
    ),
    "nonlocal": Preset(
        source="github.com/facebookresearch/video-nonlocal-net: what the weights of i3d_resnet50 were trained with",
        networks=(
            (
                ("i3d_resnet50", "i3d_resnet50_nl"),
                Preprocessing(resize=256, crop=224, value_range=(0.0, 255.0), mean=(114.75,) * 3, std=(57.375,) * 3),
            ),
        ),
        tail="pad",
    ),
    "hara2018": Preset(
        source="github.com/kenshohara/3D-ResNets-PyTorch, release of 2018",
        networks=((_HARA_NETWORKS, HARA2018),),
        tail="pad",
    ),
    "hara2020": Preset(
        source="github.com/kenshohara/3D-ResNets-PyTorch, release of 2020",
        networks=((_HARA_NETWORKS, HARA2020),),
        tail="pad",
    ),
}


def presets_of(backbone: str) -> list[str]:
    """Names of a backbone's presets."""
    return ["default", *(name for name, preset in PRESETS.items() if preset.preprocessing(backbone) is not None)]


def describe_presets() -> list[dict[str, Any]]:
    """Every preset, ready for JSON: whose it is, its clips, and how frames are preprocessed for which backbones."""
    return [
        {
            "name": name,
            "source": preset.source,
            "stride": preset.stride,
            "tail": preset.tail,
            "networks": [
                {"backbones": list(backbones), **preprocessing.spec_fields()}
                for backbones, preprocessing in preset.networks
            ],
        }
        for name, preset in PRESETS.items()
    ]


def preprocessing_of(backbone: str, preset: str, crops: int) -> Preprocessing:
    """How a preset other than `default` preprocesses frames for a backbone.

    Raises:
        UsageError: the backbone has no such preset, or the preset can't give so many crops.
    """
    found = PRESETS[preset].preprocessing(backbone) if preset in PRESETS else None
    if found is None:
        raise UsageError(f"{backbone} has no preset {preset!r}; it has {presets_of(backbone)}")
    return replace(found, crops=crops)


def apply_preset(backbone: Backbone, name: str) -> None:
    """Give a backbone a preset's preprocessing, stride and tail rule. Its crops stay.

    Raises:
        UsageError: the backbone has no such preset, or the preset can't give so many crops.
    """
    if name == "default":
        return
    preprocessing = preprocessing_of(backbone.spec.backbone, name, backbone.spec.crops)
    backbone.preprocessing = preprocessing
    backbone.spec = backbone.spec.with_(
        **preprocessing.spec_fields(), stride=PRESETS[name].stride, tail=PRESETS[name].tail, preset=name
    )
