"""Presets: how published projects fed these backbones, where it isn't the weights' own preprocessing.

A preset is for features that must match a project's own; by default a backbone gets what its weights were trained with,
but clips of 16 frames as they come. The readers' clips belong to it: stride, and whether the last incomplete clip is
left out. `native` differs in the clips alone: they are as long as those that the weights saw, and as fast.
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


@dataclass(frozen=True)
class Sampling:
    """The clips that a network's published weights were trained or measured with."""

    backbones: tuple[str, ...]
    """Names; `*` stands for anything."""
    clip_len: int
    """Frames."""
    frame_rate: float
    """Frames per second."""


NATIVE = "native"
# torchvision's metadata of the weights; the papers of VideoMAE (every 4th frame of 30 a second) and I3D, the scripts of
# video-nonlocal-net (32 frames, every 2nd of 30) and the training configuration of V-JEPA 2
SAMPLINGS = (
    Sampling(("r3d_18", "mc3_18", "r2plus1d_18"), 16, 15.0),
    Sampling(("s3d",), 128, 15.0),
    Sampling(("swin3d_*",), 32, 15.0),
    Sampling(("mvit_*",), 16, 7.5),
    Sampling(("videomae_*",), 16, 7.5),
    Sampling(("vjepa2_l",), 64, 4.0),
    Sampling(("i3d",), 64, 25.0),
    Sampling(("i3d_resnet50", "i3d_resnet50_nl"), 32, 15.0),
)


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
    native = [NATIVE] if _sampling_of(backbone) is not None else []
    published = [name for name, preset in PRESETS.items() if preset.preprocessing(backbone) is not None]
    return ["default", *native, *published]


def describe_presets() -> list[dict[str, Any]]:
    """Every preset, ready for JSON: whose it is, its clips, and how frames are preprocessed for which backbones."""
    native = {
        "name": NATIVE,
        "source": "clips as long and as fast as the published weights saw them; pixels as by default",
        "stride": "a clip",
        "tail": "pad",
        "networks": [
            {"backbones": list(s.backbones), "clip_len": s.clip_len, "frame_rate": s.frame_rate} for s in SAMPLINGS
        ],
    }
    return [native] + [
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


def check_preset(backbone: str, preset: str, crops: int) -> None:
    """Refuse what a backbone can't have.

    Raises:
        UsageError: the backbone has no such preset, or the preset can't give so many crops.
    """
    if preset not in presets_of(backbone):
        raise UsageError(f"{backbone} has no preset {preset!r}; it has {presets_of(backbone)}")
    if (published := PRESETS.get(preset)) is not None:
        replace(published.preprocessing(backbone), crops=crops)  # type: ignore[type-var]  # it has one


def apply_preset(backbone: Backbone, name: str) -> None:
    """Give a backbone a preset's preprocessing and clips. Its crops stay.

    Raises:
        UsageError: the backbone has no such preset, or the preset can't give so many crops.
    """
    spec = backbone.spec
    check_preset(spec.backbone, name, spec.crops)
    if (sampling := _sampling_of(spec.backbone)) is not None and name == NATIVE:
        clip_len = sampling.clip_len
        backbone.spec = spec.with_(clip_len=clip_len, stride=clip_len, frame_rate=sampling.frame_rate, preset=name)
    elif (preset := PRESETS.get(name)) is not None and (found := preset.preprocessing(spec.backbone)) is not None:
        backbone.preprocessing = replace(found, crops=spec.crops)
        fields = backbone.preprocessing.spec_fields()
        backbone.spec = spec.with_(**fields, stride=preset.stride, tail=preset.tail, preset=name)


def _sampling_of(backbone: str) -> Sampling | None:
    found = (s for s in SAMPLINGS if any(fnmatch(backbone, name) for name in s.backbones))
    return next(found, None)
