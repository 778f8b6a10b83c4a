"""The video networks of this package: sizes, random weights, weight files, and the presets of published projects."""

from pathlib import Path

import numpy as np
import pytest
import torch

from amiss.backbones import create_backbone, list_backbones, presets_of
from amiss.backbones._c3d import C3D
from amiss.backbones._i3d import I3D
from amiss.backbones._i3d_resnet50 import I3DResNet50
from amiss.backbones._mfnet import MFNet
from amiss.backbones._registry import entry_of
from amiss.backbones._resnet3d import ResNet3D
from amiss.errors import SpecMismatchError, UsageError, WeightsError

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
