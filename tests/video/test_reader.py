"""Reading good video files, the odd ones too."""

import csv
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from amiss.errors import UsageError, VideoError
from amiss.video import Frame, VideoReader, iter_clips, read_frames_at
from helpers.videos import (
    corners,
    count_frames,
    loop,
    numbered,
    read_number,
    write_audio,
    write_changing_size,
    write_video,
)

ODD_FILES: dict[str, dict[str, object]] = {
    "h264.mp4": {},
    "h264.mkv": {},
    "h264.ts": {},
    "h264.h264": {"container_format": "h264"},  # no timestamps at all
    "mpeg4.avi": {"codec": "mpeg4"},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}},
    "grey.mp4": {"pix_fmt": "gray"},
    "ten_bit.mp4": {"pix_fmt": "yuv420p10le"},
    "full_range.mp4": {"pix_fmt": "yuvj420p"},
    "chroma444.mp4": {"pix_fmt": "yuv444p"},
    "mjpeg422.avi": {"codec": "mjpeg", "pix_fmt": "yuvj422p"},
    "rgb.avi": {"codec": "ffv1", "pix_fmt": "bgr0"},
    "interlaced.mp4": {"options": {"x264-params": "interlaced=1"}},
    "interlaced.ts": {"codec": "mpeg2video", "options": {"flags": "+ilme+ildct"}},
    "palette.gif": {"codec": "gif", "pix_fmt": "rgb8"},
    "one_frame.mp4": {"images": 1},
    "odd_size.mkv": {"images": [numbered(i, 49, 65) for i in range(20)], "pix_fmt": "yuv444p"},
    "tiny.avi": {"images": [numbered(0, 2, 12)], "codec": "ffv1", "pix_fmt": "bgr0"},
}


@pytest.mark.parametrize("name", ODD_FILES)
def test_every_frame_of_odd_files_is_read(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / name, **{"images": 30, **ODD_FILES[name]})  # type: ignore[arg-type]
    images = ODD_FILES[name].get("images", 30)
    n = images if isinstance(images, int) else len(images)  # type: ignore[arg-type]
    with VideoReader(path) as reader:
        frames = list(reader)
        assert [read_number(frame.image) for frame in frames] == list(range(n))
        assert [frame.index for frame in frames] == list(range(n))
        assert np.allclose([frame.time_s for frame in frames], np.arange(n) / 25, atol=1e-3)
        assert frames[0].image.shape == (reader.height, reader.width, 3)
        assert all(frame.image.dtype == np.uint8 and frame.image.flags.c_contiguous for frame in frames)
        assert reader.fps == pytest.approx(25)
        assert reader.n_frames == n
        assert reader.problem is None
    assert count_frames(path) == n


def test_colours_are_right(tmp_path: Path) -> None:
    path = write_video(tmp_path / "corners.mp4", [corners()] * 3, pix_fmt="yuv444p")
    (image,) = read_frames_at(path, [1])
    assert np.abs(image.astype(int) - corners())[[5, 5, 40, 40], [5, 60, 5, 60]].max() < 8


@pytest.mark.parametrize(("degrees", "turns"), [(0, 0), (90, 1), (180, 2), (270, 3), (-90, 3)])
def test_rotation_is_applied(tmp_path: Path, degrees: int, turns: int) -> None:
    path = write_video(tmp_path / "turned.mp4", [corners(48, 64)] * 3, rotation=degrees)
    expected = np.rot90(corners(48, 64), turns)
    with VideoReader(path) as reader:
        assert (reader.height, reader.width) == expected.shape[:2]
        first, *_ = reader
    assert np.abs(first.image.astype(int) - expected)[[5, 5, -5, -5], [5, -5, 5, -5]].max() < 8
    (small,) = read_frames_at(path, [0], height=24)
    assert small.shape == (24, round(24 * expected.shape[1] / expected.shape[0]), 3)
    assert np.abs(small.astype(int)[[2, -3], [2, -3]] - expected[[5, -5], [5, -5]]).max() < 12


def test_variable_frame_rate_keeps_its_times(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.08, 0.5, 0.54, 2.0, 2.02]
    with VideoReader(write_video(tmp_path / "vfr.mp4", len(times), times=times)) as reader:
        assert [frame.time_s for frame in reader] == pytest.approx(times, abs=2e-3)


def test_times_start_at_zero_and_survive_a_clock_that_is_reset(tmp_path: Path) -> None:
    part = write_video(tmp_path / "part.ts", 50).read_bytes()  # starts at 0.08 s by its timestamps
    (tmp_path / "joined.ts").write_bytes(part + part)
    with VideoReader(tmp_path / "joined.ts") as reader:
        times = np.array([frame.time_s for frame in reader])
    assert times[0] == 0
    assert len(times) >= 99  # the decoder may lose one at the seam
    assert (np.diff(times) > 0).all()
    assert times[-1] == pytest.approx(len(times) / 25, abs=0.1)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
