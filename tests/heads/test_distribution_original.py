"""The distribution head's published variants against their numbers."""

from pathlib import Path

import numpy as np
import pytest
import torch

from amiss.convert import from_reference
from amiss.heads import HeadOutput, create_head, crop_mean
from amiss.heads.distribution_original import (
    LOG_DENSITIES,
    OriginalDistributionHead,
    clip_differences,
    density_value,
    js_divergence,
    kernel_log_density,
)
from helpers.reference_weights import crc_checkpoint, golden_bags

LABELS = torch.tensor([0, 0, 1, 1])
VARIANTS = {"original-2023": "distribution_original_2023", "original-2024": "distribution_original_2024"}


@pytest.fixture(scope="module", params=list(VARIANTS))
def variant(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def arrays(golden: Path, variant: str) -> dict[str, np.ndarray]:
    with np.load(golden / f"{VARIANTS[variant]}.npz") as opened:
        return dict(opened)


@pytest.fixture(scope="module")
def head(golden: Path, variant: str) -> OriginalDistributionHead:
    return from_reference("distribution", crc_checkpoint(golden, "distribution_head_1024"), variant=variant)


@pytest.fixture(scope="module")
def output(head: OriginalDistributionHead) -> HeadOutput:
    with torch.inference_mode():
        return head(golden_bags(0, (4, 10, 32, 1024)).flatten(0, 1))


def test_scores(arrays: dict[str, np.ndarray], head: OriginalDistributionHead, output: HeadOutput) -> None:
    np.testing.assert_allclose(crop_mean(output.scores, 10), arrays["scores"], rtol=1e-4)
    index, _ = head.select(output, LABELS, crops=10)
    video = crop_mean(output.scores, 10).gather(1, index).mean(1)
    np.testing.assert_allclose(video[:2], arrays["score_nor"][:, 0], rtol=1e-4)
    np.testing.assert_allclose(video[2:], arrays["score_abn"][:, 0], rtol=1e-4)


def test_loss(arrays: dict[str, np.ndarray], head: OriginalDistributionHead, output: HeadOutput) -> None:
    terms = {name: term.item() for name, term in head.loss(output, LABELS, crops=10).terms.items()}
    total = sum(terms.get(name, 0.0) for name in ("classification", "distribution", "spread"))
    assert terms["classification"] == pytest.approx(float(arrays["bce"]), rel=1e-5)
    assert total == pytest.approx(float(arrays["loss"]), rel=1e-5)
    assert terms["smoothness"] == pytest.approx(float(arrays["smooth"]), rel=1e-5)
    assert terms["sparsity"] == pytest.approx(float(arrays["sparsity"]), rel=1e-5)


def test_density_values(arrays: dict[str, np.ndarray], head: OriginalDistributionHead, output: HeadOutput) -> None:
    for normal_or_anomalous, name in zip(head.density_vectors(output, LABELS, 10), ("nor", "abn"), strict=True):
        np.testing.assert_allclose(normal_or_anomalous, arrays[f"dens_{name}_top4"].ravel(), rtol=1e-4)


def test_fixed_densities(arrays: dict[str, np.ndarray]) -> None:
    for family in LOG_DENSITIES:
        theirs = "".join(word.capitalize() for word in family.split("-"))
        found = density_value(torch.from_numpy(arrays[f"densx_{theirs}"]), family)
        np.testing.assert_allclose(found, arrays[f"dens_{theirs}"], rtol=1e-4)


def test_pairs_of_clips(arrays: dict[str, np.ndarray], head: OriginalDistributionHead) -> None:
    f = torch.from_numpy(np.random.RandomState(3).rand(2, 8, 5).astype(np.float32))
    table = clip_differences(f, head.gaps)
    later = torch.arange(8)[:, None] + torch.arange(1, head.gaps + 1)
    real = (later < 8).flatten()
    np.testing.assert_allclose(table.flatten(1)[:, real], arrays["diffseg_k3_vals"], rtol=1e-5)
    np.testing.assert_array_equal(later.flatten()[real].expand(2, -1), arrays["diffseg_k3_q"])


def test_divergence(arrays: dict[str, np.ndarray]) -> None:
    p, q = (torch.from_numpy(arrays[f"js_{name}"])[0] for name in "pq")
    assert js_divergence(p, q).item() == pytest.approx(float(arrays["js_val"]), rel=1e-5)


def test_training_gets_nothing_from_the_divergence_of_2024() -> None:
    """The published loss's quirk: dropout's zeros are every clip's likeliest values."""
    torch.manual_seed(0)
    head = OriginalDistributionHead(64, variant="original-2024", channels=8).train()
    term = head.loss(head(torch.rand(4, 32, 64)), LABELS).terms["distribution"]
    term.backward()
    assert term.item() == pytest.approx(1e-4, rel=1e-5)
    assert all(p.grad is None or not p.grad.any() for p in head.parameters())


def test_kernel_estimate_of_2023(golden: Path) -> None:
    with np.load(golden / "distribution_original_2023.npz") as arrays:
        x = torch.from_numpy(arrays["kde_x"])
        found = kernel_log_density(x, torch.ones(2, 12, dtype=torch.bool))
        np.testing.assert_allclose(found, arrays["kde_logdens"], rtol=1e-5)


@pytest.mark.parametrize("families", [("cauchy", "exponential"), ("half-cauchy", "gumbel"), ("kernel", "kernel")])
def test_other_pairs_of_densities(families: tuple[str, str]) -> None:
    head = create_head("distribution", 8, variant="original-2023", densities=families, channels=4)
    loss = head.loss(head(torch.randn(4, 6, 8)), LABELS)
    loss.total.backward()
    assert loss.total.isfinite()
