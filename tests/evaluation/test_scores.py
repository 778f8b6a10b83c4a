"""Scores on disk and their way from clips to frames."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amiss.datasets import Manifest, Video
from amiss.errors import EvaluationError, OutputError
from amiss.evaluation import VideoScores, fixed_spans, frame_scores, read_scores, score_frames, write_scores
from amiss.video import FrameTimes


def manifest(**n_frames: int) -> Manifest:
    """Test videos of these lengths; names that begin with `a` are anomalous."""
    videos = [
        Video(
            video_id=name,
            split="test",
            label=int(name[0] == "a"),
            n_frames=n,
            fps=25,
            events=((0, 4),) * (name[0] == "a"),
        )
        for name, n in n_frames.items()
    ]
    return Manifest(tuple(videos))


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_scores_survive_a_round_trip(tmp_path: Path, suffix: str) -> None:
    scores = {
        "plain": VideoScores(np.array([0.1, 0.25, 1 / 3])),
        "with spans": VideoScores(np.array([0.5, 2.0]), ((0, 16), (8, 24))),
        "stride": VideoScores(np.array([0.5])),
        "times": VideoScores(
            np.array([0.5, 1.0]), ((0, 16), (16, 24)), FrameTimes.of_frames([*range(16), *range(20, 28)], 29, 1)
        ),
    }
    write_scores(tmp_path / f"s{suffix}", scores)
    back = read_scores(tmp_path / f"s{suffix}")
    assert list(back) == list(scores)
    for name, video in scores.items():
        np.testing.assert_array_equal(back[name].scores, video.scores)
        assert back[name].spans == video.spans
        if name != "times":
            assert back[name].times is None
            continue
        assert back[name].times.starts(range(25)).tolist() == video.times.starts(range(25)).tolist()
        assert back[name].times.fps == video.times.fps


@pytest.mark.parametrize("knots", [[], [[0, 0]], [[0, 0], [24, -1]], [[0, 0], [24, None]], "now", [[0, 0, 0]]])
def test_times_that_make_no_sense_are_refused(tmp_path: Path, knots: object) -> None:
    (tmp_path / "s.json").write_text(json.dumps({"v": {"scores": [1, 2], "times": knots}}))
    with pytest.raises(EvaluationError, match="v: "):
        read_scores(tmp_path / "s.json")


def test_times_of_another_video_are_refused() -> None:
    knots = FrameTimes.of_knots([[0, 0], [16, 1], [24, 9]])
    scores = {"v": VideoScores(np.array([0.5, 1.0]), ((0, 16), (16, 32)), knots)}
    manifest = Manifest((Video(video_id="v", split="test", label=0, n_frames=32),))
    with pytest.raises(EvaluationError, match="the times of 24 frames, but it has 32"):
        score_frames(scores, manifest)


def test_a_file_may_state_clip_length_and_stride(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(json.dumps({"clip_len": 8, "stride": 4, "v": [0, 1]}))
    np.savez(tmp_path / "s.npz", clip_len=8, stride=4, v=np.array([0, 1], dtype=np.float32))
    for name in ("s.json", "s.npz"):
        scores = read_scores(tmp_path / name)
        assert scores["v"].spans == ((0, 8), (4, 12))
        np.testing.assert_array_equal(frame_scores(scores["v"], 12), [0] * 4 + [0.5] * 4 + [1] * 4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"v": [0.1, NaN]}', "v: 1 of 2 scores are NaN"),
        ('{"v": [[0.1], [0.2]]}', r"v: scores have shape \[2, 1\]"),
        ('{"v": []}', "v: scores have shape"),
        ('{"v": ["high"]}', "v: scores must be a list of numbers"),
        ('{"v": 0.5, "w": [1]}', "v: scores have shape"),
        ('{"v": [1], "v": [2]}', "'v' stands twice"),
        ('{"v": {"scores": [1, 2], "spans": [[0, 16]]}}', "v: 2 scores but 1 spans"),
        ('{"v": {"scores": [1], "spans": [[16, 0]]}}', "v: span"),
        ('{"v": {"scores": [1, 2], "spans": [[16, 32], [0, 16]]}}', "in order"),
        ('{"v": {"score": [1]}}', "v has"),
        ('{"clip_len": 0, "v": [1]}', "clip_len is 0"),
        ("{}", "no videos"),
        ("[0.1]", "must map video ids"),
        ("{", "can't be read"),
    ],
)
def test_bad_json_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "s.json").write_text(content)
    with pytest.raises(EvaluationError, match=message):
        read_scores(tmp_path / "s.json")


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="do not exist"):
        read_scores(tmp_path / "none.json")
    (tmp_path / "s.csv").write_text("v,1")
    with pytest.raises(EvaluationError, match=r"not '\.csv'"):
        read_scores(tmp_path / "s.csv")
    (tmp_path / "s.npz").write_bytes(b"no archive")
    with pytest.raises(EvaluationError, match="can't be read"):
        read_scores(tmp_path / "s.npz")
    np.save(tmp_path / "s.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(EvaluationError, match="can't be read"):
        read_scores(tmp_path / "s.npy", manifest(a=10))
    with pytest.raises(EvaluationError, match="written as"):
        write_scores(tmp_path / "s.npy", {"v": VideoScores(np.ones(1))})
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        write_scores(tmp_path / "file" / "s.json", {"v": VideoScores(np.ones(1))})


def test_flat_npy_is_read_in_the_order_of_rtfms_lists(tmp_path: Path) -> None:
    videos = manifest(n2=20, a2=16, n1=33, a1=40)  # lists: a1 (3 clips), a2 (1), n1 (3), n2 (2)
    path = tmp_path / "s.npy"
    np.save(path, np.arange(9.0))
    scores = read_scores(path, videos)
    assert {name: video.scores.tolist() for name, video in scores.items()} == {
        "a1": [0, 1, 2],
        "a2": [3],
        "n1": [4, 5, 6],
        "n2": [7, 8],
    }
    np.save(path, np.repeat(np.arange(9.0), 16))  # frame level
    again = read_scores(path, videos)
    assert [again[v].scores.tolist() for v in scores] == [scores[v].scores.tolist() for v in scores]
    smooth = np.arange(9 * 16.0)
    np.save(path, smooth)  # not constant within clips: kept frame by frame
    frames = score_frames(read_scores(path, videos), videos)
    np.testing.assert_array_equal(frames.of_video(3)[0], smooth[:40])
    with pytest.raises(EvaluationError, match="manifest is needed"):
        read_scores(path)
    np.save(path, np.arange(10.0))
    with pytest.raises(EvaluationError, match=r"has 10 scores.*9 clips.*\(\+1\)"):
        read_scores(path, videos)


def test_clips_cover_frames() -> None:
    padded = VideoScores(np.array([1.0, 2.0, 3.0]), fixed_spans(3))
    np.testing.assert_array_equal(frame_scores(padded, 40), np.repeat([1, 2, 3], [16, 16, 8]))
    dropped = VideoScores(np.array([1.0, 2.0]), fixed_spans(2))
    np.testing.assert_array_equal(frame_scores(dropped, 40), np.repeat([1, 2], [16, 24]))
    sparse = VideoScores(np.array([1.0, 2.0]), ((0, 4), (8, 12)))
    np.testing.assert_array_equal(frame_scores(sparse, 14), np.repeat([1, 2], [8, 6]))


def test_convention_is_clips_or_segments() -> None:
    np.testing.assert_array_equal(frame_scores(VideoScores(np.array([1.0, 2.0])), 20), np.repeat([1, 2], [16, 4]))
    np.testing.assert_array_equal(frame_scores(VideoScores(np.array([1.0, 2.0])), 40), np.repeat([1, 2], [20, 20]))


@pytest.mark.parametrize(
    ("spans", "n_frames", "message"),
    [
        (((0, 16), (16, 32)), 16, r"reach to frame 32, but the video has 16 \(\+16\)"),
        (((0, 16), (16, 32)), 48, r"end at frame 32, but the video has 48 \(-16\)"),
        (((0, 16), (16, 20)), 21, r"end at frame 20, but the video has 21 \(-1\)"),  # cut at the end of another video
        (((0, 16), (16, 20)), 19, r"reach to frame 20, but the video has 19 \(\+1\)"),
        (((3, 16), (16, 32)), 32, "begins at frame 3"),
        (((0, 16), (16, 32)), 0, "0 frames"),
    ],
)
def test_spans_of_another_length_are_refused(spans: tuple[tuple[int, int], ...], n_frames: int, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        frame_scores(VideoScores(np.array([0.1, 0.2]), spans), n_frames)


@given(st.data())
def test_every_frame_has_the_mean_of_the_clips_over_it(data: st.DataObject) -> None:
    clip_len = data.draw(st.integers(1, 20))
    stride = data.draw(st.integers(1, clip_len))
    n_frames = data.draw(st.integers(1, 100))
    n_clips = max(0, -(-(n_frames - clip_len) // stride)) + 1  # the last one padded
    scores = np.array(data.draw(st.lists(st.floats(0, 1), min_size=n_clips, max_size=n_clips)))
    got = frame_scores(VideoScores(scores, fixed_spans(n_clips, clip_len, stride)), n_frames)
    for frame in range(n_frames):
        over = [scores[i] for i in range(n_clips) if i * stride <= frame < i * stride + clip_len]
        assert got[frame] == pytest.approx(np.mean(over))


@given(st.integers(1, 200), st.integers(1, 40))
def test_segments_tile_the_video(n_frames: int, n_segments: int) -> None:
    scores = np.arange(n_segments, dtype=float)
    got = frame_scores(VideoScores(scores), n_frames, clips=False)
    want = np.concatenate(
        [[i] * ((i + 1) * n_frames // n_segments - i * n_frames // n_segments) for i in range(n_segments)]
    )
    np.testing.assert_array_equal(got, want)


def test_off_by_one_frame_counts_are_caught() -> None:
    right = manifest(a1=160, a2=333, n1=100, n2=47)
    scores = {"a1": VideoScores(np.ones(10)), "a2": VideoScores(np.ones(21)), "n1": VideoScores(np.ones(7))}
    scores["n2"] = VideoScores(np.ones(3))
    assert len(score_frames(scores, right).scores) == 640
    wrong = manifest(a1=161, a2=334, n1=101, n2=48)
    with pytest.raises(
        EvaluationError, match=r"3 videos have one score per 16 frames, but a1 has 10 scores, not 11 \(-1\)"
    ):
        score_frames(scores, wrong)


def test_files_that_do_not_fit_the_manifest_are_refused() -> None:
    videos = manifest(a1=160, n1=100)
    one = {"a1": VideoScores(np.ones(10))}
    with pytest.raises(EvaluationError, match="1 of 2 test videos have no scores: n1"):
        score_frames(one, videos)
    with pytest.raises(EvaluationError, match="doesn't have: other"):
        score_frames({**one, "n1": VideoScores(np.ones(7)), "other": VideoScores(np.ones(7))}, videos)
    with pytest.raises(EvaluationError, match="not test videos of manifest: typo"):
        score_frames(one, videos, exclude=["typo"])
    with pytest.raises(EvaluationError, match="all 2 test videos"):
        score_frames({}, videos, exclude=["a1", "n1"])
    with pytest.raises(EvaluationError, match="no test videos"):
        score_frames({}, Manifest(()))
    assert score_frames(one, videos, exclude=["n1"]).videos[0].video_id == "a1"


def test_scores_of_videos_of_unknown_length() -> None:
    """Protocols of whole clips take 16 frames for each score; the others say which ones these are."""
    videos = tuple(Video(video_id=name, split="test", label=label) for name, label in (("a1", 1), ("n1", 0)))
    scores = {"a1": VideoScores(np.arange(5)), "n1": VideoScores(np.zeros(3), fixed_spans(3))}
    frames = score_frames(scores, Manifest((replace(videos[0], events=((20, 30),)), videos[1])), "xd/wu-floor16")
    assert frames.offsets.tolist() == [0, 80, 128]
    np.testing.assert_array_equal(frames.scores[:80], np.repeat(np.arange(5), 16))
    assert np.flatnonzero(frames.labels).tolist() == list(range(20, 30))
    with pytest.raises(EvaluationError, match=r"exact needs .* no n_frames for a1: .* need none: ucf/rtfm-ceil16, "):
        score_frames(scores, Manifest(videos))
    denser = {**scores, "n1": VideoScores(np.zeros(3), fixed_spans(3, stride=8))}
    with pytest.raises(EvaluationError, match="n1: its scores are not one per 16 frames"):
        score_frames(denser, Manifest(videos), "xd/wu-floor16")
    segments = {name: VideoScores(np.zeros(32)) for name in ("a1", "n1")}
    with pytest.raises(EvaluationError, match=r"all 2 test videos of unknown length have 32 scores: .* segments"):
        score_frames(segments, Manifest(videos), "xd/wu-floor16")


def test_a_video_that_spans_do_not_fit_is_named() -> None:
    with pytest.raises(EvaluationError, match=r"a1: scores end at frame 80.*160 \(-80\)"):
        score_frames({"a1": VideoScores(np.ones(5), fixed_spans(5))}, manifest(a1=160))
