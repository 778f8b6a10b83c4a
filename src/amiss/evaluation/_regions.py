"""Region-based and track-based detection criteria, for detectors that draw boxes.

Ramachandra and Jones, "Street Scene: A new dataset and evaluation protocol for video anomaly detection", WACV 2020.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amiss.errors import EvaluationError

Box = tuple[float, float, float, float]
"""x1, y1, x2, y2."""


@dataclass(frozen=True)
class DetectedRegion:
    """An anomalous box that a detector reports in a frame."""

    video_id: str
    frame: int
    box: Box
    score: float


@dataclass(frozen=True)
class AnnotatedRegion:
    """An anomalous box in a frame; the boxes of one anomaly over time are a track."""

    video_id: str
    frame: int
    box: Box
    track: str


def box_iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def region_criteria(
    detected: Sequence[DetectedRegion],
    annotated: Sequence[AnnotatedRegion],
    n_frames: int,
    *,
    alpha: float = 0.1,
    beta: float = 0.1,
) -> dict[str, float]:
    """RBDC and TBDC.

    At a threshold, an annotated region is found if a detected one in its frame overlaps it with an IoU of at least
    `beta`; a track is found if at least a share `alpha` of its regions is; a detected region is false if it overlaps
    no annotated one that much. Both criteria are areas under the curve of the share found over false regions per frame,
    for 0 to 1 false regions per frame.

    Args:
        detected: over all test videos, with scores.
        annotated: over all test videos, at least one.
        n_frames: of all test videos together.
        alpha: share of a track's regions.
        beta: IoU.

    Returns:
        `rbdc` and `tbdc`, 0..1.

    Raises:
        EvaluationError: no annotated region.
    """
    if not annotated:
        raise EvaluationError("there are no annotated regions: RBDC and TBDC are undefined")
    in_frame: dict[tuple[str, int], list[DetectedRegion]] = defaultdict(list)
    truth_in_frame: dict[tuple[str, int], list[AnnotatedRegion]] = defaultdict(list)
    for region in detected:
        in_frame[region.video_id, region.frame].append(region)
    tracks: dict[tuple[str, str], list[float]] = defaultdict(list)
    region_scores = []
    for truth in annotated:
        truth_in_frame[truth.video_id, truth.frame].append(truth)
        hits = [d.score for d in in_frame[truth.video_id, truth.frame] if box_iou(d.box, truth.box) >= beta]
        region_scores.append(max(hits, default=-math.inf))
        tracks[truth.video_id, truth.track].append(region_scores[-1])
    track_scores = [sorted(s, reverse=True)[max(math.ceil(alpha * len(s) - 1e-9), 1) - 1] for s in tracks.values()]
    false_scores = [
        d.score for d in detected if all(box_iou(d.box, t.box) < beta for t in truth_in_frame[d.video_id, d.frame])
    ]
    return {
        "rbdc": _area(np.array(region_scores), np.array(false_scores), n_frames),
        "tbdc": _area(np.array(track_scores), np.array(false_scores), n_frames),
    }


def _area(found: NDArray[np.float64], false: NDArray[np.float64], n_frames: int) -> float:
    """Area under share found over false regions per frame, from 0 to 1, straight between thresholds."""
    thresholds = np.unique(np.concatenate([found[np.isfinite(found)], false]))[::-1]
    share = np.concatenate([[0.0], (found[None, :] >= thresholds[:, None]).mean(axis=1)])
    rate = np.concatenate([[0.0], (false[None, :] >= thresholds[:, None]).sum(axis=1) / n_frames])
    last = float(np.interp(1.0, rate, share)) if rate[-1] > 1 else float(share[-1])
    inside = rate < 1
    x, y = np.append(rate[inside], 1.0), np.append(share[inside], last)
    return float(np.trapezoid(y, x))
