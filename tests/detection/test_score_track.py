"""Alarms of days of scores, soon: those that the AlarmTracker finds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amiss.detection import AlarmSettings, ScoreTrack, false_alarm_threshold, find_alarms
from amiss.errors import EvaluationError

SCORES = st.lists(st.sampled_from([0.1, 0.3, 0.45, 0.5, 0.55, 0.7, 0.9]), min_size=1, max_size=60)
GAPS = st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.0, 0.5, 1.5, 2.5, 5.0, -30.0]), min_size=60, max_size=60)


@settings(max_examples=300, deadline=None)
@given(
    scores=SCORES,
    gaps=GAPS,
    merge_gap_s=st.sampled_from([0.0, 1.0, 3.0]),
    min_length_s=st.sampled_from([0.0, 1.5]),
    cooldown_s=st.sampled_from([0.0, 4.0]),
)
def test_they_are_those_of_the_tracker(
    scores: list[float], gaps: list[float], merge_gap_s: float, min_length_s: float, cooldown_s: float
) -> None:
    asked = AlarmSettings(
        on=0.5, off=0.4, smoothing_s=0, merge_gap_s=merge_gap_s, min_length_s=min_length_s, cooldown_s=cooldown_s
    )
    starts = np.cumsum([gaps[i] + 0.75 for i in range(len(scores))])
    track = ScoreTrack(starts, starts + 0.75, np.array(scores))
    clips = list(zip(track.starts.tolist(), track.ends.tolist(), scores, strict=True))
    assert track.alarms(asked) == find_alarms(clips, asked)


def test_an_alarm_ends_in_a_clip_behind_a_gap() -> None:
    starts = np.array([2.25, 3.0, 5.25, 7.5, 8.25])
    track = ScoreTrack(starts, starts + 0.75, np.array([0.5, 0.1, 0.1, 0.1, 0.5]))
    found = track.alarms(AlarmSettings(on=0.5, off=0.4, smoothing_s=0, merge_gap_s=3, min_length_s=0))
    assert [(one.started_s, one.ended_s) for one in found] == [(2.25, 3), (8.25, 9)]


def test_a_threshold_is_the_one_that_calibration_finds() -> None:
    scores = np.random.default_rng(1).random(3000).round(3)
    starts = np.arange(3000) * 0.64
    track = ScoreTrack(starts, starts + 0.64, scores)
    asked = AlarmSettings(on=0.5, smoothing_s=0)
    clips = list(zip(track.starts.tolist(), track.ends.tolist(), scores.tolist(), strict=True))
    found, known = track.threshold_for(20, asked), false_alarm_threshold([clips], 20, asked)
    assert found.settings == known.settings
    assert (found.n_alarms, found.is_enough) == (known.n_alarms, True)
    counts = track.counts(np.array([0.6, found.settings.thresholds[0], 1.01]), asked)
    assert counts == [len(track.alarms(asked.with_thresholds(0.6))), found.n_alarms, 0]


def test_spans_are_left_out() -> None:
    starts = np.arange(6.0)
    track = ScoreTrack(starts, starts + 1, np.array([0.1, 0.9, 0.9, 0.1, 0.9, 0.1])).without([(1.5, 2.5)])
    assert track.starts.tolist() == [0, 3, 4, 5]
    assert track.hours == pytest.approx(4 / 3600)
    assert track.without([(0, 9)]).alarms(AlarmSettings(on=0.5)) == ()
    with pytest.raises(EvaluationError, match="no scores"):
        track.without([(0, 9)]).threshold_for(1, AlarmSettings(on=0.5))
