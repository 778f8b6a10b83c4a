"""Writing videos, cutting clips, burning in scores."""

import resource
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amiss.errors import OutputError, UsageError, VideoError
from amiss.video import VideoReader, VideoWriter, annotate_video, cut_clip, read_frames_at
from amiss.video import _cut as cut_module
from helpers.videos import corners, count_frames, cut_short, damage, loop, numbered, read_number, write_video


def numbers(path: Path) -> list[int]:
    with VideoReader(path) as reader:
        return [read_number(frame.image) for frame in reader]


def times(path: Path) -> list[float]:
    with VideoReader(path) as reader:
        return [frame.time_s for frame in reader]


def write(path: Path, n: int, fps: float = 25, height: int = 48, width: int = 64) -> Path:
    with VideoWriter(path, fps, width, height) as writer:
        for i in range(n):
            writer.write(numbered(i, height, width))
    return path


@settings(max_examples=12, deadline=None)
@given(
    n=st.integers(1, 40),
    fps=st.sampled_from([1, 7.5, 10, 23.976, 25, 29.97, 30000 / 1001, 60, 0.2]),
    height=st.integers(24, 70),
    width=st.integers(48, 90),
)
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, n: int, fps: float, height: int, width: int
) -> None:
    path = write(tmp_path_factory.mktemp("writer") / "a.mp4", n, fps, height, width)
    with VideoReader(path) as reader:
        frames = list(reader)
        assert [read_number(frame.image) for frame in frames] == list(range(n))
        assert (reader.height, reader.width) == (height + height % 2, width + width % 2)
        assert reader.fps == pytest.approx(fps, rel=1e-4)
        assert [frame.time_s for frame in frames] == pytest.approx([i / fps for i in range(n)], abs=1e-3)
        assert (reader.stated_frames, reader.problem) == (n, None)


def test_files_are_what_players_want(tmp_path: Path) -> None:
    path = write(tmp_path / "folder" / "a.mp4", 5)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
    assert [entry.name for entry in path.parent.iterdir()] == ["a.mp4"]


def test_colours_survive(tmp_path: Path) -> None:
    picture = corners(240, 320)
    with VideoWriter(tmp_path / "a.mp4", 25, 320, 240) as writer:
        for _ in range(3):
            writer.write(picture)
    (image,) = read_frames_at(tmp_path / "a.mp4", [1])
    places = [30, 30, 200, 200], [40, 300, 40, 300]
    assert np.abs(image.astype(int) - picture)[places].max() < 10


def test_the_same_pictures_give_the_same_file(tmp_path: Path) -> None:
    # Moving texture with noise, as a camera gives it: on flat pictures the encoder has nothing to decide.
    rng = np.random.default_rng(0)
    ground = cv2.GaussianBlur(rng.integers(0, 256, (300, 400, 3), np.uint8), (0, 0), 2)
    pictures = [
        np.clip(ground[i // 2 : i // 2 + 240, i : i + 320] + rng.normal(0, 4, (240, 320, 3)), 0, 255).astype(np.uint8)
        for i in range(60)
    ]
    files = set()
    for turn in range(6):
        with VideoWriter(tmp_path / f"{turn}.mp4", 12, 320, 240) as writer:
            for picture in pictures:
                writer.write(picture)
        files.add((tmp_path / f"{turn}.mp4").read_bytes())
    assert len(files) == 1


def test_given_times_are_kept(tmp_path: Path) -> None:
    stamps = [0.0, 0.04, 0.08, 0.5, 2.0, 2.04]
    with VideoWriter(tmp_path / "a.mp4", 25, 64, 48) as writer:
        for i, stamp in enumerate(stamps):
            writer.write(numbered(i), stamp)
    assert times(tmp_path / "a.mp4") == pytest.approx(stamps, abs=1e-3)


def test_times_that_repeat_lose_no_frame(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", 25, 64, 48) as writer:
        for i, stamp in enumerate([0.0, 0.04, 0.04, 0.04, 0.02, 0.2]):
            writer.write(numbered(i), stamp)
    assert numbers(tmp_path / "a.mp4") == [0, 1, 2, 3, 4, 5]


def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_text("before")
    with pytest.raises(RuntimeError, match="stop"), VideoWriter(path, 25, 64, 48) as writer:
        for i in range(30):
            writer.write(numbered(i))
        raise RuntimeError("stop")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_video_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="no picture"), VideoWriter(tmp_path / "a.mp4", 25, 64, 48):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("fps", "size"), [(0, (64, 48)), (-1, (64, 48)), (float("nan"), (64, 48)), (25, (0, 48))])
def test_impossible_videos_are_refused(tmp_path: Path, fps: float, size: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="can't be written"):
        VideoWriter(tmp_path / "a.mp4", fps, *size)


@pytest.mark.parametrize("picture", [np.zeros((48, 63, 3), np.uint8), np.zeros((48, 64, 3), np.float32)])
def test_pictures_of_another_kind_are_refused(tmp_path: Path, picture: np.ndarray) -> None:
    with pytest.raises(UsageError, match="picture is"), VideoWriter(tmp_path / "a.mp4", 25, 64, 48) as writer:
        writer.write(picture)
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"can't write .*a\.mp4: (File exists|Not a directory)"):
        write(tmp_path / "file" / "a.mp4", 3)
    (tmp_path / "a.mp4").mkdir()
    with pytest.raises(OutputError, match=r"can't write .*a\.mp4: Is a directory"):
        write(tmp_path / "a.mp4", 3)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.mp4", "file"]


