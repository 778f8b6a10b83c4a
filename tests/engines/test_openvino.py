"""OpenVINO, and bfloat16 in both engines: agreement with torch in float32, what is kept on disk, faults."""

import hashlib
import logging
import os
import subprocess
import sys
import warnings
from itertools import islice

import numpy as np
import pytest
import torch

from amiss.backbones import Backbone, FeatureSpec, create_backbone, list_backbones
from amiss.engines import FusedEngine, OpenVINOEngine, TorchEngine, bfloat16_arithmetic, create_engine
from amiss.engines import _openvino as module
from amiss.errors import Notice, UsageError
from amiss.video import VideoReader, iter_clips

pytest.importorskip("openvino")

CLIPS = [np.random.RandomState(i).randint(0, 256, (16, 48, 64, 3)).astype(np.uint8) for i in range(3)]
LEAST = {"fp32": 0.99999, "bf16": 0.999}
VIDEOS = ("ucf_crime/videos/RoadAccidents002_x264.mp4", "clips/one-by-one-person-detection.mp4")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AMISS_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def real_clips(shared):
    """Six clips of two videos."""
    return [
        clip.images for name in VIDEOS for clip in islice(iter_clips(VideoReader(shared / "data" / name)), 0, 30, 10)
    ]


def cosines(found, expected):
    a, b = found.reshape(len(found), -1).astype(float), expected.reshape(len(expected), -1).astype(float)
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def check_agreement(backbone, clips):
    reference = TorchEngine(backbone, "cpu").encode(clips)
    for engine, precision in (("openvino", "fp32"), ("openvino", "bf16"), ("torch", "bf16")):
        if precision == "bf16" and bfloat16_arithmetic() is None:
            continue
        found = create_engine(backbone, "cpu", engine=engine, precision=precision).encode(clips)
        assert found.dtype == np.float32
        assert found.shape == reference.shape
        assert cosines(found, reference).min() >= LEAST[precision], (engine, precision)


def test_real_weights_agree_with_torch(shared, real_clips):
    path = shared / "data/weights/squeezenet1_1_imagenet_features.safetensors"
    check_agreement(create_backbone("squeezenet1_1", path), real_clips)


@pytest.mark.skipif(bfloat16_arithmetic() is None, reason="this processor has no bfloat16 arithmetic")
@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_bfloat16_blurs_change(shared, engine):
    """Why image networks stay in float32: little moves in this video, and the second half of the feature is change."""
    backbone = create_backbone("squeezenet1_1", shared / "data/weights/squeezenet1_1_imagenet_features.safetensors")
    clips = [clip.images for clip in islice(iter_clips(VideoReader(shared / "data" / VIDEOS[1])), 0, 40, 10)]
    reference = TorchEngine(backbone, "cpu").encode(clips)
    found = create_engine(backbone, "cpu", engine=engine, precision="bf16").encode(clips)
    assert cosines(found, reference).min() > 0.9999
    assert cosines(found[..., 512:], reference[..., 512:]).min() < 0.99
    assert create_engine(backbone, "cpu", engine=engine).precision == "fp32"


def test_random_weights_agree_with_torch(real_clips):
    check_agreement(create_backbone("resnet3d_10", "random"), real_clips[::3])


VIDEO_NETWORKS = [info.name for info in list_backbones() if info.kind == "video network"]
SOME_IMAGE_NETWORKS = ["resnet18", "efficientnet_b0", "mobilenet_v3_small", "vit_b_32", "swin_t", "convnext_tiny",
                       "densenet121", "googlenet", "shufflenet_v2_x1_0", "regnet_y_400mf", "maxvit_t"]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", [*VIDEO_NETWORKS, *SOME_IMAGE_NETWORKS])
def test_every_video_network_agrees_with_torch(name, real_clips, cache):
    check_agreement(create_backbone(name, "random"), real_clips[::3])


def test_a_clip_does_not_depend_on_its_neighbours():
    engine = create_engine(create_backbone("squeezenet1_1", "random"), "cpu", engine="openvino")
    alone = [engine.encode([clip])[0] for clip in CLIPS]
    assert np.array_equal(engine.encode(CLIPS[::-1]), np.stack(alone[::-1]))
    assert engine.encode([]).shape == (0, 1, 1024)


def test_frames_of_any_size_where_the_preset_keeps_it():
    backbone = create_backbone("resnet3d_10", "random", preset="ekosman")
    clips = [np.random.RandomState(i).randint(0, 256, (16, 40 + 8 * i, 40, 3)).astype(np.uint8) for i in range(2)]
    engine = OpenVINOEngine(backbone)
    for clip in (*clips, clips[0]):
        assert cosines(engine.encode([clip]), TorchEngine(backbone, "cpu").encode([clip])).min() > LEAST["fp32"]


def test_parts_of_a_fusion_run_each_in_its_engine():
    backbone = create_backbone("motion+squeezenet1_1", "random")
    engine = create_engine(backbone, "cpu")
    assert isinstance(engine, FusedEngine)
    assert engine.description == "torch cpu fp32+openvino cpu fp32"
    assert (engine.name, engine.precision, engine.device) == ("torch+openvino", "fp32", "cpu")
    expected = create_engine(backbone, "cpu", engine="torch", precision="fp32").encode(CLIPS)
    np.testing.assert_allclose(engine.encode(CLIPS), expected, rtol=1e-3, atol=1e-4)


