"""A detector of one's own videos speaks: false alarms an hour, thresholds, wrong labels, copies, missing features."""

import json
from pathlib import Path

import numpy as np
import pytest

from amiss.backbones import FeatureSpec
from amiss.datasets import Manifest, Video, write_manifest
from amiss.detection import Detector, poisson_upper
from amiss.features import FeatureSetWriter, open_feature_set
from helpers.command import amiss

N = 16


def write_data(folder: Path, fps: float) -> list[str | Path]:
    """N + N training videos of 30 clips; returns the options that name them. Of 16 frames at 0.5 a second: 4.3 h."""
    rng = np.random.default_rng(5)
    videos = []
    with FeatureSetWriter(folder / "features", FeatureSpec(backbone="made-up", weights="none", dim=8)) as writer:
        for i in range(2 * N):
            rows = rng.normal(size=(30, 1, 8)).astype(np.float32)
            if i % 2:
                rows[10:14, :, :2] += 4.0
            writer.add(f"v{i:02}", rows, n_frames=480, fps=fps)
            videos.append(Video(video_id=f"v{i:02}", split="train", label=i % 2))
    write_manifest(Manifest(tuple(videos)), folder / "manifest.csv")
    return ["--data", folder / "manifest.csv", "--features", folder / "features"]


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("long")
    ran = amiss("train", "pooled", *write_data(folder, fps=0.5), "--out", folder / "run")
    assert ran.code == 0, ran.err
    (folder / "said.txt").write_text(ran.out + ran.err)
    return folder


def test_train_tells_false_alarms_an_hour_and_detect_takes_them(long: Path) -> None:
    said = (long / "said.txt").read_text()
    assert "false alarms an hour" in said
    assert "the normal videos last 4.27 h; choose with `amiss detect --per-hour N`" in said
    report = json.loads((long / "run/report.json").read_text())["out_of_fold"]
    assert report["normal_hours"] == pytest.approx(N * 480 / 0.5 / 3600)
    assert all(point["per_hour"] is not None for point in report["table"])
    detect = ["detect", "--features", long / "features", "--detector", long / "run/selected", "--json"]
    thresholds = []
    for per_hour in ("1", "4"):
        ran = amiss(*detect, "--per-hour", per_hour)
        assert ran.code == 0, ran.err
        thresholds.append(json.loads(ran.out)[0]["threshold"])
    assert thresholds[0] > thresholds[1]
    ran = amiss(*detect, "--per-hour", "0.1")
    assert ran.code == 2
    assert "the data can't say which threshold gives at most 0.1 false alarms an hour" in ran.err
    assert "It takes 30 h" in ran.err
    assert amiss(*detect, "--per-hour", "0").code == 2
    assert "exclude each other" in amiss(*detect, "--per-hour", "1", "--threshold", "0.5").err


def test_train_without_a_recipe_learns_which_videos_and_when(tmp_path: Path) -> None:
    ran = amiss("train", *write_data(tmp_path, fps=25), "--out", tmp_path / "run")
    assert ran.code == 0, ran.err
    assert "amiss: our own" in ran.err
    detector, features = Detector.load(tmp_path / "run/selected"), open_feature_set(tmp_path / "features")
    scores = [detector.score_features(features.load(f"v{i:02}")) for i in range(2 * N)]
    assert min(s.max() for s in scores[1::2]) > max(s.max() for s in scores[::2])
    assert all(9 <= s.argmax() <= 14 for s in scores[1::2])  # it happens in clips 10 to 13


def test_short_clips_are_too_few_hours_to_say(tmp_path: Path) -> None:
    ran = amiss("train", "pooled", *write_data(tmp_path, fps=25), "--out", tmp_path / "run")
    assert ran.code == 0, ran.err
    assert "false alarms an hour: too little to say; the normal videos last 5.1 minutes" in ran.err
    assert "false alarms an hour" not in ran.out


@pytest.mark.filterwarnings("always::UserWarning")
def test_a_threshold_above_all_anomalous_videos_is_warned_of(long: Path) -> None:
    ran = amiss("detect", "--features", long / "features", "--detector", long / "run/selected", "--threshold", "0.9999")
    assert ran.code == 0
    assert "warning: threshold 0.9999 may never be reached" in ran.err


