"""Localisation by clicks: glance rank and peak hit."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amiss.evaluation import ClickedScores, GlanceResult, measure_glances


def video(scores: list[float], *clicks: int) -> ClickedScores:
    """Segments of 10 frames."""
    starts = 10 * np.arange(len(scores))
    return ClickedScores((np.array(scores),), np.stack([starts, starts + 10], axis=1), clicks)


def measured(*videos: ClickedScores) -> GlanceResult:
    found = measure_glances({f"v{i}": one for i, one in enumerate(videos)}, n_bootstrap=200)
    assert found is not None
    return found


def test_rank_and_hit_by_hand() -> None:
    found = measured(
        video([0.1, 0.9, 0.3, 0.2, 0.0], 15),  # the peak itself: rank 1
        video([0.9, 0.1, 0.2, 0.1, 0.0], 49, 20),  # rank 0, and 3 of 4 others below: mean 3/8; peak two away
    )
    assert (found.n_videos, found.n_clicks) == (2, 3)
    assert found.rank == pytest.approx((1 + 3 / 8) / 2)
    assert found.peak_hit == 0.5
    assert found.peak_hit_chance == pytest.approx((3 / 5 + 4 / 5) / 2)  # one segment at most from a click
    # the middle first: segment 1 outscores both ends, ties with segment 3; segment 4 and the middle: 1/8 and 1
    assert found.middle_rank == pytest.approx((2.5 / 4 + (0.5 / 4 + 1) / 2) / 2)
    assert found.rank_ci95[0] <= found.rank <= found.rank_ci95[1]


def test_heads_that_scored_the_same_video_count_as_their_mean_and_equal_peaks_in_part() -> None:
    spans = 10 * np.array([[0, 1], [1, 2], [2, 3], [3, 4]])
    both = ClickedScores((np.array([1.0, 2, 3, 4]), np.array([4.0, 3, 2, 1])), spans, (5,))
    assert measured(both).rank == pytest.approx((0 + 1) / 2)
    assert measured(both).peak_hit == 0.5
    same = ClickedScores((np.array([1.0, 1, 1, 1]),), spans, (5,))
    assert measured(same).rank == 0.5
    assert measured(same).peak_hit == measured(same).peak_hit_chance == 0.5


def test_a_click_belongs_to_the_clip_that_holds_it_with_its_middle_nearest() -> None:
    spans = np.array([[0, 16], [8, 24], [16, 32]])
    for frame, rank in ((0, 0.0), (14, 0.5), (18, 0.5), (31, 1.0), (40, 1.0)):
        assert measured(ClickedScores((np.array([0.1, 0.2, 0.3]),), spans, (frame,))).rank == rank


def test_videos_of_one_score_say_nothing() -> None:
    assert measure_glances({"a": video([0.5], 3)}) is None
    assert measured(video([0.5], 3), video([0.1, 0.2], 15)).n_videos == 1


@given(st.lists(st.lists(st.integers(0, 5), min_size=2, max_size=40), min_size=1, max_size=5), st.integers(0, 10**6))
def test_rank_sees_no_rising_change_inside_a_video(values: list[list[int]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    plain = [video([float(x) for x in own], int(rng.integers(10 * len(own)))) for own in values]
    changed = [
        ClickedScores(tuple(rng.normal() + np.exp(rng.random() * s) for s in one.scores), one.spans, one.clicks)
        for one in plain
    ]
    turned = [ClickedScores(tuple(-s for s in one.scores), one.spans, one.clicks) for one in plain]
    assert measured(*changed) == measured(*plain)
    assert measured(*turned).rank == pytest.approx(1 - measured(*plain).rank)
    assert GlanceResult.from_dict(vars(measured(*plain))) == measured(*plain)


def test_skill_beats_the_middle_and_chance_does_not() -> None:
    rng = np.random.default_rng(0)
    clicks = [int(rng.integers(320)) for _ in range(60)]
    chance = [rng.standard_normal(32) for _ in clicks]
    skill = [scores + 2 * (np.arange(32) == click // 10) for scores, click in zip(chance, clicks, strict=True)]
    good, none = (
        measured(*(video(s.tolist(), c) for s, c in zip(all_, clicks, strict=True))) for all_ in (skill, chance)
    )
    assert good.beats_middle
    assert not none.beats_middle
    assert none.rank_ci95[0] < 0.5 < none.rank_ci95[1]


def test_the_middle_of_ucf_crimes_training_videos_is_clicked_more_often(shared: Path) -> None:
    """The figure of all 810 clicked videos, in 32 segments: known from the clicks and the lengths alone."""
    folder = shared / "data/ucf_crime"
    rows = [line.split(",") for line in (folder / "annotations.csv").read_text().splitlines()[1:]]
    length = {row[0]: int(row[3]) for row in rows}
    clicks: dict[str, list[int]] = {}
    for line in (folder / "glances.csv").read_text().splitlines()[1:]:
        video_id, frame = line.split(",")
        clicks.setdefault(video_id, []).append(int(frame))
    videos = {}
    for video_id, frames in clicks.items():
        edges = np.arange(33) * length[video_id] // 32
        spans = np.stack([edges[:-1], edges[1:]], axis=1)
        videos[video_id] = ClickedScores((np.zeros(32),), spans, tuple(frames))
    found = measure_glances(videos)
    assert found is not None
    assert (found.n_videos, found.n_clicks) == (810, 2026)
    assert found.rank == 0.5
    assert found.middle_rank == pytest.approx(0.544, abs=0.02)
