"""Which engine and precision a backbone gets."""

import importlib
import importlib.metadata

import pytest

from amiss.backbones import create_backbone, list_backbones
from amiss.engines import Choice, choose, create_engine, engines_of, openvino_version
from amiss.engines import _choice as module
from amiss.errors import UsageError


@pytest.fixture(params=[None, "avx512_bf16", "amx"])
def arithmetic(request, monkeypatch):
    monkeypatch.setattr(module, "bfloat16_arithmetic", lambda: request.param)
    monkeypatch.setattr(module, "openvino_version", lambda: "2026.1")
    return request.param


def test_the_measured_best(arithmetic):
    fast = "bf16" if arithmetic else "fp32"
    for name in ("r3d_18", "r2plus1d_18", "s3d", "swin3d_t", "i3d", "c3d", "resnet3d_50"):
        assert choose(name, "cpu") == Choice("openvino", fast)
    assert choose("mvit_v2_s", "cpu") == Choice("torch", fast)
    assert choose("squeezenet1_1", "cpu") == Choice("openvino", "fp32")
    assert choose("motion", "cpu", precision="bf16") == Choice("torch", "fp32")
    assert choose("somebody's own", "cpu") == Choice("torch", "fp32")


def test_what_was_asked_for(arithmetic):
    assert choose("r3d_18", "cpu", "torch", "fp32") == Choice("torch", "fp32")
    assert choose("mvit_v2_s", "cpu", "openvino", "fp32") == Choice("openvino", "fp32")
    if arithmetic:
        assert choose("squeezenet1_1", "cpu", "openvino", "bf16") == Choice("openvino", "bf16")
    else:
        with pytest.raises(UsageError, match="precision bf16: cpu has no bfloat16 arithmetic"):
            choose("squeezenet1_1", "cpu", "openvino", "bf16")


@pytest.mark.usefixtures("arithmetic")
@pytest.mark.parametrize(
    ("asked", "match"),
    [
        (("r3d_18", "cpu", "tensorrt"), "engine is 'tensorrt'; it must be one of"),
        (("r3d_18", "cpu", "torch", "fp8"), "precision is 'fp8'; it must be one of"),
        (("r3d_18", "cpu", "torch", "fp16"), "precision fp16 runs on CUDA only"),
        (("r3d_18", "cuda", "openvino"), "engine openvino runs on the CPU, not on cuda"),
        (("motion", "cpu", "openvino"), "motion is no network"),
    ],
)
def test_what_is_not_possible(asked, match):
    with pytest.raises(UsageError, match=match):
        choose(*asked)


def test_without_openvino_torch_is_used_and_this_is_said(monkeypatch):
    monkeypatch.setattr(module, "openvino_version", lambda: None)
    with pytest.raises(UsageError, match=r"not installed: pip install -c constraints.txt '\.\[openvino\]'"):
        choose("r3d_18", "cpu", "openvino")
    assert choose("mvit_v2_s", "cpu").fallback is None
    with pytest.warns(UserWarning, match=r"squeezenet1_1 runs in torch, which is slower: pip install"):
        engine = create_engine(create_backbone("squeezenet1_1", "random"), "cpu")
    assert engine.description == "torch cpu fp32"


def test_the_engines_of_every_backbone():
    engines = {info.name: engines_of(info) for info in list_backbones()}
    assert engines["motion"] == ["torch"]
    assert engines["r3d_18"] == ["torch", "openvino"]


def test_an_openvino_of_another_distribution(monkeypatch):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", absent)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setattr(importlib, "import_module", lambda name: type("nightly", (), {"__version__": "2027.0"}))
    assert openvino_version() == "2027.0"
    monkeypatch.setattr(importlib, "import_module", lambda name: object())
    assert openvino_version() == "unknown"
