"""Published heads on the features they were published with, and on own videos, as a user types it."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat

from amiss.backbones import create_backbone
from amiss.datasets import read_manifest
from amiss.detection import Detector
from amiss.features import open_feature_set, pool
from amiss.heads import create_head
from amiss.jobs import score_videos
from helpers.command import amiss
from helpers.reference_weights import crc_values
from helpers.videos import write_video

LAYERS = {"fc1": (512, 4096), "fc2": (32, 512), "fc3": (1, 32)}


def sultanis_tensors(dim: int = 4096) -> dict[str, torch.Tensor]:
    """Weights of Sultani's network; with real features, scores spread over 0..1."""
    shapes = LAYERS | {"fc1": (512, dim)}
    tensors = {f"{layer}.weight": crc_values(f"{layer}.weight", list(shape)) * 5 for layer, shape in shapes.items()}
    return tensors | {f"{layer}.bias": crc_values(f"{layer}.bias", [shape[0]]) for layer, shape in shapes.items()}


def write_mat(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """As Sultani's weights_L1L2.mat: cells '0', '2', '4' of Keras layers, W as (in, out), b as (1, out)."""
    cells: dict[str, np.ndarray] = {"1": np.empty((0, 0)), "3": np.empty((0, 0))}
    for key, layer in (("0", "fc1"), ("2", "fc2"), ("4", "fc3")):
        cells[key] = np.empty((1, 2), object)
        cells[key][0, 0] = tensors[f"{layer}.weight"].numpy().T
        cells[key][0, 1] = tensors[f"{layer}.bias"].numpy()[None]
    savemat(path, cells)


def original_scores(tensors: dict[str, torch.Tensor], rows: np.ndarray) -> np.ndarray:
    """Dense 512 ReLU, dense 32, dense 1 sigmoid of rows [T, D], in float64."""
    w = {name: tensor.double().numpy() for name, tensor in tensors.items()}
    hidden = np.maximum(rows.astype(np.float64) @ w["fc1.weight"].T + w["fc1.bias"], 0)
    logits = (hidden @ w["fc2.weight"].T + w["fc2.bias"]) @ w["fc3.weight"].T + w["fc3.bias"]
    return (1 / (1 + np.exp(-logits)))[:, 0]


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def real_segments(shared: Path, video: str) -> np.ndarray:
    """[32, 4096] that Sultani et al. published for one of UCF-Crime's videos."""
    with np.load(shared / f"data/ucf_crime/sultani_c3d_{video}.npz") as arrays:
        rows: np.ndarray = arrays["features"].astype(np.float32)
    return rows


def write_rows(path: Path, rows: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(path, rows, fmt="%.9g")


def manifest_of(shared: Path, path: Path, *videos: str) -> Path:
    with (shared / "data/ucf_crime/annotations.csv").open() as file:
        rows = {row["video_id"]: row for row in csv.DictReader(file)}
    lines = ["video_id,split,label,n_frames,fps,events"]
    for video in videos:
        row = rows[video]
        label = int(row["class"].lower() != "normal")
        lines.append(f"{video},test,{label},{row['n_frames']},30,{row['events'] if label else ''}")
    path.write_text("\n".join(lines) + "\n")
    return path


def clip_scores(detector: Path, features: Path, manifest: Path) -> dict[str, np.ndarray]:
    stored = open_feature_set(features)
    scores, _ = score_videos(Detector.load(detector), stored, read_manifest(manifest).videos)
    return {video_id: one.scores for video_id, one in scores.items()}


@pytest.mark.parametrize(("layout", "suffix"), [("sultani", "_C"), ("ekosman", "")])
def test_sultanis_and_ekosmans_text_features_with_the_mat_file(
    shared: Path, tmp_path: Path, layout: str, suffix: str
) -> None:
    videos = ("RoadAccidents002_x264", "Normal_Videos_006_x264")
    for video in videos:
        write_rows(tmp_path / "theirs" / "class" / f"{video}{suffix}.txt", real_segments(shared, video))
    tensors = sultanis_tensors()
    write_mat(tmp_path / "weights_L1L2.mat", tensors)
    assert amiss("features", "import", tmp_path / "theirs", "--out", tmp_path / "f").code == 0
    ran = amiss("convert", tmp_path / "weights_L1L2.mat", "--from", "sultani", "--like", tmp_path / "f", "--out",
                tmp_path / "d")  # fmt: skip
    assert ran.code == 0, ran.err
    assert "it scores as the original was evaluated" in ran.err
    manifest = manifest_of(shared, tmp_path / "manifest.csv", *videos)
    found = clip_scores(tmp_path / "d", tmp_path / "f", manifest)
    for video in videos:
        expected = original_scores(tensors, real_segments(shared, video))
        assert expected.std() > 0.02
        np.testing.assert_allclose(found[video], expected, atol=1e-4)
    ran = amiss("evaluate", tmp_path / "d", "--data", manifest, "--features", tmp_path / "f", "--protocol",
                "ucf/ekosman-32" if layout == "ekosman" else "ucf/sultani-matlab", "--json")  # fmt: skip
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["n_videos"] == 2


def test_nevinbaijus_csv_files_with_the_mat_file(shared: Path, tmp_path: Path) -> None:
    """Rows as its repository ships them: row number, then 4096 values whose length tells the video's."""
    rows = real_segments(shared, "RoadAccidents002_x264") * 21.5
    (tmp_path / "theirs").mkdir()
    numbered = np.column_stack([np.arange(32), rows])
    np.savetxt(tmp_path / "theirs/RoadAccidents002_x264.csv", numbered, fmt=["%d"] + ["%.9g"] * 4096, delimiter=",")
    tensors = sultanis_tensors()
    write_mat(tmp_path / "weights_L1L2.mat", tensors)
    assert amiss("features", "import", tmp_path / "theirs", "--out", tmp_path / "f").code == 0
    ran = amiss("convert", tmp_path / "weights_L1L2.mat", "--from", "sultani", "--like", tmp_path / "f", "--out",
                tmp_path / "d")  # fmt: skip
    assert ran.code == 0, ran.err
    assert "otherwise than the original was evaluated" in ran.err
    assert "rows are brought to length 1" in ran.err
    manifest = manifest_of(shared, tmp_path / "manifest.csv", "RoadAccidents002_x264")
    found = clip_scores(tmp_path / "d", tmp_path / "f", manifest)["RoadAccidents002_x264"]
    np.testing.assert_allclose(found, original_scores(tensors, unit(rows)), atol=1e-5)


@pytest.mark.parametrize(("backbone", "dim"), [("resnet3d_10", 512), pytest.param("c3d", 4096, marks=pytest.mark.slow)])
def test_nevinbaijus_preset_with_the_mat_file(tmp_path: Path, backbone: str, dim: int) -> None:
    """Its detector scores single clips; by Sultani's rule the same clips become 32 segments."""
    write_video(tmp_path / "v.mp4", 90)
    ran = amiss("extract", tmp_path / "v.mp4", "--backbone", backbone, "--weights", "random", "--preset", "nevinbaiju",
                "--out", tmp_path / "f", "--engine", "torch")  # fmt: skip
    assert ran.code == 0, ran.err
    clips = open_feature_set(tmp_path / "f").load("v")
    assert len(clips) == (90 + 1) // 17
    tensors = sultanis_tensors(dim)
    write_mat(tmp_path / "weights_L1L2.mat", tensors)
    command = ["convert", tmp_path / "weights_L1L2.mat", "--from", "sultani", "--backbone", backbone, "--weights",
               "random", "--preset", "nevinbaiju"]  # fmt: skip
    ran = amiss(*command, "--pooling", "none", "--out", tmp_path / "clips")
    assert ran.code == 0, ran.err
    assert "clips are scored, not 32 segments" in ran.err
    assert amiss(*command, "--out", tmp_path / "segments").code == 0
    for detector, rows, spans in (
        ("clips", unit(clips[:, 0]), [[17 * i, 17 * i + 16] for i in range(5)]),
        ("segments", pool(clips, "matlab", 32)[:, 0], [[i * 90 // 32, (i + 1) * 90 // 32] for i in range(32)]),
    ):
        for target in ([], [tmp_path / "v.mp4"]):  # stored features, and the video itself
            extra = ["--features", tmp_path / "f"] if not target else []
            ran = amiss("detect", *target, "--detector", tmp_path / detector, *extra, "--json", "--engine", "torch")
            assert ran.code == 0, ran.err
            found = json.loads(ran.out)[0]["clips"]
            assert [[clip["start"], clip["end"]] for clip in found] == spans
            scores = [clip["score"] for clip in found]
            np.testing.assert_allclose(scores, original_scores(tensors, rows), atol=1e-5 if extra else 5e-3)


def test_the_topk_checkpoint_with_its_2048_numbers(tmp_path: Path) -> None:
    """ResNet3D-152 trained on Kinetics-700 and Moments in Time, frames of 224 pixels: `r3d152_KM_200ep.pth`."""
    rows = unit(np.abs(np.random.default_rng(0).standard_normal((32, 2048)))).astype(np.float32)
    write_rows(tmp_path / "theirs/Abuse/Abuse028_x264.txt", rows)
    tensors = sultanis_tensors(2048)
    module = create_head("topk", 2048)
    module.load_state_dict(tensors)
    torch.save(module.state_dict(), tmp_path / "epoch_2.pt")
    ran = amiss("features", "import", tmp_path / "theirs", "--out", tmp_path / "f", "--backbone", "resnet3d_152",
                "--weights", "KM_200ep", "--preset", "topk")  # fmt: skip
    assert ran.code == 0, ran.err
    ran = amiss("convert", tmp_path / "epoch_2.pt", "--from", "topk", "--backbone", "resnet3d_152", "--out",
                tmp_path / "d")  # fmt: skip
    assert ran.code == 0, ran.err
    assert "weights KM_200ep, preset topk; 32 segments pooled by the rule ekosman" in ran.err
    assert "it scores as the original was evaluated" in ran.err
    stored, detector = open_feature_set(tmp_path / "f"), Detector.load(tmp_path / "d")
    assert stored.spec == detector.spec
    assert (detector.spec.weights, detector.spec.resize) == ("KM_200ep", "224x224 bilinear unrounded")
    np.testing.assert_allclose(
        detector.score_features(stored.load("Abuse028_x264")), original_scores(tensors, rows), atol=1e-5
    )
    ran = amiss("convert", tmp_path / "epoch_2.pt", "--from", "topk", "--backbone", "resnet3d_152", "--preset",
                "default", "--weights", "K_200ep", "--out", tmp_path / "other")  # fmt: skip
    assert "preprocessing is that of the weights, not preset topk" in ran.err
    with pytest.raises(Exception, match="weights is 'KM_200ep', not 'K_200ep'"):
        clip_scores(tmp_path / "other", tmp_path / "f", manifest_for(tmp_path, "Abuse028_x264", 1412))


def manifest_for(folder: Path, video: str, n_frames: int) -> Path:
    (folder / "manifest.csv").write_text(f"video_id,split,label,n_frames\n{video},test,1,{n_frames}\n")
    return folder / "manifest.csv"


def test_clips_of_a_resnet_are_pooled_as_a_detector_of_segments_wants(tmp_path: Path) -> None:
    """Features extracted with another weight file are another kind; `--like` and `--weights` say which."""
    write_video(tmp_path / "v.mp4", 48)
    torch.save(create_backbone("resnet3d_10", "random").network.state_dict(), tmp_path / "own.pth")
    ran = amiss("extract", tmp_path / "v.mp4", "--backbone", "resnet3d_10", "--weights", tmp_path / "own.pth",
                "--preset", "topk", "--out", tmp_path / "f", "--engine", "torch")  # fmt: skip
    assert ran.code == 0, ran.err
    tensors = sultanis_tensors(512)
    torch.save(tensors, tmp_path / "epoch_2.pt")
    command = ["convert", tmp_path / "epoch_2.pt", "--from", "topk"]
    assert amiss(*command, "--backbone", "resnet3d_10", "--weights", tmp_path / "own.pth", "--out", tmp_path / "d",
                 "--segments", "4").code == 0  # fmt: skip
    manifest = manifest_for(tmp_path, "v", 48)
    clips = open_feature_set(tmp_path / "f").load("v")
    found = clip_scores(tmp_path / "d", tmp_path / "f", manifest)["v"]
    np.testing.assert_allclose(found, original_scores(tensors, pool(clips, "ekosman", 4)[:, 0]), atol=1e-5)
    ran = amiss(*command, "--like", tmp_path / "f", "--out", tmp_path / "like")
    assert "clips are scored, not 32 segments" in ran.err
    found = clip_scores(tmp_path / "like", tmp_path / "f", manifest)["v"]
    np.testing.assert_allclose(found, original_scores(tensors, unit(clips[:, 0])), atol=1e-5)


def test_class_logits_of_a_3d_resnet(golden: Path, tmp_path: Path) -> None:
    """nevinbaiju's `--mode score`: the file as DataParallel saved it, its logits in CSV files of 32 rows."""
    shapes = json.loads((golden / "state_dict_keys.json").read_text())["r3d10_B_x112"]
    network = {name: crc_values(name, shape) for name, shape in shapes.items() if not name.startswith("fc.")}
    fc = {"fc.weight": crc_values("fc.weight", [400, 512]), "fc.bias": crc_values("fc.bias", [400])}
    saved = {f"module.{name}": tensor for name, tensor in (network | fc).items()}
    torch.save({"arch": "resnet-10", "epoch": 200, "state_dict": saved}, tmp_path / "resnet-10-kinetics.pth")
    backbone = create_backbone("resnet3d_10", tmp_path / "resnet-10-kinetics.pth", preset="nevinbaiju", output="logits")
    clip = torch.from_numpy(np.random.RandomState(7).rand(1, 3, 16, 112, 112).astype(np.float32))
    with torch.inference_mode():
        found = backbone(clip)[0].numpy()
    features = np.load(golden / "backbones.npz")["r3d10_B_x112"].astype(np.float64)
    expected = fc["fc.weight"].double().numpy() @ features + fc["fc.bias"].double().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * abs(expected).max())

    write_video(tmp_path / "v.mp4", 34)
    command = ["extract", tmp_path / "v.mp4", "--backbone", "resnet3d_10", "--weights",
               tmp_path / "resnet-10-kinetics.pth", "--preset", "nevinbaiju", "--engine", "torch",
               "--precision", "fp32"]  # fmt: skip
    assert amiss(*command, "--logits", "--out", tmp_path / "logits").code == 0
    assert amiss(*command, "--out", tmp_path / "features").code == 0
    logits, stored = open_feature_set(tmp_path / "logits"), open_feature_set(tmp_path / "features")
    assert (logits.spec.output, logits.spec.dim, stored.spec.output, stored.spec.dim) == (
        "logits", 400, "features", 512,
    )  # fmt: skip
    rows = stored.load("v")[:, 0] @ fc["fc.weight"].numpy().T + fc["fc.bias"].numpy()
    np.testing.assert_allclose(logits.load("v")[:, 0], rows, rtol=1e-3, atol=1e-3 * abs(rows).max())

    tensors = sultanis_tensors(400)
    write_mat(tmp_path / "w.mat", tensors)
    assert amiss("convert", tmp_path / "w.mat", "--from", "sultani", "--like", tmp_path / "logits", "--out",
                 tmp_path / "d").code == 0  # fmt: skip
    ran = amiss("detect", tmp_path / "v.mp4", "--detector", tmp_path / "d", "--weights",
                tmp_path / "resnet-10-kinetics.pth", "--json", "--engine", "torch", "--precision", "fp32")  # fmt: skip
    assert ran.code == 0, ran.err
    scores = [clip["score"] for clip in json.loads(ran.out)[0]["clips"]]
    np.testing.assert_allclose(scores, original_scores(tensors, unit(logits.load("v")[:, 0])), atol=1e-4)
    ran = amiss("features", "export", tmp_path / "logits", "--layout", "csv", "--out", tmp_path / "csv")
    assert ran.code == 0, ran.err
    assert (tmp_path / "csv" / "v.csv").read_text().splitlines()[0].count(",") == 400


@pytest.mark.parametrize("split", [28, 32, 9])
def test_the_salient_heads_test_split_size(shared: Path, golden: Path, tmp_path: Path, split: int) -> None:
    checkpoint = shared / "data/weights/SelfAttention-da64-r3-T32-seed9111.pth"
    ran = amiss("convert", checkpoint, "--from", "salient", "--backbone", "i3d_resnet50", "--chunk", str(split),
                "--out", tmp_path / "d")  # fmt: skip
    assert ran.code == 0, ran.err
    verdict = "it scores as the original was evaluated" if split == 28 else f"{split} clips are scored as one, not 28"
    assert verdict in ran.err
    rows = 0.3 * np.abs(np.random.RandomState(2).standard_normal((61, 10, 2048)))
    with np.load(golden / "salient.npz") as arrays:
        expected = arrays[f"da64_r3_video_split{split}"]
    found = Detector.load(tmp_path / "d").score_features(rows.astype(np.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "--like FEATURES, or --backbone NAME"),
        (["--backbone", "c3d", "--like", "f"], "leave out --backbone"),
        (["--backbone", "c3d", "--chunk", "28"], "a sultani head has no chunks"),
        (["--backbone", "c3d", "--pooling", "mean"], "unknown pooling rule 'mean'"),
        (["--backbone", "c3d", "--pooling", "none", "--segments", "32"], "pooling is 'none'"),
        (["--backbone", "c3d", "--segments", "0"], "must be at least 1"),
        (["--backbone", "c3d", "--preset", "hara2018"], "no preset 'hara2018'"),
        (["--backbone", "c3d", "--weights", "sports2m"], "no published weights 'sports2m'"),
        (["--backbone", "resnet3d_152"], "takes features of length 4096, and resnet3d_152 gives 2048"),
    ],
)
def test_what_the_head_was_trained_on_must_be_said_once(tmp_path: Path, options: list[str], says: str) -> None:
    write_mat(tmp_path / "w.mat", sultanis_tensors())
    ran = amiss("convert", tmp_path / "w.mat", "--from", "sultani", *options, "--out", tmp_path / "d")
    assert ran.code == 2, ran.err
    assert says in ran.err
    assert not (tmp_path / "d").exists()


def test_weights_that_are_not_finite_are_refused_at_conversion(tmp_path: Path) -> None:
    tensors = sultanis_tensors(16)
    tensors["fc3.bias"][:] = torch.nan
    torch.save({"model_state_dict": tensors}, tmp_path / "epoch_3.pt")
    create = ["convert", tmp_path / "epoch_3.pt", "--from", "sultani", "--backbone", "c3d", "--out", tmp_path / "d"]
    ran = amiss(*create)
    assert (ran.code, "fc3.bias has values that are not finite" in ran.err) == (1, True), ran.err
    assert not (tmp_path / "d").exists()
