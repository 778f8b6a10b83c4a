"""Reading bad video files: one clear line each, and whatever decodes is read."""

import re
from pathlib import Path

import pytest

from amiss.errors import VideoError
from amiss.video import VideoReader, check_video, cut_clip, read_frames_at
from helpers.videos import count_frames, cut_short, damage, read_number, write_audio, write_video


def missing(folder: Path) -> Path:
    return folder / "nowhere.mp4"


def directory(folder: Path) -> Path:
    return folder


def empty(folder: Path) -> Path:
    (folder / "empty.mp4").touch()
    return folder / "empty.mp4"


def text(folder: Path) -> Path:
    (folder / "text.mp4").write_text("no video at all\n" * 100)
    return folder / "text.mp4"


def subtitles(folder: Path) -> Path:
    (folder / "subtitles.mp4").write_text("1\n00:00:00,000 --> 00:00:01,000\nHello\n\n")
    return folder / "subtitles.mp4"


def audio(folder: Path) -> Path:
    return write_audio(folder / "audio.mp4")


def no_index(folder: Path) -> Path:
    data = write_video(folder / "whole.mp4").read_bytes()
    (folder / "recording.mp4").write_bytes(data[: data.index(b"moov") - 4])
    return folder / "recording.mp4"


def zeros(folder: Path) -> Path:
    data = write_video(folder / "whole.mp4", container={"movflags": "faststart"}).read_bytes()
    start = data.index(b"mdat") + 4
    (folder / "zeros.mp4").write_bytes(data[:start] + bytes(len(data) - start))
    return folder / "zeros.mp4"


def header_only(folder: Path) -> Path:
    data = write_video(folder / "whole.mp4", container={"movflags": "faststart"}).read_bytes()
    (folder / "header.mp4").write_bytes(data[: data.index(b"mdat") + 4])
    return folder / "header.mp4"


def unknown_codec(folder: Path) -> Path:
    path = write_video(folder / "unknown.mp4")
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    return path


def unreadable(folder: Path) -> Path:
    (folder / "loop.mp4").symlink_to(folder / "loop.mp4")
    return folder / "loop.mp4"


BAD = {
    missing: "does not exist",
    directory: "is a directory",
    empty: r"is empty \(0 bytes\)",
    text: "can't be read as a video: Invalid data",
    subtitles: "is in no container that is opened as a video",
    audio: "has no video stream, only audio",
    no_index: "is cut off: its index",
    zeros: "no frame of its h264 video can be decoded: Invalid data",
    header_only: "no frame of its h264 video can be decoded",
    unknown_codec: "codec is unknown",
    unreadable: "can't be read: Too many levels of symbolic links",
}


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
def test_bad_files_give_one_clear_line(tmp_path: Path, make: object) -> None:
    path = make(tmp_path)  # type: ignore[operator]
    for attempt in (VideoReader, count_frames, lambda p: cut_clip(p, tmp_path / "out.mp4", 0, 1)):
        with pytest.raises(VideoError, match=BAD[make]) as caught:  # type: ignore[index]
            attempt(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(VideoError):
        read_frames_at(path, [0])
    assert not list(tmp_path.glob("*out.mp4"))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {"container": {"movflags": "faststart"}}),
        ("a.mkv", {}),
        ("a.webm", {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}}),
        ("a.avi", {"codec": "mpeg4"}),
    ],
)
def test_a_truncated_file_is_read_as_far_as_it_goes(tmp_path: Path, name: str, options: dict[str, object]) -> None:
    whole = write_video(tmp_path / f"whole-{name}", 200, **options)  # type: ignore[arg-type]
    path = cut_short(whole, tmp_path / name, 0.6)
    with VideoReader(path) as reader:
        assert reader.problem is None
        frames = list(reader)
        assert [read_number(frame.image) for frame in frames[:-2]] == list(range(len(frames) - 2))
        assert 40 < reader.n_frames < 160
        assert reader.problem is not None
        found = re.fullmatch(
            r"decoding stopped at frame (\d+) \((\d+\.\d) s\): about (\d+) % of the stated 8\.0 s is missing"
            r"( \(1 damaged packet\))?",
            reader.problem,
        )
        assert found, reader.problem
        assert int(found[1]) == reader.n_frames
        assert int(found[3]) == pytest.approx(100 * (1 - reader.n_frames / 200), abs=2)
    counts = {sum(1 for _ in VideoReader(path, threads=threads)) for threads in (1, 2, 5)}
    assert counts == {reader.n_frames}


def test_a_truncated_transport_stream_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = cut_short(write_video(tmp_path / "whole.ts", 200), tmp_path / "a.ts", 0.5)
    with VideoReader(path) as reader:
        numbers = [read_number(frame.image) for frame in reader]
        assert numbers[:-2] == list(range(len(numbers) - 2))
        assert 60 < len(numbers) < 140
        assert reader.problem is None  # nothing in such a file says how long it should be


@pytest.mark.parametrize("share", [0.97, 0.999])
def test_the_share_that_is_missing_is_weighed(tmp_path: Path, share: float) -> None:
    whole = write_video(tmp_path / "whole.mp4", 600, container={"movflags": "faststart"}, gop=1)
    with VideoReader(cut_short(whole, tmp_path / "a.mp4", share)) as reader:
        for _ in reader:
            pass
        assert reader.problem
        # A frame or two less than stated is common; only the packet that is cut off is then worth a word.
        assert ("is missing" in reader.problem) == (reader.n_frames < 0.98 * 600)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_damage_in_the_middle_is_passed_over_and_reported(tmp_path: Path, name: str) -> None:
    options = {"movflags": "faststart"} if name == "a.mp4" else {}
    whole = write_video(tmp_path / f"whole-{name}", 300, container=options)
    path = damage(whole, tmp_path / name)
    with VideoReader(path) as reader:
        frames = list(reader)
        assert 150 < len(frames) < 300
        assert read_number(frames[0].image) == 0
        assert read_number(frames[-1].image) == 299
        assert frames[-1].time_s == pytest.approx(299 / 25, abs=0.01)
        assert reader.problem is not None
        assert re.match(r"\d+ damaged packets?: some of the \d+ frames", reader.problem)
    assert count_frames(path) == len(frames)


def test_noise_anywhere_in_a_file_never_crashes(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.mkv", "a.ts", "a.avi"):
        whole = write_video(tmp_path / f"whole-{name}", 40, codec="mpeg4" if name == "a.avi" else "libx264")
        for seed in range(12):
            path = damage(whole, tmp_path / name, seed / 12, (seed + 1.5) / 12, seed)
            n_frames, message = 0, ""
            try:
                with VideoReader(path, frame_rate=10) as reader:
                    n_frames = sum(1 for _ in reader)
            except VideoError as error:
                message = str(error)
            assert n_frames or str(path) in message


def test_a_worker_that_cannot_start_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_process(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("amiss.reading.apart._process._idle", [])
    monkeypatch.setattr("subprocess.Popen", no_process)
    with pytest.raises(VideoError, match=r"can't be started: Resource temp.*AMISS_DECODE_WORKER=0"):
        check_video(tmp_path / "any.mp4")
