"""Alarms from scores: hysteresis, lengths, gaps, cooldown; thresholds for a rate of false alarms."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amiss.detection import (
    Alarm,
    AlarmSettings,
    AlarmTracker,
    false_alarm_threshold,
    find_alarms,
    find_events,
    poisson_upper,
)
from amiss.errors import EvaluationError, UsageError
from amiss.video import FrameTimes

CLIP_S = 0.5
PLAIN = AlarmSettings(on=0.5, off=0.5, smoothing_s=0, merge_gap_s=0)
scores_lists = st.lists(st.sampled_from([0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0]), max_size=60)
seconds = st.sampled_from([0.0, 0.5, 1.0, 1.5, 3.0])


@st.composite
def alarm_settings(draw: st.DrawFn, smoothing: bool = False) -> AlarmSettings:
    on = draw(st.sampled_from([0.3, 0.5, 0.7]))
    return AlarmSettings(
        on=on,
        off=draw(st.sampled_from([0.1, 0.3, on])) if on > 0.3 else on,
        smoothing_s=draw(seconds) if smoothing else 0.0,
        min_length_s=draw(seconds),
        merge_gap_s=draw(seconds),
        cooldown_s=draw(seconds),
    )


def clips_of(scores: list[float], start_s: float = 0.0) -> list[tuple[float, float, float]]:
    return [(start_s + i * CLIP_S, start_s + (i + 1) * CLIP_S, score) for i, score in enumerate(scores)]


def spans(alarms: tuple[Alarm, ...]) -> list[tuple[float, float]]:
    return [(alarm.started_s, alarm.ended_s) for alarm in alarms]


def expected_spans(scores: list[float], settings: AlarmSettings) -> list[tuple[float, float]]:
    """The definition, in whole clips and with all scores at hand."""
    found, index, quiet_until = [], 0, 0.0
    while index < len(scores):
        if scores[index] < settings.on or index * CLIP_S < quiet_until:
            index += 1
            continue
        start = end = index
        while True:  # end: last clip of the run
            while end + 1 < len(scores) and scores[end + 1] >= settings.off:
                end += 1
            again = next((j for j in range(end + 1, len(scores)) if scores[j] >= settings.on), None)
            if again is None or (again - end - 1) * CLIP_S > settings.merge_gap_s:
                break
            end = again
        if (end - start + 1) * CLIP_S >= settings.min_length_s:
            found.append((start * CLIP_S, (end + 1) * CLIP_S))
            quiet_until = (end + 1) * CLIP_S + settings.cooldown_s
        # the quiet clips that ended the alarm are passed over
        index = end + 1
        while (
            index < len(scores)
            and (index - end) * CLIP_S <= settings.merge_gap_s + CLIP_S / 2
            and scores[index] < settings.on
        ):
            index += 1
    return found


@given(scores_lists, alarm_settings())
def test_alarms_are_those_of_the_definition(scores: list[float], settings: AlarmSettings) -> None:
    assert spans(find_alarms(clips_of(scores), settings)) == expected_spans(scores, settings)


@given(scores_lists, alarm_settings(smoothing=True), st.lists(st.integers(1, 20)))
def test_what_was_announced_is_what_is_found(scores: list[float], settings: AlarmSettings, portions: list[int]) -> None:
    """Fed one by one or in portions: the same alarms, each opened once, then updated, then closed once."""
    tracker = AlarmTracker(settings)
    changes = []
    rest = clips_of(scores)
    for portion in [*portions, len(scores)]:
        head, rest = rest[:portion], rest[portion:]
        for clip in head:
            changes += tracker.update(*clip)
    changes += tracker.finish()
    closed = [change.alarm for change in changes if change.kind == "closed"]
    assert tuple(closed) == find_alarms(clips_of(scores), settings)
    state = "closed"
    for change in changes:
        assert (
            change.kind
            in {"closed": ("opened",), "opened": ("updated", "closed"), "updated": ("updated", "closed")}[state]
        )
        state = change.kind
        assert change.alarm.peak_score >= settings.on
        assert change.alarm.started_s <= change.alarm.peak_s <= change.alarm.ended_s
        assert change.alarm.length_s >= settings.min_length_s
    assert state == "closed"
    for one, other in pairwise(closed):
        assert other.started_s >= one.ended_s + settings.cooldown_s


@given(scores_lists, alarm_settings(smoothing=True), st.floats(-1e9, 1e9))
def test_the_hour_of_the_day_does_not_matter(scores: list[float], settings: AlarmSettings, start_s: float) -> None:
    start_s = round(start_s)  # halves of seconds stay exact
    shifted = find_alarms(clips_of(scores, start_s), settings)
    assert [(a - start_s, b - start_s) for a, b in spans(shifted)] == spans(find_alarms(clips_of(scores), settings))


def test_an_alarm_is_announced_when_it_is_long_enough_and_kept_by_the_lower_threshold() -> None:
    tracker = AlarmTracker(PLAIN.changed(on=0.6, off=0.4, min_length_s=1.0))
    kinds = [[change.kind for change in tracker.update(*clip)] for clip in clips_of([0.7, 0.5, 0.9, 0.45, 0.3])]
    assert kinds == [[], ["opened"], ["updated"], ["updated"], ["closed"]]


def test_missing_clips_break_an_alarm() -> None:
    settings = PLAIN.changed(merge_gap_s=1.0)
    near = clips_of([0.9, 0.9]) + clips_of([0.9], start_s=2.0)
    far = clips_of([0.9, 0.9]) + clips_of([0.9], start_s=8.0)
    assert spans(find_alarms(near, settings)) == [(0.0, 2.5)]
    assert spans(find_alarms(far, settings)) == [(0.0, 1.0), (8.0, 8.5)]


@given(scores_lists.filter(len), st.sampled_from([0.2, 0.5, 0.9]))
def test_a_live_alarm_with_one_threshold_is_an_offline_event(scores: list[float], threshold: float) -> None:
    alarms = find_alarms(clips_of(scores), PLAIN.with_thresholds(threshold, threshold))
    frames = [(16 * i, 16 * i + 16) for i in range(len(scores))]
    events = find_events(np.array(scores), frames, FrameTimes(frames[-1][1], 16 / CLIP_S), threshold=threshold)
    assert [(e.start_s, e.end_s, e.score, e.peak_s) for e in events] == [
        (a.started_s, a.ended_s, a.peak_score, a.peak_s) for a in alarms
    ]


def test_smoothing_is_an_exponential_mean_over_time() -> None:
    tracker = AlarmTracker(PLAIN.changed(smoothing_s=2.0))
    for clip in clips_of([0.0] + [1.0] * 8):
        tracker.update(*clip)
    assert tracker.smoothed == pytest.approx(1 - np.exp(-8 * CLIP_S / 2.0))


@pytest.mark.parametrize(
    "wrong", [{"on": 0.3, "off": 0.4}, {"off": -0.1}, {"smoothing_s": -1}, {"cooldown_s": float("nan")}]
)
def test_settings_that_make_no_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        AlarmSettings(**{"on": 0.5, "off": 0.3, **wrong})


def test_poisson_upper_bound_is_the_exact_one() -> None:
    # Garwood's one-sided limits, as tabulated
    assert poisson_upper(0) == pytest.approx(2.996, abs=1e-3)
    assert poisson_upper(1) == pytest.approx(4.744, abs=1e-3)
    assert poisson_upper(10) == pytest.approx(16.962, abs=1e-3)


RNG = np.random.default_rng(3)


@pytest.mark.parametrize(
    "settings",
    [
        PLAIN.changed(off=0.4),
        AlarmSettings(on=0.5, off=0.25, smoothing_s=2, min_length_s=1, merge_gap_s=5, cooldown_s=30),
    ],
)
@pytest.mark.parametrize("per_hour", [1.0, 5.0, 60.0])
def test_a_threshold_keeps_its_promise_on_the_footage(settings: AlarmSettings, per_hour: float) -> None:
    scores = [RNG.beta(1, 8, size=n) for n in (20_000, 7_000)]
    found = false_alarm_threshold([clips_of(s.tolist()) for s in scores], per_hour, settings)
    counted = sum(len(find_alarms(clips_of(s.tolist()), found.settings)) for s in scores)
    assert found.hours == pytest.approx(27_000 * CLIP_S / 3600)
    assert counted == found.n_alarms
    assert found.upper_per_hour == pytest.approx(poisson_upper(counted) / found.hours)
    assert found.upper_per_hour <= per_hour if found.is_enough else counted == 0
    assert found.settings.off == pytest.approx(found.settings.on * settings.off / settings.on)
    if per_hour == 60:  # not needlessly deaf: half of what is allowed, at least
        assert counted / found.hours > 20
        length = sum(b - a for s in scores for a, b in spans(find_alarms(clips_of(s.tolist()), found.settings)))
        assert length < 0.2 * found.hours * 3600  # few, but endless, is not quiet


def test_hours_are_those_of_the_clips() -> None:
    slow = [(5 * i, 5 * i + 5, 0.1) for i in range(720)]  # an hour, of clips of five seconds
    after_a_gap = [(10_000 + i, 10_001 + i, 0.1) for i in range(1800)]
    found = false_alarm_threshold([slow, after_a_gap, []], 1.0, PLAIN.changed(off=0.4))
    assert found.hours == pytest.approx(1.5)


def test_too_few_hours_are_called_so() -> None:
    scores = [RNG.uniform(0, 0.3, size=600)]  # five minutes
    found = false_alarm_threshold([clips_of(scores[0].tolist())], 1.0, PLAIN.changed(off=0.4))
    assert not found.is_enough
    assert found.n_alarms == 0
    assert found.settings.on > scores[0].max()
    assert found.upper_per_hour == pytest.approx(2.996 * 12, abs=0.02)
    assert "takes 3 h" in found.message


def test_a_camera_whose_normal_footage_reaches_the_top_is_called_so() -> None:
    found = false_alarm_threshold([clips_of([1.0, 0.0] * 5000)], 1.0, PLAIN.changed(off=0.4))
    assert found.settings.on > 1
    assert "doesn't fit" in found.message


def test_calibration_refuses_what_makes_no_sense() -> None:
    settings = PLAIN.changed(off=0.4)
    with pytest.raises(EvaluationError, match="no scores"):
        false_alarm_threshold([], 1.0, settings)
    with pytest.raises(EvaluationError, match=r"0\.\.1"):
        false_alarm_threshold([clips_of([0.1, float("nan")])], 1.0, settings)
    with pytest.raises(UsageError):
        false_alarm_threshold([clips_of([0.1])], 0.0, settings)


def test_times_that_go_back_end_an_alarm_and_its_cooldown() -> None:
    tracker = AlarmTracker(PLAIN.changed(cooldown_s=10.0, merge_gap_s=1.0))
    kinds = [[change.kind for change in tracker.update(*clip)] for clip in clips_of([1.0, 1.0], 5000.0)]
    assert kinds == [["opened"], ["updated"]]
    kinds = [[change.kind for change in tracker.update(*clip)] for clip in clips_of([1.0, 1.0], 100.0)]
    assert kinds == [["closed", "opened"], ["updated"]]
