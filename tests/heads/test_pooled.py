"""The classifier on pooled clips: scikit-learn's numbers, windows of clips, crops."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from amiss.heads import Head, create_head
from amiss.heads.pooled import pool_bags, pool_windows


def made_bags(n: int, dim: int, crops: int = 1) -> tuple[list[np.ndarray], np.ndarray]:
    """n normal and n anomalous bags of 3 to 8 clips; anomalous ones are shifted in one dimension."""
    rng = np.random.default_rng(0)
    labels = np.arange(2 * n) % 2
    bags = [rng.normal(size=(crops, int(rng.integers(3, 9)), dim)).astype(np.float32) for _ in labels]
    for bag, label in zip(bags, labels, strict=True):
        bag[..., 0] += label
    return bags, labels


def fitted(bags: list[np.ndarray], labels: np.ndarray, **options: float) -> Head:
    head = create_head("pooled", bags[0].shape[2], **options)
    head.fit_bags(bags, labels)
    return head.eval()


@pytest.mark.parametrize("penalty", [0.3, 10.0])
def test_scores_of_videos_are_scikit_learns(penalty: float) -> None:
    bags, labels = made_bags(30, 5)
    pooled = np.stack([np.concatenate([b[0].mean(0), b[0].max(0), b[0].std(0)]) for b in bags])
    counted = np.repeat([1, 0.3, 0.3], 5)
    z = StandardScaler().fit_transform(pooled).clip(-5, 5) * np.sqrt(counted / counted.sum())
    model = LogisticRegression(C=penalty, class_weight="balanced", max_iter=1000).fit(z, labels)
    head = fitted(bags, labels, inverse_penalty=penalty)
    head.span.fill_(99)  # whole videos
    with torch.inference_mode():
        found = [float(head(torch.from_numpy(bag)).extras["bag_logit"]) for bag in bags]
    np.testing.assert_allclose(found, model.decision_function(z), rtol=1e-3, atol=1e-4)


def test_a_window_is_as_long_as_half_of_the_videos_are_and_scores_as_alone() -> None:
    bags, labels = made_bags(20, 4)
    head = fitted(bags, labels)
    span = int(np.median([bag.shape[1] for bag in bags]))
    assert int(head.span) == span
    x = torch.randn(1, 3 * span, 4)
    with torch.inference_mode():
        logits = head(x).logits[0]
        for clip in (0, span, 2 * span, 3 * span - 1):
            first = min(max(clip - span // 2, 0), 2 * span)
            alone = head(x[:, first : first + span]).logits[0]
            torch.testing.assert_close(alone, logits[clip].expand(span))


def test_an_event_in_a_long_video_is_found_where_it_is() -> None:
    bags, labels = made_bags(40, 4)
    head = fitted(bags, labels)
    x = torch.zeros(1, 60, 4)
    x[0, 30:36, 0] = 2.0
    with torch.inference_mode():
        assert 28 <= int(head(x).scores[0].argmax()) <= 37


def test_windows_of_padded_bags_are_those_of_the_bare_ones() -> None:
    x, mask = torch.randn(2, 9, 3), torch.ones(2, 9, dtype=torch.bool)
    mask[1, 5:] = False
    padded = pool_windows(x, mask, 4)
    torch.testing.assert_close(padded[1, :5], pool_windows(x[1:, :5], mask[1:, :5], 4)[0])
    torch.testing.assert_close(padded[0, 4], pool_bags(x[:1, 2:6], mask[:1, 2:6])[0])


def test_crops_are_averaged_once_pooled() -> None:
    bags, labels = made_bags(10, 3)
    three = [np.repeat(bag, 3, axis=0) for bag in bags]
    one, other = fitted(bags, labels), fitted(three, labels)
    torch.testing.assert_close(one.linear.weight, other.linear.weight, rtol=1e-3, atol=1e-5)
