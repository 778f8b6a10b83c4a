"""Event metrics: are anomalous events found, how soon, and at how many false alarms?

An event is a run of anomalous frames, an alarm a run of frames with scores at or above a threshold. All intervals are
half-open [start, end) in frames.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amiss.datasets import events_of_mask

Interval = tuple[int, int]
HIT_FRAMES = 16


@dataclass(frozen=True)
class Detection:
    """A detected event."""

    video_id: str
    """Its video."""
    start: int
    """First frame."""
    end: int
    """Frame after the last."""
    score: float
    """Larger = surer."""


def runs_above(mask: NDArray[np.bool_]) -> list[Interval]:
    """Runs of True in a mask [L], e.g. `scores >= threshold` or frame labels."""
    return list(events_of_mask(mask))


def temporal_iou(a: Interval, b: Interval) -> float:
    """Intersection over union of two intervals."""
    shared = min(a[1], b[1]) - max(a[0], b[0])
    return 0.0 if shared <= 0 else shared / (max(a[1], b[1]) - min(a[0], b[0]))


def propose_events(scores: NDArray[np.float64], thresholds: Sequence[float]) -> list[tuple[int, int, float]]:
    """Events at any of several thresholds: (start, end, score), without near copies.

    The score is the mean over the event's frames. Of two that overlap with an IoU above 0.5 the one with the larger
    score stays (non-maximum suppression).
    """
    sums = np.concatenate([[0.0], np.cumsum(scores)])
    number: dict[Interval, int] = {}
    at_frame = np.full((len(thresholds), len(scores)), -1)  # which proposal holds a frame, per threshold
    for row, threshold in enumerate(thresholds):
        for start, end in runs_above(scores >= threshold):
            at_frame[row, start:end] = number.setdefault((start, end), len(number))
    ranked = sorted(((s, e, float(sums[e] - sums[s]) / (e - s)) for s, e in number), key=lambda p: (-p[2], p[0], p[1]))
    kept: dict[int, tuple[int, int, float]] = {}
    for start, end, score in ranked:
        # of two runs one holds the other or they are apart, so a rival holds this run's middle frame
        rivals = (kept.get(rival) for rival in set(at_frame[:, (start + end) // 2].tolist()))
        if not any(rival and temporal_iou((start, end), rival[:2]) > 0.5 for rival in rivals):
            kept[number[start, end]] = (start, end, score)
    return list(kept.values())


@dataclass(frozen=True, eq=False)
class MatchedDetections:
    """Detections of all videos, the surest first, and which of them find an event."""

    video_ids: tuple[str, ...]
    """[K] of their videos."""
    hits: NDArray[np.bool_]
    """[K] whether each finds an event that none before it found."""
    last_of_score: NDArray[np.intp]
    """[K] index of the last detection with the same score: equals come all at once."""

    def average_precision(self, weights: NDArray[np.float64], n_events: NDArray[np.float64]) -> NDArray[np.float64]:
        """Area under the precision envelope over all recalls, of R weightings of the videos.

        Args:
            weights: [R, K] weight of each detection's video.
            n_events: [R] annotated events, weighted alike.

        Returns:
            [R] 0..1, NaN where no event has weight.
        """
        found = weights * self.hits
        alarms = np.cumsum(weights, axis=1)[:, self.last_of_score]
        precision = np.cumsum(found, axis=1)[:, self.last_of_score]
        precision = np.divide(precision, alarms, out=np.zeros_like(precision), where=alarms > 0)
        envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        area = np.einsum("rk,rk->r", envelope, found)
        value: NDArray[np.float64] = np.divide(area, n_events, out=np.full(len(area), np.nan), where=n_events > 0)
        return value


def match_detections(
    detections: Sequence[Detection], events: Mapping[str, Sequence[Interval]], tiou: float
) -> MatchedDetections:
    """Match detections to events: see `event_average_precision`. What happens in one video says nothing of others."""
    free = {video_id: list(of_video) for video_id, of_video in events.items()}
    ranked = sorted(detections, key=lambda d: (-d.score, d.video_id, d.start, d.end))
    hits = np.zeros(len(ranked), dtype=np.bool_)
    for index, detection in enumerate(ranked):
        left = free.get(detection.video_id, [])
        best = max(left, key=lambda event: temporal_iou((detection.start, detection.end), event), default=None)
        if best is not None and temporal_iou((detection.start, detection.end), best) >= tiou:
            left.remove(best)
            hits[index] = True
    falling = -np.array([detection.score for detection in ranked])
    last = np.searchsorted(falling, falling, side="right") - 1
    return MatchedDetections(tuple(detection.video_id for detection in ranked), hits, last)


def event_average_precision(
    detections: Sequence[Detection], events: Mapping[str, Sequence[Interval]], tiou: float
) -> float:
    """Average precision of detected events at a temporal IoU.

    Detections are taken from the largest score down; each matches the event of its video that it overlaps most among
    those not matched yet, if their IoU reaches `tiou`, and is a false alarm otherwise. Area under the precision
    envelope over all recalls (PASCAL VOC 2010, all points; in time as in ActivityNet, Caba Heilbron et al. 2015).
    Detections of equal score come all at once, so their order decides nothing.

    Args:
        detections: of all test videos, normal ones too.
        events: annotated events by video id; there must be some.
        tiou: 0..1.

    Returns:
        0..1.
    """
    matched = match_detections(detections, events, tiou)
    n_events = np.array([sum(len(of_video) for of_video in events.values())], dtype=np.float64)
    return float(matched.average_precision(np.ones((1, len(detections))), n_events)[0])


def hit_score(scores: NDArray[np.float64], event: Interval) -> float:
    """The largest threshold at which an event counts as found: 16 of its frames, or all of a shorter one, reach it."""
    inside = scores[event[0] : event[1]]
    needed = min(HIT_FRAMES, len(inside))
    return float(np.partition(inside, len(inside) - needed)[len(inside) - needed])


def delay_frames(scores: NDArray[np.float64], event: Interval, threshold: float) -> int | None:
    """Frames from the event's start to the first alarm in it; 0 where one is on already, None where there is none."""
    above = np.flatnonzero(scores[event[0] : event[1]] >= threshold)
    return int(above[0]) if above.size else None