def test_nobody_is_told_of_a_conversion(tmp_path):
    """OpenVINO's telemetry makes a folder `intel` in the home folder before it sends anything."""
    code = (
        "from amiss.backbones import create_backbone; from amiss.engines import create_engine, openvino_version; "
        "openvino_version(); print(create_engine(create_backbone('squeezenet1_1', 'random')).name); "
        "from amiss.engines._int8 import _load_nncf; _load_nncf(); "
        "import openvino_telemetry"  # others may want it
    )
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "TF_BUILD", "JENKINS_URL")}
    home = {"HOME": str(tmp_path), "AMISS_CACHE": str(tmp_path / "cache")}
    ran = subprocess.run([sys.executable, "-c", code], env=environment | home, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, "openvino\n"), ran.stderr
    assert (tmp_path / "cache").exists()
    assert not (tmp_path / "intel").exists()


def test_compiled_networks_are_kept(cache, monkeypatch):
    said = r"squeezenet1_1 is compiled for clips of 4 frames of \d+x\d+, once on this machine: this takes seconds"
    with pytest.warns(Notice, match=said):
        first = create_engine(create_backbone("squeezenet1_1", "random"), "cpu", engine="openvino").encode(CLIPS)
    (kept,) = cache.glob("openvino/squeezenet1_1-fp32-*.blob")
    monkeypatch.setattr(module, "convert", lambda *_: pytest.fail("it was converted again"))
    with warnings.catch_warnings(action="error"):
        again = create_engine(create_backbone("squeezenet1_1", "random"), "cpu", engine="openvino").encode(CLIPS)
    assert np.array_equal(first, again)
    monkeypatch.undo()
    monkeypatch.setenv("AMISS_CACHE", str(cache))
    other = create_backbone("squeezenet1_1", "random")
    with torch.no_grad():
        other.network.features[0].weight[0, 0, 0, 0] += 1
    changed = create_engine(other, "cpu", engine="openvino").encode(CLIPS)
    assert len(list(kept.parent.iterdir())) == 2
    assert not np.array_equal(first, changed)


def half(content):
    return content[: len(content) // 2]


def one_bit(content):
    return content[:-1000] + bytes([content[-1000] ^ 1]) + content[-999:]


def foreign(content):
    return hashlib.sha256(b"junk").digest() + b"junk"


def test_a_damaged_file_is_made_anew(cache):
    backbone = create_backbone("squeezenet1_1", "random")
    first = create_engine(backbone, "cpu", engine="openvino").encode(CLIPS)
    (kept,) = cache.glob("openvino/*.blob")
    content = kept.read_bytes()
    for damage in (half, one_bit, foreign):
        kept.write_bytes(damage(content))
        with pytest.warns(UserWarning, match=r"\.blob can't be used .*: the network is compiled anew"):
            again = create_engine(backbone, "cpu", engine="openvino").encode(CLIPS)
        assert np.array_equal(first, again), damage
        whole = kept.read_bytes()
        assert whole[:32] == hashlib.sha256(whole[32:]).digest()
        assert len(whole) > 0.9 * len(content)


def test_no_room_for_the_cache_is_no_failure(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AMISS_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="compiled network isn't kept for next time"):
        engine = create_engine(create_backbone("squeezenet1_1", "random"), "cpu", engine="openvino")
    assert engine.encode(CLIPS).shape == (3, 1, 1024)


class Unconvertible(Backbone):
    spec = FeatureSpec(backbone="r3d_18", weights="none", dim=3)

    def preprocess(self, frames):
        return torch.from_numpy(frames).permute(3, 0, 1, 2).float()[None]

    def forward(self, clips):
        return torch.special.bessel_j0(clips.mean((2, 3, 4)))


@pytest.mark.usefixtures("cache")
def test_a_network_that_cannot_be_converted_runs_in_torch_and_this_is_said():
    root = logging.getLogger()
    logs = root.level, root.filters[:], root.handlers[:]
    with pytest.raises(UsageError, match=r"OpenVINO can't convert r3d_18 .*: use engine torch"):
        create_engine(Unconvertible(), "cpu", engine="openvino", precision="fp32")
    with pytest.warns(UserWarning, match=r"OpenVINO can't convert r3d_18 .*: it runs in torch"):
        engine = create_engine(Unconvertible(), "cpu", precision="fp32")
    assert engine.description == "torch cpu fp32"
    assert (root.level, root.filters, root.handlers) == logs


@pytest.mark.parametrize("error", [ImportError, RuntimeError])
def test_a_broken_installation_falls_back_to_torch_aloud(monkeypatch, error):
    def broken():
        raise error("libtbb is missing")

    monkeypatch.setattr(module, "load_openvino", broken)
    backbone = create_backbone("squeezenet1_1", "random")
    with pytest.raises(UsageError, match=r"OpenVINO can't be loaded \(libtbb is missing"):
        create_engine(backbone, "cpu", engine="openvino")
    with pytest.warns(UserWarning, match=r"libtbb is missing.*it runs in torch"):
        assert create_engine(backbone, "cpu").name == "torch"


def test_a_later_shape_that_does_not_compile_is_named(monkeypatch):
    engine = OpenVINOEngine(create_backbone("resnet3d_10", "random", preset="ekosman"))

    def broken(*args):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(engine, "_compiled", broken)
    with pytest.raises(UsageError, match=r"can't compile resnet3d_10 .*out of memory"):
        engine.encode(CLIPS)
