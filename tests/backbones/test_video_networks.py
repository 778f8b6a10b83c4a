"""The video networks of this package: sizes, random weights, weight files, and the presets of published projects."""

import re
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
import torch

from amiss.backbones import create_backbone, list_backbones, presets_of
from amiss.backbones._c3d import C3D
from amiss.backbones._i3d import I3D
from amiss.backbones._i3d_resnet50 import I3DResNet50
from amiss.backbones._mfnet import MFNet
from amiss.backbones._presets import SAMPLINGS
from amiss.backbones._registry import entry_of
from amiss.backbones._resnet3d import ResNet3D
from amiss.engines import create_engine
from amiss.errors import SpecMismatchError, UsageError, WeightsError
from amiss.features import extract_video
from amiss.video import VideoReader
from helpers.videos import write_video

RESNETS = [
    *(f"resnet3d_{depth}" for depth in (10, 18, 34, 50, 101, 152, 200)),
    *(f"preact_resnet3d_{depth}" for depth in (18, 34, 50, 101, 152, 200)),
    *(f"resnext3d_{depth}" for depth in (50, 101, 152)),
    "wide_resnet3d_50",
]
NAMES = ["c3d", "i3d", "i3d_resnet50", "i3d_resnet50_nl", "mfnet", *RESNETS]
NAMES += [f"densenet3d_{depth}" for depth in (121, 169, 201, 264)]


@pytest.mark.parametrize("name", NAMES)
def test_every_network_gives_the_dim_that_the_registry_states(name: str) -> None:
    info = next(info for info in list_backbones() if info.name == name)
    architecture = entry_of(name).create.args[0]
    with torch.device("meta"):
        features = architecture.build()(torch.empty(2, 3, info.clip_len, *info.input_size))
    assert features.shape == (2, info.dim)


@pytest.mark.parametrize(
    ("network", "millions"),
    [
        (C3D, 61.214464),
        (MFNet, 7.69),
        (I3DResNet50, 28.04 - 0.8196),  # published with its classifier: 2048 x 400 + 400
        (lambda: ResNet3D(10), 14.40),
        (lambda: ResNet3D(18), 33.20),
        (lambda: ResNet3D(34), 63.51),
        (lambda: ResNet3D(50), 46.20),
        (lambda: ResNet3D(101), 85.25),
        (lambda: ResNet3D(152), 117.40),
        (lambda: ResNet3D(200), 126.60),
    ],
)
def test_networks_have_the_published_number_of_parameters(network: type[torch.nn.Module], millions: float) -> None:
    with torch.device("meta"):
        found = sum(p.numel() for p in network().parameters())
    assert found / 1e6 == pytest.approx(millions, abs=0.006)


@pytest.mark.parametrize("name", ["mfnet", "resnet3d_10", "densenet3d_121"])
def test_random_weights_are_always_the_same_and_give_usable_features(name: str) -> None:
    state = torch.random.get_rng_state()
    first, second = create_backbone(name, "random"), create_backbone(name, "random")
    assert torch.equal(torch.random.get_rng_state(), state)
    frames = np.random.RandomState(0).randint(0, 256, (16, 120, 160, 3)).astype(np.uint8)
    features = first.encode(frames)
    assert torch.equal(features, second.encode(frames))
    assert features.isfinite().all()
    assert 1e-4 < features.std() < 1e4
    assert first.spec.weights == "random"


@pytest.mark.parametrize("side", [65, 80, 224])
def test_i3d_takes_any_input_size(side: int) -> None:
    with torch.device("meta"):
        assert I3D()(torch.empty(1, 3, 17, side, side + 1)).shape == (1, 1024)


