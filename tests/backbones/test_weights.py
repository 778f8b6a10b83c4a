import hashlib
import pickle
import warnings
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from amiss.backbones import PublishedWeights, create_backbone, find_weights
from amiss.backbones.weights import read_weights
from amiss.errors import UsageError, WeightsError


@pytest.fixture(autouse=True)
def empty_hub(tmp_path, monkeypatch):
    """Torch hub's cache is an empty folder, $AMISS_WEIGHTS is not set, and nothing can be downloaded."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("AMISS_WEIGHTS", raising=False)

    def offline(*args, **kwargs):
        raise URLError("no network")

    monkeypatch.setattr("urllib.request.urlopen", offline)


def resnet_file(path, **changes):
    """A whole ResNet-18 checkpoint, as torchvision publishes it, with some tensors changed (None = left out)."""
    from torchvision.models import resnet18

    state = dict(resnet18(weights=None).state_dict()) | changes
    state = {name: tensor for name, tensor in state.items() if tensor is not None}
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    return path


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_local_file_is_named_and_hashed_in_the_spec(tmp_path, suffix):
    path = resnet_file(tmp_path / f"own{suffix}")
    backbone = create_backbone("resnet18", path)
    assert backbone.spec.weights == path.name
    assert backbone.spec.weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    read = read_weights(path)
    assert torch.equal(backbone.network.state_dict()["layer1.0.conv1.weight"], read["layer1.0.conv1.weight"])


def test_a_bare_name_is_looked_up_in_the_weights_folder(tmp_path, monkeypatch):
    path = resnet_file(tmp_path / "own.pth")
    monkeypatch.setenv("AMISS_WEIGHTS", str(tmp_path))
    assert create_backbone("resnet18", "own.pth").spec.weights == "own.pth"
    monkeypatch.setenv("AMISS_WEIGHTS", str(path))
    assert find_weights("own.pth") == path


def test_a_missing_file_says_what_can_be_chosen(tmp_path):
    with pytest.raises(WeightsError, match=r"no weight file .*nowhere\.pth; choose default, random"):
        create_backbone("r3d_18", tmp_path / "nowhere.pth")
    with pytest.raises(UsageError, match="r3d_18 needs weights"):
        create_backbone("r3d_18", "none")


def test_without_network_the_error_says_which_file_to_put_where(tmp_path, monkeypatch):
    match = r"r3d_18 .*no network.*put r3d_18-b3b3357e\.pth \(127 MB, https://download\.pytorch\.org/"
    with pytest.raises(WeightsError, match=rf"{match}.*torch/hub/checkpoints, or a folder that \$AMISS_WEIGHTS names"):
        create_backbone("r3d_18")
    with pytest.raises(WeightsError, match=r"mfnet .*by hand: put MFNet3D.* into .*torch/hub/checkpoints, or"):
        create_backbone("mfnet")
    monkeypatch.setenv("AMISS_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError, match=rf"{match}.*into the folder \$AMISS_WEIGHTS \({tmp_path}\), or give"):
        create_backbone("r3d_18")


def test_published_weights_are_taken_from_the_folder_and_checked(tmp_path, monkeypatch):
    from torchvision.models import ResNet18_Weights

    name = ResNet18_Weights.DEFAULT.url.rpartition("/")[2]
    path = resnet_file(tmp_path / name)
    monkeypatch.setenv("AMISS_WEIGHTS", str(tmp_path))
    match = rf"is not the weight file {name}: its sha256 is .*Delete it.*`amiss weights fetch resnet18 --weights IMAGE"
    with pytest.raises(WeightsError, match=match):
        create_backbone("resnet18")
    with pytest.warns(
        UserWarning, match=rf"{name} has the name of weights .* of resnet18, but is another file: its sha"
    ):
        assert create_backbone("resnet18", path).spec.weights == name
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(PublishedWeights, "sha256_start", digest[:8])
    spec = create_backbone("resnet18").spec
    assert (spec.weights, spec.weights_sha256) == ("IMAGENET1K_V1", digest)
    assert create_backbone("resnet18", path).spec == spec  # a copy of a published file counts as it


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layer4.1.conv2.weight": None}, r"lacks 1 of \d+ tensors \(layer4\.1\.conv2\.weight\)"),
        ({"layer5.conv.weight": torch.zeros(1)}, r"1 tensors are of another network \(layer5\.conv\.weight\)"),
        ({"conv1.weight": torch.zeros(64, 1, 7, 7)}, r"conv1\.weight is \(64, 1, 7, 7\), not \(64, 3, 7, 7\)"),
        ({"bn1.weight": torch.full((64,), torch.nan)}, r"not finite \(bn1\.weight\)"),
        ({"bn1.weight": torch.ones(64, dtype=torch.int8)}, r"kind of number \(bn1\.weight is int8, not float32\)"),
        ({"bn1.weight": torch.ones(64, dtype=torch.complex64)}, r"bn1\.weight is complex64, not float32"),
        ({"bn1.weight": torch.ones(64).to_sparse()}, r"bn1\.weight is sparse float32, not float32"),
        ({"bn1.weight": torch.ones(64, device="meta")}, r"no state dict .*: bn1\.weight are something else"),
    ],
    ids=["missing", "unexpected", "shape", "nan", "int8", "complex", "sparse", "no values"],
)
def test_weights_that_do_not_fit_name_the_first_tensors(tmp_path, changes, message):
    with pytest.raises(WeightsError, match=message):
        create_backbone("resnet18", resnet_file(tmp_path / "own.pth", **changes))


@pytest.mark.parametrize("form", ["model_state_dict", "model", "lightning", "compiled", "parallel, compiled"])
def test_checkpoints_as_trainers_save_them(tmp_path, form):
    state = create_backbone("resnet18", "random").network.state_dict() | {"fc.bias": torch.zeros(7)}
    wrapped = {
        "model_state_dict": {"model_state_dict": state, "optimizer_state_dict": {"state": {}}, "epoch": 3},
        "model": {"model": state, "epoch": 3},
        "lightning": {"state_dict": {f"model.{n}": t for n, t in state.items()}, "epoch": 3},
        "compiled": {f"_orig_mod.{n}": t for n, t in state.items()},
        "parallel, compiled": {"net": {f"module._orig_mod.{n}": t for n, t in state.items()}},
    }[form]
    torch.save(wrapped, tmp_path / "own.pth")
    found = create_backbone("resnet18", tmp_path / "own.pth").network.state_dict()
    assert all(torch.equal(found[name], state[name]) for name in found)


def test_a_file_of_another_network_is_refused(shared):
    path = shared / "data/weights/squeezenet1_1_imagenet_features.safetensors"
    with pytest.raises(
        WeightsError, match=r"lacks \d+ of \d+ tensors \(conv1\.weight.*50 tensors are of another network"
    ):
        create_backbone("resnet18", path)
    with pytest.raises(WeightsError, match="doesn't fit this network"):
        create_backbone("squeezenet1_0", path)


def test_classifiers_and_missing_counters_do_not_matter(tmp_path):
    changes = {"fc.weight": None, "fc.bias": torch.zeros(7), "bn1.num_batches_tracked": None}
    create_backbone("resnet18", resnet_file(tmp_path / "own.pth", **changes))


class Evil:
    def __reduce__(self):
        return (print, ("code was run",))


@pytest.mark.parametrize("kind", ["pickle", "module", "script", "text", "empty", "cut", "list", "safetensors"])
def test_damaged_and_dangerous_files(tmp_path, kind, capsys):
    messages = {
        "module": r"holds more than tensors \(torch\.nn\.modules\.linear\.Linear\) and is not loaded",
        "list": "is no state dict",
    }
    damaged = "it is damaged, or no weight file .*delete it and run `amiss weights fetch"
    path = tmp_path / ("own.safetensors" if kind == "safetensors" else "own.pth")
    match kind:
        case "pickle":
            path.write_bytes(pickle.dumps(Evil()))
        case "module":
            torch.save(nn.Linear(2, 2), path)
        case "script":
            with warnings.catch_warnings(action="ignore"):
                torch.jit.script(nn.Linear(2, 2)).save(path)
        case "cut":
            resnet_file(path)
            path.write_bytes(path.read_bytes()[:100_000])
        case "list":
            torch.save([torch.zeros(2)], path)
        case _:
            path.write_bytes(b"" if kind == "empty" else b"no weights")
    with pytest.raises(WeightsError, match=f"{path.name} .*{messages.get(kind, damaged)}") as error:
        create_backbone("resnet18", path)
    assert "weights_only" not in str(error.value)  # torch's advice to run the code
    assert "trust" not in str(error.value)
    assert "code was run" not in capsys.readouterr().out


def test_find_weights_checks_the_hash(tmp_path, monkeypatch):
    path = tmp_path / "a.pth"
    path.write_bytes(b"abc")
    digest = hashlib.sha256(b"abc").hexdigest()
    assert find_weights("b.pth", digest, explicit=path) == path
    assert find_weights("b.pth", digest[:8], explicit=path) == path
    with pytest.raises(WeightsError, match=r"a\.pth is not the weight file b\.pth.*Give the right one"):
        find_weights("b.pth", "0" * 64, explicit=path)
    monkeypatch.setenv("AMISS_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError, match=r"is not the weight file a\.pth.*Delete it or move it away, and put the"):
        find_weights("a.pth", "0" * 64)
    with pytest.raises(WeightsError, match=r"nowhere\.pth doesn't exist"):
        find_weights("b.pth", explicit=tmp_path / "nowhere.pth")


@pytest.mark.parametrize("error", [AssertionError, IndexError, TypeError, AttributeError])
def test_whatever_a_damaged_file_raises_names_the_file(tmp_path, monkeypatch, error):
    def broken(*args, **kwargs):
        raise error("odd")

    (tmp_path / "own.pth").write_bytes(b"odd")
    monkeypatch.setattr(torch, "load", broken)
    with pytest.raises(WeightsError, match=r"own\.pth can't be read as weights: it is damaged, .*odd"):
        read_weights(tmp_path / "own.pth")


def test_without_an_expected_hash_the_file_is_not_hashed(tmp_path, monkeypatch):
    (tmp_path / "a.pth").write_bytes(b"abc")
    monkeypatch.setattr(hashlib, "file_digest", lambda *args: pytest.fail("it was hashed"))
    assert find_weights("a.pth", "", explicit=tmp_path / "a.pth") == tmp_path / "a.pth"


@pytest.mark.parametrize("tensor", [torch.ones(4, dtype=torch.int8), torch.tensor([torch.inf])], ids=["int8", "inf"])
def test_transformers_take_no_integers_for_fractions(tmp_path, tensor):
    pytest.importorskip("transformers")
    save_file({"visual_projection.weight": tensor}, tmp_path / "own.safetensors")
    with pytest.raises(WeightsError, match=r"\['visual_projection\.weight'\] are not dense tensors of finite"):
        create_backbone("clip_vit_b_16", tmp_path / "own.safetensors")


class _Forged:
    """A pickle that says: eight-byte objects, without the flag that makes numpy read them one by one."""

    def __init__(self, made: object, *state: object) -> None:
        self.made, self.state = made, state

    def __reduce__(self) -> tuple[object, ...]:
        return (*self.made, self.state)  # type: ignore[misc]


def test_a_forged_array_of_objects_is_refused_in_one_line(tmp_path: Path) -> None:
    """numpy would take its bytes for addresses, and the process would die."""
    kind = _Forged((np.dtype, ("O8", False, True)), 3, "|", None, None, None, 8, 8, 1)
    array = _Forged((np._core.multiarray._reconstruct, (np.ndarray, (0,), b"b")), 1, (4,), kind, False, b"\x41" * 32)
    (tmp_path / "w.pkl").write_bytes(pickle.dumps({"blobs": {"w": array}}, protocol=2))
    with pytest.raises(WeightsError, match=r"w\.pkl"):
        read_weights(tmp_path / "w.pkl")


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    "array", [np.arange(6, dtype="f4").reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.array([True])]
)
def test_arrays_of_caffe2_come_back_whole(tmp_path: Path, array: np.ndarray, protocol: int) -> None:
    (tmp_path / "w.pkl").write_bytes(pickle.dumps({"blobs": {"w": array, "lr": np.float32(0.1)}}, protocol=protocol))
    found = read_weights(tmp_path / "w.pkl")
    assert list(found) == ["w"]
    np.testing.assert_array_equal(found["w"].numpy(), array)
