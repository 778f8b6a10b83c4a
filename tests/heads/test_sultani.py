"""The ranking network and its losses against the originals' numbers."""

import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from amiss.errors import UsageError
from amiss.heads import Head, HeadOutput, create_head, describe_heads, list_heads
from amiss.heads.sultani import SultaniHead, TopKHead

LABELS = torch.tensor([0] * 30 + [1] * 30)


@pytest.fixture(scope="module")
def losses(golden: Path) -> dict[str, np.ndarray]:
    with np.load(golden / "losses_mil.npz") as arrays:
        return dict(arrays)


def golden_scores(dtype: torch.dtype = torch.float32) -> torch.Tensor:
    scores = np.random.RandomState(1).rand(60, 32, 1).astype(np.float32)[..., 0]
    return torch.tensor(scores, dtype=dtype, requires_grad=True)


def output_of(head: SultaniHead | TopKHead, scores: torch.Tensor) -> HeadOutput:
    mask = torch.ones_like(scores, dtype=torch.bool)
    return HeadOutput(scores, head.bag_scores(scores, mask), {"mask": mask})


def original_head(name: str, **options: object) -> Head:
    """16-dim network with the golden numbers' weights."""
    head = create_head(name, 16, **options)
    state = {}
    for key, tensor in head.state_dict().items():
        n = np.random.RandomState(zlib.crc32(key.encode()) % 2**31).standard_normal(tuple(tensor.shape))
        scaled = n / np.sqrt(np.prod(tensor.shape[1:])) if tensor.ndim > 1 else 0.1 * n
        state[key] = torch.tensor(scaled, dtype=torch.float32)
    head.load_state_dict(state)
    return head.eval()


def golden_features() -> torch.Tensor:
    return torch.tensor(np.random.RandomState(2).standard_normal((60, 32, 16)).astype(np.float32))


def total(loss: object, *names: str) -> float:
    return sum(loss.terms[name].item() for name in names or loss.terms)


@pytest.mark.parametrize("k", range(1, 9))
def test_topk_loss_is_the_originals(losses: dict[str, np.ndarray], k: int) -> None:
    head = TopKHead(16, k=k, weight_penalty=0)
    loss = head.loss(output_of(head, golden_scores()), LABELS)
    assert loss.total.item() == pytest.approx(float(losses[f"topk_k{k}"]), rel=1e-5)


@pytest.mark.parametrize(("k", "name"), [(1, "mil_ekosman_grad"), (3, "topk_k3_grad")])
def test_topk_gradient_is_the_originals(losses: dict[str, np.ndarray], k: int, name: str) -> None:
    head, scores = TopKHead(16, k=k, weight_penalty=0), golden_scores()
    head.loss(output_of(head, scores), LABELS).total.backward()
    np.testing.assert_allclose(scores.grad, losses[name], rtol=1e-5, atol=1e-9)


def test_topk_of_december_2021(losses: dict[str, np.ndarray]) -> None:
    head = TopKHead(16, k=4, normal="top-and-bottom", weight_penalty=0)
    loss = head.loss(output_of(head, golden_scores()), LABELS)
    assert loss.total.item() == pytest.approx(float(losses["topk_2021_variant"]), rel=1e-5)


def test_sultani_loss_is_the_originals(losses: dict[str, np.ndarray]) -> None:
    head = SultaniHead(16, weight_penalty=0)
    loss = head.loss(output_of(head, golden_scores(torch.float64)), LABELS)
    for ours, theirs in (("ranking", "hinge"), ("sparsity", "sparsity"), ("smoothness", "smooth")):
        assert loss.terms[ours].item() == pytest.approx(float(losses[f"sultani_{theirs}"]), rel=1e-5)
    assert loss.total.item() == pytest.approx(float(losses["sultani_total"]), rel=1e-5)


def test_network_and_weight_penalties_are_the_originals(losses: dict[str, np.ndarray]) -> None:
    features = golden_features()
    for k in (1, 3):
        head = original_head("topk", k=k)
        output = head(features)
        np.testing.assert_allclose(output.scores.detach(), losses["ann16_scores"], rtol=1e-4, atol=1e-5)
        loss = head.loss(output, LABELS)
        assert loss.total.item() == pytest.approx(float(losses[f"reg_topk_k{k}"]), rel=1e-5)
        assert loss.terms["weights"].item() == pytest.approx(float(losses["reg_term"]), rel=1e-5)
    sultani = original_head("sultani")
    weights = sultani.loss(sultani(features), LABELS).terms["weights"].item()
    assert weights == pytest.approx(float(losses["keras_l2_term"]), rel=1e-5)


