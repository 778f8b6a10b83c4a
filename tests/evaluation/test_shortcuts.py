"""`within`, and shortcuts: what a ranking that looks at no picture reaches, and whether a result beats it."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amiss.datasets import Manifest, Video
from amiss.errors import UsageError
from amiss.evaluation import (
    SHORTCUTS,
    ScoredFrames,
    VideoScores,
    compare_with_shortcuts,
    evaluate,
    evaluate_frames,
    not_beaten,
    score_frames,
    shortcut_frames,
)


def frames_of(videos: dict[str, tuple[list[float], list[tuple[int, int]]]]) -> ScoredFrames:
    """Name → score of each frame, and events."""
    manifest = Manifest(
        tuple(
            Video(video_id=name, split="test", label=int(bool(events)), n_frames=len(scores), events=tuple(events))
            for name, (scores, events) in videos.items()
        )
    )
    scores = {
        name: VideoScores(np.array(own), tuple((i, i + 1) for i in range(len(own))))
        for name, (own, _) in videos.items()
    }
    return score_frames(scores, manifest)


def within(frames: ScoredFrames) -> float:
    value = evaluate_frames(frames, n_bootstrap=0).within
    assert value is not None
    return value


def test_within_by_hand() -> None:
    frames = frames_of(
        {
            "a": ([0.9, 0.1, 0.2, 0.3], [(0, 1)]),  # above all three others: 1
            "b": ([0.5, 0.5, 0.7, 0.1], [(0, 2)]),  # pairs .5>.1 twice, .5<.7 twice: 1/2
            "all": ([0.1, 0.2], [(0, 2)]),  # no normal frame: not counted
            "n": ([0.99, 0.0], []),
        }
    )
    assert within(frames) == pytest.approx((1 + 0.5) / 2)


@given(
    st.lists(st.lists(st.integers(0, 6), min_size=4, max_size=12), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(-50, 50), st.integers(1, 9)), min_size=4, max_size=4),
)
def test_within_sees_no_rising_change_inside_a_video(values: list[list[int]], changes: list[tuple[int, int]]) -> None:
    """Which video is more anomalous, how loud and how long it is: none of it has a part in `within`."""
    one = {f"v{i}": ([float(x) for x in own], [(1, 3)]) for i, own in enumerate(values)}
    other = {
        name: ([shift + scale * float(np.exp(x)) for x in own], events)
        for (name, (own, events)), (shift, scale) in zip(one.items(), changes, strict=False)
    }
    before = within(frames_of(one))
    assert within(frames_of(other)) == pytest.approx(before)
    turned = {name: ([-x for x in own], events) for name, (own, events) in one.items()}
    assert within(frames_of(turned)) == pytest.approx(1 - before)
    assert within(frames_of({name: ([0.3] * len(own), e) for name, (own, e) in one.items()})) == 0.5


def test_shortcuts_by_hand() -> None:
    frames = frames_of({"long": ([0.5] * 8, [(3, 5)]), "short": ([0.1, 0.2, 0.3, 0.4], [(0, 1)])})
    shorter = shortcut_frames(frames, "shorter video first")
    np.testing.assert_array_equal(shorter.scores, [0.5] * 8 + [1.0] * 4)
    middle = shortcut_frames(frames, "middle first")
    # 32 steps over 8 and over 4 frames: frame t begins at step 4 t and 8 t; step s scores 1 - |2 s + 1 - 32| / 32
    assert middle.scores[:8].tolist() == [1 / 32, 9 / 32, 17 / 32, 25 / 32, 31 / 32, 23 / 32, 15 / 32, 7 / 32]
    assert middle.scores[8:].tolist() == [1 / 32, 17 / 32, 31 / 32, 15 / 32]
    np.testing.assert_array_equal(middle.labels, frames.labels)
    with pytest.raises(UsageError, match="Did you mean 'middle first'"):
        shortcut_frames(frames, "middle")


def noise_and_skill(skill: float, seed: int = 0) -> ScoredFrames:
    """40 videos of 60 to 360 frames, half of them with an event somewhere; scores are noise, and skill where it is."""
    world, rng = np.random.default_rng(7), np.random.default_rng(seed)
    videos = {}
    for index in range(40):
        length = int(world.integers(60, 360))
        start = int(world.integers(0, length - 20))
        scores = rng.standard_normal(length)
        if index % 2:
            scores[start : start + 20] += skill
        videos[f"v{index}"] = (scores.tolist(), [(start, start + 20)] if index % 2 else [])
    return frames_of(videos)


def test_chance_does_not_beat_a_shortcut_and_skill_does() -> None:
    chance, good = (evaluate_frames(noise_and_skill(skill), n_bootstrap=200) for skill in (0.0, 4.0))
    assert set(chance.shortcuts) == set(SHORTCUTS)
    for name, own in chance.shortcuts.items():
        assert set(own["gains"]) == {"auc", "ano_auc", "within", "ap", "video_auc"}, name
        for metric, gain in own["gains"].items():
            assert gain["ci95"][0] <= gain["difference"] <= gain["ci95"][1], metric
            assert gain["difference"] == pytest.approx(getattr(chance, metric) - own[metric])
            assert own["ci95"][metric][0] <= own[metric] <= own["ci95"][metric][1]
    assert chance.shortcuts["shorter video first"]["within"] == 0.5
    said = not_beaten(chance.shortcuts)
    assert len(said) == 2
    assert 'not clearly better than "middle first", which looks at no picture' in said[1]
    assert "within 0." in said[1]
    assert not_beaten(good.shortcuts) == []
    assert good.to_dict()["shortcuts"]["middle first"]["gains"]["within"]["beats"] is True


def test_without_resampling_the_difference_decides() -> None:
    result = evaluate_frames(noise_and_skill(4.0), n_bootstrap=0)
    assert result.shortcuts["middle first"]["gains"]["auc"]["ci95"] is None
    assert not_beaten(result.shortcuts) == []
    worse = evaluate_frames(noise_and_skill(-4.0), n_bootstrap=0)
    assert "within" in not_beaten(worse.shortcuts)[1]


def test_over_seeds_it_is_the_mean_that_is_compared() -> None:
    seeds = [noise_and_skill(1.0, seed) for seed in range(3)]
    found = compare_with_shortcuts(seeds, n_bootstrap=100)
    values = [evaluate_frames(own, n_bootstrap=0).within or 0.0 for own in seeds]
    own = found["middle first"]
    assert own["gains"]["within"]["difference"] == pytest.approx(np.mean(values) - own["within"])


def test_a_shortcut_looks_at_no_score() -> None:
    for name in SHORTCUTS:
        one, other = (shortcut_frames(noise_and_skill(0.0, seed), name) for seed in (1, 2))
        np.testing.assert_array_equal(one.scores, other.scores)


def test_labels_of_whole_videos_are_compared_by_video_auc() -> None:
    videos = [Video(video_id=f"v{i}", split="test", label=i % 2, n_frames=2 + i // 2) for i in range(16)]
    scores = {video.video_id: VideoScores(np.array([video.label / 2 + 0.1])) for video in videos}
    result = evaluate(scores, Manifest(tuple(videos)), n_bootstrap=50)
    assert {name: set(own["gains"]) for name, own in result.shortcuts.items()} == {
        name: {"video_auc"} for name in SHORTCUTS
    }
    assert result.shortcuts["middle first"]["video_auc"] is not None


def test_what_shortcuts_reach_on_ucf_crime(shared: Path) -> None:
    """The 114 test videos that have C3D features: these figures need no features at all."""
    annotated = (shared / "data/ucf_crime/annotations.csv").read_text(encoding="utf-8").splitlines()
    with np.load(shared / "data/ucf_crime/c3d_features.npz") as stored:
        known = set(stored["video_ids"].tolist())
    videos = []
    for line in annotated[1:]:
        video_id, class_name, split, n_frames, events = line.split(",")
        if split == "test" and video_id in known:
            spans = tuple(tuple(map(int, span.split("-"))) for span in events.split(";") if span)
            label = int(class_name != "Normal")
            videos.append(Video(video_id=video_id, split="test", label=label, n_frames=int(n_frames), events=spans))
    assert len(videos) == 114
    with pytest.warns(UserWarning, match="past the last frame"):
        frames = score_frames({v.video_id: VideoScores(np.zeros(32)) for v in videos}, Manifest(tuple(videos)))
    shorter, middle = (evaluate_frames(shortcut_frames(frames, name), n_bootstrap=0) for name in SHORTCUTS)
    assert (shorter.auc, shorter.ano_auc, shorter.within) == pytest.approx((0.733, 0.606, 0.5), abs=5e-4)
    assert (middle.ano_auc, middle.within) == pytest.approx((0.612, 0.589), abs=5e-4)
