"""False alarms an hour of normal videos: counted as `detect` makes events, and promised only as far as hours tell."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amiss.backbones import FeatureSpec
from amiss.detection import (
    AlarmSettings,
    Calibration,
    Detector,
    FalseAlarms,
    NormalFootage,
    Normalisation,
    calibrate,
    find_alarms,
    find_events,
    poisson_upper,
)
from amiss.errors import DetectorError, UsageError
from amiss.heads import create_head
from amiss.video import FrameTimes

LABELS = [0] * 20 + [1] * 20
PEAKS = [*np.linspace(-3, 1, 20).tolist(), *np.linspace(-1, 3, 20).tolist()]
videos = st.lists(
    st.lists(st.integers(0, 6).map(lambda n: n / 8), min_size=1, max_size=12).map(np.array), min_size=1, max_size=5
)


def events(scores: list[np.ndarray], threshold: float) -> int:
    return sum(
        len(find_events(s, [(16 * i, 16 * i + 16) for i in range(len(s))], FrameTimes(16 * len(s), 25.0), threshold))
        for s in scores
    )


@given(videos)
def test_thresholds_are_the_lowest_with_so_many_events_and_no_more_above(scores: list[np.ndarray]) -> None:
    found = FalseAlarms.of(scores, hours=2.0)
    levels = np.unique(np.concatenate(scores)).tolist()
    for count, threshold in zip(found.counts, found.thresholds, strict=True):
        assert events(scores, threshold) <= count
        assert all(events(scores, level) <= count for level in levels if level >= threshold)
    for count, threshold in zip(found.counts[:-1], found.thresholds[:-1], strict=True):
        assert events(scores, max(level for level in levels if level < threshold)) > count
    assert found.counts[0] == 0
    assert found.counts[-1] == max(events(scores, level) for level in levels)


@given(videos, st.floats(0.05, 0.8), st.floats(0, 10), st.floats(0, 5))
def test_a_camera_raises_no_more_alarms_of_the_same_scores(
    scores: list[np.ndarray], on: float, smoothing_s: float, merge_gap_s: float
) -> None:
    settings = AlarmSettings(on=on, smoothing_s=smoothing_s, merge_gap_s=merge_gap_s)
    alarms = [find_alarms([(i, i + 1, float(x)) for i, x in enumerate(s)], settings) for s in scores]
    assert sum(map(len, alarms)) <= events(scores, on)


def test_many_alarms_are_kept_in_steps() -> None:
    rng = np.random.default_rng(0)
    found = FalseAlarms.of([rng.random(400) for _ in range(50)], hours=50.0)
    assert len(found.counts) < 150
    steps = np.diff(found.counts) / np.array(found.counts[:-1]).clip(20)
    assert steps.max() <= 0.11  # twice a step: the next number that occurs


@pytest.mark.parametrize("rounds", [1, 3])
def test_at_most_is_meant_with_confidence(rounds: int) -> None:
    rng = np.random.default_rng(1)
    logits = [rng.normal(size=40) for _ in range(30) for _ in range(rounds)]
    made = calibrate(PEAKS, LABELS, source="made up", footage=NormalFootage(logits, 6.0, rounds))
    scores = [made.scores_of(values) for values in logits]
    for per_hour in (0.5, 1.0, 5.0):
        chosen = made.chosen(per_hour=per_hour)
        assert poisson_upper(events(scores, chosen.threshold) / rounds) / 6.0 <= per_hour
        assert f"at most {per_hour:g} false alarms" in chosen.method
    assert made.at_rate(5.0).threshold < made.at_rate(0.5).threshold
    with pytest.raises(UsageError, match=r"last 6 h, and without any alarm .* 0\.499 an hour\. It takes 7\.49 h"):
        made.chosen(per_hour=0.4)
    for point in made.table:
        assert point.per_hour is not None
        assert point.per_hour_ci95 is not None
        assert point.per_hour == pytest.approx(events(scores, point.threshold) / rounds / 6.0)
        assert point.per_hour_ci95[0] <= point.per_hour <= point.per_hour_ci95[1]


def test_a_threshold_that_scores_hardly_reach_is_told_wherever_it_stands(tmp_path: Path) -> None:
    made = calibrate(PEAKS, LABELS, source="made up")
    assert made.doubt() is None
    assert made.reach == float(made.scores_of(np.array(PEAKS)).max())
    assert "the highest of 20 anomalous videos" in str(made.chosen(threshold=0.999).doubt())
    assert "never reached" in str(made.doubt(1.0))
    with pytest.raises(UsageError, match="which no score reaches"):
        made.chosen(threshold=1.0)
    with pytest.raises(UsageError, match=r"scores lie in 0\.\.1"):
        made.chosen(threshold=float("nan"))
    with pytest.raises(UsageError, match="exclude each other"):
        made.chosen(threshold=0.5, per_hour=1)
    with pytest.raises(UsageError, match="nobody counted"):
        made.chosen(per_hour=1)
    spec = FeatureSpec(backbone="made-up", weights="none", dim=6)
    Detector(spec, create_head("topk", 6), Normalisation("none"), made).save(tmp_path)
    path = tmp_path / "detector.json"
    stored = json.loads(path.read_text())
    for threshold, expected in ((1.0, "never reached"), (0.999, "may never be reached")):
        stored["calibration"]["threshold"] = threshold
        path.write_text(json.dumps(stored))
        with pytest.warns(UserWarning, match=expected):
            Detector.load(tmp_path)
    for wrong in (float("nan"), 1.5, -0.1):
        stored["calibration"]["threshold"] = wrong
        path.write_text(json.dumps(stored))
        with pytest.raises(
            DetectorError, match=r"threshold is .*; scores lie in 0\.\.1|holds NaN, .*\"threshold\": NaN"
        ):
            Detector.load(tmp_path)


def test_false_alarms_survive_the_file(tmp_path: Path) -> None:
    logits = [np.random.default_rng(i).normal(size=9) for i in range(20)]
    made = calibrate(PEAKS, LABELS, source="made up", footage=NormalFootage(logits, 2.5))
    spec = FeatureSpec(backbone="made-up", weights="none", dim=6)
    Detector(spec, create_head("topk", 6), Normalisation("none"), made).save(tmp_path)
    assert Detector.load(tmp_path).calibration == made
    assert Calibration(0.5, "by hand", 0).alarms is None
