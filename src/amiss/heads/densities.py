"""Densities fitted to samples of one number per clip, and how far two of them lie apart.

Twelve parametric families by maximum likelihood (supports that start at zero keep their location there), Gaussian
mixtures with the number of components by BIC, and kernel estimates.
"""

import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.mixture import GaussianMixture

from amiss.errors import UsageError

Array = NDArray[np.float64]

# name: (scipy's distribution, lives on positive numbers)
PARAMETRIC = {
    "normal": (stats.norm, False),
    "cauchy": (stats.cauchy, False),
    "gumbel": (stats.gumbel_r, False),
    "student-t": (stats.t, False),
    "beta": (stats.beta, False),
    "half-normal": (stats.halfnorm, True),
    "half-cauchy": (stats.halfcauchy, True),
    "exponential": (stats.expon, True),
    "gamma": (stats.gamma, True),
    "log-normal": (stats.lognorm, True),
    "weibull": (stats.weibull_min, True),
    "geometric": (stats.geom, True),
}
FAMILIES = (*PARAMETRIC, "mixture", "kernel")
KS_LIMIT = 0.1
MAX_COMPONENTS = 4


@dataclass(frozen=True)
class Density:
    """A fitted density of one real variable."""

    family: str
    """One of `FAMILIES`."""
    parameters: tuple[float, ...]
    """As scipy takes them; weights, means, standard deviations of a mixture; bandwidth of a kernel estimate."""
    log_pdf: Callable[[Array], Array]
    """ln of the density at points [N] → [N]."""
    cdf: Callable[[Array], Array]
    """Cumulative distribution at points [N] → [N]."""
    aic: float
    """Akaike's criterion 2k - 2 ln L; infinite for a kernel estimate, which has no count of parameters."""
    ks: float
    """Kolmogorov-Smirnov distance to the samples."""


@dataclass(frozen=True)
class Divergences:
    """How far the density of anomalous clips lies from that of normal ones, in nats."""

    js: float
    """Jensen-Shannon divergence, 0 .. ln 2."""
    kl_anomalous_normal: float
    """Kullback-Leibler divergence of the anomalous density from the normal one."""
    kl_normal_anomalous: float
    """The same the other way round."""
    wasserstein: float
    """Wasserstein-1 distance, in units of the variable."""


@dataclass(frozen=True)
class FittedDensities:
    """The two densities of the statistic, and how far they lie apart."""

    normal: Density
    """Of clips of normal bags."""
    anomalous: Density
    """Of selected clips of anomalous bags."""
    divergences: Divergences
    """Between the two."""
    samples: tuple[Array, Array]
    """What they were fitted to: of normal clips, of anomalous clips."""


def fits(family: str, samples: Array) -> bool:
    """Whether the samples lie in the support of a family: positive, or counts for `geometric`."""
    if family == "geometric":
        return bool((samples >= 0).all() and (samples == np.rint(samples)).all())
    return family not in PARAMETRIC or not PARAMETRIC[family][1] or bool((samples > 0).all())


def fit_density(samples: Array, family: str) -> Density:
    """Fit one family by maximum likelihood.

    Args:
        samples: [N] finite, at least two different values.
        family: one of `FAMILIES`.

    Raises:
        UsageError: unknown family, or samples outside its support.
    """
    if family not in FAMILIES:
        raise UsageError(f"density family is {family!r}; known are {list(FAMILIES)}")
    if not fits(family, samples):
        support = "counts" if family == "geometric" else "positive numbers"
        raise UsageError(
            f"density family {family!r} is for {support}; the samples go from {samples.min():g} to {samples.max():g}"
        )
    with warnings.catch_warnings(), np.errstate(all="ignore"):  # the optimisers look at absurd parameters on their way
        warnings.simplefilter("ignore")
        return _fit(samples, family)


def choose_density(samples: Array, families: tuple[str, ...] = FAMILIES) -> Density:
    """The density of least AIC among those within `KS_LIMIT` of the samples; a kernel estimate where none is."""
    close = []
    for family in families:
        if family != "kernel" and fits(family, samples):
            with suppress(stats.FitError):
                density = fit_density(samples, family)
                if np.isfinite(density.aic) and density.ks <= KS_LIMIT:
                    close.append(density)
    return min(close, key=lambda density: density.aic) if close else fit_density(samples, "kernel")


