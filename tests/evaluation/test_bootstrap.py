"""Intervals and comparisons by resampling videos."""

import numpy as np
import pytest
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score

from amiss.datasets import Manifest, Video
from amiss.errors import EvaluationError, UsageError
from amiss.evaluation import (
    Detection,
    ScoredFrames,
    VideoScores,
    bootstrap_metrics,
    compare,
    evaluate_frames,
    event_average_precision,
    holm,
    latency_aware_ap,
    propose_events,
    resample_videos,
    runs_above,
    score_frames,
    summarise_seeds,
)


def scored_test_set(skill: float, seed: int = 0, n_videos: int = 30, levels: int = 40) -> ScoredFrames:
    """Videos of 100 frames, every other one with an event; scores are noise plus skill where it happens."""
    world, rng = np.random.default_rng(99), np.random.default_rng(seed)
    videos, scores = [], {}
    for index in range(n_videos):
        start = int(world.integers(0, 70))
        events = ((start, start + 20),) if index % 2 else ()
        videos.append(Video(video_id=f"v{index}", split="test", label=len(events), n_frames=100, fps=25, events=events))
        values = world.normal(0, 0.5) + rng.standard_normal(50)
        for s, e in events:
            values[s // 2 : e // 2] += skill
        scores[f"v{index}"] = VideoScores(
            np.round(values * levels) / levels, tuple((2 * i, 2 * i + 2) for i in range(50))
        )
    return score_frames(scores, Manifest(tuple(videos)))


def test_strata_keep_their_size() -> None:
    anomalous = np.array([True] * 3 + [False] * 7)
    weights = resample_videos(anomalous, 200, seed=1)
    np.testing.assert_array_equal(weights[:, anomalous].sum(axis=1), np.full(200, 3))
    np.testing.assert_array_equal(weights[:, ~anomalous].sum(axis=1), np.full(200, 7))
    np.testing.assert_array_equal(weights, resample_videos(anomalous, 200, seed=1))
    assert not np.array_equal(weights, resample_videos(anomalous, 200, seed=2))


def test_a_replicate_is_the_metric_of_the_drawn_videos() -> None:
    frames = scored_test_set(0.7)
    weights = resample_videos(frames.anomalous, 8, seed=0)
    got = bootstrap_metrics(frames, weights)
    for row, drawn in enumerate(weights.astype(int)):
        repeat = drawn[frames.video_of_frame]
        labels, scores = np.repeat(frames.labels, repeat), np.repeat(frames.scores, repeat)
        own = np.repeat(frames.anomalous[frames.video_of_frame], repeat)
        precision, recall, _ = precision_recall_curve(labels, scores)
        assert got["auc"][row] == pytest.approx(roc_auc_score(labels, scores))
        assert got["ano_auc"][row] == pytest.approx(roc_auc_score(labels[own], scores[own]))
        assert got["ap"][row] == pytest.approx(average_precision_score(labels, scores))
        assert got["pr_auc_trapezoid"][row] == pytest.approx(auc(recall, precision))
        videos = np.repeat(np.arange(len(drawn)), drawn)
        assert got["video_auc"][row] == pytest.approx(
            roc_auc_score(frames.anomalous[videos], frames.video_scores[videos])
        )
        assert got["far"][row] == pytest.approx(np.mean(scores[~own] >= 0.5))
        each = [roc_auc_score(frames.of_video(v)[1], frames.of_video(v)[0]) for v in videos if frames.anomalous[v]]
        assert got["within"][row] == pytest.approx(np.mean(each))
        alarms = [
            np.sum(np.diff(frames.of_video(v)[0] >= 0.5, prepend=0) == 1) for v in videos if not frames.anomalous[v]
        ]
        events = [
            scores[start:end] for scores, labels in map(frames.of_video, videos) for start, end in runs_above(labels)
        ]
        assert got["latency_aware_ap"][row] == pytest.approx(latency_aware_ap(events, scores, labels))
        assert got["event_ap"][row] == pytest.approx(_event_ap(frames, videos))
        assert got["false_alarms_per_hour"][row] == pytest.approx(np.sum(alarms) / (15 * 4 / 3600))


def _event_ap(frames: ScoredFrames, drawn: np.ndarray) -> float:
    """Mean event AP of drawn videos, each copy a video of its own; proposals at quantiles of all scores."""
    thresholds = np.quantile(frames.scores, (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.975, 0.99)).tolist()
    events, detections = {}, []
    for copy, video in enumerate(drawn):
        scores, labels = frames.of_video(video)
        events[f"{copy}"] = runs_above(labels)
        detections += [Detection(f"{copy}", *proposal) for proposal in propose_events(scores, thresholds)]
    return float(np.mean([event_average_precision(detections, events, tiou) for tiou in (0.1, 0.2, 0.3, 0.4, 0.5)]))


def test_only_some_metrics_are_the_same() -> None:
    frames = scored_test_set(0.7)
    weights = resample_videos(frames.anomalous, 5, seed=0)
    every = bootstrap_metrics(frames, weights)
    assert {"within", "event_ap", "latency_aware_ap"} < set(every)
    for name, values in every.items():
        alone = bootstrap_metrics(frames, weights, only=[name])
        assert list(alone) == [name]
        np.testing.assert_array_equal(alone[name], values)


def test_more_distinct_scores_than_levels_change_little(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = scored_test_set(0.7, levels=10**6)
    weights = resample_videos(frames.anomalous, 20, seed=0)
    exact = bootstrap_metrics(frames, weights)
    monkeypatch.setattr("amiss.evaluation._bootstrap._MOST_LEVELS", 1000)
    for name, values in bootstrap_metrics(frames, weights).items():
        np.testing.assert_allclose(values, exact[name], atol=0.03)
        assert values.mean() == pytest.approx(exact[name].mean(), abs=0.003)


def test_interval_holds_the_value_and_is_wider_than_frames_suggest() -> None:
    frames = scored_test_set(0.7)
    result = evaluate_frames(frames, n_bootstrap=400)
    for name, (low, high) in result.ci95.items():
        value = result.events[name] if name == "false_alarms_per_hour" else result.to_dict()[name]
        assert low <= value <= high
    low, high = result.ci95["auc"]
    positives = frames.labels.sum()
    naive = 2 * 1.96 * np.sqrt(0.25 / positives)  # as if every frame were independent, at its widest
    assert high - low > naive
    assert evaluate_frames(frames, n_bootstrap=400).ci95 == result.ci95
    assert evaluate_frames(frames, n_bootstrap=0).ci95 == {}


def test_a_better_system_is_found_and_equal_ones_are_not() -> None:
    systems = {
        "good": [scored_test_set(2.0, seed) for seed in range(3)],
        "fair": [scored_test_set(0.5, seed) for seed in range(3, 6)],
        "also fair": [scored_test_set(0.5, seed) for seed in range(6, 9)],
    }
    good_fair, good_also, fair_also = compare(systems, n_bootstrap=400)
    assert (good_fair.a, good_fair.b) == ("good", "fair")
    assert good_fair.difference > 0.15
    assert good_fair.ci95[0] > 0
    assert good_fair.p_holm <= 0.02
    assert good_also.p_holm <= 0.02
    assert fair_also.p_holm > 0.2
    assert fair_also.ci95[0] < 0 < fair_also.ci95[1]
    assert all(c.p_holm >= c.p for c in (good_fair, good_also, fair_also))
    against = compare(systems, "ap", reference="fair", n_bootstrap=100)
    assert [(c.a, c.b) for c in against] == [("good", "fair"), ("also fair", "fair")]


def test_several_metrics_are_compared_as_each_by_itself() -> None:
    systems = {name: [scored_test_set(seed)] for name, seed in (("a", 1), ("b", 2), ("c", 3))}
    each = [found for metric in ("auc", "within") for found in compare(systems, metric, n_bootstrap=50)]
    assert compare(systems, ["auc", "within"], n_bootstrap=50) == each


def test_a_system_against_itself_differs_by_nothing() -> None:
    same = compare({"a": [scored_test_set(1)], "b": [scored_test_set(1)]}, n_bootstrap=50)
    assert (same[0].difference, same[0].p) == (0, 1)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_seeds_are_summarised() -> None:
    seeds = [scored_test_set(0.7, seed) for seed in range(3)]
    summary = summarise_seeds(seeds, n_bootstrap=200)
    values = [evaluate_frames(frames, n_bootstrap=0).auc for frames in seeds]
    assert summary["auc"].mean == pytest.approx(np.mean(values))
    assert summary["auc"].std == pytest.approx(np.std(values, ddof=1))
    assert summary["auc"].ci95[0] < summary["auc"].mean < summary["auc"].ci95[1]
    assert "far" not in summary  # these scores are no probabilities
    assert summarise_seeds(seeds[:1], n_bootstrap=20)["auc"].std == 0


def test_only_the_same_frames_can_be_compared() -> None:
    with pytest.raises(EvaluationError, match="b: scored on other frames"):
        compare({"a": [scored_test_set(1)], "b": [scored_test_set(1, n_videos=28)]})
    with pytest.raises(UsageError, match="metric 'auroc' is unknown"):
        compare({"a": [scored_test_set(1)], "b": [scored_test_set(1)]}, "auroc")
    with pytest.raises(UsageError, match="needs two systems"):
        compare({"a": [scored_test_set(1)]})
    with pytest.raises(EvaluationError, match="far is undefined for a: scores go from"):
        compare({"a": [scored_test_set(1)], "b": [scored_test_set(1)]}, "far")
