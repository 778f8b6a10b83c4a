"""One head per part of fused features: what each says, averaged."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from amiss.backbones import FeatureSpec, fused_spec
from amiss.datasets import Manifest, Video
from amiss.detection import Detector
from amiss.errors import UsageError
from amiss.features import FeatureSet, FeatureSetWriter, open_feature_set
from amiss.heads import create_head
from amiss.training import load_recipe, resolve_recipe, train

SMALL, LARGE = 4, 300


def made_bags(n: int, seed: int = 0) -> tuple[list[np.ndarray], np.ndarray]:
    """Bags of 4 clips: a small part that knows the label, and a large one of noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    bags = [rng.normal(size=(1, 4, SMALL + LARGE)).astype(np.float32) for _ in labels]
    for bag, label in zip(bags, labels, strict=True):
        bag[..., 0] += 1.5 * label
    return bags, labels


def scores(head: torch.nn.Module, bags: list[np.ndarray]) -> np.ndarray:
    head.eval()
    with torch.inference_mode():
        return np.array([float(head(torch.from_numpy(bag)).bag_score) for bag in bags])


def fused_features(folder: Path) -> tuple[Manifest, FeatureSet]:
    parts = [FeatureSpec(backbone=f"made-up-{d}", weights="none", dim=d) for d in (SMALL, LARGE)]
    writer = FeatureSetWriter(folder, fused_spec(parts))
    bags, labels = made_bags(48)
    for i, bag in enumerate(bags):
        writer.add(f"v{i}", bag.swapaxes(0, 1), n_frames=64, fps=25.0)
    videos = [Video(video_id=f"v{i}", split="train", label=int(label), events=()) for i, label in enumerate(labels)]
    return Manifest(tuple(videos)), open_feature_set(folder)


def test_a_logit_is_the_mean_of_those_of_heads_that_each_saw_one_part() -> None:
    bags, labels = made_bags(40)
    head = create_head("late-fusion", SMALL + LARGE, blocks=[SMALL, LARGE], head_options={"inverse_penalty": 3.0})
    head.fit_bags(bags, labels)
    x = torch.from_numpy(bags[3])
    expected = []
    for columns in (slice(None, SMALL), slice(SMALL, None)):
        alone = create_head("pooled", bags[0][..., columns].shape[2], inverse_penalty=3.0)
        alone.fit_bags([bag[..., columns] for bag in bags], labels)
        expected.append(alone.eval()(x[..., columns]).logits)
    found = head.eval()(x)
    torch.testing.assert_close(found.logits, torch.stack(expected).mean(0), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(found.scores, torch.sigmoid(found.logits))


def test_classes_are_told_by_all_parts_together() -> None:
    options = {"channels": 4, "classes": ["fire", "fight"]}
    head = create_head("late-fusion", 6, blocks=[2, 4], head="tca", head_options=options).eval()
    assert head.class_names == ("normal", "fire", "fight")
    found = head(torch.randn(1, 5, 6)).extras
    parts = [output.extras["class_logits"] for output in found["outputs"]]
    torch.testing.assert_close(found["class_logits"], (parts[0] + parts[1]) / 2)


def test_a_large_part_of_noise_does_not_drown_a_small_one_that_knows() -> None:
    bags, labels = made_bags(60)
    unseen, theirs = made_bags(200, seed=1)
    joined = create_head("pooled", SMALL + LARGE)
    late = create_head("late-fusion", SMALL + LARGE, blocks=[SMALL, LARGE])
    for head in (joined, late):
        head.fit_bags(bags, labels)
    by_joined, by_late = (roc_auc_score(theirs, scores(head, unseen)) for head in (joined, late))
    assert by_late > by_joined + 0.05
    assert by_late > 0.9


def test_blocks_must_be_the_whole_feature() -> None:
    with pytest.raises(UsageError, match=r"blocks are \[4, 3\], 7 numbers together; a feature has 8"):
        create_head("late-fusion", 8, blocks=[4, 3])
    with pytest.raises(UsageError, match="head is 'late-fusion' itself"):
        create_head("late-fusion", 8, head="late-fusion")
    with pytest.raises(UsageError, match=r"blocks.0 is 0; it must be at least 1"):
        create_head("late-fusion", 8, blocks=[0, 8])
    with pytest.raises(UsageError, match=r"head 'pooled': there is no option 'k'"):
        create_head("late-fusion", 8, head_options={"k": 3})


def test_fused_features_are_judged_part_by_part_where_the_recipe_says_so(tmp_path: Path) -> None:
    _, features = fused_features(tmp_path)
    pooled = resolve_recipe(load_recipe("pooled"), features)
    assert (pooled.fusion, pooled.head, pooled.head_options["blocks"]) == ("late", "late-fusion", [SMALL, LARGE])
    assert resolve_recipe(pooled, features) == pooled
    assert resolve_recipe(load_recipe("pooled", ["fusion=joined"]), features).head == "pooled"
    assert resolve_recipe(load_recipe("topk"), features).head == "topk"
    late = resolve_recipe(load_recipe("topk", ["fusion=late"]), features)
    assert late.head_options == {"head": "topk", "head_options": {"k": 3}, "blocks": [SMALL, LARGE]}


@pytest.mark.parametrize("overrides", [["fusion=auto"], ["fusion=joined"]])
def test_a_detector_of_fused_features_is_trained_and_read_back(tmp_path: Path, overrides: list[str]) -> None:
    manifest, features = fused_features(tmp_path / "features")
    recipe = load_recipe("pooled", [*overrides, "calibration.rounds=1", "calibration.folds=3"])
    report = train(recipe, manifest, features, tmp_path / "run")
    detector = Detector.load(tmp_path / "run" / "selected")
    assert detector.head.name == ("late-fusion" if overrides == ["fusion=auto"] else "pooled")
    assert detector.score_features(features.load("v0")).shape == (4,)
    assert report.out_of_fold is not None
    assert report.out_of_fold.video_auc > (0.85 if overrides == ["fusion=auto"] else 0.5)


def test_parts_are_trained_by_steps_too(tmp_path: Path) -> None:
    manifest, features = fused_features(tmp_path / "features")
    sets = ["fusion=late", "pooling=none", "steps=20", "selection.holdout=0", "calibration.folds=0"]
    train(load_recipe("topk", sets), manifest, features, tmp_path / "run")
    head = Detector.load(tmp_path / "run" / "selected").head
    assert [part.name for part in head.parts] == ["topk", "topk"]
    lines = (tmp_path / "run" / "metrics.jsonl").read_text()
    assert '"loss/1/ranking"' in lines
    assert '"loss/2/ranking"' in lines