def test_copies_wrong_labels_and_a_low_auc_are_named_with_their_files(tmp_path: Path) -> None:
    data = write_data(tmp_path, fps=25)
    manifest, features = tmp_path / "manifest.csv", tmp_path / "features"
    stored = open_feature_set(features)
    rows = {name: np.array(stored.load(name)) for name in stored.records}
    with FeatureSetWriter(features, stored.spec) as writer:
        writer.add("copy", rows["v00"], n_frames=480, fps=25)
        writer.add("other class", rows["v03"] + 0.01, n_frames=480, fps=25)
    lines = manifest.read_text().splitlines()
    lines += ["copy,train,0,kept/copy.mp4,,,,,", "other class,train,0,kept/other.mp4,,,,,"]
    manifest.write_text("\n".join(lines) + "\n")
    ran = amiss("train", "pooled", *data, "--out", tmp_path / "run")
    assert ran.code == 0, ran.err
    said = " ".join(ran.err.split())
    assert f"copies of each other: v00 and {tmp_path.resolve()}/kept/copy.mp4: one of each is enough" in said
    assert (
        f"the same video is in both classes: v03 (anomalous) and {tmp_path.resolve()}/kept/other.mp4 (normal): "
        "which label is right?"
    ) in said
    assert f"normal, but scored like anomalous ones: {tmp_path.resolve()}/kept/other.mp4" in said
    report = json.loads((tmp_path / "run/report.json").read_text())
    pairs = [(c["first"], c["second"], c["is_exact"]) for c in report["data"]["copies"]]
    assert pairs == [("v00", "copy", True), ("v03", "other class", False)]
    assert all(remark in said for remark in report["remarks"])