def false_alarm_curve(normal_scores: Sequence[NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """How many alarms normal videos raise at each threshold.

    Args:
        normal_scores: frame scores of each normal video.

    Returns:
        Thresholds [K], falling: every score at which alarms begin; and the number of alarms at each, [K].
    """
    if not normal_scores:
        return np.empty(0), np.empty(0, dtype=np.int64)
    before = np.concatenate([np.concatenate([[-np.inf], scores[:-1]]) for scores in normal_scores])
    now = np.concatenate(list(normal_scores))
    rises = now > before
    tops, bottoms = np.sort(now[rises]), np.sort(before[rises])
    thresholds = np.unique(tops)[::-1]
    begun = len(tops) - np.searchsorted(tops, thresholds, side="left")
    merged = len(bottoms) - np.searchsorted(bottoms, thresholds, side="left")
    return thresholds, begun - merged


def recall_at_false_alarms(
    normal_scores: Sequence[NDArray[np.float64]], hours: float, hit_scores: Sequence[float], per_hour: float
) -> float | None:
    """Share of events found when the threshold is lowered until false alarms pass a rate.

    Args:
        normal_scores: frame scores of each normal video.
        hours: their length together.
        hit_scores: `hit_score` of each event, at least one.
        per_hour: false alarms per hour that are allowed.

    Returns:
        0..1; None where no threshold passes the rate: an alarm that never ends counts once, so the normal videos are
        too long and too few to tell.
    """
    thresholds, counts = false_alarm_curve(normal_scores)
    passed = np.flatnonzero(counts > per_hour * hours)
    if not passed.size:
        return None
    return float(np.mean(np.asarray(hit_scores) > thresholds[passed[0]]))


@dataclass(frozen=True, eq=False)
class EarlyGains:
    """What noticing events early earns, threshold by threshold: lowering the threshold to `score` earns `gain` more."""

    event: NDArray[np.intp]
    """[K] index of the event."""
    score: NDArray[np.float64]
    """[K] threshold at which it is noticed earlier than at any higher one."""
    gain: NDArray[np.float64]
    """[K] 0..1."""


def early_gains(events: Sequence[NDArray[np.float64]]) -> EarlyGains:
    """From the scores of the frames of each event: see `latency_aware_ap`."""
    at, gain, number = [np.empty(0)], [np.empty(0)], [np.empty(0, dtype=np.intp)]
    for index, scores in enumerate(events):
        peaks = np.maximum.accumulate(scores)
        first = np.flatnonzero(np.diff(peaks, prepend=-np.inf) > 0)  # frames that would raise the first alarm
        reward = 1 - first / len(scores)
        at.append(scores[first])
        gain.append(reward - np.append(reward[1:], 0.0))
        number.append(np.full(len(first), index))
    return EarlyGains(np.concatenate(number), np.concatenate(at), np.concatenate(gain))


def latency_aware_ap(
    events: Sequence[NDArray[np.float64]], frame_scores: NDArray[np.float64], frame_labels: NDArray[np.bool_]
) -> float:
    """Average precision over frames in which recall is replaced by how early each event is noticed.

    At a threshold, an event noticed at its frame t of n earns 1 - t/n (1 at onset, 0 if missed); the mean over events
    takes recall's place, precision is that of frames; summed step-wise from high thresholds to low ones. After the idea
    of latency-aware AP of Liu et al. (arXiv 2505.19022), whose exact reward differs, so compare it only with itself.

    Args:
        events: scores of the frames of each event, at least one.
        frame_scores: [N] of all test frames.
        frame_labels: [N].

    Returns:
        0..1.
    """
    earned = early_gains(events)
    positive, everything = np.sort(frame_scores[frame_labels]), np.sort(frame_scores)
    true = len(positive) - np.searchsorted(positive, earned.score, side="left")
    alarms = len(everything) - np.searchsorted(everything, earned.score, side="left")
    return float(math.fsum(earned.gain * true / alarms) / len(events))
