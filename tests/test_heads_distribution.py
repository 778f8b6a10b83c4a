"""The distribution head: the published variants' numbers, fitted densities, and what the sound variant learns."""

import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from reference_weights import crc_checkpoint, golden_bags
from torch.nn import functional as F

from amiss.convert import from_reference
from amiss.errors import UsageError
from amiss.heads import HeadOutput, create_head, crop_mean
from amiss.heads._densities import FAMILIES, choose_density, divergences, fit_density
from amiss.heads._distribution_original import (
    LOG_DENSITIES,
    OriginalDistributionHead,
    clip_differences,
    density_value,
    js_divergence,
    kernel_log_density,
)
from amiss.heads.distribution import FittedDistributionHead, js_of_samples

LABELS = torch.tensor([0, 0, 1, 1])
VARIANTS = {"original-2023": "seed000_v1", "original-2024": "seed000_v2"}
SCIPY = {"normal": "norm", "half-normal": "halfnorm", "exponential": "expon", "gamma": "gamma", "gumbel": "gumbel_r",
         "cauchy": "cauchy", "half-cauchy": "halfcauchy", "log-normal": "lognorm", "weibull": "weibull_min"}  # fmt: skip


class TestOriginal:
    """Variants `original-2023` and `original-2024`."""

    @pytest.fixture(scope="class", params=list(VARIANTS))
    def variant(self, request: pytest.FixtureRequest) -> str:
        return request.param

    @pytest.fixture(scope="class")
    def arrays(self, golden: Path, variant: str) -> dict[str, np.ndarray]:
        with np.load(golden / f"{VARIANTS[variant]}.npz") as opened:
            return dict(opened)

    @pytest.fixture(scope="class")
    def head(self, golden: Path, variant: str) -> OriginalDistributionHead:
        return from_reference("distribution", crc_checkpoint(golden, "seed000_head_1024"), variant=variant)

    @pytest.fixture(scope="class")
    def output(self, head: OriginalDistributionHead) -> HeadOutput:
        with torch.inference_mode():
            return head(golden_bags(0, (4, 10, 32, 1024)).flatten(0, 1))

    def test_scores(self, arrays: dict[str, np.ndarray], head: OriginalDistributionHead, output: HeadOutput) -> None:
        np.testing.assert_allclose(crop_mean(output.scores, 10), arrays["scores"], rtol=1e-4)
        index, _ = head.select(output, LABELS, crops=10)
        video = crop_mean(output.scores, 10).gather(1, index).mean(1)
        np.testing.assert_allclose(video[:2], arrays["score_nor"][:, 0], rtol=1e-4)
        np.testing.assert_allclose(video[2:], arrays["score_abn"][:, 0], rtol=1e-4)

    def test_loss(self, arrays: dict[str, np.ndarray], head: OriginalDistributionHead, output: HeadOutput) -> None:
        terms = {name: term.item() for name, term in head.loss(output, LABELS, crops=10).terms.items()}
        total = sum(terms.get(name, 0.0) for name in ("classification", "distribution", "spread"))
        assert terms["classification"] == pytest.approx(float(arrays["bce"]), rel=1e-5)
        assert total == pytest.approx(float(arrays["loss"]), rel=1e-5)
        assert terms["smoothness"] == pytest.approx(float(arrays["smooth"]), rel=1e-5)
        assert terms["sparsity"] == pytest.approx(float(arrays["sparsity"]), rel=1e-5)

    def test_density_values(
        self, arrays: dict[str, np.ndarray], head: OriginalDistributionHead, output: HeadOutput
    ) -> None:
        for normal_or_anomalous, name in zip(head.density_vectors(output, LABELS, 10), ("nor", "abn"), strict=True):
            np.testing.assert_allclose(normal_or_anomalous, arrays[f"dens_{name}_top4"].ravel(), rtol=1e-4)

    def test_fixed_densities(self, arrays: dict[str, np.ndarray]) -> None:
        for family in LOG_DENSITIES:
            theirs = "".join(word.capitalize() for word in family.split("-"))
            found = density_value(torch.from_numpy(arrays[f"densx_{theirs}"]), family)
            np.testing.assert_allclose(found, arrays[f"dens_{theirs}"], rtol=1e-4)

    def test_pairs_of_clips(self, arrays: dict[str, np.ndarray], head: OriginalDistributionHead) -> None:
        f = torch.from_numpy(np.random.RandomState(3).rand(2, 8, 5).astype(np.float32))
        table = clip_differences(f, head.gaps)
        later = torch.arange(8)[:, None] + torch.arange(1, head.gaps + 1)
        real = (later < 8).flatten()
        np.testing.assert_allclose(table.flatten(1)[:, real], arrays["diffseg_k3_vals"], rtol=1e-5)
        np.testing.assert_array_equal(later.flatten()[real].expand(2, -1), arrays["diffseg_k3_q"])

    def test_divergence(self, arrays: dict[str, np.ndarray]) -> None:
        p, q = (torch.from_numpy(arrays[f"js_{name}"])[0] for name in "pq")
        assert js_divergence(p, q).item() == pytest.approx(float(arrays["js_val"]), rel=1e-5)

    def test_training_gets_nothing_from_the_divergence_of_2024(self) -> None:
        """The published loss's quirk: dropout's zeros are every clip's likeliest values."""
        torch.manual_seed(0)
        head = OriginalDistributionHead(64, variant="original-2024", channels=8).train()
        term = head.loss(head(torch.rand(4, 32, 64)), LABELS).terms["distribution"]
        term.backward()
        assert term.item() == pytest.approx(1e-4, rel=1e-5)
        assert all(p.grad is None or not p.grad.any() for p in head.parameters())