def test_an_original_checkpoint_file_can_be_given_as_weights(tmp_path: Path) -> None:
    torch.manual_seed(3)
    network = MFNet()
    state = {f"module.{name}": t for name, t in network.state_dict().items()}
    state["module.classifier.weight"] = torch.zeros(101, 768)
    path = tmp_path / "MFNet3D_UCF-101_Split-1_96.3.pth"
    torch.save({"epoch": 3, "state_dict": state}, path)
    backbone = create_backbone("mfnet", path)
    assert all(torch.equal(t, backbone.network.state_dict()[name]) for name, t in network.state_dict().items())
    assert backbone.spec.weights == "ucf101"  # known by its name
    assert len(backbone.spec.weights_sha256 or "") == 64


def test_weights_that_a_person_must_fetch_say_from_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv("AMISS_WEIGHTS", raising=False)
    with pytest.raises(WeightsError, match=r"by hand: put r3d152_K_200ep.pth from https://drive.*\$AMISS_WEIGHTS"):
        create_backbone("resnet3d_152")
    with pytest.raises(WeightsError, match="densenet3d_264 has no published weights"):
        create_backbone("densenet3d_264")


@pytest.mark.slow
def test_published_weights_bring_their_own_preprocessing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMISS_WEIGHTS", str(tmp_path))
    torch.save({"state_dict": ResNet3D(18, shortcut="A").state_dict()}, tmp_path / "resnet-18-kinetics.pth")
    backbone = create_backbone("resnet3d_18", "kinetics400_2018")
    assert (backbone.spec.value_range, backbone.spec.std) == ((0.0, 255.0), None)
    assert create_backbone("resnet3d_18", "random").spec.value_range == (0.0, 1.0)


@pytest.mark.parametrize(
    ("key", "name", "preset"),
    [
        ("c3d", "c3d", "ekosman"),
        ("r2plus1d", "r2plus1d_18", "ekosman"),
        ("s3d", "s3d", "ekosman"),
        ("i3d", "i3d", "ekosman"),
        ("mfnet", "mfnet", "ekosman"),
        ("3dResNet", "resnet3d_10", "ekosman"),
        ("topk_i3d", "i3d", "topk"),
        ("topk_mfnet", "mfnet", "topk"),
        ("topk_3dResNet", "resnet3d_10", "topk"),
        ("nevinbaiju", "densenet3d_121", "nevinbaiju"),
    ],
)
def test_presets_equal_the_projects_own_transforms(golden: Path, key: str, name: str, preset: str) -> None:
    arrays = np.load(golden / "transforms.npz")
    frames = np.random.RandomState(3).randint(0, 256, (16, 240, 320, 3)).astype(np.uint8)
    if key == "nevinbaiju":
        frames = frames[..., ::-1]  # its reader, OpenCV, gave the array as BGR
    x = create_backbone(name, "random", preset=preset).preprocess(frames)[0].numpy()
    np.testing.assert_allclose(x[:, ::5, ::37, ::41], arrays[f"{key}_sub"], atol=1e-4)
    np.testing.assert_allclose([x.mean(), x.std(), x.min(), x.max()], arrays[f"{key}_stat"], atol=1e-4)


def test_ten_crops_of_i3d_resnet50_equal_the_extractors(golden: Path) -> None:
    arrays = np.load(golden / "transforms.npz")
    frames = np.random.RandomState(3).randint(0, 256, (16, 240, 320, 3)).astype(np.uint8)
    x_CKTHW = create_backbone("i3d_resnet50", "random", crops=10).preprocess(frames).numpy()
    sub = np.moveaxis(x_CKTHW, 1, 4)[:, ::5, ::41, ::43]
    np.testing.assert_allclose(sub, arrays["tencrop_sub"], atol=1e-4)


def test_a_preset_sets_the_readers_clips() -> None:
    spec = create_backbone("resnet3d_10", "random", preset="nevinbaiju").spec
    assert (spec.preset, spec.stride, spec.tail, spec.colour) == ("nevinbaiju", 17, "drop", "bgr")
    assert create_backbone("resnet3d_10", "random", preset="nevinbaiju", stride=8).spec.stride == 8
    default = create_backbone("resnet3d_10", "random").spec
    assert (default.preset, default.stride, default.tail) == ("default", 16, "pad")


