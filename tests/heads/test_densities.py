"""Fitted densities, the choice between them, and their divergences."""

from pathlib import Path

import numpy as np
import pytest

from amiss.errors import UsageError
from amiss.heads.densities import FAMILIES, choose_density, divergences, fit_density

SCIPY = {"normal": "norm", "half-normal": "halfnorm", "exponential": "expon", "gamma": "gamma", "gumbel": "gumbel_r",
         "cauchy": "cauchy", "half-cauchy": "halfcauchy", "log-normal": "lognorm",
         "weibull": "weibull_min"}  # fmt: skip


@pytest.fixture(scope="module")
def samples() -> dict[str, np.ndarray]:
    rs = np.random.RandomState(20)
    return {"normal": abs(rs.standard_normal(2000)), "abnormal": rs.gamma(3, 0.7, 2000)}


@pytest.fixture(scope="module")
def arrays(golden: Path) -> dict[str, np.ndarray]:
    with np.load(golden / "distribution_sound.npz") as opened:
        return dict(opened)


@pytest.mark.parametrize("label", ["normal", "abnormal"])
def test_fits(arrays: dict[str, np.ndarray], samples: dict[str, np.ndarray], label: str) -> None:
    for family, scipy_name in SCIPY.items():
        density = fit_density(samples[label], family)
        np.testing.assert_allclose(density.parameters, arrays[f"{label}_{scipy_name}_params"], rtol=1e-4)
        assert density.aic == pytest.approx(float(arrays[f"{label}_{scipy_name}_aic"]), rel=1e-6)
        assert density.ks == pytest.approx(float(arrays[f"{label}_{scipy_name}_ks"]), abs=1e-5)
    assert SCIPY[choose_density(samples[label]).family] == str(arrays[f"{label}_best"])


def test_divergences(arrays: dict[str, np.ndarray], samples: dict[str, np.ndarray]) -> None:
    normal, anomalous = fit_density(samples["normal"], "half-normal"), fit_density(samples["abnormal"], "gamma")
    found = divergences(anomalous, normal, np.linspace(1e-9, 30, 300_001))
    assert found.js == pytest.approx(float(arrays["js"]), rel=1e-6)
    assert found.kl_normal_anomalous == pytest.approx(float(arrays["kl_nq"]), rel=1e-6)
    assert found.kl_anomalous_normal == pytest.approx(float(arrays["kl_qn"]), rel=1e-6)
    assert found.wasserstein == pytest.approx(float(arrays["w1"]), rel=1e-6)
    u = np.array([0.5, 1, 2, 4])
    np.testing.assert_allclose(anomalous.log_pdf(u) - normal.log_pdf(u), arrays["llr_at_0.5_1_2_4"], rtol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_density_sums_to_its_distribution(samples: dict[str, np.ndarray], family: str) -> None:
    x = np.random.RandomState(0).geometric(0.3, 500) - 1.0 if family == "geometric" else samples["abnormal"][:500]
    density = fit_density(x, family)
    grid = np.arange(100.0) if family == "geometric" else np.linspace(-20, 20, 8001)
    values = np.exp(density.log_pdf(grid))
    total = values.sum() if family == "geometric" else np.trapezoid(values, grid)
    assert total == pytest.approx(float(density.cdf(grid[-1:])[0] - density.cdf(grid[:1] - 1e-9)[0]), abs=2e-3)
    assert (np.diff(density.cdf(grid)) >= -1e-12).all()


def test_where_no_family_is_close_a_kernel_estimate_is_taken(samples: dict[str, np.ndarray]) -> None:
    assert choose_density(samples["abnormal"][:200], ("normal",)).family == "normal"
    assert choose_density(samples["abnormal"][:200] ** 6, ("normal", "cauchy")).family == "kernel"


@pytest.mark.parametrize(("family", "samples_"), [("gamma", [-1.0, 2.0]), ("geometric", [0.5, 1]), ("zeta", [1.0, 2])])
def test_samples_outside_the_support_are_refused(family: str, samples_: list[float]) -> None:
    with pytest.raises(UsageError, match=family):
        fit_density(np.array(samples_), family)
