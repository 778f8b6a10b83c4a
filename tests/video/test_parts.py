"""A video decoded in parts from its keyframes gives exactly what it gives in one go."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amiss.errors import VideoError
from amiss.video import ClipReader, NotSplitError, SplitVideo, split_video
from helpers.videos import cut_short, damage, write_video

HOW = (16, 16, "last", None)
N_FRAMES = 400
LEAST_FRAMES = 80
Write = Callable[[Path], Path]

OPEN_GOP = {"x264-params": "open-gop=1:bframes=3:b-adapt=0:keyint=25:min-keyint=25:scenecut=0"}
CLOSED = {"x264-params": "bframes=3:b-pyramid=normal:ref=4:keyint=30:scenecut=0"}
REFRESH = {"x264-params": "intra-refresh=1:keyint=30:bframes=0:slice-max-size=300"}
HEVC = {"x265-params": "open-gop=1:bframes=4:keyint=25:min-keyint=25:scenecut=0:log-level=none:pools=1:frame-threads=1"}
VARIABLE = [i / 25 + 0.013 * (i % 3) + 2.5 * (i > 190) + 70 * (i > 300) for i in range(N_FRAMES)]


def written(name: str, **how: Any) -> Write:
    return lambda folder: write_video(folder / name, N_FRAMES, **how)


WHOLE: dict[str, Write] = {
    "h264 with B-frames, mp4": written("a.mp4", options=CLOSED),
    "h264 with open GOPs, mp4": written("b.mp4", options=OPEN_GOP),
    "h264 with open GOPs, mkv": written("c.mkv", options=OPEN_GOP),
    "h264 with open GOPs, ts": written("d.ts", options=OPEN_GOP),
    "hevc with open GOPs, mp4": written("e.mp4", codec="libx265", options=HEVC),
    "mpeg-4 asp with B-frames, mp4": written("f.mp4", codec="mpeg4", b_frames=2),
    "mpeg-4 asp with B-frames, mkv": written("g.mkv", codec="mpeg4", b_frames=2),
    "variable rate with gaps, mkv": written("h.mkv", times=VARIABLE, options=CLOSED),
    "variable rate with gaps, mp4": written("i.mp4", times=VARIABLE, options=OPEN_GOP),
    "only keyframes, mkv": written("j.mkv", codec="mjpeg", pix_fmt="yuvj420p"),
    "mpeg-4 asp, avi": written("k.avi", codec="mpeg4", b_frames=0),
}  # fmt: skip


def clips_of(path: Path, how: tuple[Any, ...], split: SplitVideo | None = None) -> tuple[list[Any], list[ClipReader]]:
    """Index, span and pictures of all clips."""
    found, readers = [], []
    for part in split.parts if split else (None,):
        with ClipReader(path, *how, part=part) as reader:
            readers.append(reader)
            found += [(clip.index, clip.start, clip.end, clip.images.copy()) for clip in reader]
    return found, readers


def assert_same(path: Path, split: SplitVideo, how: tuple[Any, ...] = HOW) -> None:
    whole, (reader,) = clips_of(path, how)
    parts, readers = clips_of(path, how, split)
    split.check([part.proof for part in readers])
    assert [clip[:3] for clip in parts] == [clip[:3] for clip in whole]
    assert all(np.array_equal(a[3], b[3]) for a, b in zip(parts, whole, strict=True))
    assert (split.times.n_frames, split.times.fps, split.problem) == (
        reader.times.n_frames, reader.times.fps, reader.problem
    )  # fmt: skip
    assert np.array_equal(split.times.starts(range(N_FRAMES + 1)), reader.times.starts(range(N_FRAMES + 1)))
    assert np.array_equal(split.times.ends(range(N_FRAMES + 1)), reader.times.ends(range(N_FRAMES + 1)))


@pytest.mark.parametrize("name", WHOLE)
def test_parts_are_the_whole(name: str, tmp_path: Path) -> None:
    path = WHOLE[name](tmp_path)
    split = split_video(path, 4, LEAST_FRAMES, *HOW[:2])
    assert len(split.parts) >= 3
    assert_same(path, split)


@pytest.mark.parametrize(
    "how", [(16, 5, "last", None), (24, 40, "pad", None), (16, 16, "drop", 10.0), (16, 7, "last", 31.0)]
)
def test_clips_that_reach_into_the_next_part_and_other_rates(how: tuple[Any, ...], tmp_path: Path) -> None:
    path = WHOLE["variable rate with gaps, mp4"](tmp_path)
    split = split_video(path, 3, LEAST_FRAMES, how[0], how[1], how[3])
    assert len(split.parts) >= 2
    assert_same(path, split, how)


REFUSED: dict[str, tuple[Write, str]] = {
    "gradual refresh": (written("a.mp4", options=REFRESH), "aren't those that its packets promise"),
    "no stamps": (written("a.h264", options=CLOSED, container_format="h264"), "say when they are shown"),
    "one keyframe": (written("a.mp4", options={"x264-params": "keyint=infinite:scenecut=0"}), "too few keyframes"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_trusted_is_not_split(name: str, tmp_path: Path) -> None:
    write, reason = REFUSED[name]
    with pytest.raises(NotSplitError, match=reason):
        split_video(write(tmp_path), 4, LEAST_FRAMES, *HOW[:2])


def test_a_video_that_is_cut_off_says_the_same(tmp_path: Path) -> None:
    path = cut_short(WHOLE["h264 with open GOPs, mkv"](tmp_path), tmp_path / "cut.mkv", 0.9)
    split = split_video(path, 4, LEAST_FRAMES, *HOW[:2])
    assert split.problem is not None
    assert "is missing" in split.problem
    assert_same(path, split)


@pytest.mark.parametrize("name", ["h264 with open GOPs, mkv", "h264 with B-frames, mp4", "mpeg-4 asp, avi"])
def test_a_damaged_file_gives_the_same_or_is_refused(name: str, tmp_path: Path) -> None:
    source = WHOLE[name](tmp_path)
    refused = 0
    for seed in range(4):
        start = 0.15 + 0.2 * seed
        path = damage(source, tmp_path / f"damaged{seed}{source.suffix}", start, start + 0.002 * (seed + 1), seed)
        try:
            assert_same(path, split_video(path, 4, LEAST_FRAMES, *HOW[:2]))
        except VideoError:
            refused += 1
    assert refused
