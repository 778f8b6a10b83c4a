"""UR-DMU against the original's numbers."""

from pathlib import Path

import numpy as np
import pytest
import torch

from amiss.convert import from_reference
from amiss.heads import create_head, crop_mean
from amiss.heads.ur_dmu import kl_divergence
from helpers.reference_weights import crc_checkpoint, golden_bags

LABELS = torch.tensor([0, 0, 1, 1])


@pytest.fixture(scope="module")
def arrays(golden: Path) -> dict[str, np.ndarray]:
    with np.load(golden / "ur_dmu.npz") as opened:
        return dict(opened)


def test_scores_saliencies_and_losses_are_the_originals(arrays: dict[str, np.ndarray], golden: Path) -> None:
    head = from_reference("ur-dmu", crc_checkpoint(golden, "ur_dmu_64"), noise=0.0)
    with torch.inference_mode():
        output = head(golden_bags(0, (4, 3, 40, 64)).flatten(0, 1))
        terms = head.loss(output, LABELS, crops=3).terms
    np.testing.assert_allclose(crop_mean(output.scores, 3), arrays["scores"], rtol=1e-4)
    known = {name: crop_mean(output.extras[f"{name}_saliency"], 3) for name in ("normal", "anomalous")}
    np.testing.assert_allclose(known["anomalous"][2:], arrays["A_att"], rtol=1e-4)
    np.testing.assert_allclose(known["normal"][:2], arrays["N_att"], rtol=1e-4)
    assert {f"loss_{name}" for name in terms} == {name for name in arrays if name.startswith("loss_")}
    for name, term in terms.items():
        assert term.item() == pytest.approx(arrays[f"loss_{name}"].item(), rel=1e-4), name


def test_parameters_are_as_published() -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in create_head("ur-dmu", 1024).parameters()) == 6_492_929


def test_normal_clips_are_uncertain_in_training_alone() -> None:
    torch.manual_seed(0)
    head, x = create_head("ur-dmu", 8, channels=16, dropout=0.0), torch.randn(4, 7, 8)
    output = head(x)
    first, second = (head.loss(output, LABELS).terms["classification"] for _ in range(2))
    assert first != second
    torch.testing.assert_close(head.eval()(x).scores, head(x).scores, rtol=0, atol=0)


def test_divergence_is_torchs() -> None:
    torch.manual_seed(0)
    mean, log_variance = torch.randn(2, 5, 3), torch.randn(2, 5, 3)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]], dtype=torch.bool)
    latent = torch.distributions.Normal(mean, (log_variance / 2).exp())
    each = torch.distributions.kl_divergence(latent, torch.distributions.Normal(0.0, 1.0))
    torch.testing.assert_close(kl_divergence(mean, log_variance, mask, "channels"), each.sum(2)[mask].mean())
