"""`amiss convert` and `amiss features export` as a user types them."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from amiss.convert._heads import HEAD_KINDS
from amiss.detection import Detector
from amiss.features import FeatureSetWriter, FeatureSpec
from amiss.heads import create_head
from helpers.command import amiss


def originals_state(dim: int = 2048) -> dict[str, torch.Tensor]:
    """A small salient head by the original's names."""
    names = {"w1": "self_anttention.0", "w2": "self_anttention.2"}
    torch.manual_seed(0)
    state = create_head("salient", dim, d_a=4, r=2).state_dict()
    return {".".join([names.get(n.split(".")[0], n.split(".")[0]), n.split(".")[1]]): t for n, t in state.items()}


def test_the_help_names_every_kind_of_head() -> None:
    known = set(re.findall(r"[a-z0-9-]+", amiss("convert", "--help").out))
    assert known >= set(HEAD_KINDS)


@pytest.mark.parametrize(("file", "golden_name"), [("da64-r3", "da64_r3"), ("da128-r7", "da128_r7")])
def test_published_checkpoints_score_rtfms_features_as_the_original(
    shared: Path, golden: Path, tmp_path: Path, file: str, golden_name: str
) -> None:
    checkpoint = shared / "data" / "weights" / f"SelfAttention-{file}-T32-seed9111.pth"
    ran = amiss(
        "convert", checkpoint, "--from", "salient", "--backbone", "i3d_resnet50", "--out", tmp_path / "detector"
    )
    assert ran.code == 0, ran.err
    assert "not calibrated" in ran.err
    rows = np.random.RandomState(2).standard_normal((61, 10, 2048))
    (tmp_path / "rtfm").mkdir()
    np.save(tmp_path / "rtfm" / "Abuse028_x264_i3d.npy", (0.3 * np.abs(rows)).astype(np.float32))
    assert amiss("features", "import", tmp_path / "rtfm", "--out", tmp_path / "features").code == 0
    (tmp_path / "manifest.csv").write_text(
        "video_id,split,label,n_frames,fps,events\nAbuse028_x264,test,1,976,30,100-300\n"
    )
    ran = amiss("detect", "--detector", tmp_path / "detector", "--features", tmp_path / "features", "--json")
    assert ran.code == 0, ran.err
    assert "nobody says its frame rate: clips are counted instead of seconds" in ran.err
    with np.load(golden / "salient.npz") as arrays:
        expected = arrays[f"{golden_name}_video_split28"]
    clips = json.loads(ran.out)[0]["clips"]
    np.testing.assert_allclose([clip["score"] for clip in clips], expected, rtol=1e-4)
    assert [clip["start"] for clip in clips] == list(range(0, 976, 16))
    ran = amiss(
        "evaluate", tmp_path / "detector", "--data", tmp_path / "manifest.csv", "--features", tmp_path / "features",
        "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    result = json.loads(ran.out)
    assert result["n_frames"] == 976
    label = np.zeros(976, bool)
    label[100:300] = True
    frames = np.repeat(expected, 16)
    assert result["auc"] == pytest.approx(pair_auc(frames[label], frames[~label]), abs=1e-9)


def pair_auc(positive: np.ndarray, negative: np.ndarray) -> float:
    difference = positive[:, None] - negative[None]
    return float((difference > 0).mean() + (difference == 0).mean() / 2)


@pytest.mark.parametrize("file", ["weights_L1L2_layout_in16.mat", "epoch_layout_in16.pt"])
def test_features_of_another_length_are_refused(golden: Path, tmp_path: Path, file: str) -> None:
    ran = amiss("convert", golden / file, "--from", "sultani", "--backbone", "motion", "--out", tmp_path / "d")
    assert ran.code == 2
    assert "takes features of length 16, and motion gives" in ran.err
    assert not (tmp_path / "d").exists()


def test_a_converted_head_takes_unit_rows_where_the_original_does(tmp_path: Path) -> None:
    from amiss.backbones import published_spec

    dim = published_spec("motion").dim
    torch.save(create_head("topk", dim).state_dict(), tmp_path / "epoch_1.pt")
    ran = amiss("convert", tmp_path / "epoch_1.pt", "--from", "topk", "--backbone", "motion", "--out", tmp_path / "d")
    assert ran.code == 0, ran.err
    detector = Detector.load(tmp_path / "d")
    assert (detector.normalisation.kind, detector.spec) == (
        "l2",
        published_spec("motion").with_(segments=32, pooling="ekosman"),
    )
    rows = np.random.default_rng(0).random((5, 1, dim), dtype=np.float32)
    np.testing.assert_allclose(detector.score_features(7 * rows), detector.score_features(rows), rtol=1e-5)
    again = amiss("convert", tmp_path / "epoch_1.pt", "--from", "topk", "--backbone", "motion", "--out", tmp_path / "d")
    assert again.code == 1
    assert "not an empty folder" in again.err


def test_a_converted_head_sees_ten_crops(tmp_path: Path) -> None:
    torch.save(originals_state(), tmp_path / "salient.pth")
    command = ["convert", tmp_path / "salient.pth", "--from", "salient", "--backbone", "i3d_resnet50"]
    ran = amiss(*command, "--out", tmp_path / "d")
    assert ran.code == 0, ran.err
    detector = Detector.load(tmp_path / "d")
    assert (detector.spec.crops, detector.spec.weights, detector.spec.weights_sha256) == (10, "kinetics400", None)
    assert detector.head.options["clip_scores"] == "chunk"
    assert detector.head.options["chunk"] == 28
    assert detector.provenance["converted"]["file"] == "salient.pth"
    ran = amiss(*command, "--crops", "5", "--out", tmp_path / "five")
    assert "crops are 5, not 10" in ran.err
    assert Detector.load(tmp_path / "five").spec.crops == 5


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        ({"--from": "salience"}, 2, "salient"),
        ({"--from": "rtfm"}, 1, "the rtfm checkpoint doesn't fit"),
        ({"--from": "c3d"}, 1, "c3d"),
        ({"--backbone": "i3d_resnet5"}, 2, "i3d_resnet50"),
        ({"--backbone": "c3d"}, 2, "length 2048, and c3d gives 4096"),
        ({"--backbone": "i3d+c3d"}, 2, "name one"),
    ],
)
def test_what_cannot_be_converted(tmp_path: Path, changes: dict[str, str], code: int, says: str) -> None:
    torch.save(originals_state(), tmp_path / "salient.pth")
    options = {"--from": "salient", "--backbone": "i3d_resnet50", "--out": str(tmp_path / "d")} | changes
    ran = amiss("convert", tmp_path / "salient.pth", *[text for pair in options.items() for text in pair])
    assert ran.code == code, ran.err
    assert says in ran.err
    assert not (tmp_path / "d").exists()


def test_features_export(tmp_path: Path) -> None:
    writer = FeatureSetWriter(tmp_path / "f", FeatureSpec(backbone="made-up", weights="none", dim=3))
    writer.add("a", np.ones((4, 1, 3), np.float32), 64, 25.0)
    ran = amiss("features", "export", tmp_path / "f", "--layout", "rtfm", "--out", tmp_path / "out")
    assert (ran.code, ran.err.strip()) == (0, f"1 video exported to {tmp_path / 'out'}")
    assert np.load(tmp_path / "out" / "a_i3d.npy").shape == (4, 1, 3)
    assert amiss("features", "export", tmp_path / "f", "--layout", "rtfm", "--out", tmp_path / "out").code == 1
    ran = amiss("features", "export", tmp_path / "f", "--layout", "rftm", "--out", tmp_path / "new")
    assert ran.code == 2
    assert "Did you mean 'rtfm'" in ran.err
