"""What a `distribution` head learned, for people: its two fitted densities as a figure and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amiss.evaluation import figure_png, plot_densities
from amiss.files import atomic_path, write_json

if TYPE_CHECKING:
    from amiss.heads.densities import FittedDensities


def write_densities(found: FittedDensities, folder: Path) -> None:
    """Write `densities.png` and `densities.json` (families, parameters, AIC, Kolmogorov-Smirnov, divergences in nats).

    Raises:
        OutputError: they can't be written.
    """
    classes = {"normal": (found.samples[0], found.normal), "anomalous": (found.samples[1], found.anomalous)}
    curves = {
        f"{name} clips: {density.family}": (samples, density.log_pdf) for name, (samples, density) in classes.items()
    }
    figure = plot_densities(curves, variable="magnitude of a clip's feature after the temporal network")
    with atomic_path(folder / "densities.png") as temporary:
        temporary.write_bytes(figure_png(figure))
    values: dict[str, Any] = {
        name: {
            "family": density.family,
            "parameters": density.parameters,
            "aic": density.aic if density.family != "kernel" else None,
            "ks": density.ks,
            "n_samples": len(samples),
        }
        for name, (samples, density) in classes.items()
    }
    write_json(folder / "densities.json", values | {"divergences": asdict(found.divergences)})
