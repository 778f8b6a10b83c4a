"""Planted cheats: each ends in an error that names it, or in a loud mark in the report."""

import html
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amiss.bench import load_suite
from amiss.bench._prepare import prepare_datasets
from amiss.datasets import Manifest, write_manifest
from amiss.errors import AmissError, EvaluationError, FeatureError, ManifestError
from amiss.evaluation import VideoScores, ground_truth_vector, write_scores
from amiss.features import open_feature_set
from amiss.training import load_recipe, train
from helpers.bench import QUICK, make_data, make_videos, run_bench, write_features, write_suite
from helpers.videos import write_video

OVERRIDES = [f"{name}={value}" for name, value in QUICK.items()]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data, and three detectors: of the training split, of training and test, and of other videos."""
    root = tmp_path_factory.mktemp("cheats")
    manifest, _ = make_data(root)
    features = open_feature_set(root / "features")
    recipe = load_recipe("topk", OVERRIDES)
    train(recipe, manifest, features, root / "honest")
    cheating = Manifest(tuple(replace(video, split="train") for video in manifest.videos))
    train(recipe, cheating, features, root / "cheating")
    fewer = Manifest(tuple(video for video in manifest.videos if video.video_id != "train00"))
    train(recipe, fewer, features, root / "other")
    return root


def bench(root: Path, out: Path, **changes: Any) -> dict[str, Any]:
    return run_bench(write_suite(root, **changes), out, workers=1)


def of_detector(path: str) -> dict[str, Any]:
    entry = {"name": "theirs", "dataset": "made-up", "detector": path, "features": "rows"}
    return {"recipes": None, "scores": [entry]}


def test_a_detector_trained_on_the_test_is_refused(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"theirs: .*cheating.* was trained on test videos of made-up"):
        bench(trained, tmp_path / "out", **of_detector("cheating/selected"))


def test_a_detector_of_unknown_training_counts_as_chosen_on_the_test(trained: Path, tmp_path: Path) -> None:
    results = bench(trained, tmp_path / "out", **of_detector("other/selected"))
    (row,) = results["datasets"][0]["systems"]
    assert list(row["rows"]) == ["oracle(test)"]
    assert any("theirs" in mark and "may have seen test videos" in mark for mark in results["marks"])
    page = (tmp_path / "out" / "report.html").read_text()
    assert '<div class="warning"><b>Warning</b> theirs: its data hash is not that' in page


def test_an_honest_detector_is_known_by_its_data_hash(trained: Path, tmp_path: Path) -> None:
    results = bench(trained, tmp_path / "out", **of_detector("honest/selected"))
    assert list(results["datasets"][0]["systems"][0]["rows"]) == ["selected"]
    assert results["marks"] == []


def test_scores_that_do_not_say_how_they_were_chosen_stand_apart(trained: Path, tmp_path: Path) -> None:
    manifest, rows = make_videos()
    rng = np.random.default_rng(0)
    scores = {v.video_id: VideoScores(rng.random(len(rows[v.video_id]))) for v in manifest.split("test")}
    write_scores(tmp_path / "theirs.json", scores)
    entry = {"name": "theirs", "dataset": "made-up", "files": [str(tmp_path / "theirs.json")]}
    results = bench(trained, tmp_path / "a", features=None, recipes=None, scores=[entry])
    assert list(results["datasets"][0]["systems"][0]["rows"]) == ["oracle(test)"]
    assert "theirs: nobody says how its model was chosen" in results["marks"][0]
    stated = bench(trained, tmp_path / "b", features=None, recipes=None, scores=[{**entry, "selection": "last"}])
    assert list(stated["datasets"][0]["systems"][0]["rows"]) == ["last"]
    assert stated["marks"] == []


def test_a_test_video_under_another_id_in_training(tmp_path: Path) -> None:
    manifest, rows = make_videos()
    rows["train05"] = rows["test03"]
    moved = Manifest(
        tuple(replace(v, n_frames=16 * len(rows["test03"])) if v.video_id == "train05" else v for v in manifest.videos)
    )
    write_manifest(moved, tmp_path / "manifest.csv")
    write_features(tmp_path / "features", moved, rows)
    with pytest.raises(FeatureError, match=r"leak into training: 1 pairs in training and test .*train05 and test03"):
        bench(tmp_path, tmp_path / "out")
    datasets = [{"name": "made-up", "manifest": "manifest.csv", "leaks": "drop"}]
    results = bench(tmp_path, tmp_path / "out", datasets=datasets, seeds=1)
    assert "copy and original: train05 and test03" in (tmp_path / "out" / "report.html").read_text()
    assert results["datasets"][0]["systems"][0]["detail"]["n_videos"] == 16


def test_a_test_video_that_was_encoded_anew_in_training(tmp_path: Path) -> None:
    manifest, rows = make_videos()
    rows["train05"] = rows["test03"] + np.random.default_rng(0).normal(0, 0.01, rows["test03"].shape)
    moved = Manifest(
        tuple(replace(v, n_frames=16 * len(rows["test03"])) if v.video_id == "train05" else v for v in manifest.videos)
    )
    write_manifest(moved, tmp_path / "manifest.csv")
    write_features(tmp_path / "features", moved, rows)
    with pytest.raises(FeatureError, match=r"1 pairs in training and test are copies \(train05 and test03\)"):
        bench(tmp_path, tmp_path / "out")


def test_copies_in_different_groups_leak_between_folds(tmp_path: Path) -> None:
    manifest, rows = make_videos(n_train=12, n_test=0)
    rows["train05"] = rows["train09"] = rows["train03"]
    n_frames = 16 * len(rows["train03"])
    copies = {"train03": "a", "train05": "b", "train09": "a"}
    videos = tuple(
        replace(v, n_frames=n_frames, group=copies[v.video_id], events=()) if v.video_id in copies else v
        for v in manifest.videos
    )
    write_manifest(Manifest(videos), tmp_path / "manifest.csv")
    write_features(tmp_path / "features", Manifest(videos), rows)
    datasets = [{"name": "made-up", "manifest": "manifest.csv", "folds": 2}]
    with pytest.raises(FeatureError, match=r"1 pairs in different groups .*\(train05 and train03\)"):
        bench(tmp_path, tmp_path / "out", datasets=datasets)


def test_the_same_id_in_training_and_test(tmp_path: Path) -> None:
    make_data(tmp_path)
    text = (tmp_path / "manifest.csv").read_text()
    (tmp_path / "manifest.csv").write_text(text + "test03,train,1,,,,,,\n")
    with pytest.raises(ManifestError, match="'test03' stands already in line"):
        bench(tmp_path, tmp_path / "out")


def test_a_group_in_training_and_test(tmp_path: Path) -> None:
    manifest, _ = make_data(tmp_path)
    together = {"train04", "test02"}
    grouped = tuple(replace(v, group="camera 7") if v.video_id in together else v for v in manifest.videos)
    write_manifest(Manifest(grouped), tmp_path / "manifest.csv")
    with pytest.raises(ManifestError, match=r"1 groups are in the test and in training \(camera 7\)"):
        bench(tmp_path, tmp_path / "out")


def test_the_same_file_in_training_and_test(tmp_path: Path) -> None:
    manifest, _ = make_data(tmp_path)
    together = {"train04", "test02"}
    one = tuple(replace(v, path=tmp_path / "a.mp4") if v.video_id in together else v for v in manifest.videos)
    write_manifest(Manifest(one), tmp_path / "manifest.csv")
    with pytest.raises(ManifestError, match=r"train04 \(train\) and test02 \(test\) are the same file"):
        bench(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("wrong_by", [-1, 1])
def test_frame_counts_off_by_one(tmp_path: Path, wrong_by: int) -> None:
    manifest, _ = make_data(tmp_path)
    true = manifest.by_id["test02"].n_frames or 0
    off = tuple(replace(v, n_frames=true + wrong_by) if v.video_id == "test02" else v for v in manifest.videos)
    write_manifest(Manifest(off), tmp_path / "manifest.csv")
    with pytest.raises(FeatureError, match=f"test02: manifest says {true + wrong_by} frames, but {true} were decoded"):
        bench(tmp_path, tmp_path / "out")


def test_frame_counts_off_by_one_in_training_are_told(tmp_path: Path) -> None:
    manifest, _ = make_data(tmp_path)
    off = tuple(replace(v, n_frames=(v.n_frames or 0) + 1) if v.video_id == "train02" else v for v in manifest.videos)
    write_manifest(Manifest(off), tmp_path / "manifest.csv")
    bench(tmp_path, tmp_path / "out", seeds=1)
    page = html.unescape((tmp_path / "out/report.html").read_text())
    assert "don't fit the features of 1 training videos, like train02" in page


def test_videos_longer_than_annotated_are_marked(tmp_path: Path) -> None:
    folder = tmp_path / "fights"
    folder.mkdir()
    for i in range(8):
        write_video(folder / f"v{i}.mp4", [np.full((48, 64, 3), 20 * i, np.uint8) + np.uint8(t) for t in range(20)])
    counts = [20] * 7 + [19]
    rows = [f"v{i},{i % 2},s{i},{count}" for i, count in enumerate(counts)]
    (folder / "labels.csv").write_text("video_id,label,source,n_frames\n" + "\n".join(rows) + "\n")
    datasets = [{"name": "surveillance-fights", "root": "fights", "folds": 2}]
    suite = load_suite(write_suite(tmp_path, datasets=datasets))
    (prepared,) = prepare_datasets(suite, lambda _: None)
    (mark,) = prepared.marks
    assert mark == "surveillance-fights: v7: decodes to 20 frames, annotated are 19 (+1)"


def test_ground_truth_of_another_protocol(tmp_path: Path) -> None:
    manifest, _ = make_data(tmp_path)
    shorter = tuple(replace(v, n_frames=(v.n_frames or 0) - 5) if v.split == "test" else v for v in manifest.videos)
    write_manifest(Manifest(shorter), tmp_path / "manifest.csv")
    theirs = ground_truth_vector(Manifest(shorter), "ucf/rtfm-ceil16")
    np.save(tmp_path / "gt.npy", theirs.astype(np.float64))
    datasets = [{"name": "made-up", "manifest": "manifest.csv", "ground_truth": {"exact": "gt.npy"}}]
    with pytest.raises(EvaluationError, match=r"gt\.npy is not that of exact: .* the vector of ucf/rtfm-ceil16"):
        bench(tmp_path, tmp_path / "out", datasets=datasets)


def test_an_all_normal_test(tmp_path: Path) -> None:
    manifest, _ = make_data(tmp_path)
    kept = tuple(v for v in manifest.videos if v.split == "train" or v.label == 0)
    write_manifest(Manifest(kept), tmp_path / "manifest.csv")
    with pytest.raises(EvaluationError, match="all test videos are normal"):
        bench(tmp_path, tmp_path / "out")


def test_scores_of_the_wrong_length(trained: Path, tmp_path: Path) -> None:
    manifest, rows = make_videos()
    scores = {v.video_id: VideoScores(np.linspace(0, 1, len(rows[v.video_id]))) for v in manifest.split("test")}
    longer = len(scores["test04"].scores) + 1
    scores["test04"] = VideoScores(np.linspace(0, 1, longer))
    write_scores(tmp_path / "theirs.json", scores)
    entry = {"name": "theirs", "dataset": "made-up", "files": [str(tmp_path / "theirs.json")], "selection": "last"}
    with pytest.raises(AmissError, match=rf"test04 has {longer} scores, not {longer - 1} \(\+1\)"):
        bench(trained, tmp_path / "out", features=None, recipes=None, scores=[entry])
