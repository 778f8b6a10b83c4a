"""What a run trains on: batches, held-out videos, bags."""

import os
import shutil
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amiss.backbones import FeatureSpec
from amiss.datasets import Manifest, Video
from amiss.detection import Normalisation
from amiss.errors import FeatureError, ManifestError, OutputError, UsageError
from amiss.features import FeatureSet, FeatureSetWriter, open_feature_set, pool
from amiss.training import (
    BatchSettings,
    HeldOutScore,
    Selection,
    SelectionSettings,
    draw_batch,
    find_all_zero,
    fit_normalisation,
    hash_data,
    load_bags,
    load_recipe,
    resolve_recipe,
    split_training,
)

SAMPLINGS = ["epochs", "without-replacement", "with-replacement"]


@settings(deadline=None)
@given(
    n_normal=st.integers(1, 40),
    n_anomalous=st.integers(1, 40),
    size=st.integers(1, 50),
    sampling=st.sampled_from(SAMPLINGS),
    seed=st.integers(0, 5),
    step=st.integers(1, 30),
)
def test_batches_are_balanced_and_repeatable(
    n_normal: int, n_anomalous: int, size: int, sampling: str, seed: int, step: int
) -> None:
    batch = BatchSettings(normal=size, anomalous=size + 1, sampling=sampling)
    normal, anomalous = np.arange(n_normal), 100 + np.arange(n_anomalous)
    drawn = draw_batch(normal, anomalous, batch, seed, step)
    assert set(drawn[:size]) <= set(normal)
    assert set(drawn[size:]) <= set(anomalous)
    assert len(drawn) == 2 * size + 1
    assert (drawn == draw_batch(normal, anomalous, batch, seed, step)).all()
    if sampling == "without-replacement":
        assert max(Counter(drawn[:size]).values()) == -(-size // n_normal)


@settings(deadline=None)
@given(n=st.integers(1, 30), size=st.integers(1, 40), steps=st.integers(1, 20), seed=st.integers(0, 5))
def test_epochs_take_every_video_before_any_comes_again(n: int, size: int, steps: int, seed: int) -> None:
    batch = BatchSettings(normal=size, anomalous=1)
    drawn = [draw_batch(np.arange(n), np.arange(1), batch, seed, step)[:size] for step in range(1, steps + 1)]
    row = np.concatenate(drawn)
    for start in range(0, len(row) - n + 1, n):
        assert set(row[start : start + n]) == set(range(n))


def videos(n_normal: int, n_anomalous: int, split: str = "train", group_size: int = 0) -> list[Video]:
    labels = [0] * n_normal + [1] * n_anomalous
    groups = [str(i // group_size) if group_size else None for i in range(len(labels))]
    return [
        Video(video_id=f"{split}{i}", split=split, label=label, group=group)  # type: ignore[arg-type]
        for i, (label, group) in enumerate(zip(labels, groups, strict=True))
    ]


@settings(deadline=None)
@given(
    n_normal=st.integers(1, 120), n_anomalous=st.integers(1, 120), group_size=st.integers(0, 9), seed=st.integers(0, 9)
)
def test_holding_out_keeps_groups_whole_and_labels_balanced(
    n_normal: int, n_anomalous: int, group_size: int, seed: int
) -> None:
    manifest = Manifest(tuple(videos(n_normal, n_anomalous, group_size=group_size) + videos(3, 3, "test")))
    settings = SelectionSettings()
    split = split_training(manifest, settings, seed)
    assert split == split_training(manifest, settings, seed)
    assert {v.video_id for v in split.fit + split.held_out} == {v.video_id for v in manifest.split("train")}
    if not split.held_out:
        assert split.fit == manifest.split("train")
        assert "too few" in split.note
        assert group_size > 1 or min(n_normal, n_anomalous) < 20
        return
    if group_size:
        assert not {v.group for v in split.fit} & {v.group for v in split.held_out}
    for label, n in ((0, n_normal), (1, n_anomalous)):
        held_out = sum(v.label == label for v in split.held_out)
        assert settings.min_videos <= held_out <= 0.25 * n
        if group_size <= 1:
            assert held_out == max(settings.min_videos, round(0.15 * n))


def test_a_val_split_is_used() -> None:
    manifest = Manifest((*videos(30, 30), *videos(2, 2, "val"), *videos(2, 2, "test")))
    split = split_training(manifest, SelectionSettings(), 0, left_out=frozenset({"train0", "val3"}))
    assert [v.video_id for v in split.held_out] == ["val0", "val1", "val2"]
    assert len(split.fit) == 59


def test_a_val_split_of_one_label_is_told() -> None:
    split = split_training(Manifest((*videos(30, 30), *videos(2, 0, "val"))), SelectionSettings(), 0)
    assert "val split has 2 normal and 0 anomalous videos and is not used" in split.note
    assert len(split.held_out) == 10


def test_nothing_held_out_on_request() -> None:
    split = split_training(Manifest(tuple(videos(50, 50))), SelectionSettings(holdout=0), 0)
    assert not split.held_out


def held_out_score(clip_auc: float) -> HeldOutScore:
    return HeldOutScore(clip_auc, 0.5)


def test_selection_takes_the_first_of_equals_and_stops() -> None:
    selection = Selection(SelectionSettings(smoothing=1, min_gain=0.01, patience=2))
    gains = [selection.add(held_out_score(auc), step) for step, auc in enumerate((0.7, 0.8, 0.805, 0.809), 1)]
    assert gains == [True, True, False, False]
    assert (selection.best_step, selection.should_stop) == (2, True)


def test_selection_smooths() -> None:
    selection = Selection(SelectionSettings(smoothing=3))
    for step, auc in enumerate((0.6, 0.6, 0.9, 0.8, 0.8, 0.5), 1):
        selection.add(held_out_score(auc), step)
    assert selection.best_step == 5  # means of three: 0.7, 0.767, 0.833, 0.7
    assert selection.best == pytest.approx(0.8333, abs=1e-4)


def test_selection_goes_on_from_its_state() -> None:
    first, second = Selection(SelectionSettings()), Selection(SelectionSettings())
    for step, auc in enumerate((0.6, 0.7, 0.65, 0.6), 1):
        first.add(held_out_score(auc), step)
    second.restore(first.state())
    assert second == first


@settings(deadline=None)
@given(share=st.floats(0.05, 0.9), seed=st.integers(0, 99))
def test_clip_auc_under_video_labels_is_linear_in_the_true_one(share: float, seed: int) -> None:
    """With a share of anomalous clips in anomalous videos: auc = share * true + (1 - share) / 2."""
    rng = np.random.default_rng(seed)
    normal, normal_inside, anomalous = rng.normal(size=4000), rng.normal(size=4000), rng.normal(1, 1, 4000)
    inside = np.where(rng.random(4000) < share, anomalous, normal_inside)
    found = HeldOutScore.of([normal, inside], np.array([0.1, 0.2]), np.array([0, 1]))
    true = HeldOutScore.of([normal, anomalous], np.array([0.1, 0.2]), np.array([0, 1])).clip_auc
    assert found.clip_auc == pytest.approx(share * true + (1 - share) / 2, abs=0.04)
    assert found.video_auc == 1


def feature_set(folder: Path, lengths: dict[str, int], *, crops: int = 2, segments: int | None = None) -> FeatureSet:
    spec = FeatureSpec(backbone="made-up", weights="none", dim=3, crops=crops, segments=segments)
    writer = FeatureSetWriter(folder, spec)
    for i, (video_id, length) in enumerate(lengths.items()):
        rng = np.random.default_rng(i)
        rows = rng.normal(2, [1, 10, 100], (length, crops, 3)) if length > 1 else np.zeros((1, crops, 3))
        writer.add(video_id, rows.astype(np.float32), n_frames=16 * length, fps=25.0)
    return open_feature_set(folder)


@pytest.mark.parametrize("in_memory", [2 << 30, 0], ids=["in memory", "in a file"])
def test_bags_are_pooled_normalised_and_stacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory: int
) -> None:
    monkeypatch.setattr("amiss.training._bags._IN_MEMORY", in_memory)
    features = feature_set(tmp_path / "f", {"train0": 5, "train1": 40})
    recipe = resolve_recipe(load_recipe("topk", ["segments=8"]), features)
    assert recipe.normalise == "standard"
    chosen = videos(1, 1)
    normalisation = fit_normalisation(recipe, chosen, features)
    rows = np.concatenate([features.load(v.video_id).reshape(-1, 3) for v in chosen])
    np.testing.assert_allclose(normalisation.mean, rows.mean(axis=0), rtol=1e-5)
    bags = load_bags(recipe, chosen, features, normalisation)
    x_BTD, mask, labels = bags.batch([1, 0])
    assert x_BTD.shape == (4, 8, 3)
    assert mask.all()
    assert labels.tolist() == [1, 0]
    expected = normalisation.apply(pool(features.load("train1"), "rtfm", 8))
    np.testing.assert_allclose(x_BTD[:2].numpy(), expected.swapaxes(0, 1), rtol=1e-6)


@pytest.mark.faults
@pytest.mark.skipif(shutil.which("mount") is None or os.geteuid() != 0, reason="needs root to mount a small tmpfs")
def test_bags_without_room_on_the_disk_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    features = feature_set(tmp_path / "f", {"train0": 5, "train1": 9})
    recipe = resolve_recipe(load_recipe("topk", ["segments=2000", "normalise=none"]), features)
    monkeypatch.setattr("amiss.training._bags._IN_MEMORY", 0)
    (tmp_path / "disk").mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24k", "tmpfs", str(tmp_path / "disk")])
    if mounted.returncode:
        pytest.skip("can't mount a tmpfs")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "disk"))
    try:
        with pytest.raises(OutputError, match=r"bags can't be written .*No space left on device.*TMPDIR"):
            load_bags(recipe, videos(1, 1), features, Normalisation("none"))
    finally:
        subprocess.run(["umount", str(tmp_path / "disk")], check=True)


