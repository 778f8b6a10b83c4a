"""Reference checkpoints of backbones: the original networks' outputs, and checkpoints that don't fit."""

import json
import pickle
import re
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from amiss.backbones import create_backbone
from amiss.convert import from_reference, read_checkpoint
from amiss.errors import UsageError, WeightsError
from helpers.reference_weights import crc_values

# name in the golden arrays → kind; the second group is the shortcut
KINDS = {
    r"c3d_fc6": "c3d",
    r"i3d_inception_avgpool": "i3d",
    r"i3d_resnet50": "i3d_resnet50",
    r"i3d_resnet50_nl": "i3d_resnet50_nl",
    r"mfnet": "mfnet",
    r"(?:r3d|cvpr18_resnet)(\d+)_(.)": r"resnet3d_\1",
    r"cvpr18_preresnet(\d+)_(.)": r"preact_resnet3d_\1",
    r"cvpr18_wideresnet(\d+)_(.)": r"wide_resnet3d_\1",
    r"cvpr18_resnext(\d+)_(.)": r"resnext3d_\1",
}
QUICK = [
    "c3d_fc6_x112",
    "i3d_inception_avgpool_x224",
    "i3d_resnet50_x224",
    "i3d_resnet50_nl_x224",
    "mfnet_x224",
    "r3d10_B_x112",
    "cvpr18_preresnet18_A_x112",
    "cvpr18_resnext50_B_x112",
]
LARGE = [
    "c3d_fc6_x112x255",
    *(f"r3d{depth}_B_x112" for depth in (18, 34, 50, 101, 152, 200)),
    "r3d18_A_x112",
    "r3d50_B_x224",
    *(f"cvpr18_resnet{depth}_{shortcut}_x112" for depth in (18, 34, 50, 101) for shortcut in "AB"),
    "cvpr18_preresnet18_B_x112",
    *(f"cvpr18_preresnet50_{shortcut}_x112" for shortcut in "AB"),
    *(f"cvpr18_wideresnet50_{shortcut}_x112" for shortcut in "AB"),
    "cvpr18_resnext50_A_x112",
    *(f"cvpr18_resnext101_{shortcut}_x112" for shortcut in "AB"),
]


def crc_checkpoint(shapes: dict[str, list[int]]) -> dict[str, Tensor]:
    return {n: crc_values(n, shape) for n, shape in shapes.items() if not n.endswith("num_batches_tracked")}


@cache
def reference_shapes(golden: Path) -> dict[str, dict[str, list[int]]]:
    return json.loads((golden / "state_dict_keys.json").read_text())


def golden_input(name: str) -> Tensor:
    seed, side = (8, 224) if name.endswith("x224") else (7, 112)
    clip = np.random.RandomState(seed).rand(1, 3, 16, side, side).astype(np.float32)
    return torch.from_numpy(clip) * (255 if name.endswith("x255") else 1)


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE)])
def test_features_equal_the_original_networks(golden: Path, name: str) -> None:
    net = name.rpartition("_")[0]
    match, kind = next((m, k) for pattern, k in KINDS.items() if (m := re.fullmatch(pattern, net)))
    options = {"shortcut": match[2]} if match.re.groups else {}
    network = from_reference(match.expand(kind), crc_checkpoint(reference_shapes(golden)[name]), **options)
    with torch.inference_mode():
        features = network(golden_input(name))
    expected = np.load(golden / "backbones.npz")[name]
    np.testing.assert_allclose(features[0].numpy(), expected, rtol=1e-3, atol=1e-6 * abs(expected).max())


def test_every_golden_network_is_compared(golden: Path) -> None:
    assert sorted(np.load(golden / "backbones.npz").files) == sorted(QUICK + LARGE)


def resnet10(shortcut: str = "B") -> dict[str, Tensor]:
    from amiss.backbones._resnet3d import ResNet3D

    return ResNet3D(10, shortcut=shortcut).state_dict()


def test_wrappers_and_prefixes_of_a_file_are_removed() -> None:
    state = resnet10()
    wrapped = {"arch": "resnet-10", "state_dict": {f"module.{name}": t for name, t in state.items()}}
    wrapped["state_dict"]["module.fc.weight"] = torch.zeros(400, 512)
    network = from_reference("resnet3d_10", wrapped)
    assert all(torch.equal(t, state[name]) for name, t in network.state_dict().items())
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())


def test_half_precision_checkpoints_become_single_precision() -> None:
    half = {name: t.half() if t.is_floating_point() else t for name, t in resnet10().items()}
    assert {p.dtype for p in from_reference("resnet3d_10", half).parameters()} == {torch.float32}


