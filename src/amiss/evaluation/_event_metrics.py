"""The event part of an evaluation: all event metrics of one set of scored frames."""

from typing import Any

import numpy as np

from amiss.evaluation._events import (
    HIT_FRAMES,
    Detection,
    delay_frames,
    event_average_precision,
    hit_score,
    latency_aware_ap,
    propose_events,
    recall_at_false_alarms,
    runs_above,
)
from amiss.evaluation._metrics import unknown_frames_reason
from amiss.evaluation._scored_frames import ScoredFrames

TIOUS = (0.1, 0.2, 0.3, 0.4, 0.5)
FALSE_ALARM_RATES = (0.1, 1, 10)
_PROPOSAL_QUANTILES = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.975, 0.99)


def event_metrics(frames: ScoredFrames, threshold: float) -> tuple[dict[str, Any], dict[str, str]]:
    """Event metrics under a protocol.

    Args:
        frames: scored test set.
        threshold: operating point: frames at or above it are an alarm.

    Returns:
        Values (None = undefined) and, for undefined ones, the reason:
        `threshold`, `n_events`, `n_alarms`;
        `precision`: share of alarms that touch an event; `recall`: share of events with 16 frames (or all) under alarm;
        `f1`; `false_alarms_per_hour`: alarms per hour of normal video; `delay_median_s`, `delay_p90_s`: from the start of
        found events to their first alarm; `miss_rate`: share of events with no alarm at all;
        `recall_at_false_alarms_per_hour`: {"0.1", "1", "10"}; `ap`: {tIoU: value}, `ap_mean`; `latency_aware_ap`.
    """
    reasons: dict[str, str] = {}
    events, event_scores, delays_s, hits = [], [], [], []
    detections: list[Detection] = []
    normal_scores, normal_seconds = [], 0.0
    alarms = touching = false_alarms = 0
    unknown = unknown_frames_reason(frames)
    without_rate = [video.video_id for video in frames.videos if not video.fps]
    thresholds = np.quantile(frames.scores, _PROPOSAL_QUANTILES).tolist()
    by_video: dict[str, list[tuple[int, int]]] = {}
    for index, video in enumerate(frames.videos):
        scores, labels = frames.of_video(index)
        by_video[video.video_id] = own = runs_above(labels)
        own_alarms = runs_above(scores >= threshold)
        alarms += len(own_alarms)
        touching += sum(any(s < end and start < e for start, end in own) for s, e in own_alarms)
        if video.label == 0:
            false_alarms += len(own_alarms)
            normal_scores.append(scores)
            normal_seconds += len(scores) / (video.fps or np.nan)
        for event in own:
            events.append(event)
            event_scores.append(scores[event[0] : event[1]])
            hits.append(hit_score(scores, event))
            delay = delay_frames(scores, event, threshold)
            if delay is not None:
                delays_s.append(delay / (video.fps or np.nan))
        if unknown is None:
            detections += [Detection(video.video_id, *proposal) for proposal in propose_events(scores, thresholds)]

    no_events = unknown or ("the test set has no anomalous frames" if not events else None)
    no_rate = f"the manifest has no fps for {without_rate[0]}" if without_rate else None
    no_normal = None if normal_scores else "there is no normal test video"
    hours = normal_seconds / 3600

    def put(name: str, value: Any, reason: str | None) -> Any:
        if reason is not None:
            reasons[f"events.{name}"] = reason
            return None
        return value

    precision = put("precision", touching / alarms if alarms else None, no_events or (None if alarms else "there is no alarm"))
    recall = put("recall", float(np.mean(np.array(hits) >= threshold)) if hits else None, no_events)
    f1 = None
    if precision is not None and recall is not None:
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    no_delay = no_events or no_rate or (None if delays_s else "no event is found")
    no_recall_at = no_events or no_normal or no_rate
    recall_at = {}
    for rate in FALSE_ALARM_RATES:
        value = None if no_recall_at else recall_at_false_alarms(normal_scores, hours, hits, rate)
        too_long = "no threshold raises more: an alarm that never ends counts once" if value is None else None
        recall_at[str(rate)] = put(f"recall_at_false_alarms_per_hour.{rate}", value, no_recall_at or too_long)
    ap = {str(tiou): event_average_precision(detections, by_video, tiou) for tiou in TIOUS} if no_events is None else None
    result = {
        "threshold": threshold,
        "hit_frames": HIT_FRAMES,
        "n_events": len(events),
        "n_alarms": alarms,
        "precision": precision,
        "recall": recall,
        "f1": put("f1", f1, None if f1 is not None else reasons.get("events.precision") or no_events),
        "false_alarms_per_hour": put(
            "false_alarms_per_hour", false_alarms / hours if hours > 0 else None, no_normal or no_rate
        ),
        "delay_median_s": put("delay_median_s", float(np.median(delays_s)) if delays_s else None, no_delay),
        "delay_p90_s": put("delay_p90_s", float(np.quantile(delays_s, 0.9)) if delays_s else None, no_delay),
        "miss_rate": put("miss_rate", 1 - len(delays_s) / len(events) if events else None, no_events),
        "recall_at_false_alarms_per_hour": recall_at,
        "ap": put("ap", ap, no_events),
        "ap_mean": put("ap_mean", float(np.mean([v or 0.0 for v in ap.values()])) if ap else None, no_events),
        "latency_aware_ap": put("latency_aware_ap", latency_aware_ap(event_scores, frames.scores, frames.labels), no_events),
    }
    return result, reasons
