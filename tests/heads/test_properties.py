"""What every head promises: padding changes nothing, any length and dim, no NaN, options rebuild it, it learns."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from amiss.errors import UsageError
from amiss.heads import Head, HeadOutput, create_head

HEADS: dict[str, tuple[str, dict[str, Any]]] = {
    "sultani": ("sultani", {}),
    "topk": ("topk", {"k": 3}),
    "pooled": ("pooled", {}),
    "amiss": ("amiss", {}),
    "amiss-causal": ("amiss", {"causal": True, "components": 3}),
    "late-fusion": ("late-fusion", {}),
    "late-fusion-topk": ("late-fusion", {"head": "topk", "head_options": {"k": 2}}),
    "rtfm": ("rtfm", {"channels": 8}),
    "salient": ("salient", {"chunk": 4}),
    "salient-chunk": ("salient", {"chunk": 4, "clip_scores": "chunk"}),
    "saa": ("saa", {}),
    "saa-sum": ("saa", {"reduction": "sum", "pool": "mean", "regularise": "anomalous"}),
    "tca": ("tca", {}),
    "tca-classes": ("tca", {"classes": ["fire"], "class_dim": 5}),
    "tca-time": ("tca", {"normalise": "time", "window": 4, "kernel": 1}),
    "tca-causal": ("tca", {"causal": True, "reach": 5, "kernel": 2, "normalise": "none"}),
    "lgt": ("lgt", {"channels": 16}),
    "lgt-alignment": ("lgt", {"channels": 16, "classes": ["fire"], "class_dim": 5, "scores": "alignment"}),
    "lgt-chunks": ("lgt", {"channels": 6, "chunk": 8, "window": 4, "layers": 1}),
    "lgt-seen": ("lgt", {"channels": 6, "chunk": 16, "padding": "seen"}),
    "ur-dmu": ("ur-dmu", {"channels": 16, "noise": 0.0}),
    "ur-dmu-clips": ("ur-dmu", {"channels": 16, "noise": 0.0, "kl_over": "clips", "normal_slots": 5}),
    "bn-wvad": ("bn-wvad", {"channels": 32}),
    "fitted": ("distribution", {"channels": 8}),
    "original-2023": ("distribution", {"variant": "original-2023", "channels": 8}),
    "original-2023-kernel": (
        "distribution",
        {"variant": "original-2023", "channels": 8, "densities": ["kernel", "kernel"]},
    ),
    "original-2024": ("distribution", {"variant": "original-2024", "channels": 8}),
}
KINDS = {
    "zero": torch.zeros,
    "constant": torch.ones,
    "negative": lambda *shape: torch.full(shape, -3.0),
    "large": lambda *shape: 13 * torch.rand(*shape),
    "huge": lambda *shape: 1e6 * torch.randn(*shape),
    "past all bounds": lambda *shape: 1e30 * torch.randn(*shape),
    "largest numbers": lambda *shape: torch.full(shape, 3e38),
    "tiny": lambda *shape: 1e-30 * torch.randn(*shape),
}
every_head = pytest.mark.parametrize("key", list(HEADS))
each_quickly = settings(max_examples=8, deadline=None)


def build(key: str, dim: int, *, seed: int = 0, **changes: Any) -> Head:
    torch.manual_seed(seed)
    name, options = HEADS[key]
    return create_head(name, dim, **{**options, **changes})


def labels_of(n_bags: int) -> Tensor:
    return (torch.arange(n_bags) >= n_bags // 2).long()


def pad(features: Tensor, clips: int) -> tuple[Tensor, Tensor]:
    """Features with `clips` more rows of rubbish, and their mask."""
    rubbish = 100 * torch.randn(features.shape[0], clips, features.shape[2], dtype=features.dtype)
    mask = torch.ones(features.shape[0], features.shape[1] + clips, dtype=torch.bool)
    mask[:, features.shape[1] :] = False
    return torch.cat([features, rubbish], dim=1), mask


def total_and_gradients(head: Head, output: HeadOutput, labels: Tensor, crops: int = 1) -> tuple[Tensor, list[Tensor]]:
    head.zero_grad()
    loss = head.loss(output, labels, crops=crops, step=3).total
    loss.backward()
    return loss.detach(), [p.grad for p in head.parameters() if p.grad is not None]


@every_head
@each_quickly
@given(clips=st.integers(1, 20), padding=st.integers(1, 20), crops=st.integers(1, 3), training=st.booleans())
def test_padding_changes_nothing(key: str, clips: int, padding: int, crops: int, training: bool) -> None:
    # without dropout, whose random numbers depend on the shape
    head, again = (build(key, 6, dropout=0.0).double().train(training) for _ in range(2))
    x = torch.randn(4 * crops, clips, 6, dtype=torch.float64)  # what is left of float32 depends on the shape, too
    longer, mask = pad(x, padding)
    bare, padded = head(x), again(longer, mask)
    torch.testing.assert_close(padded.scores[:, :clips], bare.scores)
    torch.testing.assert_close(padded.bag_score, bare.bag_score)
    assert not padded.scores[:, clips:].any()
    expected, gradients = total_and_gradients(head, bare, labels_of(4), crops)
    found, others = total_and_gradients(again, padded, labels_of(4), crops)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    for one, other in zip(gradients, others, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@every_head
@each_quickly
@given(lengths=st.lists(st.integers(1, 9), min_size=2, max_size=4))
def test_bags_of_mixed_lengths_score_as_alone(key: str, lengths: list[int]) -> None:
    head = build(key, 5).eval()
    x = torch.randn(len(lengths), max(lengths), 5)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    together = head(x, mask)
    for row, length in enumerate(lengths):
        alone = head(x[row : row + 1, :length])
        torch.testing.assert_close(together.scores[row, :length], alone.scores[0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(together.bag_score[row], alone.bag_score[0], rtol=1e-4, atol=1e-5)


@every_head
def test_equal_crops_are_like_one(key: str) -> None:
    head, again = (build(key, 6, dropout=0.0).train() for _ in range(2))
    x = torch.randn(4, 7, 6)
    one, _ = total_and_gradients(head, head(x), labels_of(4))
    folded, _ = total_and_gradients(again, again(x.repeat_interleave(3, dim=0)), labels_of(4), crops=3)
    # bn-wvad scores with running variances, which are of a sample, n / (n - 1): they change with the number of rows
    torch.testing.assert_close(folded, one, rtol=1e-2 if key == "bn-wvad" else 1e-4, atol=1e-5)


@every_head
@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("shape", [(2, 1, 1), (4, 9, 5), (3, 40, 2)])
def test_extreme_features_give_finite_scores_losses_and_gradients(
    key: str, kind: str, shape: tuple[int, int, int]
) -> None:
    head = build(key, shape[2])
    optimiser = torch.optim.Adam(head.parameters(), lr=1e-3)
    for training in (False, True, True, False):  # eval mode also after training, where densities are fitted
        head.finish()
        output = head.train(training)(KINDS[kind](*shape))
        assert ((output.scores >= 0) & (output.scores <= 1)).all()
        assert ((output.bag_score >= 0) & (output.bag_score <= 1)).all()
        loss, gradients = total_and_gradients(head, output, labels_of(shape[0]))
        assert loss.isfinite()
        assert all(gradient.isfinite().all() for gradient in gradients)
        optimiser.step()
    assert all(tensor.isfinite().all() for tensor in head.state_dict().values())


@every_head
def test_a_video_of_5000_clips(key: str) -> None:
    head = build(key, 4).eval()
    with torch.inference_mode():
        output = head(torch.randn(1, 5000, 4))
    assert output.scores.shape == (1, 5000)
    assert output.scores.isfinite().all()


@every_head
def test_options_and_state_dict_rebuild_the_head(key: str) -> None:
    head = build(key, 6)
    head.train()
    head.loss(head(torch.rand(4, 40, 6)), labels_of(4))
    head.eval().finish()
    again = create_head(head.name, head.feature_dim, **head.options)
    again.load_state_dict(head.state_dict())
    assert again.options == head.options
    x = torch.rand(2, 40, 6)
    torch.testing.assert_close(again.eval()(x).scores, head(x).scores)


@every_head
def test_eight_bags_are_learned_by_heart(key: str) -> None:
    head = build(key, 16, dropout=0.1)
    x = torch.randn(8, 16, 16)
    x[4:, 5:8] += 1.5
    optimiser = torch.optim.Adam(head.parameters(), lr=3e-3)
    for step in range(60):
        head.train()
        loss = head.loss(head(x), labels_of(8), step=step).total
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    head.finish()
    bag_score = head.eval()(x).bag_score
    assert bag_score[4:].min() > bag_score[:4].max()


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("topk", {"k": 2.5}, "k is 2.5; it must be a whole number"),
        ("topk", {"k": True}, "k is True; it must be a whole number"),
        ("sultani", {"dropout": "much"}, "dropout is 'much'; it must be a number"),
        ("salient", {"chunk": "28"}, "chunk is '28'; it must be a whole number or null"),
        ("saa", {"detach_guide": 1}, "detach_guide is 1; it must be true or false"),
        ("saa", {"channels": 0}, "channels is 0; it must be at least 1"),
        ("distribution", {"mix": None}, "mix is None; it must be a number"),
        ("distribution", {"variant": "original-2024", "densities": 5}, "variant 'original-2024'"),
        ("distribution", {"variant": ["fitted"]}, r"variant is \['fitted'\]"),
    ],
)
def test_options_of_a_wrong_type_are_named(name: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        create_head(name, 4, **options)
