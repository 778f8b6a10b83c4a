"""Frames to clips."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amiss.errors import UsageError
from amiss.video import Clip, Frame, iter_clips


def frames(n: int) -> list[Frame]:
    return [Frame(i, i / 25, np.full((2, 3, 3), i % 256, np.uint8)) for i in range(n)]


def clips(n: int, *args: object, **options: object) -> list[Clip]:
    return list(iter_clips(frames(n), *args, **options))  # type: ignore[arg-type]


sizes = {"n": st.integers(0, 120), "clip_len": st.integers(1, 20), "stride": st.integers(1, 25)}


@given(**sizes)
def test_padded_clips_cover_every_frame_and_none_is_redundant(n: int, clip_len: int, stride: int) -> None:
    found = clips(n, clip_len, stride, tail="pad")
    covered: set[int] = set()
    for i, clip in enumerate(found):
        assert (clip.index, clip.start, clip.end) == (i, i * stride, min(i * stride + clip_len, n))
        assert not set(range(clip.start, clip.end)) <= covered
        covered |= set(range(clip.start, clip.end))
        expected = [min(clip.start + k, n - 1) for k in range(clip_len)]
        assert clip.images[:, 0, 0, 0].tolist() == expected
    gaps = {i for i in range(n) if i % stride >= clip_len}
    assert covered == set(range(n)) - gaps
    if stride <= clip_len:
        assert len(found) == (0 if n == 0 else 1 + -(-max(n - clip_len, 0) // stride))
    else:
        assert len(found) == -(-n // stride)


@given(**sizes)
def test_the_last_clip_shows_the_last_frames(n: int, clip_len: int, stride: int) -> None:
    """Clips lie where padded ones do; of the last one, what is missing comes from before instead of from a still."""
    found, padded = clips(n, clip_len, stride, tail="last"), clips(n, clip_len, stride, tail="pad")
    assert [(c.index, c.start, c.end) for c in found] == [(c.index, c.start, c.end) for c in padded]
    for clip, expected in zip(found[:-1], padded[:-1], strict=True):
        assert (clip.images == expected.images).all()
    if found and n >= clip_len and stride <= clip_len:
        assert found[-1].images[:, 0, 0, 0].tolist() == list(range(n - clip_len, n))
    elif found:
        assert (found[-1].images == padded[-1].images).all()


@given(**sizes)
def test_dropped_tails_leave_whole_clips_only(n: int, clip_len: int, stride: int) -> None:
    found = clips(n, clip_len, stride, tail="drop")
    assert len(found) == (0 if n < clip_len else 1 + (n - clip_len) // stride)
    for i, clip in enumerate(found):
        assert (clip.start, clip.end) == (i * stride, i * stride + clip_len)
        assert clip.images[:, 0, 0, 0].tolist() == list(range(clip.start, clip.end))


@given(n=st.integers(0, 200))
def test_default_is_sixteen_frames_and_the_ceiling(n: int) -> None:
    assert len(clips(n)) == -(-n // 16)
    assert len(clips(n, tail="drop")) == n // 16


def test_a_video_shorter_than_a_clip_gives_one_padded_clip() -> None:
    (clip,) = clips(3)
    assert (clip.start, clip.end) == (0, 3)
    assert clip.images.shape == (16, 2, 3, 3)
    assert clip.images[:, 0, 0, 0].tolist() == [0, 1] + [2] * 14


def test_only_one_clip_of_frames_is_held() -> None:
    produced = 0

    def source() -> object:
        nonlocal produced
        for frame in frames(1000):
            produced += 1
            yield frame

    for clip in iter_clips(source(), 16, 4):  # type: ignore[arg-type]
        assert produced <= clip.start + 16


@pytest.mark.parametrize("options", [{"clip_len": 0}, {"stride": 0}, {"stride": -1}, {"tail": "wrap"}])
def test_wrong_options_are_refused_at_once(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        iter_clips(frames(5), **options)  # type: ignore[arg-type]