@pytest.mark.parametrize("fps", [25, 30, 29.97])
def test_resampling_to_the_same_rate_changes_nothing(tmp_path: Path, name: str, fps: float) -> None:
    with VideoReader(write_video(tmp_path / name, 60, fps=fps), frame_rate=fps) as reader:
        assert [read_number(frame.image) for frame in reader] == list(range(60))


def test_resampling_takes_the_latest_frame_at_each_tick(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 30)  # 1.2 s
    with VideoReader(path, frame_rate=10) as slow:
        frames = list(slow)
        assert [read_number(frame.image) for frame in frames] == [0, 2, 5, 7, 10, 12, 15, 17, 20, 22, 25, 27]
        assert [frame.index for frame in frames] == list(range(12))
        assert [frame.time_s for frame in frames] == pytest.approx([k / 10 for k in range(12)])
        assert (slow.n_frames, slow.fps) == (30, 25)
    with VideoReader(path, frame_rate=50) as fast:
        assert [read_number(frame.image) for frame in fast] == [k // 2 for k in range(60)]
    times = [0.0, 0.1, 0.9, 1.0]
    with VideoReader(write_video(tmp_path / "vfr.mp4", 4, times=times), frame_rate=10) as reader:
        assert [read_number(frame.image) for frame in reader][:11] == [0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 3]
    with VideoReader(write_video(tmp_path / "one.mp4", 1), frame_rate=0.5) as reader:
        assert len(list(reader)) == 1


@pytest.mark.parametrize("rate", [0, -5, float("nan"), float("inf")])
def test_an_impossible_target_rate_is_refused(tmp_path: Path, rate: float) -> None:
    with pytest.raises(UsageError, match="frame_rate is"):
        VideoReader(write_video(tmp_path / "a.mp4", 2), frame_rate=rate)


def test_frames_that_change_size_come_in_the_first_size(tmp_path: Path) -> None:
    path = write_changing_size(tmp_path / "grows.m2v", [(48, 64), (96, 80)], each=10)
    with VideoReader(path) as reader:
        frames = list(reader)
    assert len(frames) >= 19  # the decoder may lose one where the stream starts anew
    assert {frame.image.shape for frame in frames} == {(48, 64, 3)}
    assert read_number(frames[-1].image) == 19
    assert len(list(iter_clips(frames))) == 2


def test_every_iteration_starts_at_the_first_frame(tmp_path: Path) -> None:
    with VideoReader(write_video(tmp_path / "a.mp4", 20)) as reader:
        assert reader.n_frames <= 1
        abandoned = iter(reader)
        assert [read_number(next(abandoned).image) for _ in range(5)] == [0, 1, 2, 3, 4]
        assert [read_number(frame.image) for frame in reader] == list(range(20))
        assert list(abandoned) == []
        assert [read_number(frame.image) for frame in reader] == list(range(20))
        assert reader.n_frames == 20


def test_a_closed_reader_gives_no_frames(tmp_path: Path) -> None:
    with VideoReader(write_video(tmp_path / "a.mp4", 20)) as reader:
        frames = iter(reader)
        next(frames)
    assert list(frames) == []
    with pytest.raises(VideoError, match="closed"):
        iter(reader)


def test_a_header_without_a_plausible_rate_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mkv", 30, fps=12.5)
    monkeypatch.setattr("amiss.video._decode._header_fps", lambda stream: None)
    with VideoReader(path) as reader:
        assert reader.fps == pytest.approx(12.5)


def test_sound_that_goes_on_longer_is_not_a_problem(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "both.mkv", 3.0, n_pictures=25)
    with VideoReader(path) as reader:
        assert [read_number(frame.image) for frame in reader] == list(range(25))
        assert reader.stated_duration_s == pytest.approx(3, abs=0.1)
        assert reader.problem is None


def test_frames_that_an_edit_list_hides_are_not_missed(tmp_path: Path) -> None:
    with av.open(str(write_video(tmp_path / "a.mp4", 40, b_frames=0))) as source:
        stream = source.streams.video[0]
        with av.open(str(tmp_path / "trimmed.mp4"), "w") as output:
            target = output.add_stream_from_template(stream)
            for packet in source.demux(stream):
                if packet.dts is not None:
                    packet.pts -= 20 * 512
                    packet.dts -= 20 * 512
                    packet.stream = target
                    output.mux(packet)
    with VideoReader(tmp_path / "trimmed.mp4") as reader:
        frames = list(reader)
        assert reader.stated_frames == 40
        assert [read_number(frame.image) for frame in frames] == list(range(20, 40))
        assert reader.problem is None


def test_titles_in_odd_encodings_and_colons_in_names(tmp_path: Path) -> None:
    path = tmp_path / "http:camera 1 – 100%.avi"
    with av.open(f"file:{path}", "w") as output:
        output.metadata["title"] = "caf___"
        stream = output.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        output.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(0), format="rgb24")))
        output.mux(stream.encode(None))
    path.write_bytes(path.read_bytes().replace(b"caf___", b"caf\xe9\xff_"))
    assert count_frames(path) == 1


