"""A detector of one's own videos speaks: false alarms an hour, thresholds, wrong labels, copies, missing features."""

import json
from pathlib import Path

import numpy as np
import pytest

from amiss.backbones import FeatureSpec
from amiss.datasets import Manifest, Video, write_manifest
from amiss.features import FeatureSetWriter
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


def test_short_clips_are_too_few_hours_to_say(tmp_path: Path) -> None:
    ran = amiss("train", "pooled", *write_data(tmp_path, fps=25), "--out", tmp_path / "run")
    assert ran.code == 0, ran.err
    assert "false alarms an hour: too few hours to say; the normal videos last 0.0853 h" in ran.err
    assert "false alarms an hour" not in ran.out


@pytest.mark.filterwarnings("always::UserWarning")
def test_a_threshold_above_all_anomalous_videos_is_warned_of(long: Path) -> None:
    ran = amiss("detect", "--features", long / "features", "--detector", long / "run/selected", "--threshold", "0.9999")
    assert ran.code == 0
    assert "warning: threshold 0.9999 may never be reached" in ran.err
