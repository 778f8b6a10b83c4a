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
    normal_scores: Sequence[NDArray[np.floating[Any]]], *, quantile: float = 0.98, source: str = "training"
) -> Calibration:
    """The lowest threshold that leaves the stated share of normal clips quiet.

    Clips, not videos: one normal video in which something odd happens (they exist) would else decide alone.

    Args:
        normal_scores: clip scores [T] of each normal video.
        quantile: share of normal clips that must stay below the threshold.
        source: which videos these are (`training`, `held-out`), for the record.

    Raises:
        EvaluationError: no normal video.
    """
    if not normal_scores:
        raise EvaluationError("no normal video to find a threshold on; give the training set some with label 0")
    scores = np.concatenate(normal_scores).astype(np.float64)
    at = float(np.quantile(scores, quantile, method="inverted_cdf"))
    method = f"just above {quantile:.0%} of the {len(scores)} clips of {len(normal_scores)} normal {source} videos"
    return Calibration(min(1.0, float(np.nextafter(at, 2.0))), method, len(normal_scores))