@pytest.mark.parametrize(
    "options", [("sultani", {}), ("topk", {"k": 3}), ("topk", {"k": 4, "normal": "top-and-bottom"})]
)
@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, 9), min_size=4, max_size=4), padding=st.integers(1, 5), seed=st.integers(0, 99))
def test_padding_changes_nothing(options: tuple[str, dict], lengths: list[int], padding: int, seed: int) -> None:
    torch.manual_seed(seed)
    head = create_head(options[0], 8, **options[1]).eval()
    longest, labels = max(lengths), torch.tensor([0, 0, 1, 1])
    x = torch.randn(4, longest, 8)
    mask = torch.arange(longest)[None] < torch.tensor(lengths)[:, None]
    wide = torch.cat([x.masked_fill(~mask[..., None], 7.0), torch.full((4, padding, 8), -3.0)], dim=1)
    wide_mask = torch.cat([mask, torch.zeros(4, padding, dtype=torch.bool)], dim=1)
    narrow_out, wide_out = head(x, mask), head(wide, wide_mask)
    torch.testing.assert_close(wide_out.scores[:, :longest], narrow_out.scores)
    assert (wide_out.scores[~wide_mask] == 0).all()
    torch.testing.assert_close(wide_out.bag_score, narrow_out.bag_score)
    torch.testing.assert_close(head.loss(wide_out, labels).total, head.loss(narrow_out, labels).total)
    for i, length in enumerate(lengths):
        alone = head(x[i : i + 1, :length])
        torch.testing.assert_close(alone.bag_score, narrow_out.bag_score[i : i + 1])


@pytest.mark.parametrize("name", ["sultani", "topk"])
def test_crops_are_averaged_before_ranking(name: str) -> None:
    torch.manual_seed(0)
    head = create_head(name, 8).eval()
    x, labels = torch.randn(4, 6, 8), torch.tensor([0, 0, 1, 1])
    once = head.loss(head(x), labels)
    thrice = head.loss(head(x.repeat_interleave(3, dim=0)), labels, crops=3)
    torch.testing.assert_close(thrice.total, once.total)


def test_bag_score_is_the_mean_of_the_k_highest() -> None:
    scores, mask = torch.tensor([[0.1, 0.9, 0.5, 0.7]]), torch.tensor([[True, True, True, False]])
    assert SultaniHead(2).bag_scores(scores, mask).item() == pytest.approx(0.9)
    assert TopKHead(2, k=2).bag_scores(scores, mask).item() == pytest.approx(0.7)
    assert TopKHead(2, k=9).bag_scores(scores, mask).item() == pytest.approx(0.5)


def test_a_better_ranking_costs_less() -> None:
    for head in (SultaniHead(2), TopKHead(2)):
        good = torch.tensor([[0.1, 0.1, 0.1], [0.9, 0.9, 0.9]])
        labels = torch.tensor([0, 1])
        right, wrong = (head.loss(output_of(head, s), labels).terms["ranking"] for s in (good, good.flip(0)))
        assert right < 0.7 < wrong


@pytest.mark.parametrize("name", ["sultani", "topk"])
def test_options_rebuild_the_head(name: str) -> None:
    head = create_head(name, 8, dropout=0.25, **({"k": 5} if name == "topk" else {})).eval()
    again = create_head(head.name, head.feature_dim, **head.options).eval()
    again.load_state_dict(head.state_dict())
    x = torch.randn(2, 3, 8)
    assert torch.equal(again(x).scores, head(x).scores)
    assert again.options == head.options


def test_registry_names_what_it_knows() -> None:
    assert {"sultani", "topk"} <= set(list_heads())
    assert "ranked" in describe_heads()["sultani"]
    with pytest.raises(UsageError, match="Did you mean 'sultani'"):
        create_head("sultany", 8)
    with pytest.raises(UsageError, match=r"sultani.*'k'.*dropout"):
        create_head("sultani", 8, k=3)
    with pytest.raises(UsageError, match="feature_dim is 0"):
        create_head("topk", 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k is 0"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"weight_penalty": -1.0}, "weight_penalty is -1.0"),
        ({"normal": "all"}, "normal is 'all'"),
        ({"k": 3, "normal": "top-and-bottom"}, "even k"),
    ],
)
def test_impossible_options_are_refused(options: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        create_head("topk", 8, **options)