def divergences(anomalous: Density, normal: Density, grid: Array) -> Divergences:
    """Divergences by the trapezoid rule on a grid that covers both densities."""
    log_a, log_n = anomalous.log_pdf(grid), normal.log_pdf(grid)
    log_m = np.logaddexp(log_a, log_n) - np.log(2)

    def kl(log_p: Array, log_q: Array) -> float:
        with np.errstate(invalid="ignore"):
            integrand = np.where(log_p > -700, np.exp(log_p) * (log_p - np.maximum(log_q, -700)), 0)
        return float(np.trapezoid(integrand, grid))

    return Divergences(
        js=0.5 * kl(log_a, log_m) + 0.5 * kl(log_n, log_m),
        kl_anomalous_normal=kl(log_a, log_n),
        kl_normal_anomalous=kl(log_n, log_a),
        wasserstein=float(np.trapezoid(np.abs(anomalous.cdf(grid) - normal.cdf(grid)), grid)),
    )


def _fit(samples: Array, family: str) -> Density:
    if family == "mixture":
        return _fit_mixture(samples)
    if family == "kernel":
        kernel = stats.gaussian_kde(samples)  # Scott's rule
        spread = float(np.sqrt(kernel.covariance[0, 0]))
        every = np.full(len(samples), 1 / len(samples))
        return _density("kernel", (spread,), *_mixture_of(every, samples, np.full(len(samples), spread)), samples, None)
    distribution = PARAMETRIC[family][0]
    if family == "geometric":
        parameters, free = (1 / (1 + float(samples.mean())), -1.0), 1
        frozen = distribution(*parameters)
        return _density(family, parameters, frozen.logpmf, frozen.cdf, samples, free)
    if family == "beta":  # on (0, 1) after an affine map, whose two numbers come from the samples too
        margin = 0.01 * float(np.ptp(samples))
        parameters = distribution.fit(samples, floc=samples.min() - margin, fscale=np.ptp(samples) + 2 * margin)
        free = 4
    elif PARAMETRIC[family][1]:
        parameters = distribution.fit(samples, floc=0)
        free = len(parameters) - 1
    else:
        parameters = distribution.fit(samples)
        free = len(parameters)
    frozen = distribution(*parameters)
    return _density(family, tuple(map(float, parameters)), frozen.logpdf, frozen.cdf, samples, free)


def _density(
    family: str,
    parameters: tuple[float, ...],
    log_pdf: Callable[[Array], Array],
    cdf: Callable[[Array], Array],
    samples: Array,
    free: int | None,
) -> Density:
    aic = np.inf if free is None else 2 * free - 2 * float(log_pdf(samples).sum())
    ks = float(stats.ks_1samp(samples, cdf, method="asymp").statistic)
    return Density(family, parameters, log_pdf, cdf, aic, ks)


def _mixture_of(
    weights: Array, means: Array, spreads: Array
) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """log pdf and cdf of Σ_k w_k N(m_k, s_k²)."""

    def log_pdf(x: Array) -> Array:
        parts = stats.norm.logpdf(np.asarray(x)[..., None], means, spreads) + np.log(weights)
        total: Array = np.logaddexp.reduce(parts, axis=-1)
        return total

    def cdf(x: Array) -> Array:
        total: Array = (stats.norm.cdf(np.asarray(x)[..., None], means, spreads) * weights).sum(axis=-1)
        return total

    return log_pdf, cdf


def _fit_mixture(samples: Array) -> Density:
    column = samples[:, None]
    counts = range(1, min(MAX_COMPONENTS, len(np.unique(samples))) + 1)
    models = [GaussianMixture(k, random_state=0, reg_covar=1e-6 * samples.var()).fit(column) for k in counts]
    best = min(models, key=lambda model: model.bic(column))
    weights, means, spreads = best.weights_, best.means_[:, 0], np.sqrt(best.covariances_[:, 0, 0])
    parameters = tuple(np.stack([weights, means, spreads], axis=1).ravel().tolist())
    return _density("mixture", parameters, *_mixture_of(weights, means, spreads), samples, 3 * len(weights) - 1)