@pytest.mark.parametrize("name", ["r3d_18", "mc3_18", "r2plus1d_18", "s3d", "swin3d_t", "mvit_v1_b", "mvit_v2_s"])
def test_native_clips_are_those_of_torchvisions_weights(name: str) -> None:
    from torchvision.models import get_model_weights

    said = get_model_weights(name).DEFAULT.meta["_docs"]  # type: ignore[attr-defined]
    rate, clip_len = (re.search(rf"{key}=([0-9.]*[0-9])", said).group(1) for key in ("frame_rate", "clip_len"))  # type: ignore[union-attr]
    sampling = next(s for s in SAMPLINGS if any(fnmatch(name, pattern) for pattern in s.backbones))
    assert (sampling.frame_rate, sampling.clip_len) == (float(rate), int(clip_len))


def test_the_preset_native_sets_clips_alone() -> None:
    default, native = (create_backbone("i3d", "random", preset=preset) for preset in ("default", "native"))
    clips = {"clip_len": 64, "stride": 64, "frame_rate": 25.0, "preset": "native"}
    assert native.spec == default.spec.with_(**clips)
    assert native.preprocessing == default.preprocessing
    assert presets_of("i3d")[:2] == ["default", "native"]
    with pytest.raises(UsageError, match="motion has no preset 'native'"):
        create_backbone("motion", preset="native")


def test_what_is_asked_for_goes_before_what_native_says() -> None:
    spec = create_backbone("i3d", "random", preset="native", stride=16, frame_rate=30).spec
    assert (spec.clip_len, spec.stride, spec.frame_rate) == (64, 16, 30)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["r3d_18", "swin3d_t", "s3d"])
def test_native_features_are_torchvisions_own(name: str, tmp_path: Path) -> None:
    """A file of 30 frames a second: torchvision's transform and network see every second one, as many as it wants."""
    from torchvision.models import get_model_weights

    backbone = create_backbone(name, "random", preset="native")
    pictures = np.random.RandomState(0).randint(0, 256, (300, 9, 12, 3)).astype(np.uint8)
    path = write_video(tmp_path / "a.mp4", list(np.kron(pictures, np.ones((1, 16, 16, 1), np.uint8))), fps=30)
    frames = np.stack([frame.image for frame in VideoReader(path)])[::2]
    clip_len = backbone.spec.clip_len
    clip = torch.from_numpy(frames[:clip_len]).permute(0, 3, 1, 2)
    x_KTHW = get_model_weights(name).DEFAULT.transforms()(clip)  # type: ignore[attr-defined]
    with torch.inference_mode():
        expected = backbone.network(x_KTHW[None]).flatten().numpy()  # type: ignore[operator, union-attr]
    engine = create_engine(backbone, "cpu", engine="torch", precision="fp32")
    found = extract_video(path, engine)
    assert len(found.features) == -(-150 // clip_len)
    np.testing.assert_allclose(found.features[0, 0], expected, rtol=1e-4, atol=1e-5)


def test_a_preset_survives_in_the_spec() -> None:
    from amiss.backbones import create_backbone_for

    spec = create_backbone("mfnet", "random", preset="topk").spec
    assert create_backbone_for(spec).preprocessing.spec_fields()["resize"] == "224x224 bilinear unrounded"
    with pytest.raises(SpecMismatchError, match="resize"):
        create_backbone_for(spec.with_(preset="default"))


def test_presets_of_other_backbones_are_refused() -> None:
    assert presets_of("motion") == ["default"]
    assert presets_of("c3d") == ["default", "ekosman", "topk", "nevinbaiju"]
    with pytest.raises(UsageError, match=r"mfnet has no preset 'hara2018'; it has \['default', 'ekosman', 'topk'\]"):
        create_backbone("mfnet", "random", preset="hara2018")
    with pytest.raises(UsageError, match="sees the whole frame: use crops=1"):
        create_backbone("mfnet", "random", preset="ekosman", crops=10)
