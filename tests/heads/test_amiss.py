"""The head `amiss`: its parts against plain loops, its gates, streams, and what it learns."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from amiss.heads import Head, change_around, create_head, pseudo_labels, top_quarter_mean
from amiss.heads._parts import mean_around

Bags = list[NDArray[np.float32]]


def made_bags(n: int = 40, clips: int = 24, dim: int = 6, *, changes: bool = False) -> tuple[Bags, NDArray[np.intp]]:
    """n normal and n anomalous bags. In the latter's clips 6 to 11 dimension 0 is shifted; with `changes` these clips
    also jump about in dimension 1."""
    rng = np.random.default_rng(0)
    labels = np.arange(2 * n) % 2
    bags = [rng.normal(size=(1, clips, dim)).astype(np.float32) for _ in labels]
    for bag, label in zip(bags, labels, strict=True):
        bag[:, 6:12, 0] += 1.5 * label
        if changes and label:
            bag[:, 6:12, 1] *= 4
    return bags, labels


def fitted(bags: Bags, labels: NDArray[np.intp], **options: object) -> Head:
    torch.manual_seed(0)
    head = create_head("amiss", bags[0].shape[2], **options)
    head.fit_bags(bags, labels)
    return head.eval()


def within(head: Head, bags: Bags, labels: NDArray[np.intp]) -> float:
    """Mean rank, 0..1, of the shifted clips within their bags."""
    with torch.inference_mode():
        scores = [head(torch.from_numpy(bag)).scores[0].numpy() for bag, y in zip(bags, labels, strict=True) if y]
    return float(np.mean([np.mean([(s < s[t]).mean() for t in range(6, 12)]) for s in scores]))


@pytest.mark.parametrize(("before", "after"), [(3, 3), (1, 0), (2, 1)])
def test_change_is_the_mean_distance_of_all_pairs_in_the_window(before: int, after: int) -> None:
    x, mask = torch.randn(2, 9, 4), torch.ones(2, 9, dtype=torch.bool)
    mask[1, 5:] = False
    found = change_around(x, mask, before, after)
    for bag, length in enumerate((9, 5)):
        for clip in range(length):
            window = x[bag, max(0, clip - before) : min(length, clip + after + 1)]
            expected = torch.pdist(window).mean()  # NaN of a single clip
            torch.testing.assert_close(found[bag, clip], expected, equal_nan=True)


def test_windows_of_clips_and_the_highest_quarter_honour_the_mask() -> None:
    x, mask = torch.randn(2, 9, 4), torch.ones(2, 9, dtype=torch.bool)
    mask[1, 5:] = False
    found = mean_around(x, mask, 1, 1)
    torch.testing.assert_close(found[1, 4], x[1, 3:5].mean(dim=0))
    torch.testing.assert_close(found[0, 0], x[0, :2].mean(dim=0))
    torch.testing.assert_close(top_quarter_mean(x[..., 0], mask)[0], x[0, :, 0].topk(2).values.mean())
    torch.testing.assert_close(top_quarter_mean(x[..., 0], mask)[1], x[1, :5, 0].max())


def test_change_counts_where_it_goes_with_the_anomaly_and_nowhere_else() -> None:
    for changes in (False, True):
        bags, labels = made_bags(changes=changes)
        assert bool(fitted(bags, labels).uses[1]) == changes
    assert not fitted(bags, labels, change="never").uses[:2].any()
    assert fitted(*made_bags(8), change="always").uses[:2].all()


def test_the_level_of_a_video_counts_where_single_clips_say_less() -> None:
    bags, labels = made_bags(60)
    assert fitted(bags, labels).uses[2]
    shuffled = np.random.default_rng(1).permutation(labels)
    assert not fitted(bags, shuffled).uses.any()
    assert not fitted(bags[:8], labels[:8]).uses.any()


def test_an_anomalous_video_without_a_ranking_is_anomalous_throughout() -> None:
    alike = [np.array([2.0]), np.full(6, 3.0), np.array([1.0, 1.0, 1.0, 5.0]), np.full(4, 3.0)]
    found = pseudo_labels(alike, np.array([1, 1, 1, 0]))
    assert [own.tolist() for own in found] == [[1], [1] * 6, [0, 0, 1, 1], [0] * 4]


def test_pseudo_labels_and_change_find_the_events_of_new_videos() -> None:
    bags, labels = made_bags(60, changes=True)
    learned, new = slice(0, 80), slice(80, 120)
    plain = fitted(bags[learned], labels[learned], rounds=0, change="never")
    whole = fitted(bags[learned], labels[learned])
    assert within(whole, bags[new], labels[new]) > max(0.75, within(plain, bags[new], labels[new]))


def test_short_videos_are_scored_by_windows_as_long_as_they_are() -> None:
    bags, labels = made_bags(30)
    short = [bag[:, 6:10] for bag in bags]
    head = fitted(short, labels)
    assert int(head.span) == 4
    assert not head.uses.any()
    with torch.inference_mode():
        scores = [float(head(torch.from_numpy(bag)).bag_score) for bag in short]
        alike = head(torch.from_numpy(short[0])).scores
    assert np.mean([s > 0.5 for s in scores] == labels) > 0.9
    assert alike.std() < 1e-6


def test_change_and_level_count_where_videos_are_short_if_that_is_asked_for() -> None:
    bags, labels = made_bags(30, changes=True)
    short = [bag[:, 5:11] for bag in bags]
    head, without = fitted(short, labels, change="always", level="always"), fitted(short, labels)
    assert head.uses.tolist() == [False, True, True]
    with torch.inference_mode():
        one, other = (torch.stack([h(torch.from_numpy(bag)).logits[0] for bag in short]) for h in (head, without))
    assert one.std(dim=1).min() > 0.01  # the change differs within the window that all clips share
    assert other.std(dim=1).max() < 1e-5
    assert np.mean((one.amax(dim=1) > one.amax(dim=1).median()).numpy() == labels) > 0.9


@pytest.mark.parametrize("short", [False, True])
def test_the_causal_head_scores_streams_as_whole_videos(short: bool) -> None:
    bags, labels = made_bags(20, changes=True)
    if short:
        bags = [bag[:, :6] for bag in bags]
    head = fitted(bags, labels, causal=True, change="always", level="always")
    x = torch.randn(1, 50, 6)
    with torch.inference_mode():
        whole = head(x).logits[0]
        for clip in (0, 1, 5, 31, 32, 49):
            live = head(x[:, max(0, clip + 1 - head.context) : clip + 1]).logits[0, -1]
            torch.testing.assert_close(whole[clip], live, rtol=1e-4, atol=1e-4)


def test_crops_of_a_video_count_as_one() -> None:
    bags, labels = made_bags(20, changes=True)
    one, three = fitted(bags, labels), fitted([np.repeat(bag, 3, axis=0) for bag in bags], labels)
    x = torch.randn(1, 24, 6)
    with torch.inference_mode():
        torch.testing.assert_close(one(x).scores, three(x).scores, rtol=1e-3, atol=1e-4)


def test_few_constant_and_mixed_videos_are_fitted() -> None:
    rng = np.random.default_rng(0)
    for lengths in ([12, 12], [1, 30, 12, 15], [20] * 6):
        bags = [rng.normal(size=(1, n, 5)).astype(np.float32) for n in lengths]
        bags[-1][:] = 1
        head = fitted(bags, np.arange(len(bags)) % 2, change="always", level="always")
        with torch.inference_mode():
            assert all(head(torch.from_numpy(bag)).scores.isfinite().all() for bag in bags)


def test_at_the_size_of_published_features_it_is_small() -> None:
    head = create_head("amiss", 4096)
    assert sum(p.numel() for p in head.parameters()) < 1.1e6
