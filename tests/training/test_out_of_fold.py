"""Videos scored by heads that haven't seen them: folds, map and threshold, what the data say back, `auto`."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from amiss.backbones import FeatureSpec
from amiss.datasets import Manifest, Video
from amiss.detection import Detector
from amiss.features import FeatureSet, FeatureSetWriter, open_feature_set
from amiss.training import OutOfFold, load_recipe, train
from amiss.training._crossfit import assign_folds, cross_fit
from helpers.training import make_data

QUICK = ["steps=20", "evaluate_every=10", "batch.normal=8", "batch.anomalous=8", "segments=4"]


def short_clips(folder: Path, n: int, wrong: tuple[str, ...] = ()) -> tuple[Manifest, FeatureSet]:
    """n + n videos of 3 to 5 clips, features so large that sigmoids saturate; `wrong` have the other label."""
    rng = np.random.default_rng(3)
    writer = FeatureSetWriter(folder, FeatureSpec(backbone="made-up", weights="none", dim=6))
    videos = []
    for i in range(2 * n):
        video_id, label = f"v{i:02}", i % 2
        rows = rng.normal(size=(int(rng.integers(3, 6)), 1, 6)) + rng.normal(size=6) * 0.5
        rows[..., :2] += 1.2 * label
        writer.add(video_id, (1000 * rows).astype(np.float32), n_frames=16 * len(rows), fps=25.0)
        shown = 1 - label if video_id in wrong else label
        videos.append(Video(video_id=video_id, split="train", label=shown, group=f"g{i // 4}"))
    return Manifest(tuple(videos)), open_feature_set(folder)


def test_folds_keep_groups_whole_and_labels_even(tmp_path: Path) -> None:
    manifest, _ = short_clips(tmp_path, 20)
    fold_of = assign_folds(manifest.videos, 5, [0, 1])
    assert len(fold_of) == 40
    for video in manifest.videos:
        assert {fold_of[v.video_id] for v in manifest.videos if v.group == video.group} == {fold_of[video.video_id]}
    counts = np.zeros((5, 2))
    for video in manifest.videos:
        counts[fold_of[video.video_id], video.label] += 1
    assert (counts == 4).all()


@pytest.mark.parametrize("recipe", ["pooled", "topk"])
def test_scores_spread_and_the_threshold_finds_new_videos(tmp_path: Path, recipe: str) -> None:
    manifest, features = short_clips(tmp_path / "f", 40)
    fit = Manifest(manifest.videos[:40])
    chosen = load_recipe(recipe, QUICK if recipe == "topk" else [])
    report = train(chosen, fit, features, tmp_path / "run")
    found = report.out_of_fold
    assert found is not None
    assert len(found.scores) == 40
    assert found.default.threshold == report.threshold
    detector = Detector.load(tmp_path / "run" / "selected")
    peaks = np.array([detector.score_features(features.load(v.video_id)).max() for v in manifest.videos[40:]])
    labels = np.array([v.label for v in manifest.videos[40:]])
    assert len(np.unique(peaks.round(3))) > 30
    assert (peaks[labels == 1] >= report.threshold).mean() > 0.4
    assert (peaks[labels == 0] >= report.threshold).mean() < 0.3
    assert OutOfFold.from_dict(json.loads((tmp_path / "run" / "report.json").read_text())["out_of_fold"]) == found


def test_videos_with_the_wrong_label_are_named(tmp_path: Path) -> None:
    manifest, features = short_clips(tmp_path / "f", 20, wrong=("v00", "v01"))
    report = train(load_recipe("pooled"), manifest, features, tmp_path / "run")
    found = report.out_of_fold
    assert found is not None
    assert "v01" in found.loud_normal
    assert "v00" in found.quiet_anomalous
    assert sum("is the label right?" in remark for remark in report.remarks) == 2


def test_labels_that_say_the_opposite_of_what_is_learned_are_told() -> None:
    videos = [Video(video_id=f"v{i}", split="train", label=i % 2) for i in range(20)]
    logits = {video.video_id: (np.array([float(i) - 9 * video.label]),) for i, video in enumerate(videos)}
    found, calibration = OutOfFold.of(videos, logits, "made up", 0.125, 0.0)
    assert found.video_auc < 0.5
    assert "labels may be exchanged" in found.remarks(Manifest(tuple(videos)))[0]
    assert calibration.score_map is not None
    assert calibration.score_map.slope > 0


def test_enough_held_out_videos_are_used_alone(tmp_path: Path) -> None:
    manifest, features = short_clips(tmp_path / "f", 24)
    recipe = load_recipe("topk", [*QUICK, "calibration.enough_held_out=5"])
    report = train(recipe, manifest, features, tmp_path / "run")
    assert report.out_of_fold is not None
    assert sorted(report.out_of_fold.scores) == sorted(report.held_out)
    assert "held-out" in report.out_of_fold.source


def test_auto_takes_the_better_one_says_so_and_resumes(tmp_path: Path) -> None:
    manifest, features = short_clips(tmp_path / "f", 12)
    recipe = load_recipe("auto", [*QUICK, "calibration.rounds=1", "calibration.folds=2"])

    def stop(step: int, detector: Detector) -> None:
        if detector.head.name == "topk":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, manifest, features, tmp_path / "cut", on_evaluate=stop)
    resumed = train(recipe, manifest, features, tmp_path / "cut", resume=True)
    whole = train(recipe, manifest, features, tmp_path / "whole")
    assert whole.taken in {"pooled", "topk"}
    assert whole.notes[0].startswith(f"taken: {whole.taken}; video AUC")
    assert replace(resumed.out_of_fold, seconds=0.0) == replace(whole.out_of_fold, seconds=0.0)
    assert Detector.load(tmp_path / "whole" / "selected").head.name == whole.taken
    assert train(recipe, manifest, features, tmp_path / "whole", resume=True) == whole


@pytest.mark.parametrize(("better_by", "taken"), [(0.01, "pooled"), (0.03, "topk")])
def test_auto_changes_its_mind_only_for_more_than_chance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, better_by: float, taken: str
) -> None:
    manifest, features = short_clips(tmp_path / "f", 12)
    aucs = {"pooled": 0.8, "topk": 0.8 + better_by}
    monkeypatch.setattr("amiss.training._train._comparable_aucs", lambda reports, labels: aucs)
    recipe = load_recipe("auto", [*QUICK, "steps=10", "calibration.rounds=1", "calibration.folds=2"])
    report = train(recipe, manifest, features, tmp_path / "run")
    assert report.taken == taken
    assert Detector.load(tmp_path / "run" / "selected").head.name == taken


def test_rates_of_folds_fall_as_those_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fold stops where the selected weights were, not where its schedule would end by then."""
    seen: list[tuple[int, int]] = []

    def share(schedule: str, step: int, steps: int) -> float:
        seen.append((step, steps))
        return 1.0

    monkeypatch.setattr("amiss.training._loop.rate_share", share)
    manifest, features = make_data(tmp_path / "features", 6)
    cross_fit(
        load_recipe("topk", [*QUICK, "calibration.folds=2", "normalise=l2"]), manifest.split("train"), features, 7, 0
    )
    assert seen == [(step, 20) for step in range(1, 8)] * 2