@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_the_shortcut_is_seen_from_the_tensors(shortcut: str) -> None:
    network = from_reference("resnet3d_10", resnet10(shortcut))
    assert network.state_dict().keys() == resnet10(shortcut).keys()


@pytest.mark.parametrize(
    ("given", "asked", "named"),
    [("A", "B", "lacks.*layer2.0.downsample.0.weight"), ("B", "A", "another network.*downsample")],
)
def test_another_shortcut_than_the_tensors_is_refused(given: str, asked: str, named: str) -> None:
    with pytest.raises(WeightsError, match=named):
        from_reference("resnet3d_10", resnet10(given), shortcut=asked)


def test_a_checkpoint_that_matches_nothing_is_refused() -> None:
    with pytest.raises(WeightsError, match=r"lacks 60 of 60 tensors \(conv1.weight, bn1.weight"):
        from_reference("resnet3d_10", {f"encoder.{name}": t for name, t in resnet10().items()})
    with pytest.raises(WeightsError, match="lacks"):
        from_reference("c3d", {})


def test_a_checkpoint_of_another_depth_names_the_first_tensors() -> None:
    with pytest.raises(WeightsError, match=r"lacks .*layer1.1.conv1.weight"):
        from_reference("resnet3d_18", resnet10())
    with pytest.raises(WeightsError, match=r"layer1.0.conv1.weight is \(64, 64, 3, 3, 3\), not \(64, 64, 1, 1, 1\)"):
        from_reference("resnet3d_50", resnet10())


def test_values_that_are_not_finite_are_refused() -> None:
    state = resnet10()
    state["bn1.weight"][0] = torch.nan
    with pytest.raises(WeightsError, match=r"not finite \(bn1.weight\)"):
        from_reference("resnet3d_10", state)


