"""What `amiss backbones` and `amiss doctor` tell."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from amiss.backbones import SIZES, create_backbone, list_backbones
from amiss.jobs import describe_backbones, diagnose

FRAMES = np.zeros((16, 240, 320, 3), np.uint8)


def test_every_backbone_is_described():
    entries = {entry["name"]: entry for entry in describe_backbones()}
    assert list(entries) == [info.name for info in list_backbones()]
    for entry in entries.values():
        assert entry["dim"] > 0
        assert entry["clip_len"] == 16
        assert entry["licence"]
        assert "torch" in entry["engines"]
        assert (
            (entry["kind"] == "formula") == (entry["gflops_per_clip"] is None) == ("openvino" not in entry["engines"])
        )
    assert entries["r3d_18"]["sources"][0]["sha256_start"] == "b3b3357e"
    assert "ekosman" in entries["c3d"]["presets"]


def check_size(name):
    backbone = create_backbone(name, "random")
    x = backbone.preprocess(FRAMES).to("meta")
    with torch.inference_mode(), torch.device("meta"), FlopCounterMode(display=False) as counter:
        backbone.to("meta")(x)
    parameters, gflops = SIZES[name]
    assert sum(p.numel() for p in backbone.parameters()) / 1e6 == pytest.approx(parameters, abs=0.01)
    assert counter.get_total_flops() / 1e9 == pytest.approx(gflops, rel=1e-3)


@pytest.mark.parametrize("name", ["r3d_18", "resnet18", "mfnet", "swin3d_t"])
def test_sizes(name):
    check_size(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", SIZES)
def test_all_sizes(name):
    if name.startswith(("videomae", "vjepa", "clip")):
        pytest.importorskip("transformers")
    check_size(name)


def test_the_doctor_tells_the_engines():
    found = diagnose()
    engines = {name: value for name, value in found.items() if name.startswith("engine ")}
    assert any("motion" in value for value in engines.values())
    assert any("image networks" in value for value in engines.values())
    assert {"openvino", "bfloat16 on the cpu", "cache"} <= found.keys()
    assert found["decoder"].startswith("the processor; cuda (NVDEC) can")


def test_the_doctor_takes_an_opencv_of_another_distribution(monkeypatch):
    import cv2

    from amiss.jobs import _doctor

    def absent(name):
        raise _doctor.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(_doctor.metadata, "version", absent)
    assert diagnose()["opencv-python-headless"] == cv2.__version__