def test_kernel_estimate_of_2023(golden: Path) -> None:
    with np.load(golden / "seed000_v1.npz") as arrays:
        x = torch.from_numpy(arrays["kde_x"])
        found = kernel_log_density(x, torch.ones(2, 12, dtype=torch.bool))
        np.testing.assert_allclose(found, arrays["kde_logdens"], rtol=1e-5)


@pytest.mark.parametrize("families", [("cauchy", "exponential"), ("half-cauchy", "gumbel"), ("kernel", "kernel")])
def test_other_pairs_of_densities(families: tuple[str, str]) -> None:
    head = create_head("distribution", 8, variant="original-2023", densities=families, channels=4)
    loss = head.loss(head(torch.randn(4, 6, 8)), LABELS)
    loss.total.backward()
    assert loss.total.isfinite()


@pytest.mark.parametrize(
    "options",
    [
        {"variant": "original-2025"},
        {"variant": "original-2024", "densities": ("beta", "normal")},
        {"variant": "original-2024", "densities": ("kernel", "kernel")},
        {"variant": "original-2024", "mix": 0.5},
        {"density": "poisson"},
        {"statistic": "entropy"},
        {"mix": 1.5},
        {"separation": -1.0},
        {"gaps": 2},
    ],
)
def test_wrong_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=str(next(reversed(options)))):
        create_head("distribution", 8, **options)


class TestDensities:
    """Fits, choice and divergences."""

    @pytest.fixture(scope="class")
    def samples(self) -> dict[str, np.ndarray]:
        rs = np.random.RandomState(20)
        return {"normal": abs(rs.standard_normal(2000)), "abnormal": rs.gamma(3, 0.7, 2000)}

    @pytest.fixture(scope="class")
    def arrays(self, golden: Path) -> dict[str, np.ndarray]:
        with np.load(golden / "distribution_sound.npz") as opened:
            return dict(opened)

    @pytest.mark.parametrize("label", ["normal", "abnormal"])
    def test_fits(self, arrays: dict[str, np.ndarray], samples: dict[str, np.ndarray], label: str) -> None:
        for family, scipy_name in SCIPY.items():
            density = fit_density(samples[label], family)
            np.testing.assert_allclose(density.parameters, arrays[f"{label}_{scipy_name}_params"], rtol=1e-4)
            assert density.aic == pytest.approx(float(arrays[f"{label}_{scipy_name}_aic"]), rel=1e-6)
            assert density.ks == pytest.approx(float(arrays[f"{label}_{scipy_name}_ks"]), abs=1e-5)
        assert SCIPY[choose_density(samples[label]).family] == str(arrays[f"{label}_best"])

    def test_divergences(self, arrays: dict[str, np.ndarray], samples: dict[str, np.ndarray]) -> None:
        normal, anomalous = fit_density(samples["normal"], "half-normal"), fit_density(samples["abnormal"], "gamma")
        found = divergences(anomalous, normal, np.linspace(1e-9, 30, 300_001))
        assert found.js == pytest.approx(float(arrays["js"]), rel=1e-6)
        assert found.kl_normal_anomalous == pytest.approx(float(arrays["kl_nq"]), rel=1e-6)
        assert found.kl_anomalous_normal == pytest.approx(float(arrays["kl_qn"]), rel=1e-6)
        assert found.wasserstein == pytest.approx(float(arrays["w1"]), rel=1e-6)
        u = np.array([0.5, 1, 2, 4])
        np.testing.assert_allclose(anomalous.log_pdf(u) - normal.log_pdf(u), arrays["llr_at_0.5_1_2_4"], rtol=1e-6)

    @pytest.mark.parametrize("family", FAMILIES)
    def test_every_density_sums_to_one(self, samples: dict[str, np.ndarray], family: str) -> None:
        x = np.random.RandomState(0).geometric(0.3, 500) - 1.0 if family == "geometric" else samples["abnormal"][:500]
        density = fit_density(x, family)
        grid = np.arange(100.0) if family == "geometric" else np.linspace(-2000, 2000, 400_001)
        values = np.exp(density.log_pdf(grid))
        total = values.sum() if family == "geometric" else np.trapezoid(values, grid)
        assert total == pytest.approx(1, abs=0.01)
        assert (np.diff(density.cdf(grid)) >= -1e-12).all()

    def test_where_no_family_is_close_a_kernel_estimate_is_taken(self, samples: dict[str, np.ndarray]) -> None:
        assert choose_density(samples["abnormal"][:200], ("normal",)).family == "normal"
        assert choose_density(samples["abnormal"][:200] ** 6, ("normal", "cauchy")).family == "kernel"

    @pytest.mark.parametrize(("family", "samples_"), [("gamma", [-1.0, 2.0]), ("geometric", [0.5, 1]), ("zeta", [1.0, 2])])
    def test_samples_outside_the_support_are_refused(self, family: str, samples_: list[float]) -> None:
        with pytest.raises(UsageError, match=family):
            fit_density(np.array(samples_), family)