def test_unpooled_bags_are_padded_and_masked(tmp_path: Path) -> None:
    features = feature_set(tmp_path / "f", {"train0": 5, "train1": 9})
    recipe = resolve_recipe(load_recipe("topk", ["pooling=none", "normalise=none"]), features)
    x_BTD, mask, _ = load_bags(recipe, videos(1, 1), features, Normalisation("none")).batch([0, 1])
    assert x_BTD.shape == (4, 9, 3)
    assert mask.sum(dim=1).tolist() == [5, 5, 9, 9]
    assert (x_BTD[~mask] == 0).all()


def test_segments_stay_and_are_given_unit_length(tmp_path: Path) -> None:
    features = feature_set(tmp_path / "f", {"train0": 32}, segments=32)
    recipe = resolve_recipe(load_recipe("sultani2018", ["segments=8"]), features)
    assert (recipe.pooling, recipe.segments, recipe.normalise) == ("none", 32, "l2")


def test_unit_length_pooling_needs_unit_length_at_test_time(tmp_path: Path) -> None:
    features = feature_set(tmp_path / "f", {"train0": 32})
    assert resolve_recipe(load_recipe("topk", ["pooling=matlab"]), features).normalise == "l2"
    with pytest.raises(UsageError, match="normalise must be 'l2' or 'l2\\+standard'"):
        resolve_recipe(load_recipe("topk", ["pooling=matlab", "normalise=standard"]), features)


