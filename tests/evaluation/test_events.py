"""Event metrics, worked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amiss.datasets import Manifest, Video
from amiss.evaluation import (
    Detection,
    VideoScores,
    delay_frames,
    evaluate,
    event_average_precision,
    false_alarm_curve,
    hit_score,
    latency_aware_ap,
    propose_events,
    recall_at_false_alarms,
    runs_above,
    temporal_iou,
)


def test_runs() -> None:
    assert runs_above(np.array([1, 0, 1, 1, 0, 1], dtype=bool)) == [(0, 1), (2, 4), (5, 6)]
    assert runs_above(np.zeros(3, dtype=bool)) == []
    assert runs_above(np.ones(3, dtype=bool)) == [(0, 3)]


def test_temporal_iou() -> None:
    assert temporal_iou((0, 10), (5, 20)) == 0.25
    assert temporal_iou((0, 10), (10, 20)) == 0
    assert temporal_iou((3, 7), (3, 7)) == 1


def test_average_precision_at_tiou() -> None:
    events = {"a": [(0, 10), (20, 30)], "b": [(0, 10)]}
    detections = [
        Detection("a", 0, 10, 0.9),  # hit, IoU 1
        Detection("n", 0, 10, 0.8),  # false alarm in a normal video
        Detection("a", 22, 30, 0.7),  # hit at 0.5, IoU 0.8
        Detection("a", 20, 30, 0.6),  # second time for the same event: false
        Detection("b", 8, 18, 0.5),  # IoU 2/18: a hit at 0.1 only
    ]
    # at 0.5: hits at ranks 1 and 3, precisions 1 and 2/3, of 3 events
    assert event_average_precision(detections, events, 0.5) == pytest.approx((1 + 2 / 3) / 3)
    # at 0.1: hits at ranks 1, 3, 5: precisions 1, 2/3, 3/5
    assert event_average_precision(detections, events, 0.1) == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)
    # at 0.9 the detection at rank 4 is the event's first match: precisions 1 and 1/2
    assert event_average_precision(detections, events, 0.9) == pytest.approx((1 + 1 / 2) / 3)
    assert event_average_precision([], events, 0.5) == 0


def test_average_precision_uses_the_envelope() -> None:
    detections = [Detection("a", 50, 60, 0.9), Detection("a", 0, 10, 0.8), Detection("a", 20, 30, 0.7)]
    # precisions at the hits are 1/2 and 2/3; the envelope lifts the first to 2/3
    assert event_average_precision(detections, {"a": [(0, 10), (20, 30)]}, 0.5) == pytest.approx(2 / 3)


def test_equal_scores_come_at_once_so_that_names_decide_nothing() -> None:
    for names in (("a", "b"), ("b", "a")):
        detections = [Detection(names[0], 0, 10, 0.5), Detection(names[1], 0, 10, 0.5)]
        assert event_average_precision(detections, {names[0]: [(0, 10)], names[1]: []}, 0.5) == 0.5


def test_proposals_keep_the_better_of_two_that_overlap() -> None:
    scores = np.array([0, 0.2, 0.8, 0.8, 0.2, 0, 0.5, 0])
    # at 0.1: (1, 5) mean 0.5 and (6, 7); at 0.6: (2, 4), IoU 0.5 with (1, 5): both stay, it must be above 0.5
    assert propose_events(scores, [0.1, 0.6]) == [(2, 4, pytest.approx(0.8)), (1, 5, 0.5), (6, 7, 0.5)]
    wide = np.array([0, 0.7, 0.8, 0.8, 0])
    assert propose_events(wide, [0.1, 0.75]) == [(2, 4, pytest.approx(0.8))]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_proposals_are_those_of_plain_suppression(values: list[int], thresholds: list[int]) -> None:
    scores = np.array(values, dtype=float)
    found = {run for threshold in thresholds for run in runs_above(scores >= threshold)}
    ranked = sorted(found, key=lambda run: (-scores[slice(*run)].mean(), run))
    kept: list[tuple[int, int]] = []
    for run in ranked:
        if all(temporal_iou(run, other) <= 0.5 for other in kept):
            kept.append(run)
    assert [proposal[:2] for proposal in propose_events(scores, thresholds)] == kept


def test_an_event_is_found_by_16_frames_or_all_of_it() -> None:
    scores = np.concatenate([np.full(20, 0.2), np.full(15, 0.9), np.full(10, 0.5)])
    assert hit_score(scores, (10, 45)) == 0.5  # 15 frames reach 0.9, 25 reach 0.5
    assert hit_score(scores, (15, 25)) == 0.2  # a shorter event: all ten frames
    assert hit_score(scores, (20, 35)) == 0.9


def test_delay_counts_from_the_start_of_the_event() -> None:
    scores = np.array([0.9, 0.1, 0.1, 0.6, 0.9])
    assert delay_frames(scores, (1, 5), 0.5) == 2
    assert delay_frames(scores, (1, 5), 0.9) == 3
    assert delay_frames(scores, (0, 5), 0.5) == 0
    assert delay_frames(scores, (1, 3), 0.5) is None


def test_false_alarms_at_every_threshold() -> None:
    videos = [np.array([0.1, 0.9, 0.1, 0.5]), np.array([0.3, 0.3])]
    thresholds, counts = false_alarm_curve(videos)
    assert thresholds.tolist() == [0.9, 0.5, 0.3, 0.1]
    assert counts.tolist() == [1, 2, 3, 2]  # at 0.1 the two of the first video have merged


@given(st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=12), min_size=1, max_size=4))
def test_false_alarm_curve_counts_alarms(videos: list[list[int]]) -> None:
    scores = [np.array(values, dtype=float) for values in videos]
    thresholds, counts = false_alarm_curve(scores)
    assert counts.tolist() == [sum(len(runs_above(s >= t)) for s in scores) for t in thresholds]


def test_recall_when_the_threshold_is_lowered_until_false_alarms_pass_a_rate() -> None:
    normal = [np.array([0.1, 0.9, 0.1, 0.5]), np.array([0.3, 0.3])]
    hits = [0.95, 0.7, 0.4]
    assert recall_at_false_alarms(normal, 2.0, hits, 0.1) == pytest.approx(1 / 3)  # nothing above 0.9 is false
    assert recall_at_false_alarms(normal, 2.0, hits, 0.5) == pytest.approx(2 / 3)  # one false alarm is allowed
    assert recall_at_false_alarms(normal, 2.0, hits, 1) == 1  # two: down to just above 0.3
    assert recall_at_false_alarms(normal, 2.0, hits, 10) is None


def test_latency_aware_ap_by_hand() -> None:
    event = np.array([0.2, 0.8, 0.5, 0.9])
    scores, labels = np.array([0.85, 0.1, *event]), np.array([0, 0, 1, 1, 1, 1], dtype=bool)
    # 0.9: noticed at its 4th of 4 frames, reward 1/4, precision 1
    # 0.8: at its 2nd, reward 3/4 (+1/2), precision 2/3; 0.2: at once, reward 1 (+1/4), precision 4/5
    assert latency_aware_ap([event], scores, labels) == pytest.approx(1 / 4 + 1 / 2 * 2 / 3 + 1 / 4 * 4 / 5)


def test_latency_aware_ap_is_one_only_for_perfect_scores_from_the_onset() -> None:
    labels = np.array([0, 0, 1, 1, 1, 1], dtype=bool)
    assert latency_aware_ap([np.ones(4)], labels.astype(float), labels) == 1
    late = np.array([0, 0, 0, 0, 1, 1.0])
    assert latency_aware_ap([late[2:]], late, labels) == pytest.approx(0.5 + 0.5 * 4 / 6)


def events_of(scores: dict[str, np.ndarray], fps: float | None = 2.0, threshold: float = 0.5) -> tuple[dict, dict]:
    """Event metrics of three videos: one with an event at frames 40-60, two normal."""
    videos = (
        Video(video_id="a", split="test", label=1, n_frames=100, fps=fps, events=((40, 60),)),
        Video(video_id="n", split="test", label=0, n_frames=100, fps=fps),
        Video(video_id="m", split="test", label=0, n_frames=100, fps=fps),
    )
    each = {n: VideoScores(s, tuple((i, i + 1) for i in range(100))) for n, s in scores.items()}
    result = evaluate(each, Manifest(videos), n_bootstrap=0, threshold=threshold)
    return result.events, result.undefined


def test_operating_point_of_a_whole_test_set() -> None:
    scores = {name: np.zeros(100) for name in "anm"}
    scores["a"][10:12] = 0.7  # a false alarm in an anomalous video
    scores["a"][44:70] = 0.8  # finds the event after 4 frames = 2 s
    scores["n"][5:8] = 0.6
    events, undefined = events_of(scores)
    assert not [name for name in undefined if name.startswith("events") and "false_alarms_per_hour." not in name]
    assert (events["n_events"], events["n_alarms"]) == (1, 3)
    assert events["precision"] == pytest.approx(1 / 3)
    assert events["recall"] == 1
    assert events["f1"] == pytest.approx(0.5)
    assert events["false_alarms_per_hour"] == pytest.approx(36)  # one in 2 x 50 s of normal video
    assert events["delay_median_s"] == events["delay_p90_s"] == 2
    assert events["miss_rate"] == 0
    assert events["recall_at_false_alarms_per_hour"]["10"] == 1  # its 16th frame has 0.8, false alarms begin at 0.6
    assert events["ap"]["0.5"] == 1  # 44-70 against 40-60: IoU 16/30
    assert events_of(scores, threshold=0.75)[0]["precision"] == 1


def test_short_alarms_do_not_find_an_event_but_are_not_false() -> None:
    scores = {name: np.zeros(100) for name in "anm"}
    scores["a"][50:60] = 0.9  # ten of twenty frames
    events, _ = events_of(scores)
    assert (events["precision"], events["recall"], events["f1"], events["miss_rate"]) == (1, 0, 0, 0)


def test_without_alarms_or_frame_rate_there_is_a_reason() -> None:
    scores = {name: np.full(100, 0.1) for name in "anm"}
    events, undefined = events_of(scores)
    assert events["precision"] is None
    assert undefined["events.precision"] == "no score reaches the threshold 0.5"
    assert (events["recall"], events["miss_rate"], events["false_alarms_per_hour"]) == (0, 1, 0)
    events, undefined = events_of(scores, fps=None)
    assert events["false_alarms_per_hour"] is None
    assert undefined["events.false_alarms_per_hour"] == "the manifest has no fps for n"
    assert undefined["events.delay_median_s"] == "the manifest has no fps for a"
    assert undefined["events.recall_at_false_alarms_per_hour.1"] == "the manifest has no fps for n"


def test_event_metrics_are_the_same_after_any_rising_change_of_scores() -> None:
    rng = np.random.default_rng(0)
    scores = {name: rng.random(100) for name in "anm"}
    changed = {name: values**3 for name, values in scores.items()}
    before, after = events_of(scores)[0], events_of(changed, threshold=0.125)[0]
    for name in ("precision", "recall", "f1", "false_alarms_per_hour", "delay_median_s", "latency_aware_ap"):
        assert before[name] == pytest.approx(after[name])
