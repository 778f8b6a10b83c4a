"""The event part of an evaluation: all event metrics of one set of scored frames."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amiss.datasets import Video
from amiss.evaluation._event_metrics import (
    HIT_FRAMES,
    Detection,
    Interval,
    delay_frames,
    event_average_precision,
    hit_score,
    latency_aware_ap,
    match_detections,
    propose_events,
    recall_at_false_alarms,
    runs_above,
)
from amiss.evaluation._frame_metrics import frame_labels_unknown
from amiss.evaluation._scored_frames import ScoredFrames
from amiss.evaluation._undefined import Metric, Undefined
from amiss.video import FrameTimes

TIOUS = (0.1, 0.2, 0.3, 0.4, 0.5)
FALSE_ALARM_RATES = (0.1, 1, 10)
_PROPOSAL_QUANTILES = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.975, 0.99)
_CELLS = 1 << 22  # detections x replicates at a time


@dataclass(frozen=True, eq=False)
class _ScoredVideo:
    """A video with its events."""

    video: Video
    """Row of the manifest."""
    times: FrameTimes
    """Of its frames."""
    seconds: float | None
    """Its length without gaps; None where the frame rate is unknown."""
    scores: NDArray[np.float64]
    """[L] of its frames."""
    events: list[Interval]
    """Its annotated events."""


def event_metrics(frames: ScoredFrames, threshold: float) -> dict[str, Any]:
    """Event metrics under a protocol.

    Args:
        frames: scored test set.
        threshold: operating point: frames with a score at or above it are an alarm.

    Returns:
        `threshold`; `hit_frames`: frames under alarm that find an event (all frames of a shorter one);
        `n_events`, `n_alarms`; `precision`: share of alarms that touch an event; `recall`: share of events found; `f1`;
        `false_alarms_per_hour`: alarms in normal videos per hour of them;
        `delay_median_s`, `delay_p90_s`: from the start of an event to the first alarm in it, over events that have one;
        `miss_rate`: share of events that have none;
        `recall_at_false_alarms_per_hour`: by rate, at the threshold that reaches it;
        `ap`: `event_average_precision` by tIoU, of events proposed at nine quantiles of all scores; `ap_mean`;
        `latency_aware_ap`.
    """
    videos = [_scored_video(frames, index) for index in range(len(frames.videos))]
    no_events = _no_events(frames)
    return {
        "threshold": threshold,
        "hit_frames": HIT_FRAMES,
        "n_events": sum(len(v.events) for v in videos),
        "n_alarms": sum(len(runs_above(v.scores >= threshold)) for v in videos),
        **_operating_point(videos, threshold, no_events),
        "false_alarms_per_hour": false_alarms_per_hour(frames, threshold),
        **_delays(videos, threshold, no_events),
        "recall_at_false_alarms_per_hour": _recalls(videos, no_events),
        **_average_precisions(videos, frames.scores, no_events),
        "latency_aware_ap": no_events or latency_aware_ap(_event_scores(videos), frames.scores, frames.labels),
    }


def event_summary(frames: ScoredFrames) -> dict[str, Metric]:
    """The event metrics that need no operating point, as `event_ap` (mean over tIoUs) and `latency_aware_ap`."""
    videos = [_scored_video(frames, index) for index in range(len(frames.videos))]
    no_events = _no_events(frames)
    return {
        "event_ap": _average_precisions(videos, frames.scores, no_events)["ap_mean"],
        "latency_aware_ap": no_events or latency_aware_ap(_event_scores(videos), frames.scores, frames.labels),
    }


def _no_events(frames: ScoredFrames) -> Undefined | None:
    unknown = frame_labels_unknown(frames)
    if unknown is None and not frames.labels.any():
        return Undefined("the test set has no anomalous frames")
    return unknown


def false_alarms_per_hour(frames: ScoredFrames, threshold: float) -> Metric:
    """Alarms in normal videos per hour of them."""
    normal = [_scored_video(frames, index) for index, v in enumerate(frames.videos) if v.label == 0]
    return _no_hours(normal) or sum(len(runs_above(v.scores >= threshold)) for v in normal) / _hours(normal)


def _scored_video(frames: ScoredFrames, index: int) -> _ScoredVideo:
    scores, labels = frames.of_video(index)
    return _ScoredVideo(frames.videos[index], frames.times[index], frames.seconds(index), scores, runs_above(labels))


def _event_scores(videos: list[_ScoredVideo]) -> list[NDArray[np.float64]]:
    return [v.scores[start:end] for v in videos for start, end in v.events]


def _hours(videos: list[_ScoredVideo]) -> float:
    return sum(v.seconds or 0.0 for v in videos) / 3600


def _no_rate(videos: list[_ScoredVideo]) -> Undefined | None:
    without = [v.video.video_id for v in videos if not v.seconds]
    return Undefined(f"the manifest has no fps for {without[0]}") if without else None


def _no_hours(normal: list[_ScoredVideo]) -> Undefined | None:
    return _no_rate(normal) if normal else Undefined("there is no normal test video")


def _operating_point(videos: list[_ScoredVideo], threshold: float, no_events: Undefined | None) -> dict[str, Metric]:
    if no_events:
        return dict.fromkeys(("precision", "recall", "f1"), no_events)
    found = [hit_score(scores, (0, len(scores))) >= threshold for scores in _event_scores(videos)]
    recall = float(np.mean(found))
    touching = [
        any(start < e and s < end for s, e in v.events)
        for v in videos
        for start, end in runs_above(v.scores >= threshold)
    ]
    if not touching:
        no_alarm = Undefined(f"no score reaches the threshold {threshold:g}")
        return {"precision": no_alarm, "recall": recall, "f1": no_alarm}
    precision = float(np.mean(touching))
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {"precision": precision, "recall": recall, "f1": f1}


def _delays(videos: list[_ScoredVideo], threshold: float, no_events: Undefined | None) -> dict[str, Metric]:
    if no_events:
        return dict.fromkeys(("delay_median_s", "delay_p90_s", "miss_rate"), no_events)
    delays = [(v, event[0], delay_frames(v.scores, event, threshold)) for v in videos for event in v.events]
    found = [(v.times, start, start + frames) for v, start, frames in delays if frames is not None]
    none = _no_rate([v for v in videos if v.events]) or (None if found else Undefined("no event is found"))
    seconds = [] if none else [times.between(start, alarm) for times, start, alarm in found]
    return {
        "delay_median_s": none or float(np.median(seconds)),
        "delay_p90_s": none or float(np.quantile(seconds, 0.9)),
        "miss_rate": 1 - len(found) / len(delays),
    }


def _recalls(videos: list[_ScoredVideo], no_events: Undefined | None) -> dict[str, Metric]:
    normal = [v for v in videos if v.video.label == 0]
    undefined = no_events or _no_hours(normal)
    if undefined:
        return {str(rate): undefined for rate in FALSE_ALARM_RATES}
    hits = [hit_score(scores, (0, len(scores))) for scores in _event_scores(videos)]
    scores, hours = [v.scores for v in normal], _hours(normal)
    endless = Undefined(
        "no threshold raises more, as an alarm that never ends counts once: too few normal videos to tell"
    )
    recalls = {str(rate): recall_at_false_alarms(scores, hours, hits, rate) for rate in FALSE_ALARM_RATES}
    return {rate: endless if recall is None else recall for rate, recall in recalls.items()}


def event_replicates(frames: ScoredFrames, weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Event metrics of resampled videos; proposals are those of all videos.

    Args:
        frames: scored test set of V videos with frame labels, some of them anomalous.
        weights: [R, V] weight of each video in each replicate.

    Returns:
        `event_ap`: [R], the mean of the average precisions at all tIoUs.
    """
    videos = [_scored_video(frames, index) for index in range(len(frames.videos))]
    detections, events = _proposed(videos, frames.scores)
    n_events = weights @ np.array([len(v.events) for v in videos], dtype=np.float64)
    number = {v.video.video_id: index for index, v in enumerate(videos)}
    found = [match_detections(detections, events, tiou) for tiou in TIOUS]
    columns = [number[video_id] for video_id in found[0].video_ids]
    rows = max(1, _CELLS // max(len(columns), 1))
    parts = []
    for first in range(0, len(weights), rows):
        some = slice(first, first + rows)
        own = weights[some][:, columns]
        parts.append(np.mean([matched.average_precision(own, n_events[some]) for matched in found], axis=0))
    return {"event_ap": np.concatenate(parts)}


def _proposed(
    videos: list[_ScoredVideo], scores: NDArray[np.float64]
) -> tuple[list[Detection], dict[str, list[Interval]]]:
    """Events proposed at nine quantiles of all scores, and the annotated ones by video."""
    thresholds = np.quantile(scores, _PROPOSAL_QUANTILES).tolist()
    detections = [Detection(v.video.video_id, *p) for v in videos for p in propose_events(v.scores, thresholds)]
    return detections, {v.video.video_id: v.events for v in videos}


def _average_precisions(
    videos: list[_ScoredVideo], scores: NDArray[np.float64], no_events: Undefined | None
) -> dict[str, Any]:
    if no_events:
        return {"ap": no_events, "ap_mean": no_events}
    detections, events = _proposed(videos, scores)
    ap = {str(tiou): event_average_precision(detections, events, tiou) for tiou in TIOUS}
    return {"ap": ap, "ap_mean": float(np.mean(list(ap.values())))}