def test_frames_at_given_places(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 40)
    assert [read_number(image) for image in read_frames_at(path, [30, 0, 7, 7])] == [30, 0, 7, 7]
    assert [image.shape for image in read_frames_at(path, [3], height=24)] == [(24, 32, 3)]
    assert read_frames_at(path, []) == []
    with pytest.raises(VideoError, match=r"frame 40 was asked for, but only 40 frames decode"):
        read_frames_at(path, [0, 40])
    with pytest.raises(UsageError, match="-1"):
        read_frames_at(path, [-1])


def test_threads_do_not_change_the_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 40)
    one, four = (list(VideoReader(path, threads=threads)) for threads in (1, 4))
    assert len(one) == len(four) == 40
    assert all(np.array_equal(a.image, b.image) for a, b in zip(one, four, strict=True))


def test_libav_prints_nothing(tmp_path: Path) -> None:
    data = write_video(tmp_path / "a.ts", 60).read_bytes()
    (tmp_path / "odd.ts").write_bytes(data[5000 : len(data) // 2] + bytes(999) + data[len(data) // 2 :])
    code = "import sys; from amiss.video import VideoReader; print(len(list(VideoReader(sys.argv[1]))) > 0)"
    run = subprocess.run([sys.executable, "-c", code, tmp_path / "odd.ts"], capture_output=True, text=True, check=True)
    assert (run.stdout.strip(), run.stderr) == ("True", "")


def resident_mb() -> float:
    statm = Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("resident memory is read from /proc")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def growth_mb(path: Path, n_frames: int) -> float:
    """How much the resident memory grows from a tenth of the video to its end, read as clips."""

    def watched(reader: VideoReader) -> object:
        nonlocal before
        for frame in reader:
            if frame.index == n_frames // 10:
                before = resident_mb()
            yield frame

    before = 0.0
    with VideoReader(path) as reader:
        for _ in iter_clips(watched(reader)):  # type: ignore[arg-type]
            pass
        assert reader.n_frames == n_frames
    return resident_mb() - before


def test_memory_stays_flat(tmp_path: Path) -> None:
    part = write_video(tmp_path / "part.mp4", [numbered(i, 120, 160) for i in range(100)])
    # all that is read would be 310; what other tests left in this process moves it by a few
    assert growth_mb(loop(part, tmp_path / "long.mp4", 60), 6000) < 32


@pytest.mark.slow
def test_memory_stays_flat_over_two_hours(tmp_path: Path) -> None:
    part = write_video(tmp_path / "part.mp4", [numbered(i, 240, 320) for i in range(300)], fps=30)
    assert growth_mb(loop(part, tmp_path / "long.mp4", 720), 216_000) < 16


def test_real_videos_have_the_number_of_frames_they_are_known_to_have(shared: Path) -> None:
    videos = shared / "data" / "ucf_crime" / "videos"
    assert count_frames(videos / "Normal_Videos_006_x264.mp4") == 450
    assert count_frames(videos / "RoadAccidents002_x264.mp4") == 347
    with (shared / "data" / "ucsd_ped2" / "annotations.csv").open() as file:
        for row in list(csv.DictReader(file))[::7]:
            with VideoReader(shared / "data" / "ucsd_ped2" / "videos" / f"{row['video_id']}.mp4") as reader:
                assert sum(isinstance(frame, Frame) for frame in reader) == int(row["n_frames"])
                assert (reader.fps, reader.width, reader.height, reader.problem) == (10, 360, 240, None)


def test_real_surveillance_clips_read_without_a_problem(shared: Path) -> None:
    for path in sorted((shared / "data" / "surveillance_fights" / "videos").glob("*.mp4"))[::30]:
        with VideoReader(path) as reader:
            for _ in reader:
                pass
            assert (reader.n_frames, reader.problem) == (reader.stated_frames, None)


@pytest.mark.parametrize(
    ("how", "at_most"),
    [
        ({"rotation": 90}, None),
        ({"images": [numbered(0, 47, 64)], "pix_fmt": "yuv444p"}, None),
        ({"pix_fmt": "yuv444p"}, None),
        ({"pix_fmt": "yuv420p10le"}, None),
        ({}, 1000),
    ],
    ids=["turned", "odd", "444", "10 bits", "shrunk"],
)
def test_planes_that_would_not_do_come_as_rgb(tmp_path: Path, how: dict[str, Any], at_most: int | None) -> None:
    path = write_video(tmp_path / "a.mp4", how.pop("images", 3), **how)
    frames = [VideoReader(path, planes=planes, at_most=at_most) for planes in (True, False)]
    assert frames[0].yuv is None
    assert all(np.array_equal(a.image, b.image) for a, b in zip(*frames, strict=True))


def test_planes_that_change_size_come_in_the_first_size(tmp_path: Path) -> None:
    with VideoReader(write_changing_size(tmp_path / "a.m2v", [(48, 64), (96, 80)], each=10), planes=True) as reader:
        assert reader.yuv is not None
        planes = [frame.image for frame in reader]
    assert {each.shape for each in planes} == {(72, 64)}
    assert read_number(planes[-1][:48, :, None]) == 19
