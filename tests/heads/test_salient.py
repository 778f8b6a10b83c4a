"""The salient-features head with its published checkpoints."""

from pathlib import Path

import numpy as np
import pytest
import torch

from amiss.convert import EVALUATION_OPTIONS, from_reference, read_checkpoint
from amiss.heads import HeadOutput, create_head
from amiss.heads.salient import SalientHead
from helpers.reference_weights import golden_bags

PUBLISHED = {"da64_r3": "SelfAttention-da64-r3-T32-seed9111.pth", "da128_r7": "SelfAttention-da128-r7-T32-seed9111.pth"}
ORIGINAL = {"self_anttention.0": "w1", "self_anttention.2": "w2", "fc1": "fc1", "fc2": "fc2"}


@pytest.fixture(scope="module")
def arrays(golden: Path) -> dict[str, np.ndarray]:
    with np.load(golden / "salient.npz") as opened:
        return dict(opened)


@pytest.fixture(params=list(PUBLISHED))
def key(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def checkpoint(shared: Path, key: str) -> dict[str, torch.Tensor]:
    return read_checkpoint(shared / "data" / "weights" / PUBLISHED[key])


def golden_input() -> torch.Tensor:
    return torch.from_numpy(np.random.RandomState(0).standard_normal((4, 32, 2048)).astype(np.float32))


def score(head: SalientHead, x: torch.Tensor) -> HeadOutput:
    with torch.inference_mode():
        return head(x)


def test_bags_score_as_in_the_original(
    arrays: dict[str, np.ndarray], key: str, checkpoint: dict[str, torch.Tensor]
) -> None:
    head = from_reference("salient", checkpoint)
    output = score(head, golden_input())
    np.testing.assert_allclose(output.bag_score, arrays[f"{key}_normal_scores"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(output.extras["attention"], arrays[f"{key}_normal_attn"], rtol=1e-4, atol=1e-6)
    crops = score(head, golden_bags(1, (10, 28, 2048)))
    np.testing.assert_allclose(crops.bag_score, arrays[f"{key}_abs_scores"], rtol=1e-4)


@pytest.mark.parametrize("chunk", [28, 32, 9])
def test_videos_score_in_pieces_as_in_the_original(
    arrays: dict[str, np.ndarray], key: str, checkpoint: dict[str, torch.Tensor], chunk: int
) -> None:
    head = from_reference("salient", checkpoint, **{**EVALUATION_OPTIONS["salient"], "chunk": chunk})
    video = golden_bags(2, (61, 10, 2048)).transpose(0, 1)
    np.testing.assert_allclose(score(head, video).scores.mean(0), arrays[f"{key}_video_split{chunk}"], rtol=1e-4)


def test_loss_and_gradients_are_the_originals(
    arrays: dict[str, np.ndarray], key: str, checkpoint: dict[str, torch.Tensor]
) -> None:
    head = from_reference("salient", checkpoint, dropout=0.0).train()
    loss = head.loss(head(golden_input()), torch.tensor([0, 0, 1, 1])).total
    assert loss.item() == pytest.approx(float(arrays[f"{key}_bce"]), rel=1e-5)
    loss.backward()
    for theirs, ours in ORIGINAL.items():
        for part in ("weight", "bias"):
            norm = head.get_submodule(ours).get_parameter(part).grad.norm().item()
            assert norm == pytest.approx(float(arrays[f"{key}_gradnorm_{theirs}.{part}"]), rel=1e-3, abs=1e-6)


def test_the_largest_clip_has_the_bags_score() -> None:
    torch.manual_seed(0)
    head = create_head("salient", 12, chunk=7).eval()
    output = score(head, torch.randn(3, 30, 12))
    torch.testing.assert_close(output.scores.amax(dim=1), output.bag_score)
    assert output.scores.std(dim=1).min() > 0


def test_pieces_are_bags_of_their_own() -> None:
    torch.manual_seed(0)
    head = create_head("salient", 12, chunk=7).eval()
    video = torch.randn(1, 16, 12)
    pieces = torch.cat([score(head, piece).scores for piece in video.split(7, dim=1)], dim=1)
    torch.testing.assert_close(score(head, video).scores, pieces)
    assert score(head.train(), video).extras["attention"].sum(dim=1).allclose(torch.ones(3)), "training sees whole bags"