def test_missing_features_are_an_error_or_left_out_and_named(long: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.csv"
    lines = (long / "manifest.csv").read_text().splitlines()
    test = [f"{line.split(',')[0]},test,{line.split(',')[2]},,,,,," for line in lines[1:9]]
    train = lines[9:]
    gone = ["gone,train,0,,,,,,", "lost,test,0,,,100,25,,"]
    manifest.write_text("\n".join([lines[0], *train, *test, *gone]) + "\n")
    data = ["--data", manifest, "--features", long / "features"]
    ran = amiss("train", "pooled", *data, "--out", tmp_path / "refused")
    assert ran.code == 1
    assert "has no features of 1 of 25 videos (gone): extract them, or leave them out with `--missing drop`" in ran.err
    ran = amiss("train", "pooled", *data, "--out", tmp_path / "run", "--missing", "drop")
    assert ran.code == 0, ran.err
    assert "left out, as they have no features: gone" in ran.err
    assert json.loads((tmp_path / "run/report.json").read_text())["data"]["dropped"] == ["gone"]
    assert amiss("evaluate", tmp_path / "run", *data).code == 1
    ran = amiss("evaluate", tmp_path / "run", *data, "--missing", "drop", "--out", tmp_path / "result.json")
    assert ran.code == 0, ran.err
    assert "left out of the test videos, as they have no features: lost" in ran.err
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["dropped"] == ["lost"]
    assert result["n_videos"] == 8


def test_dataset_check_shows_classes_lengths_and_overlaps(long: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    with FeatureSetWriter(tmp_path / "features", FeatureSpec(backbone="made-up", weights="none", dim=8)) as writer:
        rows = {f"a{i}": rng.normal(size=(10 + i, 1, 8)).astype(np.float32) for i in range(8)}
        rows["b0"] = rows["a0"] + 0.01 * rng.normal(size=rows["a0"].shape).astype(np.float32)
        for video_id, values in rows.items():
            writer.add(video_id, values, n_frames=16 * len(values), fps=10)
    manifest = tmp_path / "manifest.csv"
    lines = ["video_id,split,label,class"]
    lines += [f"a{i},train,{int(i > 3)},{'Fire' if i > 3 else ''}" for i in range(8)]
    manifest.write_text("\n".join([*lines, "b0,test,0,", "c0,test,1,Fire"]) + "\n")
    ran = amiss("dataset", "check", manifest, "--features", tmp_path / "features")
    assert ran.code == 1
    table = [line.split() for line in ran.out.splitlines()]
    assert ["train", "normal", "4", "16.0", "s", "18.4", "s", "20.8", "s", "0.020"] in table
    assert ["train", "Fire", "4", "22.4", "s", "24.8", "s", "27.2", "s", "0.028"] in table
    assert ["test", "Fire", "1", "-", "-", "-", "-"] in table
    assert "error: a0 (train) looks like a copy (likeness 1.000" in ran.err
    assert "of b0 (test): the test set leaks into training" in " ".join(ran.err.split())
    assert "1 of 10 videos have no features: c0" in ran.err
    found = json.loads(amiss("dataset", "check", manifest, "--features", tmp_path / "features", "--json").out)
    assert len(found["errors"]) == 1
    assert found["classes"][0] == {
        "split": "train", "label": 0, "class_name": "normal", "videos": 4, "shortest_s": 16.0,
        "median_s": pytest.approx(18.4), "longest_s": 20.8, "hours": pytest.approx(73.6 / 3600), "unknown": 0,
    }  # fmt: skip
    assert amiss("dataset", "check", manifest).code == 0


def test_a_detector_is_calibrated_on_stored_features_as_far_as_they_tell(long: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    with FeatureSetWriter(tmp_path / "quiet", FeatureSpec(backbone="made-up", weights="none", dim=8)) as writer:
        for i in range(6):
            writer.add(f"day{i}", rng.normal(size=(400, 1, 8)).astype(np.float32), n_frames=6400, fps=2)
    out = tmp_path / "calibrated"
    calibrate = ["calibrate", "--detector", long / "run/selected", "--features", tmp_path / "quiet"]
    ran = amiss(*calibrate, "--per-hour", "2", "--out", out)
    assert ran.code == 0, ran.err
    assert "at most 2 false alarms an hour, by the 95 % bound on 5.33 h of normal videos (6 videos)" in ran.out
    stored = json.loads((out / "detector.json").read_text())["calibration"]
    ran = amiss("detect", "--features", tmp_path / "quiet", "--detector", out, "--json")
    results = json.loads(ran.out)
    assert results[0]["threshold"] == stored["threshold"]
    assert poisson_upper(sum(len(result["events"]) for result in results)) / (16 / 3) <= 2
    assert amiss("detect", "--features", tmp_path / "quiet", "--detector", out, "--per-hour", "1").code == 0
    ran = amiss(*calibrate, "--per-hour", "0.5", "--out", tmp_path / "none")
    assert ran.code == 2
    assert "the data can't say which threshold gives at most 0.5 false alarms an hour" in ran.err
    assert not (tmp_path / "none").exists()
    ran = amiss(*calibrate, "--per-hour", "2", "--video", long / "manifest.csv")
    assert "no normal video (label 0) of split test: those of train and val were trained on" in " ".join(
        ran.err.split()
    )


def test_footage_that_was_trained_on_is_named(long: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    with FeatureSetWriter(tmp_path / "days", FeatureSpec(backbone="made-up", weights="none", dim=8)) as writer:
        for name in ("day", "v00", "v02"):
            writer.add(name, rng.normal(size=(400, 1, 8)).astype(np.float32), n_frames=6400, fps=1)
    ran = amiss("calibrate", "--detector", long / "run/selected", "--features", tmp_path / "days", "--per-hour", "2")
    assert ran.code == 0, ran.err
    assert "2 of 3 videos are named like ones that the detector was trained on (v00, v02)" in " ".join(ran.err.split())


def test_footage_that_scores_above_all_anomalies_gives_no_threshold(long: Path, tmp_path: Path) -> None:
    with FeatureSetWriter(tmp_path / "loud", FeatureSpec(backbone="made-up", weights="none", dim=8)) as writer:
        rows = np.random.default_rng(9).normal(size=(400, 1, 8)).astype(np.float32)
        rows[50:80, :, :2] += 30.0
        writer.add("day", rows, n_frames=6400, fps=0.5)
    calibrate = ["calibrate", "--detector", long / "run/selected", "--features", tmp_path / "loud", "--per-hour", "1"]
    ran = amiss(*calibrate, "--out", tmp_path / "none")
    assert ran.code == 1
    assert "never be reached" in ran.err
    assert "Nothing is kept" in ran.err
    assert not (tmp_path / "none").exists()


def test_calibrate_says_what_goes_with_what(long: Path, tmp_path: Path) -> None:
    assert "or --detector" in amiss("calibrate", "--per-hour", "1").err
    detector = ["calibrate", "--per-hour", "1", "--detector", long / "run/selected"]
    assert "give --video or --features" in amiss(*detector).err
    assert amiss(*detector, "--video", tmp_path / "nowhere.mp4").code == 1
    config = ["calibrate", tmp_path / "watch.yaml", "door", "--per-hour", "1"]
    assert "give --hours" in amiss(*config).err
    assert "give --hours" in amiss(*config, "--hours", "1", "--features", tmp_path).err
