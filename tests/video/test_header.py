"""What a file's name and header tell of a recording."""

import time
from datetime import datetime
from pathlib import Path

import pytest

from amiss.errors import VideoError
from amiss.video import VideoReader, read_header, write_preview
from helpers.videos import read_number, write_video


@pytest.mark.parametrize(
    ("name", "started"),
    [
        ("2024-03-01_12-30-05", datetime(2024, 3, 1, 12, 30, 5)),
        ("ch01_20240301123005", datetime(2024, 3, 1, 12, 30, 5)),
        ("20240301T123005Z lobby", datetime(2024, 3, 1, 12, 30, 5)),
        ("NVR_20240301_123005_2", datetime(2024, 3, 1, 12, 30, 5)),
        ("2024.03.01 12.30.05", datetime(2024, 3, 1, 12, 30, 5)),
        ("2024-03-01 12h30m05", datetime(2024, 3, 1, 12, 30, 5)),
        ("20249999123005", None),
        ("19700101_000000", None),
        ("clip 0012345678901234567", None),
        ("Normal_Videos_006_x264", None),
    ],
)
def test_start_of_the_recording_from_its_name(tmp_path: Path, name: str, started: datetime | None) -> None:
    header = read_header(write_video(tmp_path / f"{name}.mp4", 2))
    assert header.started == started
    assert header.started_from == ("file name" if started else None)


@pytest.mark.parametrize(
    ("stated", "started"),
    [("2024-03-01T12:30:05.000000Z", datetime(2024, 3, 1, 14, 30, 5)), ("1904-01-01T00:00:00Z", None), ("soon", None)],
)
def test_start_of_the_recording_from_its_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stated: str, started: datetime | None
) -> None:
    import av

    monkeypatch.setenv("TZ", "UTC-2")
    time.tzset()
    source = write_video(tmp_path / "source.mp4", 2)
    with av.open(str(source)) as read, av.open(str(tmp_path / "v.mkv"), "w") as written:
        written.metadata["creation_time"] = stated
        stream = written.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                written.mux(packet)
    header = read_header(tmp_path / "v.mkv")
    monkeypatch.undo()
    time.tzset()
    assert (header.started, header.started_from) == (started, "header" if started else None)


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "plays"),
    [
        ("a.mp4", "libx264", "yuv420p", True),
        ("a.mp4", "libx264", "yuv444p", False),
        ("a.mp4", "mpeg4", "yuv420p", False),
        ("a.avi", "libx264", "yuv420p", False),
        ("a.mkv", "libvpx", "yuv420p", False),
        ("a.webm", "libvpx", "yuv420p", True),
    ],
)
def test_what_browsers_play(tmp_path: Path, name: str, codec: str, pixels: str, plays: bool) -> None:
    assert read_header(write_video(tmp_path / name, 3, codec=codec, pix_fmt=pixels)).plays_in_browsers is plays


def test_a_preview_has_every_frame_at_its_time(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.5, 0.6, 1.9]
    source = write_video(tmp_path / "a.mkv", 5, codec="mpeg4", times=times)
    write_preview(source, tmp_path / "a.mp4", height=24)
    assert read_header(tmp_path / "a.mp4").plays_in_browsers
    with VideoReader(tmp_path / "a.mp4") as reader:
        frames = list(reader)
    assert (reader.height, reader.width) == (24, 32)
    assert [frame.time_s for frame in frames] == pytest.approx(times, abs=2e-3)
    assert [read_number(frame.image) for frame in frames] == [0, 1, 2, 3, 4]
    with pytest.raises(VideoError, match="does not exist"):
        read_header(tmp_path / "b.mp4")
