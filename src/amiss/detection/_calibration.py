"""Where scores become alarms: the threshold, from normal videos."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amiss.errors import EvaluationError


@dataclass(frozen=True)
class Calibration:
    """A threshold and where it comes from."""

    threshold: float
    """Scores at or above it are an event, 0..1."""
    method: str
    """How it was found, in words."""
    n_normal: int
    """Normal videos it was found on."""


def threshold_from_normal(
    normal_scores: Sequence[NDArray[np.floating[Any]]], *, quantile: float = 0.95, source: str = "training"
) -> Calibration:
    """The lowest threshold above the largest score of `quantile` of the normal videos.

    Args:
        normal_scores: clip scores [T] of each normal video.
        quantile: share of normal videos that must raise no alarm.
        source: which videos these are (`training`, `held-out training`), for the record.

    Raises:
        EvaluationError: no normal video.
    """
    if not normal_scores:
        raise EvaluationError("no normal video to find a threshold on; give the training set some with label 0")
    largest = np.array([float(scores.max()) for scores in normal_scores])
    at = float(np.quantile(largest, quantile, method="higher"))
    method = f"just above the largest score of {quantile:.0%} of {len(largest)} normal {source} videos"
    return Calibration(min(1.0, float(np.nextafter(at, 2.0))), method, len(largest))
