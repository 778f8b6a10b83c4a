"""Every recipe that amiss ships: it trains, learns what can be learned, and nothing where labels say nothing."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from amiss.datasets import Manifest
from amiss.detection import Detector
from amiss.features import FeatureSet, FeatureSetWriter, open_feature_set
from amiss.heads import create_head
from amiss.heads.densities import FAMILIES
from amiss.training import Recipe, list_recipes, load_recipe, train
from helpers.training import clip_auc, make_data

NAMES = ["sultani2018", "ekosman", "topk", "salient", "saa-ucf", "saa-xd", "rtfm", "tca", "tca-causal", "lgt",
         "ur-dmu", "bn-wvad", "distribution", "distribution-original-2023", "distribution-original-2024",
         "amiss", "amiss-causal", "pooled", "auto"]  # fmt: skip
every_recipe = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Manifest, FeatureSet]:
    return make_data(tmp_path_factory.mktemp("data") / "features", 40)


def quick(name: str, steps: int) -> Recipe:
    """A recipe at the size of the test data."""
    overrides = [f"steps={steps}", "evaluate_every=10", "batch.normal=8", "batch.anomalous=8", "segments=8"]
    overrides += ["calibration.folds=2", "calibration.rounds=1"]
    if "channels" in load_recipe(name).head_options:
        overrides.append("head_options.channels=8")
    return load_recipe(name, overrides)


def test_the_recipes_are_those_of_the_design() -> None:
    assert [recipe.name for recipe in list_recipes()] == NAMES
    for recipe in list_recipes():
        assert recipe.source
        assert recipe.differences
        assert "--set" in recipe.differences


@every_recipe
def test_it_is_learned(data: tuple[Manifest, FeatureSet], tmp_path: Path, name: str) -> None:
    manifest, features = data
    # the faster of the rates: what is tested is the recipe, not its patience
    recipe = quick(name, 60)
    faster = recipe.optimiser.model_copy(update={"lr": max(recipe.optimiser.lr, 3e-3)})
    report = train(recipe.model_copy(update={"optimiser": faster}), manifest, features, tmp_path / "run")
    assert report.out_of_fold is not None
    assert report.out_of_fold.video_auc > 0.7
    if load_recipe(name).selection.holdout:
        assert report.selected_auc is not None
        assert report.selected_auc > 0.7
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert all(np.isfinite(list(line.values())).all() for line in lines)
    detector = Detector.load(tmp_path / "run" / "selected")
    assert clip_auc(detector, manifest, features) > 0.7
    if name == "distribution":
        assert (tmp_path / "run" / "densities.png").read_bytes()[:4] == b"\x89PNG"
        densities = json.loads((tmp_path / "run" / "densities.json").read_text())
        assert densities["normal"]["family"] in FAMILIES
        assert densities["divergences"]["js"] > 0.1  # they were driven apart
        assert densities["anomalous"]["ks"] < 0.2


@every_recipe
def test_crops_and_uneven_lengths_train(tmp_path: Path, name: str) -> None:
    """Clips as they are, padded and masked, five crops folded into the batch."""
    manifest, one_crop = make_data(tmp_path / "one", 6)
    spec = one_crop.spec.with_(crops=5)
    writer = FeatureSetWriter(tmp_path / "five", spec)
    for video_id, record in one_crop.records.items():
        writer.add(video_id, np.repeat(one_crop.load(video_id), 5, axis=1), record.n_frames, record.fps)
    recipe = quick(name, 6).model_copy(update={"pooling": "none"})
    five = open_feature_set(tmp_path / "five")
    train(recipe, manifest, five, tmp_path / "run")
    detector = Detector.load(tmp_path / "run" / "last")
    for video in manifest.split("test"):
        scores = detector.score_features(five.load(video.video_id))
        assert len(scores) == five.records[video.video_id].n_clips
        assert ((scores >= 0) & (scores <= 1)).all()


@every_recipe
def test_published_settings_are_within_reach(name: str) -> None:
    """What `differences` names can be set, and gives a head."""
    text = load_recipe(name).differences
    given = [part.split(")")[0].split(";")[0].rstrip(".,") for part in text.split("--set ")[1:]]
    recipe = load_recipe(name, [part.split()[0] for part in given])
    assert recipe != load_recipe(name)
    with torch.device("meta"):
        assert create_head(recipe.head, 64, **recipe.head_options).feature_dim == 64


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in ("topk", "amiss") else pytest.mark.slow) for name in NAMES]
)
def test_shuffled_labels_teach_nothing(data: tuple[Manifest, FeatureSet], tmp_path: Path, name: str) -> None:
    manifest, features = data
    aucs = []
    for seed in range(5):
        labels = np.random.default_rng(seed).permutation([video.label for video in manifest.videos])
        shuffled = Manifest(
            tuple(
                replace(video, label=int(label), events=())
                for video, label in zip(manifest.videos, labels, strict=True)
            )
        )
        train(quick(name, 40), shuffled, features, tmp_path / f"run{seed}", seed=seed)
        detector = Detector.load(tmp_path / f"run{seed}" / "selected")
        test = shuffled.split("test")
        peaks = [detector.score_features(features.load(video.video_id)).max() for video in test]
        aucs.append(roc_auc_score([video.label for video in test], peaks))
    assert abs(np.mean(aucs) - 0.5) < 0.2, aucs  # three standard deviations
