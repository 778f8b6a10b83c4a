"""Reference checkpoints of heads: files read without running them, names, and checkpoints that don't fit."""

import os
import pickle
import re
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from amiss.backbones import FeatureSpec
from amiss.convert import from_reference, read_checkpoint
from amiss.detection import Detector
from amiss.errors import UsageError, WeightsError
from amiss.features import FeatureSetWriter
from amiss.heads import Head
from amiss.heads.sultani import SultaniHead
from amiss.jobs import convert_checkpoint
from helpers.reference_weights import crc_checkpoint

REFERENCES = {"sultani": "ann", "topk": "ann", "rtfm": "rtfm_head", "saa": "saa_reference_head",
              "distribution": "distribution_head_1024", "salient": "salient_da64-r3",
              "tca": "tca_64", "lgt": "lgt_32", "ur-dmu": "ur_dmu_64", "bn-wvad": "bn_wvad_64"}  # fmt: skip


def small_checkpoint(kind: str) -> dict[str, torch.Tensor]:
    """A reference checkpoint of a kind at feature dim 8, by the original's names."""
    names = {"rtfm": "Aggregate", "distribution": "Atten", "saa": "aggregate"}
    if kind in ("sultani", "topk"):
        return dict(SultaniHead(8).state_dict())
    assert kind in names
    channels, dim, prefix = {"saa": 2}.get(kind, 512), 8, names[kind]
    shapes: dict[str, tuple[int, ...]] = {}
    for i in (1, 2, 3):
        shapes |= {f"{prefix}.conv_{i}.0.weight": (channels, dim, 3), f"{prefix}.conv_{i}.0.bias": (channels,)}
        shapes |= {f"{prefix}.conv_{i}.2.{part}": (channels,) for part in NORM}
    shapes |= {f"{prefix}.conv_4.0.weight": (channels, dim, 1), f"{prefix}.conv_5.0.weight": (dim, 4 * channels, 3)}
    shapes |= {f"{prefix}.conv_5.2.{part}": (dim,) for part in NORM}
    for part in ("g", "theta", "phi"):
        shapes |= {f"{prefix}.non_local.{part}.weight": (channels // 2, channels, 1)}
        shapes |= {f"{prefix}.non_local.{part}.bias": (channels // 2,)}
    shapes |= {
        f"{prefix}.non_local.W.0.weight": (channels, channels // 2, 1),
        f"{prefix}.non_local.W.0.bias": (channels,),
    }
    shapes |= {f"{prefix}.non_local.W.1.{part}": (channels,) for part in NORM}
    classifier = "classifier." if kind == "saa" else ""
    for layer, out, inputs in (("fc1", 512, dim), ("fc2", 128, 512), ("fc3", 1, 128)):
        shapes |= {f"{classifier}{layer}.weight": (out, inputs), f"{classifier}{layer}.bias": (out,)}
    if kind == "saa":
        for i, out, inputs, size in ((0, 512, dim, 3), (3, 512, 512, 3), (5, 1, 512, 1)):
            shapes |= {f"attn.attention.{i}.weight": (out, inputs, size), f"attn.attention.{i}.bias": (out,)}
    torch.manual_seed(0)
    return {name: torch.rand(shape) * 0.1 for name, shape in shapes.items()}


NORM = ("weight", "bias", "running_mean", "running_var")


def scores(head: Head, dim: int = 8) -> torch.Tensor:
    with torch.inference_mode():
        return head(torch.linspace(-1, 1, 2 * 5 * dim).reshape(2, 5, dim)).scores


@pytest.mark.parametrize("file", ["weights_L1L2_layout_in16.mat", "epoch_layout_in16.pt"])
@pytest.mark.parametrize("kind", ["sultani", "topk"])
def test_the_files_of_sultani_and_ekosman(golden: Path, file: str, kind: str) -> None:
    head = from_reference(kind, read_checkpoint(golden / file))
    x = torch.from_numpy(np.random.RandomState(2).standard_normal((5, 16)).astype(np.float32))
    with torch.inference_mode():
        output = head(x[None])
    with np.load(golden / "formats.npz") as arrays:
        np.testing.assert_allclose(output.scores[0], arrays["scores"], rtol=1e-5)
        np.testing.assert_allclose(output.logits[0], arrays["logits"], rtol=1e-4)


@pytest.mark.parametrize("kind", list(REFERENCES))
def test_every_reference_checkpoint_converts(golden: Path, kind: str) -> None:
    head = from_reference(kind, crc_checkpoint(golden, REFERENCES[kind]))
    assert not head.training
    assert head.options.get("variant", "original-2024") == "original-2024"


@pytest.mark.parametrize("kind", ["sultani", "rtfm", "distribution", "saa"])
@pytest.mark.parametrize("layout", ["zip", "legacy", "nested", "parallel", "safetensors"])
def test_layouts_of_files(tmp_path: Path, kind: str, layout: str) -> None:
    state = small_checkpoint(kind)
    path = tmp_path / ("head.safetensors" if layout == "safetensors" else "head.pkl")
    if layout == "safetensors":
        save_file(state, path)
    elif layout == "nested":
        torch.save({"epoch": 7, "state_dict": OrderedDict(state), "optimizer": {"lr": 0.1}}, path)
    elif layout == "parallel":
        torch.save({f"module.{name}": tensor for name, tensor in state.items()}, path)
    else:
        torch.save(OrderedDict(state), path, _use_new_zipfile_serialization=layout == "zip")
    expected = scores(from_reference(kind, state))
    torch.testing.assert_close(scores(from_reference(kind, read_checkpoint(path))), expected)


def trainers_files(state: dict[str, torch.Tensor]) -> dict[str, object]:
    """Checkpoints of the same tensors as trainers save them, by what is special about them."""
    optimiser = {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    return {
        "model_state_dict": {"model_state_dict": state, "optimizer_state_dict": optimiser, "epoch": 3},
        "model": {"model": state, "optimizer": optimiser, "args": {"lr": 0.1}},
        "lightning": {"state_dict": {f"model.{n}": t for n, t in state.items()}, "epoch": 3, "loops": {}},
        "compiled": {f"_orig_mod.{n}": t for n, t in state.items()},
        "compiled layers": {".".join([n.split(".")[0], "_orig_mod", *n.split(".")[1:]]): t for n, t in state.items()},
        "parallel, compiled": {"net": {f"module._orig_mod.{n}": t for n, t in state.items()}},
        "wrapped twice": {"model": {"state_dict": {f"module.model.{n}": t for n, t in state.items()}}},
        "a name of one's own": {"my_best": state, "optimizer": optimiser, "val_auc": 0.8},
        "beside numbers": {**state, "epoch": 3, "best": 0.8, "note": "fine"},
    }


TRAINERS = list(trainers_files({"a.b": torch.ones(1)}))


@pytest.mark.parametrize("form", TRAINERS)
@pytest.mark.parametrize("kind", ["sultani", "saa"])
def test_checkpoints_as_trainers_save_them(tmp_path: Path, kind: str, form: str) -> None:
    state = small_checkpoint(kind)
    torch.save(trainers_files(state)[form], tmp_path / "epoch_3.pt")
    expected = scores(from_reference(kind, state))
    torch.testing.assert_close(scores(from_reference(kind, read_checkpoint(tmp_path / "epoch_3.pt"))), expected)
    torch.testing.assert_close(scores(from_reference(kind, trainers_files(state)[form])), expected)


def test_a_checkpoint_of_two_networks_is_refused() -> None:
    state = small_checkpoint("sultani")
    with pytest.raises(WeightsError, match=r"generator, critic are something else"):
        from_reference("sultani", {"generator": state, "critic": state})


def test_modules_pickled_inside_a_checkpoint(tmp_path: Path) -> None:
    module = torch.nn.Sequential(
        OrderedDict(fc1=torch.nn.Linear(8, 512), fc2=torch.nn.Linear(512, 32), fc3=torch.nn.Linear(32, 1))
    )
    torch.save({"model": module, "epoch": 3}, tmp_path / "epoch_3.pt")
    found = read_checkpoint(tmp_path / "epoch_3.pt")
    assert found.keys() == module.state_dict().keys()


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_weights_that_are_not_finite_are_named(bad: float) -> None:
    state = small_checkpoint("rtfm")
    state["Aggregate.conv_2.2.running_var"][3] = bad
    with pytest.raises(WeightsError, match=r"Aggregate\.conv_2\.2\.running_var has values that are not finite"):
        from_reference("rtfm", state)


def test_legacy_pickled_modules(tmp_path: Path) -> None:
    module = torch.nn.Sequential(
        OrderedDict(fc1=torch.nn.Linear(8, 512), fc2=torch.nn.Linear(512, 32), fc3=torch.nn.Linear(32, 1))
    )
    torch.save(module, tmp_path / "epoch_1.pt", _use_new_zipfile_serialization=False)
    found = read_checkpoint(tmp_path / "epoch_1.pt")
    assert found.keys() == module.state_dict().keys()
    torch.testing.assert_close(
        scores(from_reference("sultani", found)), scores(from_reference("sultani", module.state_dict()))
    )


class Payload:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.faults
@pytest.mark.parametrize("layout", ["zip", "legacy", "plain"])
def test_code_in_a_pickle_is_refused_and_not_run(tmp_path: Path, layout: str) -> None:
    path, harm = tmp_path / "evil.pt", tmp_path / "harm"
    value = {"fc1.weight": torch.ones(1), "hidden": Payload(harm)}
    if layout == "plain":
        path.write_bytes(pickle.dumps(value))
    else:
        torch.save(value, path, _use_new_zipfile_serialization=layout == "zip")
    with pytest.raises(WeightsError, match=r"evil\.pt"):
        read_checkpoint(path)
    assert not harm.exists()


@pytest.mark.faults
@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\x80\x02", b"PK\x03\x04", b"\x0a\xff\xff"])
@pytest.mark.parametrize("suffix", [".pt", ".mat", ".safetensors", ".ckpt"])
def test_damaged_files_are_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"head{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="head"):
        read_checkpoint(path)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not exist"):
        read_checkpoint(tmp_path / "nowhere.pth")


def mindspore_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A checkpoint as MindSpore names and shapes it; its Conv1d has no bias."""
    norm = dict(zip(NORM, ("gamma", "beta", "moving_mean", "moving_variance"), strict=True))
    normalised = {name.rpartition(".")[0] for name in state if name.endswith("running_mean")}
    renamed = {}
    for name, tensor in state.items():
        layer, _, last = name.rpartition(".")
        if layer in normalised:
            renamed[f"{layer}.{norm[last]}"] = tensor
        elif tensor.ndim == 3:
            renamed[name] = tensor.unsqueeze(2)
        elif last == "weight" or layer.startswith("classifier"):
            renamed[name] = tensor
    return renamed


def test_saa_by_mindspore_names() -> None:
    state = small_checkpoint("saa")
    given = mindspore_names(state)
    given |= {"global_step": torch.tensor(605), **{f"moment1.{name}": tensor for name, tensor in given.items()}}
    convolutions = {name.replace("weight", "bias") for name, tensor in given.items() if tensor.ndim == 4}
    state |= {name: torch.zeros_like(state[name]) for name in convolutions & state.keys()}
    torch.testing.assert_close(scores(from_reference("saa", given)), scores(from_reference("saa", state)))


def message(*fields: tuple[int, int | bytes]) -> bytes:
    """A protocol buffer message."""

    def varint(value: int) -> bytes:
        low, rest = value & 0x7F, value >> 7
        return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])

    data = b""
    for number, value in fields:
        if isinstance(value, int):
            data += varint(number << 3) + varint(value)
        else:
            data += varint(number << 3 | 2) + varint(len(value)) + value
    return data


def test_mindspore_files(tmp_path: Path) -> None:
    state = mindspore_names(small_checkpoint("saa"))
    entries = []
    for name, tensor in state.items():
        fields = [(1, dim) for dim in tensor.shape] + [(2, b"Float32"), (3, tensor.numpy().tobytes())]
        entries.append((1, message((1, name.encode()), (2, message(*fields)))))
    path = tmp_path / "come605-i3d-mindspore.ckpt"
    path.write_bytes(message(*entries))
    found = read_checkpoint(path)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(WeightsError, match="too early"):
        read_checkpoint(path)


@pytest.mark.parametrize("kind", ["sultani", "rtfm", "saa", "salient", "distribution"])
def test_checkpoints_of_something_else_are_refused(kind: str) -> None:
    with pytest.raises(WeightsError, match=kind):
        from_reference(kind, {"layer1.0.conv1.weight": torch.ones(3, 3)})
    with pytest.raises(WeightsError, match=kind):
        from_reference(kind, {})


def test_the_first_tensors_that_do_not_fit_are_named() -> None:
    state = small_checkpoint("rtfm")
    state["Aggregate.conv_5.0.weight"] = torch.ones(8, 4, 3)
    state["extra.weight"] = state.pop("fc3.weight")
    with pytest.raises(
        WeightsError, match=r"conv_5\.0\.weight is \(8, 4, 3\), not .*fc3\.weight is missing.*extra\.weight is unknown"
    ):
        from_reference("rtfm", state)


def test_options_reach_the_head() -> None:
    head = from_reference("distribution", small_checkpoint("distribution"), variant="original-2023")
    assert head.options["variant"] == "original-2023"
    with pytest.raises(UsageError, match="speed"):
        from_reference("rtfm", small_checkpoint("rtfm"), speed=2)


@pytest.mark.parametrize(
    ("kind", "network", "crops", "says"),
    [
        ("ur-dmu", "ur_dmu_64", 10, ""),
        ("bn-wvad", "bn_wvad_64", 1, r"u / (1 + u).* crops are 1, not 10"),
        ("tca", "tca_64", 10, "not smoothed over 7 clips"),
        ("lgt", "lgt_32", 1, "crop 5 of its ten alone"),
    ],
)
def test_a_detector_says_what_its_original_did_otherwise(
    golden: Path, tmp_path: Path, kind: str, network: str, crops: int, says: str
) -> None:
    torch.save({"model_state_dict": crc_checkpoint(golden, network)}, tmp_path / "best.pth")
    spec = FeatureSpec(backbone="made-up", weights="none", dim=int(network.split("_")[-1]), crops=crops)
    x = np.random.default_rng(0).random((20, crops, spec.dim), np.float32)
    FeatureSetWriter(tmp_path / "features", spec).add("v", x, n_frames=320, fps=25.0)
    converted = convert_checkpoint(tmp_path / "best.pth", kind, tmp_path / "detector", like=tmp_path / "features")
    found = "; ".join(converted.differences)
    assert re.search(says.replace("(1 + u)", r"\(1 \+ u\)"), found) if says else not found
    scores = Detector.load(tmp_path / "detector").score_features(x)
    with torch.inference_mode():
        expected = from_reference(kind, crc_checkpoint(golden, network))(torch.from_numpy(x).transpose(0, 1)).scores
    np.testing.assert_allclose(scores, expected.mean(0), rtol=1e-5)
