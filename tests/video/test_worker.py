"""Decoding in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from amiss.errors import UsageError, VideoError
from amiss.video import (
    ClipReader,
    FileBegan,
    FileEnded,
    FileOutcome,
    LiveFrame,
    LivePacket,
    PacketWriter,
    StateChange,
    VideoReader,
    annotate_video,
    check_video,
    cut_clip,
    iter_clips,
    open_source,
    read_frames_at,
    read_header,
    read_stated,
    write_preview,
)
from amiss.video.worker import EndedError
from helpers.videos import cut_short, numbered, read_number, write_video
from helpers.waiting import wait_until
from helpers.workers import children, idle, send


@pytest.mark.parametrize(
    "how",
    [
        (16, 16, "last", None),
        (16, 4, "last", None),
        (16, 4, "pad", None),
        (8, 20, "drop", None),
        (16, 16, "pad", 10.0),
    ],
)
def test_clips_are_the_same_as_without_it(tmp_path: Path, how: tuple[int, int, str, float | None]) -> None:
    path = write_video(tmp_path / "a.mkv", 50, times=[i / 25 + (i > 30) for i in range(50)])
    clip_len, stride, tail, rate = how
    with ClipReader(path, *how) as reader, VideoReader(path, frame_rate=rate) as direct:  # type: ignore[arg-type]
        count = 0
        for apart, here in zip(reader, iter_clips(direct, clip_len, stride, tail), strict=True):  # type: ignore[arg-type]
            assert (apart.index, apart.start, apart.end) == (here.index, here.start, here.end)
            assert np.array_equal(apart.images, here.images)
            count += 1
    assert count == len(list(iter_clips(VideoReader(path, frame_rate=rate), clip_len, stride, tail)))  # type: ignore[arg-type]
    assert reader.n_frames == 50
    frames = np.arange(51)
    assert np.array_equal(reader.times.starts(frames), direct.times().starts(frames))


def test_errors_and_problems_are_those_of_the_reader(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.ts", 50)
    with pytest.raises(VideoError, match="does not exist"):
        ClipReader(tmp_path / "none.mp4", 16, 16, "pad")
    with pytest.raises(VideoError, match="does not exist"):
        check_video(tmp_path / "none.mp4")
    part = cut_short(write_video(tmp_path / "b.mkv", 200), tmp_path / "c.mkv", 0.5)
    with ClipReader(part, 16, 16, "pad") as reader:
        list(reader)
    assert reader.problem is not None
    assert "is missing" in reader.problem
    assert check_video(path).n_frames == 50
    assert (read_stated(path).n_frames, read_stated(path).fps) == (None, 25)
    assert read_stated(write_video(tmp_path / "d.mp4", 20)).n_frames == 20
    with pytest.raises(VideoError, match="does not exist"):
        read_stated(tmp_path / "none.mp4")


def test_a_worker_serves_one_file_after_the_other_and_is_ended_with_what_is_left_under_way(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 100)
    check_video(path)
    before = children()
    for _ in range(3):
        check_video(path)
    assert children() == before
    with ClipReader(path, 16, 16, "pad") as reader:
        next(iter(reader))
    assert len(children()) < len(before)


def test_a_file_that_ends_its_process_is_an_error_and_the_next_is_read(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 200)
    with ClipReader(path, 16, 16, "pad") as reader:
        clips = iter(reader)
        next(clips)
        (worker,) = children() - idle()
        os.kill(worker, signal.SIGSEGV)
        with pytest.raises(EndedError, match=r"a\.mp4 ended the process that decodes it \(SIGSEGV\)"):
            list(clips)
    assert check_video(path).n_frames == 200


def test_a_process_that_gives_nothing_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mp4", 200)
    monkeypatch.setenv("AMISS_DECODE_WAIT_S", "0.5")
    with ClipReader(path, 16, 16, "pad") as reader:
        clips = iter(reader)
        next(clips)
        (worker,) = children() - idle()
        os.kill(worker, signal.SIGSTOP)
        began_s = time.monotonic()
        with pytest.raises(EndedError, match=r"gave nothing for 0\.5 s"):
            list(clips)
        assert time.monotonic() - began_s < 5
    assert worker not in children()


def test_what_is_stopped_waits_for_no_answer(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 200)
    stop = threading.Event()
    with ClipReader(path, 16, 16, "last", stop=stop) as reader:
        clips = iter(reader)
        next(clips)
        send(signal.SIGSTOP, children() - idle())
        threading.Timer(0.2, stop.set).start()
        began_s = time.monotonic()
        assert len(list(clips)) < 11
        assert time.monotonic() - began_s < 5
    with pytest.raises(VideoError, match="was stopped"):
        ClipReader(path, 16, 16, "last", stop=stop)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_to_a_whole_service_are_the_askers_alone(tmp_path: Path, number: signal.Signals) -> None:
    path = write_video(tmp_path / "a.mp4", 200)
    with ClipReader(path, 16, 16, "last") as reader:
        clips = iter(reader)
        next(clips)
        send(number, children())
        assert len(list(clips)) == 12


def test_modules_of_the_folder_in_which_it_starts_are_not_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "a.mp4", 50)
    for name in ("av", "json", "random", "statistics"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError")
    monkeypatch.chdir(tmp_path)
    from amiss.reading.apart import _process

    _process._end_all()
    assert check_video(path.name).n_frames == 50


def test_the_folder_in_which_it_started_may_be_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mp4", 50)
    (tmp_path / "release").mkdir()
    monkeypatch.chdir(tmp_path / "release")
    (tmp_path / "release").rmdir()
    assert check_video(path).n_frames == 50


def test_a_worker_ends_with_who_asks_also_while_its_input_is_open() -> None:
    code = "from amiss.video import warm_up; from amiss.reading.apart import _process as p; warm_up()"
    code += "; print(p._idle[0].process.pid, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as asker:
        assert asker.stdout is not None
        worker = Path("/proc") / asker.stdout.readline().decode().strip()
        with (worker / "fd" / "0").open("wb"):
            asker.kill()
            asker.wait()
            wait_until(lambda: not worker.exists() or "State:\tZ" in (worker / "status").read_text(), 10)


def test_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = [np.zeros((2000, 2500, 3), np.uint8)] * 2
    path = write_video(tmp_path / "a.mkv", large, codec="mjpeg", pix_fmt="yuvj420p")
    monkeypatch.setenv("AMISS_DECODE_MEMORY_MB", "512")
    monkeypatch.setenv("AMISS_CLIP_PIXELS", "36000000")
    with pytest.raises(VideoError), ClipReader(path, 64, 64, "pad") as reader:
        list(reader)
    monkeypatch.undo()
    with ClipReader(path, 16, 16, "pad") as reader:
        assert [clip.images.shape for clip in reader] == [(16, 1789, 2236, 3)]


def test_several_threads_read_at_once(tmp_path: Path) -> None:
    paths = [write_video(tmp_path / f"{i}.mp4", [numbered(i)] * 40) for i in range(3)]
    found: dict[int, int] = {}

    def read(i: int) -> None:
        with ClipReader(paths[i], 16, 16, "pad") as reader:
            found[i] = sum(int(clip.images.astype(np.int64).sum()) for clip in reader)

    threads = [threading.Thread(target=read, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found.values())) == 3


def watch(folder: Path, ending: str) -> tuple[list[FileEnded], dict[str, int]]:
    """What a source says of a folder whose file `ending` ends every process that decodes it."""
    ends, frames, name = [], {}, ""
    for item in open_source(f"folder:{folder}", once=True, with_packets=True):
        match item:
            case FileBegan():
                name = item.name
                frames[name] = 0
            case LiveFrame():
                frames[name] += 1
                if name == ending:
                    send(signal.SIGSEGV, children() - idle())
            case FileEnded():
                ends.append(item)
                item.acknowledge()
    return ends, frames


def test_a_file_of_a_folder_that_ended_its_process_twice_is_set_aside_and_named(tmp_path: Path) -> None:
    for age, name in enumerate(("c.mp4", "bad.mp4", "a.mp4")):
        os.utime(write_video(tmp_path / name, 100), (1_600_000_000 - age,) * 2)
    ends, frames = watch(tmp_path, "bad.mp4")
    bad = [end for end in ends if end.name == "bad.mp4"]
    assert [end.outcome for end in bad] == [FileOutcome.AGAIN, FileOutcome.DONE]
    assert {end.outcome for end in ends if end not in bad} == {FileOutcome.DONE}
    assert (frames["a.mp4"], frames["c.mp4"]) == (100, 100)
    assert [end.problem for end in ends if end.name != "bad.mp4"] == ["", ""]
    assert bad[0].problem == "ended the process that decodes it (SIGSEGV); it is tried once more"
    assert bad[1].problem == "ended the process that decodes it (SIGSEGV); it did so twice and is set aside"
    assert watch(tmp_path, "bad.mp4") == ([], {})


def test_ends_are_counted_over_restarts(tmp_path: Path) -> None:
    write_video(tmp_path / "bad.mp4", 100)
    os.utime(tmp_path / "bad.mp4", (1_600_000_000,) * 2)
    (tmp_path / ".amiss-scored.jsonl").write_text(
        json.dumps(
            {"name": "bad.mp4", "size": (tmp_path / "bad.mp4").stat().st_size, "mtime_ns": 1_600_000_000 * 10**9}
            | {"ended": True}
        )
        + "\n"
    )
    (end,), _ = watch(tmp_path, "bad.mp4")
    assert end.outcome is FileOutcome.DONE
    assert "is set aside" in end.problem


@pytest.mark.parametrize(
    ("name", "how"),
    [("a.mp4", {}), ("b.ts", {}), ("c.avi", {"codec": "mpeg4"}), ("d.h264", {"container_format": "h264"})],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_packets_of_a_folders_file_can_be_copied_into_a_clip(tmp_path: Path, name: str, how: dict[str, str]) -> None:
    os.utime(write_video(tmp_path / name, 30, **how), (1_600_000_000,) * 2)  # type: ignore[arg-type]
    writer = None
    for item in open_source(f"folder:{tmp_path}", once=True, with_packets=True):
        if isinstance(item, LivePacket):
            writer = writer or PacketWriter(tmp_path / "out" / "clip.mp4", item.stream)
            writer.write(item.packet)
        elif isinstance(item, FileEnded):
            assert item.problem == ""
            item.acknowledge()
    assert writer is not None
    writer.finish()
    assert [read_number(frame.image) for frame in VideoReader(tmp_path / "out" / "clip.mp4")] == list(range(30))


def test_a_folders_notes_may_hold_anything(tmp_path: Path) -> None:
    os.utime(write_video(tmp_path / "a.mp4", 10), (1_600_000_000,) * 2)
    lines = [b"\xff\xfe", b"[1]", b'{"name": ["a.mp4"], "size": 1e999, "mtime_ns": {}}', b'{"name": "a.mp4"', b"[" * 99]
    (tmp_path / ".amiss-scored.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    (end,), frames = watch(tmp_path, "")
    assert (end.outcome, frames) == (FileOutcome.DONE, {"a.mp4": 10})
    assert watch(tmp_path, "") == ([], {})


def test_headers_and_single_frames_come_from_the_worker(tmp_path: Path) -> None:
    path = write_video(tmp_path / "2024-03-01_12-30-05.mkv", 60)
    before = children()
    header = read_header(path)
    assert (header.form, header.started, header.started_from) == (
        "h264 in .mkv", datetime(2024, 3, 1, 12, 30, 5), "file name"
    )  # fmt: skip
    images = read_frames_at(path, [40, 3, 40], height=48)
    assert [read_number(image) for image in images] == [40, 3, 40]
    assert children() >= before
    with pytest.raises(VideoError, match="frame 99 was asked for, but only 60 frames decode"):
        read_frames_at(path, [99])
    with pytest.raises(UsageError, match="frames count from 0"):
        read_frames_at(path, [-1])


def crash_while(begun: Path, make: Callable[[], None]) -> str:
    """What is said where the process that decodes crashes, once `begun` is there."""

    def crash() -> None:
        wait_until(lambda: any(begun.glob(".partial-*")), 10)
        send(signal.SIGSEGV, children() - idle())

    killer = threading.Thread(target=crash)
    killer.start()
    with pytest.raises(EndedError) as caught:
        make()
    killer.join()
    assert not any(begun.iterdir())  # nothing is left of what was begun
    return str(caught.value)


def test_a_video_that_ends_its_process_ends_no_other_while_a_copy_is_written(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [numbered(i, 240, 320) for i in range(20)] * 6)
    out = tmp_path / "out"
    out.mkdir()
    for make in (
        lambda: annotate_video(path, out / "a.mp4", [(0, 120)], [0.5], [], 0.4),
        lambda: cut_clip(path, out / "a.mp4", 0, 120),
        lambda: write_preview(path, out / "a.mp4"),
    ):
        assert crash_while(out, make).endswith("a.mp4 ended the process that decodes it (SIGSEGV)")


def test_a_replayed_file_is_decoded_apart_and_its_crash_is_told(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 200)
    frames = []
    with pytest.raises(EndedError, match=r"a\.mp4 ended the process that decodes it \(SIGSEGV\)"):
        for item in open_source(f"replay:{path}?speed=0", with_packets=True):
            if isinstance(item, LiveFrame):
                frames.append(read_number(item.image))
                send(signal.SIGSEGV, children() - idle())
    assert frames == list(range(len(frames)))  # those that were decoded before its end
    assert 0 < len(frames) < 200


@pytest.mark.parametrize("used", ["1", "0"])
def test_a_replay_is_the_same_with_and_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, used: str) -> None:
    monkeypatch.setenv("AMISS_DECODE_WORKER", used)
    path = write_video(tmp_path / "a.mkv", 40, times=[i / 25 + (i > 20) for i in range(40)])
    began_s = time.monotonic()
    items = list(open_source(f"replay:{path}?speed=10", with_packets=True))
    assert time.monotonic() - began_s > 0.2
    frames = [item for item in items if isinstance(item, LiveFrame)]
    assert [read_number(frame.image) for frame in frames] == list(range(40))
    assert [frame.file_s for frame in frames] == pytest.approx([i / 25 + (i > 20) for i in range(40)], abs=2e-3)
    assert [(item.state, item.reason) for item in items if isinstance(item, StateChange)] == [
        ("connecting", ""), ("running", "64x48"), ("stopped", "end of file")
    ]  # fmt: skip
    assert sum(isinstance(item, LivePacket) for item in items) == 40