def test_a_missing_encoder_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amiss.video._writer.CODEC", "libnothing")
    with pytest.raises(VideoError, match="libnothing"):
        write(tmp_path / "a.mp4", 3)


FULL_DISK = """
import resource, signal, sys
import numpy as np
from amiss.errors import OutputError
from amiss.video import VideoWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
noise = np.random.default_rng(0)
try:
    with VideoWriter(sys.argv[1], 25, 320, 240) as writer:
        for _ in range(12):
            writer.write(noise.integers(0, 256, (240, 320, 3), dtype=np.uint8))
except OutputError as error:
    print(error)
"""


@pytest.mark.faults
@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no file size limit on this system")
@pytest.mark.parametrize("limit", [0, 5000, 200_000, "all but one"])
def test_a_full_disk_is_one_error_and_leaves_nothing(tmp_path: Path, limit: int | str) -> None:
    path = tmp_path / "out" / "a.mp4"

    def run(size: int) -> str:
        command = [sys.executable, "-c", FULL_DISK, str(path), str(size)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return done.stdout

    if limit == "all but one":
        assert run(10**9) == ""
        limit = path.stat().st_size - 1
        path.unlink()
    assert run(int(limit)) == f"can't write {path}: File too large\n"
    assert not list(path.parent.iterdir())


@pytest.fixture(scope="module")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1200 frames with B frames, 50 from keyframe to keyframe."""
    return write_video(tmp_path_factory.mktemp("cut") / "long.mp4", 1200, gop=50, b_frames=3)


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each attempt to cut a clip sought a keyframe (True) or decoded from the first frame (False)."""
    tried: list[bool] = []
    original = cut_module._cut

    def watched(*args: object, seek: bool) -> None:
        tried.append(seek)
        original(*args, seek=seek)  # type: ignore[arg-type]

    monkeypatch.setattr(cut_module, "_cut", watched)
    return tried


@pytest.mark.parametrize(("start", "end"), [(0, 1), (0, 30), (17, 40), (499, 510)])
def test_clips_are_exact(tmp_path: Path, long_video: Path, ways: list[bool], start: int, end: int) -> None:
    cut_clip(long_video, tmp_path / "clip.mp4", start, end)
    assert numbers(tmp_path / "clip.mp4") == list(range(start, end))
    assert ways == [False]


@pytest.mark.parametrize(("start", "end"), [(500, 501), (549, 552), (777, 850), (1150, 1200), (1199, 1200)])
def test_clips_far_into_a_video_are_sought_and_exact(
    tmp_path: Path, long_video: Path, ways: list[bool], start: int, end: int
) -> None:
    cut_clip(long_video, tmp_path / "clip.mp4", start, end)
    assert numbers(tmp_path / "clip.mp4") == list(range(start, end))
    assert times(tmp_path / "clip.mp4") == pytest.approx([i / 25 for i in range(end - start)], abs=1e-3)
    assert ways == [True]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("open_gop.mkv", {"options": {"x264-params": "open-gop=1"}}),
        ("a.ts", {}),
        ("raw.h264", {"container_format": "h264"}),
        ("mpeg4.avi", {"codec": "mpeg4"}),
        ("vp9.webm", {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}}),
        ("interlaced.ts", {"codec": "mpeg2video", "options": {"flags": "+ilme+ildct"}}),
        ("vfr.mp4", {"times": [i * 0.04 + (i // 100) * 0.7 for i in range(640)]}),
    ],
)
def test_clips_of_every_kind_of_file_are_exact(tmp_path: Path, name: str, options: dict[str, object]) -> None:
    source = write_video(tmp_path / name, 640, gop=40, **options)  # type: ignore[arg-type]
    start, end = 590, 610
    cut_clip(source, tmp_path / "clip.mp4", start, end)
    assert numbers(tmp_path / "clip.mp4") == list(range(start, end))
    expected = np.array(times(source)[start:end])
    assert times(tmp_path / "clip.mp4") == pytest.approx(expected - expected[0], abs=2e-3)


def test_a_stream_that_starts_in_the_middle_is_counted_from_its_first_decoded_frame(
    tmp_path: Path, ways: list[bool]
) -> None:
    data = write_video(tmp_path / "whole.ts", 800, gop=40).read_bytes()
    (tmp_path / "joined.ts").write_bytes(
        data[len(data) // 1880 * 188 :]
    )  # a whole number of packets, not at a keyframe
    expected = numbers(tmp_path / "joined.ts")[600:620]
    cut_clip(tmp_path / "joined.ts", tmp_path / "clip.mp4", 600, 620)
    assert numbers(tmp_path / "clip.mp4") == expected
    assert ways == [True, False]


def test_damage_in_the_clip_falls_back_to_counting(tmp_path: Path, long_video: Path, ways: list[bool]) -> None:
    source = damage(long_video, tmp_path / "damaged.mp4", 0.55, 0.56)
    frames = numbers(source)
    start = next(i for i, (a, b) in enumerate(pairwise(frames)) if b != a + 1)
    assert start > cut_module.SEEK_FROM
    cut_clip(source, tmp_path / "clip.mp4", start - 5, start + 5)
    assert numbers(tmp_path / "clip.mp4") == frames[start - 5 : start + 5]
    assert ways == [True, False]


@pytest.mark.parametrize(("start", "end"), [(-1, 5), (5, 5), (9, 3)])
def test_impossible_clips_are_refused(tmp_path: Path, long_video: Path, start: int, end: int) -> None:
    with pytest.raises(UsageError, match="can't be cut out"):
        cut_clip(long_video, tmp_path / "clip.mp4", start, end)


@pytest.mark.parametrize(("start", "end"), [(1190, 1201), (1200, 1210), (5000, 5010)])
def test_clips_past_the_end_are_refused(tmp_path: Path, long_video: Path, start: int, end: int) -> None:
    with pytest.raises(VideoError, match=f"has no frames {start} to {end}: only 1200 decode"):
        cut_clip(long_video, tmp_path / "clip.mp4", start, end)
    assert not list(tmp_path.iterdir())


def test_a_clip_may_replace_its_own_source(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 30)
    cut_clip(path, path, 10, 20)
    assert numbers(path) == list(range(10, 20))


def annotate(source: Path, destination: Path, n: int, events: list[tuple[int, int]]) -> None:
    spans = [(i, min(i + 4, n)) for i in range(0, n, 4)]
    scores = [0.9 if any(s < b and a < e for a, b in events) else 0.1 for s, e in spans]
    annotate_video(source, destination, spans, scores, events, 0.5)


def is_red(image: np.ndarray) -> bool:
    """Whether the left border is red."""
    red, green, blue = image[image.shape[0] // 2, :2].astype(int).mean(axis=0)
    return bool(red > 150 and green < 110 and blue < 110)


@pytest.mark.parametrize(("height", "width"), [(48, 64), (240, 320), (720, 1280), (1080, 1920), (101, 37), (320, 180)])
def test_annotated_videos_keep_every_frame_and_mark_the_events(tmp_path: Path, height: int, width: int) -> None:
    n = 9
    source = write_video(tmp_path / "a.mkv", [numbered(i, height, width) for i in range(n)], pix_fmt="yuv444p")
    annotate(source, tmp_path / "out.mp4", n, [(4, 8)])
    with VideoReader(tmp_path / "out.mp4") as reader:
        frames = list(reader)
    assert len(frames) == n
    assert [i for i in range(n) if is_red(frames[i].image)] == list(range(4, 8))
    # The strip darkens the picture's bottom and nothing else outside events.
    with VideoReader(source) as reader:
        plain = next(iter(reader)).image
    assert np.abs(frames[0].image[: height // 3, :width].astype(int) - plain[: height // 3]).mean() < 6
    assert frames[0].image[-6:, 2:-2].mean() < plain[-6:, 2:-2].mean() - 15


def test_annotated_videos_keep_variable_times(tmp_path: Path) -> None:
    stamps = [0.0, 0.04, 0.08, 0.5, 0.54, 2.0, 2.02]
    source = write_video(tmp_path / "a.mp4", len(stamps), times=stamps)
    annotate(source, tmp_path / "out.mp4", len(stamps), [])
    assert times(tmp_path / "out.mp4") == pytest.approx(stamps, abs=2e-3)


@pytest.mark.parametrize(
    ("spans", "scores"),
    [
        ([], []),  # nothing was scored
        ([(0, 16)], [0.4]),  # the tail was dropped
        ([(0, 16), (8, 24), (16, 30)], [0.1, float("nan"), 2.0]),
        ([(10, 20), (500, 600)], [0.5, 0.5]),  # gaps, and past the end
    ],
)
def test_any_scores_can_be_drawn(tmp_path: Path, spans: list[tuple[int, int]], scores: list[float]) -> None:
    source = write_video(tmp_path / "a.mp4", 30)
    annotate_video(source, tmp_path / "out.mp4", spans, scores, [(25, 900)], threshold=0.5)
    assert count_frames(tmp_path / "out.mp4") == 30


@pytest.mark.parametrize(("height", "width"), [(2, 2), (10, 400), (400, 10)])
def test_tiny_pictures_can_be_drawn_on(tmp_path: Path, height: int, width: int) -> None:
    source = write_video(tmp_path / "a.avi", [np.zeros((height, width, 3), np.uint8)] * 3, codec="ffv1", pix_fmt="bgr0")
    annotate(source, tmp_path / "out.mp4", 3, [(0, 2)])
    assert count_frames(tmp_path / "out.mp4") == 3


def test_scores_and_spans_must_match(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="2 scores were given for 1 spans"):
        annotate_video(write_video(tmp_path / "a.mp4", 3), tmp_path / "out.mp4", [(0, 3)], [0.1, 0.2], [], 0.5)


def test_a_truncated_video_is_annotated_as_far_as_it_decodes(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mp4", 200, container={"movflags": "faststart"})
    source = cut_short(whole, tmp_path / "a.mp4", 0.6)
    annotate(source, tmp_path / "out.mp4", 200, [(10, 20)])
    assert count_frames(tmp_path / "out.mp4") == count_frames(source) < 200


def test_clips_of_a_looped_video_hold_the_right_turn(tmp_path: Path) -> None:
    part = write_video(tmp_path / "part.mp4", 100, gop=25)
    source = loop(part, tmp_path / "long.mp4", 20)
    cut_clip(source, tmp_path / "clip.mp4", 1595, 1605)
    assert numbers(tmp_path / "clip.mp4") == [95, 96, 97, 98, 99, 0, 1, 2, 3, 4]
