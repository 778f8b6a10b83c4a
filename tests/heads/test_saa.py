"""SAA against a reference implementation of its equations."""

from pathlib import Path

import numpy as np
import pytest
import torch

from amiss.convert import from_reference
from amiss.heads import HeadOutput
from amiss.heads.saa import SAAHead, suppress
from helpers.reference_weights import crc_checkpoint, golden_bags

LABELS = torch.tensor([0, 0, 1, 1])
BRANCHES = ("class", "attended", "class_suppressed", "attended_suppressed")


@pytest.fixture(scope="module")
def arrays(golden: Path) -> dict[str, np.ndarray]:
    with np.load(golden / "saa_reference.npz") as opened:
        return dict(opened)


@pytest.fixture
def output(arrays: dict[str, np.ndarray]) -> HeadOutput:
    attention, scores = torch.from_numpy(arrays["loss_A"]), torch.from_numpy(arrays["loss_S"])
    mask = torch.ones(4, 20, dtype=torch.bool)
    extras = {"attention": attention, "class_scores": scores, "mask": mask}
    return HeadOutput(attention * scores, scores.mean(1), extras)


def terms_of(output: HeadOutput, *, step: int = 0, **options: object) -> dict[str, float]:
    loss = SAAHead(4, **options).loss(output, LABELS, step=step)
    return {name: term.item() for name, term in loss.terms.items()}


def test_network_is_the_references(arrays: dict[str, np.ndarray], golden: Path) -> None:
    head = from_reference("saa", crc_checkpoint(golden, "saa_reference_head"))
    with torch.inference_mode():
        x = golden_bags(0, (2, 40, 1024))
        output = head(x)
        features = head.temporal(x, torch.ones(2, 40, dtype=torch.bool))
    np.testing.assert_allclose(output.extras["attention"], arrays["attn"], rtol=1e-4)
    np.testing.assert_allclose(output.extras["class_scores"], arrays["scores"], rtol=1e-4)
    np.testing.assert_allclose(output.scores, arrays["test_scores"], rtol=1e-4)
    np.testing.assert_allclose(features[..., :8].transpose(1, 2), arrays["feat_first8"], rtol=1e-4, atol=1e-5)


def test_suppression_erases_the_most_attended_clips(arrays: dict[str, np.ndarray], output: HeadOutput) -> None:
    attention, scores, mask = (output.extras[name] for name in ("attention", "class_scores", "mask"))
    np.testing.assert_allclose(suppress(scores, attention, mask, 0.2), arrays["S_so"], rtol=1e-6)
    np.testing.assert_allclose(suppress(output.scores, attention, mask, 0.2), arrays["S_sa"], rtol=1e-6)


@pytest.mark.parametrize(("pool", "name"), [("topk", "topk"), ("mean", "mean"), ("all", "broadcast")])
def test_classification_of_four_branches(
    arrays: dict[str, np.ndarray], output: HeadOutput, pool: str, name: str
) -> None:
    terms = terms_of(output, pool=pool)
    weights = np.array([0.8, 0.8, 0.2, 0.2])
    np.testing.assert_allclose([terms[branch] for branch in BRANCHES], weights * arrays[f"cls_{name}"], rtol=1e-5)
    assert sum(terms[branch] for branch in BRANCHES) == pytest.approx(float(arrays[f"cls_total_{name}"]), rel=1e-5)


def test_guide_and_norm(arrays: dict[str, np.ndarray], output: HeadOutput) -> None:
    early, late = terms_of(output, step=399), terms_of(output, step=400)
    assert early["guide_normal"] == pytest.approx(float(arrays["guide_neg"]), rel=1e-5)
    assert early["guide_anomalous"] == pytest.approx(float(arrays["guide_pos_early"]), rel=1e-5)
    assert late["guide_anomalous"] == pytest.approx(float(arrays["guide_pos_late"]), rel=1e-5)
    assert early["norm"] == pytest.approx(0.8 * float(arrays["norm_mean"]), rel=1e-5)
    assert terms_of(output, reduction="sum")["norm"] == pytest.approx(
        0.8 * float(arrays["norm_sum_per_video_mean"]), rel=1e-5
    )


@pytest.mark.parametrize(("regularise", "rows"), [("all", slice(None)), ("anomalous", slice(2, None))])
def test_smoothness_and_sparsity(
    arrays: dict[str, np.ndarray], output: HeadOutput, regularise: str, rows: slice
) -> None:
    summed = terms_of(output, reduction="sum", regularise=regularise)
    assert summed["sparsity"] == pytest.approx(arrays["sparse_sum"][rows].mean(), rel=1e-5)
    assert summed["smoothness"] == pytest.approx(0.01 * arrays["smooth_sum"][rows].mean(), rel=1e-5)
    averaged = terms_of(output, regularise=regularise)
    assert averaged["sparsity"] == pytest.approx(summed["sparsity"] / 20, rel=1e-5)
    assert averaged["smoothness"] == pytest.approx(summed["smoothness"] / 19, rel=1e-5)


@pytest.mark.parametrize("detach", [False, True])
def test_gradient_of_the_guide_into_the_classifier_is_an_option(detach: bool) -> None:
    scores = torch.full((4, 5), 0.3, requires_grad=True)
    attention = torch.full((4, 5), 0.6)
    extras = {"attention": attention, "class_scores": scores, "mask": torch.ones(4, 5, dtype=torch.bool)}
    output = HeadOutput(attention * scores, scores.mean(1), extras)
    terms = SAAHead(4, detach_guide=detach).loss(output, LABELS).terms
    assert terms["guide_anomalous"].requires_grad is not detach


def test_dropout_on_the_attention_logit_is_an_option() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 50, 8)
    kept = SAAHead(8).train()(x).extras["attention"]
    assert 0.5 < (kept == 0.5).float().mean() < 0.9
    assert not (SAAHead(8, logit_dropout=False).train()(x).extras["attention"] == 0.5).any()
