"""Intervals by resampling whole videos: frames of one video aren't independent, videos are.

Anomalous and normal videos are drawn separately, so every replicate has as many of each as the test set. The curves of
all replicates are walked together, threshold by threshold, from per-video counts at every distinct score.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from amiss.evaluation._event_evaluation import event_replicates
from amiss.evaluation._event_metrics import EarlyGains, early_gains, runs_above
from amiss.evaluation._frame_metrics import Runs, false_alarm_frames, per_video_auc, runs_of
from amiss.evaluation._scored_frames import ScoredFrames

Values = NDArray[np.float64]

_MOST_LEVELS = 2**16  # distinct scores; more are merged into this many groups of neighbouring ranks
_ROWS = 256  # thresholds at a time
_OVER_FRAMES = ("auc", "ap", "pr_auc_trapezoid", "latency_aware_ap")


def resample_videos(anomalous: NDArray[np.bool_], n_replicates: int, seed: int) -> Values:
    """How often each video is drawn: [n_replicates, V], with replacement, anomalous and normal ones separately."""
    rng = np.random.default_rng(seed)
    weights = np.zeros((n_replicates, len(anomalous)))
    for stratum in (np.flatnonzero(anomalous), np.flatnonzero(~anomalous)):
        if stratum.size:
            weights[:, stratum] = rng.multinomial(stratum.size, np.full(stratum.size, 1 / stratum.size), n_replicates)
    return weights


def bootstrap_metrics(
    frames: ScoredFrames, weights: Values, threshold: float = 0.5, only: Collection[str] | None = None
) -> dict[str, Values]:
    """Metrics of every replicate.

    Args:
        frames: scored test set of V videos.
        weights: [R, V] from `resample_videos`.
        threshold: operating point for false alarms per hour.
        only: the metrics that are wanted; None = all.

    Returns:
        Metric name → [R] values, NaN where a replicate has none. Frame and event metrics are left out where frames have
        no labels, false alarms per hour where a normal video has no frame rate.
    """

    def wanted(*names: str) -> bool:
        return only is None or not set(only).isdisjoint(names)

    replicates: dict[str, Values] = {}
    if frames.has_frame_labels and frames.anomalous.any():
        runs = runs_of(frames)
        if wanted(*_OVER_FRAMES):
            replicates |= curve_areas(runs, weights, _rewards(frames) if wanted("latency_aware_ap") else None)
        if wanted("ano_auc"):
            own = runs.select(frames.anomalous[runs.video])
            replicates["ano_auc"] = curve_areas(own, weights)["auc"]
        if wanted("within"):
            each = per_video_auc(frames)
            defined = ~np.isnan(each)
            replicates["within"] = _ratio(weights[:, defined] @ each[defined], weights[:, defined].sum(axis=1))
        if wanted("event_ap") and frames.labels.any():
            replicates |= event_replicates(frames, weights)
    if wanted("video_auc"):
        n_videos = len(frames.videos)
        of_videos = Runs(np.arange(n_videos), frames.video_scores, frames.anomalous, np.ones(n_videos, dtype=np.int64))
        replicates["video_auc"] = curve_areas(of_videos, weights)["auc"]
    if wanted("far", "false_alarms_per_hour"):
        replicates |= _false_alarms(frames, weights, threshold)
    return replicates if only is None else {name: replicates[name] for name in only if name in replicates}


def _false_alarms(frames: ScoredFrames, weights: Values, threshold: float) -> dict[str, Values]:
    normal, n_frames = np.flatnonzero(~frames.anomalous), np.diff(frames.offsets)
    of_normal = weights[:, normal]
    rates = {"far": _ratio(of_normal @ false_alarm_frames(frames)[normal], of_normal @ n_frames[normal])}
    seconds = [frames.seconds(int(index)) for index in normal]
    if all(seconds):
        hours = np.array(seconds, dtype=np.float64) / 3600
        alarms = np.array(
            [len(runs_above(frames.of_video(int(index))[0] >= threshold)) for index in normal], dtype=np.float64
        )
        rates["false_alarms_per_hour"] = _ratio(of_normal @ alarms, of_normal @ hours)
    return rates


@dataclass(frozen=True, eq=False)
class Rewards:
    """What latency-aware AP counts instead of anomalous frames."""

    gains: EarlyGains
    """Of all events."""
    video: NDArray[np.int64]
    """[K] index of the video of each gain."""
    n_events: Values
    """[V] of each video."""


def _rewards(frames: ScoredFrames) -> Rewards:
    of_video = [(index, *frames.of_video(index)) for index in range(len(frames.videos))]
    events = [(index, scores[s:e]) for index, scores, labels in of_video for s, e in runs_above(labels)]
    gains = early_gains([scores for _, scores in events])
    video_of_event = np.array([index for index, _ in events], dtype=np.int64)
    n_events = np.bincount(video_of_event, minlength=len(frames.videos)).astype(np.float64)
    return Rewards(gains, video_of_event[gains.event], n_events)


def curve_areas(runs: Runs, weights: Values, rewards: Rewards | None = None) -> dict[str, Values]:
    """ROC-AUC, average precision and trapezoid PR area with weighted videos, ties handled as scikit-learn does.

    Args:
        runs: scored frames.
        weights: [R, V] weight of each video in each replicate.
        rewards: for latency-aware AP, too.

    Returns:
        `auc`, `ap`, `pr_auc_trapezoid`, and with `rewards` `latency_aware_ap`: [R] each, NaN without both classes.
    """
    distinct, rank = np.unique(-runs.score, return_inverse=True)
    n_levels = min(len(distinct), _MOST_LEVELS)
    level = rank * n_levels // len(distinct)

    def by_level(amounts: NDArray[Any], levels: NDArray[Any], videos: NDArray[Any]) -> csr_array:
        return csr_array((amounts.astype(np.float64), (levels, videos)), shape=(n_levels, weights.shape[1]))

    positives, negatives = (
        by_level(runs.length[which], level[which], runs.video[which]) for which in (runs.label, ~runs.label)
    )
    gains = None
    if rewards is not None:
        rank_of_gain = np.searchsorted(distinct, -rewards.gains.score)
        gains = by_level(rewards.gains.gain, rank_of_gain * n_levels // len(distinct), rewards.video)
    columns = np.ascontiguousarray(weights.T)
    true, false = np.zeros(len(weights)), np.zeros(len(weights))
    last_precision = np.ones(len(weights))
    roc, steps, trapezoid, early = (np.zeros(len(weights)) for _ in range(4))
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
        if gains is not None:
            early += np.einsum("lr,lr->r", gains[first : first + _ROWS] @ columns, precision)
        true, false, last_precision = trues[-1], falses[-1], precision[-1]
    areas = {"auc": _ratio(roc, true * false), "ap": _ratio(steps, true), "pr_auc_trapezoid": _ratio(trapezoid, true)}
    if rewards is not None:
        areas["latency_aware_ap"] = _ratio(early, weights @ rewards.n_events)
    return areas


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
