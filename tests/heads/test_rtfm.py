"""RTFM against the original's numbers."""

from pathlib import Path

import numpy as np
import pytest
import torch

from amiss.convert import from_reference
from amiss.heads import HeadOutput, crop_mean
from amiss.heads.rtfm import RTFMHead
from amiss.heads.temporal import MaskedBatchNorm, NonLocalBlock
from helpers.reference_weights import crc_checkpoint, golden_bags

LABELS = torch.tensor([0, 0, 1, 1])


@pytest.fixture(scope="module")
def arrays(golden: Path) -> dict[str, np.ndarray]:
    with np.load(golden / "rtfm.npz") as opened:
        return dict(opened)


@pytest.fixture(scope="module")
def head(golden: Path) -> RTFMHead:
    return from_reference("rtfm", crc_checkpoint(golden, "rtfm_head"))


@pytest.fixture(scope="module")
def output(head: RTFMHead) -> HeadOutput:
    with torch.inference_mode():
        return head(golden_bags(0, (4, 10, 32, 2048)).flatten(0, 1))


def test_scores_and_magnitudes_are_the_originals(arrays: dict[str, np.ndarray], output: HeadOutput) -> None:
    np.testing.assert_allclose(crop_mean(output.scores, 10), arrays["scores"], rtol=1e-4)
    np.testing.assert_allclose(crop_mean(output.extras["magnitudes"], 10), arrays["magnitudes"], rtol=1e-4)


def test_selection_is_the_originals(arrays: dict[str, np.ndarray], head: RTFMHead, output: HeadOutput) -> None:
    video_scores, selected = head.select(output, crops=10)
    np.testing.assert_allclose(video_scores[:2], arrays["score_nor"][:, 0], rtol=1e-4)
    np.testing.assert_allclose(video_scores[2:], arrays["score_abn"][:, 0], rtol=1e-4)
    crop_major = selected.unflatten(0, (4, 10))[..., :8].transpose(0, 1)
    np.testing.assert_allclose(crop_major[:, :2].flatten(0, 1), arrays["feat_nor_first8"].mean(1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(crop_major[:, 2:].flatten(0, 1), arrays["feat_abn_first8"].mean(1), rtol=1e-4, atol=1e-5)


def test_losses_are_the_originals(arrays: dict[str, np.ndarray], head: RTFMHead, output: HeadOutput) -> None:
    terms = {name: term.item() for name, term in head.loss(output, LABELS, crops=10).terms.items()}
    assert terms["classification"] == pytest.approx(float(arrays["bce_only"]), rel=1e-5)
    both = terms["classification"] + terms["magnitude"]
    assert both == pytest.approx(float(arrays["loss_rtfm_plus_bce"]), rel=1e-5)
    assert terms["sparsity"] == pytest.approx(float(arrays["sparsity"]), rel=1e-5)
    assert terms["smoothness"] == pytest.approx(float(arrays["smooth"]), rel=1e-5)


def test_a_video_of_47_clips(arrays: dict[str, np.ndarray], head: RTFMHead) -> None:
    video = golden_bags(1, (1, 47, 10, 2048))[0].transpose(0, 1)
    with torch.inference_mode():
        np.testing.assert_allclose(head(video).scores.mean(0), arrays["video47_scores"], rtol=1e-4)


def test_temporal_network_is_the_originals(arrays: dict[str, np.ndarray], head: RTFMHead) -> None:
    with torch.inference_mode():
        x = golden_bags(0, (4, 10, 32, 2048))[:1, 0]
        out = head.temporal(x, torch.ones(1, 32, dtype=torch.bool))
    np.testing.assert_allclose(out.sum(dim=2), arrays["aggregate_out_sum_t"], rtol=1e-4)
    np.testing.assert_allclose(out[0, :, :8], arrays["aggregate_out_first8"], rtol=1e-4, atol=1e-5)


def test_both_ways_to_multiply_in_the_non_local_block_agree() -> None:
    """A bag longer than the inner channels takes the other association; cut in front of the switch they must meet."""
    torch.manual_seed(0)
    block = NonLocalBlock(6, 3).eval()
    torch.nn.init.ones_(block.norm.weight)
    x, mask = torch.randn(2, 6, 3), torch.ones(2, 3, dtype=torch.bool)
    padded = torch.nn.functional.pad(x, (0, 5))
    longer = block(padded, torch.nn.functional.pad(mask, (0, 5)))[..., :3]
    torch.testing.assert_close(block(x, mask), longer)


def test_batch_statistics_leave_padding_out() -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 4, 6)
    mask = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]], dtype=torch.bool)
    masked, plain = MaskedBatchNorm(4), torch.nn.BatchNorm1d(4, momentum=1)
    expected = plain(x.transpose(1, 2)[mask])
    torch.testing.assert_close(masked(x, mask).transpose(1, 2)[mask], expected)
    torch.testing.assert_close(masked.running_var, plain.running_var)


def test_running_statistics_hold_nothing_that_no_batch_had() -> None:
    """After few steps those of PyTorch still hold a share of their start, 1; later the two agree."""
    torch.manual_seed(0)
    masked, plain = MaskedBatchNorm(4), torch.nn.BatchNorm1d(4)
    for step in range(300):
        x = 0.01 * torch.randn(8, 4, 16)
        masked(x, torch.ones(8, 16, dtype=torch.bool))
        plain(x)
        assert masked.running_var.max() < 2e-4
        assert step > 50 or plain.running_var.min() > 10 * masked.running_var.max()
    torch.testing.assert_close(masked.running_var, plain.running_var)
    torch.testing.assert_close(masked.running_mean, plain.running_mean)


def test_bags_without_partner_stay_out_of_the_magnitude_term() -> None:
    torch.manual_seed(0)
    head = RTFMHead(8, channels=4).eval()
    x = torch.randn(5, 6, 8)
    whole = head.loss(head(x), torch.tensor([0, 0, 0, 1, 1])).terms["magnitude"]
    paired = head.loss(head(x[[0, 1, 3, 4]]), LABELS).terms["magnitude"]
    torch.testing.assert_close(whole, paired)
