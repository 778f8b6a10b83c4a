"""Intervals by resampling whole videos: frames of one video aren't independent, videos are.

Anomalous and normal videos are drawn separately, so every replicate has as many of each as the test set. The curves of
all replicates are walked together, threshold by threshold, from per-video counts at every distinct score.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from amiss.evaluation._event_metrics import runs_above
from amiss.evaluation._frame_metrics import Runs, false_alarm_frames, per_video_auc, runs_of
from amiss.evaluation._scored_frames import ScoredFrames

Values = NDArray[np.float64]

_MOST_LEVELS = 2**16  # distinct scores; more are merged into this many groups of neighbouring ranks
_ROWS = 256  # thresholds at a time


def resample_videos(anomalous: NDArray[np.bool_], n_replicates: int, seed: int) -> Values:
    """How often each video is drawn: [n_replicates, V], with replacement, anomalous and normal ones separately."""
    rng = np.random.default_rng(seed)
    weights = np.zeros((n_replicates, len(anomalous)))
    for stratum in (np.flatnonzero(anomalous), np.flatnonzero(~anomalous)):
        if stratum.size:
            weights[:, stratum] = rng.multinomial(stratum.size, np.full(stratum.size, 1 / stratum.size), n_replicates)
    return weights


def bootstrap_metrics(frames: ScoredFrames, weights: Values, threshold: float = 0.5) -> dict[str, Values]:
    """Metrics of every replicate.

    Args:
        frames: scored test set of V videos.
        weights: [R, V] from `resample_videos`.
        threshold: operating point for false alarms per hour.

    Returns:
        Metric name → [R] values, NaN where a replicate has none. Frame metrics are left out where frames have no
        labels, false alarms per hour where a normal video has no frame rate.
    """
    replicates: dict[str, Values] = {}
    if frames.has_frame_labels and frames.anomalous.any():
        runs = runs_of(frames)
        replicates |= curve_areas(runs, weights)
        own = runs.select(frames.anomalous[runs.video])
        replicates["ano_auc"] = curve_areas(own, weights)["auc"]
        each = per_video_auc(frames)
        defined = ~np.isnan(each)
        replicates["macro_auc"] = _ratio(weights[:, defined] @ each[defined], weights[:, defined].sum(axis=1))
    n_videos = len(frames.videos)
    of_videos = Runs(np.arange(n_videos), frames.video_scores, frames.anomalous, np.ones(n_videos, dtype=np.int64))
    replicates["video_auc"] = curve_areas(of_videos, weights)["auc"]
    normal, n_frames = np.flatnonzero(~frames.anomalous), np.diff(frames.offsets)
    of_normal = weights[:, normal]
    replicates["far"] = _ratio(of_normal @ false_alarm_frames(frames)[normal], of_normal @ n_frames[normal])
    seconds = [frames.seconds(int(index)) for index in normal]
    if all(seconds):
        hours = np.array(seconds, dtype=np.float64) / 3600
        alarms = np.array(
            [len(runs_above(frames.of_video(int(index))[0] >= threshold)) for index in normal], dtype=np.float64
        )
        replicates["false_alarms_per_hour"] = _ratio(of_normal @ alarms, of_normal @ hours)
    return replicates


def curve_areas(runs: Runs, weights: Values) -> dict[str, Values]:
    """ROC-AUC, average precision and trapezoid PR area with weighted videos, ties handled as scikit-learn does.

    Args:
        runs: scored frames.
        weights: [R, V] weight of each video in each replicate.

    Returns:
        `auc`, `ap`, `pr_auc_trapezoid`: [R] each, NaN without both classes.
    """
    distinct, rank = np.unique(-runs.score, return_inverse=True)
    n_levels = min(len(distinct), _MOST_LEVELS)
    level = rank * n_levels // len(distinct)

    def counts(which: NDArray[np.bool_]) -> csr_array:
        cells = (level[which], runs.video[which])
        return csr_array((runs.length[which].astype(np.float64), cells), shape=(n_levels, weights.shape[1]))

    positives, negatives = counts(runs.label), counts(~runs.label)
    columns = np.ascontiguousarray(weights.T)
    true, false = np.zeros(len(weights)), np.zeros(len(weights))
    last_precision = np.ones(len(weights))
    roc, steps, trapezoid = np.zeros(len(weights)), np.zeros(len(weights)), np.zeros(len(weights))
    for first in range(0, n_levels, _ROWS):
        new_true, new_false = positives[first : first + _ROWS] @ columns, negatives[first : first + _ROWS] @ columns
        trues = np.cumsum(new_true, axis=0) + true
        falses = np.cumsum(new_false, axis=0) + false
        roc += np.einsum("lr,lr->r", new_false, trues) - np.einsum("lr,lr->r", new_false, new_true) / 2
        alarms = trues + falses
        precision = np.divide(trues, alarms, out=np.ones_like(trues), where=alarms > 0)
        at = np.einsum("lr,lr->r", new_true, precision)
        before = new_true[0] * last_precision + np.einsum("lr,lr->r", new_true[1:], precision[:-1])
        steps += at
        trapezoid += (at + before) / 2
        true, false, last_precision = trues[-1], falses[-1], precision[-1]
    return {"auc": _ratio(roc, true * false), "ap": _ratio(steps, true), "pr_auc_trapezoid": _ratio(trapezoid, true)}


def intervals(replicates: dict[str, Values]) -> dict[str, list[float]]:
    """95 % percentile interval of each metric, [low, high]; metrics that no replicate defines are left out."""
    return {
        name: [float(bound) for bound in np.nanpercentile(values, [2.5, 97.5])]
        for name, values in replicates.items()
        if not np.isnan(values).all()
    }


def _ratio(numerator: Any, denominator: Any) -> Values:
    values: Values = np.divide(numerator, denominator, out=np.full(np.shape(numerator), np.nan), where=denominator > 0)
    return values
