"""Balanced batches, as a function of seed and step alone: a resumed run draws what an unbroken one would."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from amiss.training._recipe import BatchSettings


def draw_batch(
    normal: NDArray[np.intp], anomalous: NDArray[np.intp], batch: BatchSettings, seed: int, step: int
) -> NDArray[np.intp]:
    """Indices of one training step's bags, `[normal; anomalous]`.

    Args:
        normal: indices of all normal bags.
        anomalous: indices of all anomalous bags.
        batch: how many, and how they are drawn.
        seed: of the run.
        step: 1, 2, …
    """
    drawn_normal = normal[_draw(len(normal), batch.normal, batch.sampling, (seed, 0), step)]
    drawn_anomalous = anomalous[_draw(len(anomalous), batch.anomalous, batch.sampling, (seed, 1), step)]
    return np.concatenate([drawn_normal, drawn_anomalous])


def _draw(
    n: int,
    size: int,
    sampling: Literal["epochs", "without-replacement", "with-replacement"],
    key: tuple[int, int],
    step: int,
) -> NDArray[np.intp]:
    if sampling == "with-replacement":
        return np.random.default_rng([*key, step]).integers(n, size=size)
    if sampling == "without-replacement":
        rng = np.random.default_rng([*key, step])
        shuffles = [rng.permutation(n) for _ in range(-(-size // n))]
        return np.concatenate(shuffles)[:size]
    # an endless row of shuffles, of which this step takes its stretch
    first = (step - 1) * size
    epochs = range(first // n, (first + size - 1) // n + 1)
    row = np.concatenate([np.random.default_rng([*key, epoch]).permutation(n) for epoch in epochs])
    return row[first - epochs.start * n :][:size]
