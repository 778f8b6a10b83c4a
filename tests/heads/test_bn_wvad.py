"""BN-WVAD against the original's numbers."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from amiss.convert import from_reference
from amiss.heads import HeadOutput, create_head
from amiss.heads.bn_wvad import BNWVADHead
from helpers.reference_weights import crc_checkpoint, golden_bags

LABELS = torch.tensor([0, 0, 1, 1])


@pytest.fixture(scope="module")
def arrays(golden: Path) -> dict[str, np.ndarray]:
    with np.load(golden / "bn_wvad.npz") as opened:
        return dict(opened)


@pytest.fixture
def head(golden: Path) -> BNWVADHead:
    return from_reference("bn-wvad", crc_checkpoint(golden, "bn_wvad_64"))


@pytest.fixture(scope="module")
def bags() -> torch.Tensor:
    return golden_bags(0, (4, 3, 40, 64))


def original_scores(output: HeadOutput) -> np.ndarray:
    """(DFM₁ + DFM₂) · s, unbounded, crops averaged one by one."""
    distance = sum(output.extras["divergences"]).unflatten(0, (4, -1)).mean(1)
    return (distance * output.extras["normality"].unflatten(0, (4, -1)).mean(1)).numpy()


def test_scores_are_the_originals(arrays: dict[str, np.ndarray], head: BNWVADHead, bags: torch.Tensor) -> None:
    with torch.inference_mode():
        every, one = head(bags.flatten(0, 1)), head(bags[:, 0])
    np.testing.assert_allclose(original_scores(every), arrays["scores"], rtol=1e-4)
    np.testing.assert_allclose(original_scores(one), arrays["scores_one"], rtol=1e-4)
    u = arrays["scores_one"]
    np.testing.assert_allclose(one.scores, u / (1 + u), rtol=1e-4)
    torch.testing.assert_close(torch.sigmoid(one.logits), one.scores)


def test_losses_are_the_originals(arrays: dict[str, np.ndarray], head: BNWVADHead, bags: torch.Tensor) -> None:
    for norm in head.normality.norms:
        norm.num_batches_tracked.fill_(100)  # as long trained: PyTorch's momentum
    terms = head.train().loss(head(bags[:, 0]), LABELS).terms
    assert terms["normal"].item() == pytest.approx(arrays["normal"].item(), rel=1e-4)
    assert terms["separation_wide"].item() == pytest.approx(arrays["separation"][0], rel=1e-4)
    assert terms["separation_narrow"].item() == pytest.approx(arrays["separation"][1], rel=1e-4)
    np.testing.assert_allclose(head.normality.bn2.running_mean, arrays["running_mean2"], rtol=1e-4, atol=1e-6)


def test_parameters_are_as_published() -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in create_head("bn-wvad", 1024).parameters()) == 5_791_905


@pytest.mark.parametrize("labels", [[0, 1, 1, 1], [0, 0, 0, 1]])
def test_as_many_normal_clips_as_anomalous_are_chosen(labels: list[int]) -> None:
    """The furthest of each normal bag first; too few start again."""
    torch.manual_seed(0)
    head = create_head("bn-wvad", 4, channels=32)
    hidden, distance = torch.randn(4, 10, 2), torch.rand(4, 10)
    mask = torch.arange(10) < torch.tensor([3, 10, 7, 5])[:, None]
    normal, anomalous = head._select(hidden, distance, mask, torch.tensor(labels))
    assert len(normal) == len(anomalous) > 0
    real_normal = hidden[torch.tensor(labels) == 0][mask[torch.tensor(labels) == 0]]
    assert all((row == real_normal).all(dim=1).any() for row in normal)
    best = distance[0].masked_fill(~mask[0], 0).argmax()
    assert (normal[0] == hidden[0, best]).all()


def test_which_of_equally_divergent_clips_are_chosen_is_not_a_matter_of_padding() -> None:
    torch.manual_seed(0)
    head = create_head("bn-wvad", 6, channels=32, dropout=0.0).train()  # one channel in the narrow layer: often equal
    mask = torch.arange(20).expand(4, -1) < 13
    for _ in range(40):
        bags = torch.randn(4, 13, 6)
        one, other = copy.deepcopy(head), copy.deepcopy(head)
        bare = one.loss(one(bags), LABELS).total
        padded = other.loss(other(torch.nn.functional.pad(bags, (0, 0, 0, 7)), mask), LABELS).total
        torch.testing.assert_close(padded, bare)