def test_videos_that_cannot_be_used(tmp_path: Path) -> None:
    features = feature_set(tmp_path / "f", {"train0": 5, "train1": 1, "train2": 5})
    with pytest.warns(UserWarning, match="1 of 3 training videos are skipped"):
        assert find_all_zero(videos(2, 1), features) == {"train1"}
    with (
        pytest.warns(UserWarning, match="skipped"),
        pytest.raises(ManifestError, match="no usable anomalous training video"),
    ):
        find_all_zero(videos(1, 1), features)
    with pytest.raises(ManifestError, match="no usable normal"):
        find_all_zero([videos(0, 1)[0]], features)
    with pytest.raises(FeatureError, match=r"no features of 2 of 5 training videos \(train3, train4\)"):
        find_all_zero(videos(2, 3), features)


def test_data_hash_follows_labels_and_features(tmp_path: Path) -> None:
    features = feature_set(tmp_path / "f", {"train0": 5, "train1": 6})
    other = feature_set(tmp_path / "g", {"train0": 5, "train1": 7})
    first = hash_data(videos(1, 1), features)
    assert first == hash_data(videos(1, 1)[::-1], features)
    assert len({first, hash_data(videos(2, 0), features), hash_data(videos(1, 1), other)}) == 3


def test_spread_sees_when_and_not_which_video() -> None:
    """Scores of a localiser differ inside anomalous videos; those of one that only knows the video don't."""
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    noise = rng.normal(0, 0.05, (40, 12))
    bags = np.zeros(40)
    which_video = list(noise + 0.5 * labels[:, None])
    when = [own + 0.5 * label * (np.arange(12) == 3) for own, label in zip(noise, labels, strict=True)]
    assert HeldOutScore.of(which_video, bags, labels).clip_auc == 1
    assert HeldOutScore.of(which_video, bags, labels).spread < 0.75
    found = HeldOutScore.of(when, bags, labels)
    assert found.spread == 1
    assert found.clip_auc < 0.75
    shifted = [own + rng.normal() for own in when]
    assert HeldOutScore.of(shifted, bags, labels).spread == 1
    assert found.value(SelectionSettings(by="spread")) == 1
    assert found.value(SelectionSettings()) == found.clip_auc


def test_scores_that_are_rounded_alike_are_ordered_by_their_logits() -> None:
    logits = [np.array([40.0, 50.0, 30.0]), np.array([60.0, 45.0, 70.0])]
    scores = [np.ones(3), np.ones(3)]
    bags, labels, clicks = np.array([0.1, 0.2]), np.array([0, 1]), [np.empty(0), np.array([1.0])]
    assert HeldOutScore.of(scores, bags, labels, clicks).clip_auc == 0.5
    found = HeldOutScore.of(scores, bags, labels, clicks, logits)
    assert found.clip_auc == pytest.approx(8 / 9)
    assert found.glance_rank == 1
    assert found.spread == 0.5


def test_glance_rank_of_held_out_bags() -> None:
    scores = [np.array([0.1, 0.4, 0.2, 0.3]), np.array([0.5, 0.1, 0.0, 0.2])]
    clicks = [np.array([0.3, 1.0]), np.empty(0)]  # the second of four, and the last
    found = HeldOutScore.of(scores, np.array([0.1, 0.2]), np.array([1, 0]), clicks)
    assert found.glance_rank == pytest.approx((1 + 2 / 3) / 2)
    assert found.value(SelectionSettings(by="glances")) == found.glance_rank
    assert HeldOutScore.of(scores, np.array([0.1, 0.2]), np.array([1, 0])).glance_rank is None