@pytest.mark.parametrize("state", [None, [1], {"conv1.weight": "text"}])
def test_what_is_no_state_dict_is_refused(state: object) -> None:
    with pytest.raises(WeightsError, match="no state dict"):
        from_reference("c3d", state)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("resnet3d_11", {}, "unknown kind of reference checkpoint 'resnet3d_11'.*resnet3d_10"),
        ("resnet3d_10", {"shortcut": "C"}, "shortcut is 'C'"),
        ("resnet3d_10", {"depth": 18}, "no option depth"),
        ("mfnet", {"shortcut": "A"}, "no option shortcut"),
    ],
)
def test_unknown_kinds_and_options_are_refused(kind: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        from_reference(kind, resnet10(), **options)


def inflated(image_network: nn.Module) -> dict[str, Tensor]:
    """2D tensors as 3D ones that look at one frame."""
    state = {}
    for name, t in image_network.state_dict().items():
        if t.ndim == 4:
            time = t.shape[-1]
            t, plane = torch.zeros(*t.shape[:2], time, *t.shape[2:]), t
            t[:, :, time // 2] = plane
        state[name] = t
    return state


@pytest.mark.parametrize("dotted", [True, False], ids=["names of 2018", "names of 2020"])
def test_a_densenet_that_looks_at_one_frame_equals_torchvisions(dotted: bool) -> None:
    from torchvision.models import densenet121

    image_network = densenet121(weights=None).eval()
    image_network.load_state_dict(
        {n: t if n.endswith("tracked") else crc_values(n, t.shape) for n, t in image_network.state_dict().items()}
    )
    state = inflated(image_network)
    if dotted:
        state = {re.sub(r"(layer\d+\.(?:norm|conv))(\d)", r"\1.\2", name): t for name, t in state.items()}
        assert "features.denseblock1.denselayer1.norm.1.weight" in state
    image = torch.from_numpy(np.random.RandomState(0).rand(1, 3, 64, 64).astype(np.float32))
    with torch.inference_mode():
        features = from_reference("densenet3d_121", state)(image.unsqueeze(2).expand(-1, -1, 16, -1, -1))
        expected = image_network.features(image).relu().mean((2, 3))
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)


def caffe2_blobs(non_local: bool) -> dict[str, np.ndarray]:
    """Names of the Caffe2 release, with the reference's name in brackets: res2_0_branch2a_w (layer1.0.conv1.weight)."""
    blobs = {}

    def add(blob: str, ours: str, shape: tuple[int, ...]) -> None:
        blobs[blob] = crc_values(ours, shape).numpy()

    def add_norm(blob: str, ours: str, channels: int) -> None:
        names = {"s": "weight", "b": "bias", "rm": "running_mean", "riv": "running_var"}
        for short, long in names.items():
            add(f"{blob}_bn_{short}", f"{ours}.{long}", (channels,))

    add("conv1_w", "conv1.weight", (64, 3, 5, 7, 7))
    add_norm("res_conv1", "bn1", 64)
    channels = 64
    spans = {2: (3, 3, 3), 3: (3, 1, 3, 1), 4: (3, 1, 3, 1, 3, 1), 5: (1, 3, 1)}
    for layer, times in spans.items():
        mid = 32 << (layer - 1)
        for block, time in enumerate(times):
            blob, ours = f"res{layer}_{block}_branch", f"layer{layer - 1}.{block}"
            shapes = {"a": (mid, channels, time, 1, 1), "b": (mid, mid, 1, 3, 3), "c": (4 * mid, mid, 1, 1, 1)}
            for i, (branch, shape) in enumerate(shapes.items(), start=1):
                add(f"{blob}2{branch}_w", f"{ours}.conv{i}.weight", shape)
                add_norm(f"{blob}2{branch}", f"{ours}.bn{i}", shape[0])
            if block == 0:
                add(f"{blob}1_w", f"{ours}.downsample.0.weight", (4 * mid, channels, 1, 1, 1))
                add_norm(f"{blob}1", f"{ours}.downsample.1", 4 * mid)
            channels = 4 * mid
            if non_local and layer in (3, 4) and block % 2 == 1:
                for part in ("theta", "phi", "g", "out"):
                    c_out, c_in = (channels, 2 * mid) if part == "out" else (2 * mid, channels)
                    add(f"nonlocal_conv{layer}_{block}_{part}_w", f"{ours}.nl.{part}.weight", (c_out, c_in, 1, 1, 1))
                    add(f"nonlocal_conv{layer}_{block}_{part}_b", f"{ours}.nl.{part}.bias", (c_out,))
                add_norm(f"nonlocal_conv{layer}_{block}", f"{ours}.nl.bn", channels)
    blobs |= {
        "pred_w": np.zeros((400, 2048)),
        "pred_b": np.zeros(400),
        "lr": np.zeros(1),
        "conv1_w_momentum": np.zeros(1),
    }
    return blobs


def assert_crc_values(network: nn.Module) -> None:
    for name, t in network.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(t, crc_values(name, t.shape)), name


def test_caffe2_names_are_understood() -> None:
    assert_crc_values(from_reference("i3d_resnet50_nl", {"blobs": caffe2_blobs(non_local=True)}))


def test_a_caffe2_pickle_can_be_given_as_weights(tmp_path: Path) -> None:
    path = tmp_path / "i3d_baseline.pkl"
    path.write_bytes(pickle.dumps({"blobs": caffe2_blobs(non_local=False)}, protocol=2))
    backbone = create_backbone("i3d_resnet50", weights=path)
    assert_crc_values(backbone.network)
    assert backbone.spec.weights == path.name
    assert_crc_values(from_reference("i3d_resnet50", read_checkpoint(path)))


def test_torchs_files_may_have_caffe2s_suffix(tmp_path: Path) -> None:
    path = tmp_path / "own.pkl"
    state = from_reference("i3d_resnet50", {"blobs": caffe2_blobs(non_local=False)}).state_dict()
    torch.save(state, path)
    assert_crc_values(create_backbone("i3d_resnet50", path).network)


@pytest.mark.parametrize("array", [np.array(["text"]), np.array([None]), np.zeros(2, "M8[s]")])
def test_arrays_that_torch_does_not_know_are_refused(tmp_path: Path, array: np.ndarray) -> None:
    path = tmp_path / "i3d_baseline.pkl"
    path.write_bytes(pickle.dumps({"blobs": {"conv1_w": array}}, protocol=2))
    with pytest.raises(WeightsError, match=r"i3d_baseline\.pkl can't be read as weights: .*it holds values of "):
        create_backbone("i3d_resnet50", path)
    with pytest.raises(WeightsError, match=r"i3d_baseline\.pkl can't be read: it holds values of "):
        read_checkpoint(path)


def test_code_in_a_caffe2_pickle_is_not_run(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (tmp_path / "ran",)

    path = tmp_path / "i3d_baseline.pkl"
    path.write_bytes(pickle.dumps({"blobs": {"conv1_w": Harmful()}}, protocol=2))
    for read in (partial(create_backbone, "i3d_resnet50"), read_checkpoint):
        with pytest.raises(WeightsError, match=r"i3d_baseline\.pkl .*(holds more than|it names)"):
            read(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"\x80\x02garbage", pickle.dumps([1]), pickle.dumps({"blobs": {}})])
def test_a_damaged_caffe2_pickle_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "i3d_baseline.pkl"
    path.write_bytes(content)
    with pytest.raises(
        WeightsError, match=r"i3d_baseline.pkl (can't be read as weights|.*is a pickle without|doesn't fit)"
    ):
        create_backbone("i3d_resnet50", weights=path)
