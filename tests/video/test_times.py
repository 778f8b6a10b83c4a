"""Native frames ↔ seconds: even rates, variable ones, gaps."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amiss.backbones import FeatureSpec, clip_spans
from amiss.errors import VideoError
from amiss.video import FrameTimes, VideoReader, check_video, cut_clip
from helpers.videos import cut_short, write_video

milliseconds = st.lists(st.integers(0, 400) | st.integers(61_000, 10**9), max_size=50)  # from frame to frame


def of_steps(steps: list[int], fps: float = 25.0) -> tuple[FrameTimes, list[float], list[float]]:
    """Times of frames that are so many milliseconds apart, as the decoder gives them; starts and ends of the frames."""
    starts = np.cumsum([0, *steps]) / 1000
    ends = [b if b - a < 61 else a + 1 / fps for a, b in pairwise(starts)] + [starts[-1] + 1 / fps]
    gaps = [(i + 1, ends[i]) for i, step in enumerate(steps) if step >= 61_000]
    return FrameTimes.of_frames(starts, ends[-1], fps, gaps=gaps), starts.tolist(), ends


@given(milliseconds)
def test_every_frame_starts_and_ends_at_its_own_time(steps: list[int]) -> None:
    found, starts, ends = of_steps(steps)
    n = len(starts)
    assert found.n_frames == n
    assert found.starts(np.arange(n)) == pytest.approx(starts, abs=1.001e-3 if found.knots is None else 1e-6)
    if found.knots is not None:
        assert found.ends(np.arange(1, n + 1)) == pytest.approx(ends, abs=1e-6)
        shown = sum(e - s for s, e in zip(starts, ends, strict=True))
        assert n / found.rate == pytest.approx(shown)
        assert found.until(n) == pytest.approx(shown)
    assert found.end_s == pytest.approx(ends[-1], abs=1.1e-3)


@given(milliseconds)
def test_frames_are_found_at_their_times(steps: list[int]) -> None:
    found, starts, ends = of_steps(steps)
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        if end - start > 0.01:
            assert int(found.frames_at((start + end) / 2)) == i


@given(milliseconds)
def test_spans_give_their_times_back(steps: list[int]) -> None:
    found, _, _ = of_steps(steps)
    spans = [(i, min(i + 4, found.n_frames)) for i in range(0, found.n_frames, 4)]
    seconds = found.spans(spans)
    back = FrameTimes.of_spans(spans, seconds, FrameTimes(found.n_frames, found.fps), found.end_s)
    assert np.array(back.spans(spans)) == pytest.approx(np.array(seconds))


@given(st.sampled_from([5, 10, 12.5, 15, 24, 25, 30, 30000 / 1001, 50, 60]), st.sampled_from([4, 5, 10, 25, 30, 64]),
       st.sampled_from([4, 8, 16, 24]), st.integers(1, 3000))  # fmt: skip
def test_resampled_clips_of_an_even_video_lie_where_they_lay(fps: float, rate: float, stride: int, n: int) -> None:
    spec = FeatureSpec(backbone="motion", weights="none", dim=4, stride=stride, frame_rate=rate)
    scale = fps / rate
    rows = range(max(1, round(n / fps * rate / stride)))
    expected = [(min(round(i * stride * scale), n), min(round((i * stride + 16) * scale), n)) for i in rows]
    assert clip_spans(spec, len(rows), FrameTimes(n, fps)) == expected


def test_a_rate_is_even_up_to_the_rounding_of_stamps(tmp_path: Path) -> None:
    n = 100
    even = write_video(tmp_path / "even.mkv", n, fps=30000 / 1001)  # rounded to milliseconds
    assert check_video(even).times.knots is None
    times = [i / 29.9 for i in range(n)]
    measured = write_video(tmp_path / "measured.mkv", n, fps=30, times=times)  # not the rate that its header says
    found = check_video(measured).times
    assert found.knots is None
    assert found.fps == pytest.approx(29.9, abs=0.02)


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.mov", "a.asf", "a.flv", "a.ts"])
def test_a_clock_may_start_anywhere(tmp_path: Path, name: str) -> None:
    codec, form = ("wmv2", "asf") if name.endswith("asf") else ("libx264", None)
    stamps = [3600 + i / 25 for i in range(150)]
    path = write_video(tmp_path / name, 150, codec=codec, container_format=form, times=stamps)
    found = check_video(path)
    assert (found.n_frames, found.problem, found.times.knots) == (150, None, None)
    assert found.times.end_s == pytest.approx(6)
    with VideoReader(path) as reader:
        assert [frame.time_s for frame in reader] == pytest.approx([i / 25 for i in range(150)], abs=2e-3)


def test_a_short_flv_whose_length_counts_from_the_first_decoding_is_complete(tmp_path: Path) -> None:
    for count, start_s in ((10, 1), (50, 3600)):
        stamps = [start_s + i / 25 for i in range(count)]
        path = write_video(tmp_path / "a.flv", count, times=stamps, b_frames=2)
        assert (check_video(path).n_frames, check_video(path).problem) == (count, None)


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "mpeg4"), ("a.flv", "libx264"), ("a.mp4", "libx264")])
@pytest.mark.parametrize("is_even", [True, False])
def test_a_missing_end_is_one_by_the_containers_own_clock(tmp_path: Path, name: str, codec: str, is_even: bool) -> None:
    count = 300
    stamps = [i / 25 if is_even or i < 150 else 6 + (i - 150) / 5 for i in range(count)]
    path = write_video(tmp_path / name, count, times=stamps, codec=codec)
    shown = check_video(path)
    assert (shown.n_frames, shown.problem) == (count, None)
    if name == "a.mp4":
        return
    problem = check_video(cut_short(path, tmp_path / f"part_{name}", 0.2)).problem  # the half of an AVI is its index
    assert problem is not None
    assert "is missing" in problem


def test_a_missing_end_is_seen_whenever_the_clock_starts(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", 400, times=[3600 + i / 25 for i in range(400)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    problem = check_video(path).problem
    assert problem is not None
    assert "of the stated 16.0 s is missing" in problem


def test_gaps_are_left_out_when_resampled_and_said(tmp_path: Path) -> None:
    stamps = [i * 5_256_000.0 for i in range(20)]
    path = write_video(tmp_path / "decade.mkv", 20, times=stamps)
    with VideoReader(path, frame_rate=25) as reader:
        frames = list(reader)
        assert [frame.time_s for frame in frames] == pytest.approx(stamps)
        assert reader.problem == ("left out: 19 gaps of more than 60 s without a picture, the longest of 5256000 s")
        assert reader.times().until(20) == pytest.approx(0.8)
    assert check_video(path).problem is None
    cut_clip(path, tmp_path / "cut.mp4", 5, 15)
    with VideoReader(tmp_path / "cut.mp4") as reader:
        assert [frame.time_s for frame in reader] == pytest.approx([i / 25 for i in range(10)], abs=2e-3)


@pytest.mark.parametrize(("bound", "n", "last"), [(2.0, 50, (32, 48)), (20.0, 50 + 250, (25, 38))])
def test_the_bound_on_gaps_is_a_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: float, n: int, last: tuple[int, int]
) -> None:
    monkeypatch.setenv("AMISS_MAX_GAP_S", str(bound))
    stamps = [i / 25 + 10 * (i >= 25) for i in range(50)]
    path = write_video(tmp_path / "a.mkv", 50, times=stamps)
    with VideoReader(path, frame_rate=25) as reader:
        assert len(list(reader)) == n
        spans = clip_spans(
            FeatureSpec(backbone="motion", weights="none", dim=4, frame_rate=25), n // 16, reader.times()
        )
    assert spans[-1] == last


def test_the_bound_on_the_whole_length_is_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures 50 s apart are no gaps; what they cost is bounded by the hours that they fill."""
    path = write_video(tmp_path / "a.mkv", 30, times=[50.0 * i for i in range(30)])
    monkeypatch.setenv("AMISS_MAX_DURATION_H", "0.1")
    with VideoReader(path, frame_rate=1) as reader:
        assert len(list(reader)) in range(360, 411)
        assert reader.problem == (
            "decoding stopped at frame 8: it is longer than 0.1 h, and AMISS_MAX_DURATION_H allows more"
        )
    shown = check_video(path)
    assert (shown.n_frames, shown.problem) == (8, reader.problem)


@pytest.mark.parametrize(
    "knots", [[[0, 0]], [[0, 0], [5, 1]], [[0, 0], [6, 2], [10, 1]], [[0, 1], [10, 2]], [[0, 0], [10, np.nan]], [1, 2]]
)
def test_knots_that_make_no_sense_are_refused(knots: list[object]) -> None:
    with pytest.raises(VideoError, match="the times of frames"):
        FrameTimes(10, 25.0, np.array(knots, float))


def test_without_a_rate_there_are_no_seconds() -> None:
    with pytest.raises(VideoError, match="isn't known"):
        FrameTimes(10, None).starts(5)
