"""int8: networks quantised on videos, from the command line to features that agree."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from amiss.backbones import create_backbone
from amiss.cli import app
from amiss.engines import QuantisedNetwork, create_engine, quantise
from amiss.errors import UsageError, WeightsError
from amiss.features import open_feature_set
from amiss.jobs import _quantise as job
from amiss.jobs import quantise_backbone
from helpers.videos import write_video

pytest.importorskip("nncf")


def walk(seed: int, n_frames: int = 100) -> list[np.ndarray]:
    """A picture that drifts, another for every seed."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (9, 12, 3)).astype(np.uint8)
    picture = np.kron(small, np.ones((16, 16, 1), np.uint8))
    return [np.roll(picture, (1 + seed % 3) * i, axis=1) for i in range(n_frames)]


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for seed in range(4):
        write_video(folder / f"v{seed}.mp4", walk(seed))
    return folder


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setenv("AMISS_WEIGHTS", str(folder))
    monkeypatch.setenv("AMISS_CACHE", str(tmp_path / "cache"))
    return folder


def amiss(*command: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in command])
    assert result.exit_code == 0, result.output
    return result.stdout


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a.reshape(len(a), -1).astype(float), b.reshape(len(b), -1).astype(float)
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_quantise_then_extract(videos: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "CLIPS", 12)
    (report,) = json.loads(amiss("weights", "quantise", "resnet3d_10", videos, "--weights", "random", "--json"))
    assert Path(report["path"]).parent == weights
    assert min(report["cosine"], report["ms"], report["ms_before"]) > 0.99
    assert report["contrast"] > 0.8
    options = ["extract", videos, "--backbone", "resnet3d_10", "--weights", "random"]
    amiss(*options, "--precision", "int8", "--out", tmp_path / "int8")
    amiss(*options, "--precision", "fp32", "--out", tmp_path / "fp32")
    int8, fp32 = open_feature_set(tmp_path / "int8"), open_feature_set(tmp_path / "fp32")
    assert int8.spec == fp32.spec
    for name in ("v0", "v3"):
        assert cosines(int8.load(name), fp32.load(name)).min() > 0.99
        assert not np.array_equal(int8.load(name), fp32.load(name))
    (engine,) = {record.engine for record in int8.records.values()}
    assert engine.startswith("openvino cpu int8 ")


def test_real_weights_stay_as_they_were(shared: Path, weights: Path) -> None:
    backbone = create_backbone("squeezenet1_1", shared / "data/weights/squeezenet1_1_imagenet_features.safetensors")
    data = sorted((shared / "data/surveillance_fights/videos").glob("*.mp4"))[:12]
    (report,) = quantise_backbone(backbone, {path.stem: path for path in data})
    assert report.cosine > 0.99
    assert report.contrast > 0.95


def test_a_network_that_was_not_quantised_is_an_error_that_says_how(weights: Path) -> None:
    with pytest.raises(UsageError, match="resnet3d_10 with these weights and this preset was not quantised yet"):
        create_engine(create_backbone("resnet3d_10", "random"), precision="int8")
    with pytest.raises(UsageError, match="int8 runs in engine openvino, on the CPU only"):
        create_engine(create_backbone("resnet3d_10", "random"), engine="torch", precision="int8")


@pytest.fixture(scope="module")
def quantised() -> QuantisedNetwork:
    backbone = create_backbone("resnet3d_10", "random")
    return quantise(backbone, [backbone.preprocess(np.stack(walk(seed, 16))) for seed in range(9)])


def test_the_file_is_found_by_the_weights_and_a_damaged_one_is_said(quantised: QuantisedNetwork, weights: Path) -> None:
    path = quantised.save(weights)
    backbone = create_backbone("resnet3d_10", "random")
    engine = create_engine(create_backbone("motion+resnet3d_10", "random"), precision="int8")
    assert engine.description.startswith("torch cpu fp32+openvino cpu int8 ")
    with torch.no_grad():
        next(backbone.parameters()).view(-1)[0] += 1
    with pytest.raises(UsageError, match="was not quantised yet"):
        create_engine(backbone, precision="int8")
    content = path.read_bytes()
    middle = len(content) // 2
    for damaged in (content[:middle], b"", content[:middle] + bytes(1000) + content[middle + 1000 :]):
        path.write_bytes(damaged)
        with pytest.raises(WeightsError, match=r"int8-.* can't be read as a quantised network .*make it again"):
            create_engine(create_backbone("resnet3d_10", "random"), precision="int8")


def test_it_is_for_one_preprocessing_and_one_size(weights: Path) -> None:
    backbone = create_backbone("resnet3d_10", "random", preset="ekosman")  # frames keep their size
    quantise(backbone, [backbone.preprocess(np.stack(walk(seed, 16)[:16])) for seed in range(6)]).save(weights)
    engine = create_engine(backbone, precision="int8")
    assert engine.encode([np.stack(walk(7, 16))]).shape == (1, 1, 512)
    with pytest.raises(UsageError, match=r"was made for an input of \(1, 3, 16, 144, 192\), not .* quantise again"):
        engine.encode([np.stack(walk(7, 16))[:, :128]])
    with pytest.raises(UsageError, match="was not quantised yet"):
        create_engine(create_backbone("resnet3d_10", "random", preset="nevinbaiju"), precision="int8")


def test_what_cannot_be_quantised(
    quantised: QuantisedNetwork, videos: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = create_backbone("resnet3d_10", "random")
    clip = backbone.preprocess(np.stack(walk(0, 16)))
    with pytest.raises(UsageError, match="5 clips of one size are too few to quantise resnet3d_10"):
        quantise(backbone, [clip] * 5)
    some = {"v0": videos / "v0.mp4"}
    with pytest.raises(UsageError, match="motion is a formula"):
        quantise_backbone(create_backbone("motion", "none"), some)
    monkeypatch.setattr("amiss.engines.quantise", lambda *_: quantised)
    monkeypatch.setattr(job, "LEAST_COSINE", 1.1)
    with pytest.raises(UsageError, match=r"resnet3d_10 in int8 agrees with float32 to a cosine of 0.*nothing"):
        quantise_backbone(backbone, some)
    assert list(weights.iterdir()) == []
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install -c constraints.txt '\.\[int8\]'"):
        quantise(backbone, [clip] * 9)


def test_clips_come_from_all_over_a_video(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = create_backbone("motion", "none")
    monkeypatch.setattr(type(backbone), "preprocess", lambda self, images: images)
    clips = (SimpleNamespace(images=i) for i in range(1000))
    kept = job._thinned(backbone, clips, 48)  # type: ignore[arg-type]
    assert kept == list(range(0, 200, 8))
    assert job._spread(range(100), 3) == [0, 50, 99]