def test_js_of_samples_meets_the_closed_form(golden: Path) -> None:
    with np.load(golden / "distribution_sound.npz") as arrays:
        expected = float(arrays["js_N01_N12"])
    rs = np.random.RandomState(0)
    normal, anomalous = torch.from_numpy(rs.randn(200_000)), torch.from_numpy(1 + 2 * rs.randn(200_000))
    js = js_of_samples(normal, anomalous, torch.tensor([0.0, 1.0]), torch.tensor([1.0, 4.0]))
    assert js.item() == pytest.approx(expected, abs=3e-3)


def trained(steps: int = 30, **options: object) -> tuple[FittedDistributionHead, torch.Tensor]:
    """A head that has seen bags in which anomalous clips are longer vectors; and such bags."""
    torch.manual_seed(0)
    head = create_head("distribution", 16, channels=8, **options).train()
    optimiser = torch.optim.Adam(head.parameters(), lr=1e-3)
    for _ in range(steps):
        loss = head.loss(head(bags()), torch.tensor([0] * 8 + [1] * 8))
        optimiser.zero_grad()
        loss.total.backward()
        optimiser.step()
    return head.eval(), bags()


def bags() -> torch.Tensor:
    x = torch.rand(16, 32, 16)
    x[8:, 10:16] *= 3
    return x


class TestFitted:
    """Variant `fitted`."""

    def test_the_separation_term_has_a_gradient_and_drives_the_classes_apart(self) -> None:
        torch.manual_seed(0)
        head = create_head("distribution", 16, channels=8, dropout=0.0)
        optimiser = torch.optim.Adam(head.parameters(), lr=1e-3)
        terms = []
        for _ in range(40):
            term = head.loss(head(bags()), torch.tensor([0] * 8 + [1] * 8)).terms["separation"]
            optimiser.zero_grad()
            term.backward()
            optimiser.step()
            terms.append(term.item())
        assert head.temporal.fuse.conv.weight.grad.abs().max() > 0
        assert np.mean(terms[-5:]) < 0.8 * np.mean(terms[:5])

    @pytest.mark.parametrize("statistic", ["magnitude", "logit"])
    def test_the_likelihood_ratio_finds_the_anomalous_clips(self, statistic: str) -> None:
        head, x = trained(statistic=statistic, mix=1.0)
        scores = head(x).scores
        assert scores[8:, 11:15].mean() > scores[:8].mean() + 0.3
        fitted = head.fit()
        assert 0 < fitted.divergences.js <= math.log(2)
        assert fitted.normal.ks < 0.1
        assert fitted.anomalous.ks < 0.1

    def test_scores_come_back_from_the_state_dict(self) -> None:
        head, x = trained()
        for before_scoring in (True, False):  # densities not yet fitted when saved; fitted
            again = create_head("distribution", 16, **head.options)
            again.load_state_dict(head.state_dict())
            assert bool(again.stale) is before_scoring
            torch.testing.assert_close(again.eval()(x).scores, head(x).scores)

    def test_before_training_the_classifier_scores_alone(self) -> None:
        head = create_head("distribution", 16, channels=8).eval()
        assert "log_ratio" not in head(torch.rand(2, 5, 16)).extras
        assert head.fit() is None

    def test_scoring_works_in_inference_mode_and_training_goes_on(self) -> None:
        head, x = trained(2)
        with torch.inference_mode():
            head(x)
        head.train()
        head.loss(head(bags()), torch.tensor([0] * 8 + [1] * 8)).total.backward()

    def test_a_forced_family_that_does_not_fit_is_said(self) -> None:
        head, x = trained(3, density="cauchy")
        head.samples[0] = torch.rand(1024).round() + 1e-3 * torch.rand(1024)
        with pytest.warns(UserWarning, match="cauchy density doesn't fit"):
            head(x)

    def test_a_constant_statistic_is_no_reason_to_fail(self) -> None:
        head = create_head("distribution", 16, channels=8, dropout=0.0).train()
        head.loss(head(torch.zeros(4, 8, 16)), LABELS)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert F.mse_loss(head.eval()(torch.zeros(4, 8, 16)).scores, torch.full((4, 8), 0.5)) < 0.1
