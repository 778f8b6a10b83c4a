"""Clips around events, copied from the camera's packets; what disks do to them; what is deleted when."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amiss.errors import UsageError
from amiss.video import EncodedPacket, EncodedStream, LivePacket, PacketWriter, VideoReader, open_source, read_header
from amiss.watch.camera import Recorder, RecordingEnd, recover_clips
from amiss.watch.config import RecordSettings
from helpers.streams import write_stream

T0 = datetime(2026, 3, 4, 23, 59, 50, tzinfo=UTC)
EVENT = "e" * 32
Packets = list[tuple[EncodedStream, EncodedPacket]]


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def packets_of(folder: Path, **options: object) -> Packets:
    """A stream's packets, at 25 a second from T0."""
    path = write_stream(folder / "source.ts", **options)
    items = open_source(f"replay:{path}?speed=0", with_packets=True)
    found = [(item.stream, item.packet) for item in items if isinstance(item, LivePacket)]
    return [(stream, replace(packet, time=at(index / 25))) for index, (stream, packet) in enumerate(found)]


@pytest.fixture(scope="module")
def packets(tmp_path_factory: pytest.TempPathFactory) -> Packets:
    return packets_of(tmp_path_factory.mktemp("packets"), n_frames=250, gop=10)


class Ends:
    """Collects what became of clips."""

    def __init__(self) -> None:
        self.all: list[RecordingEnd] = []
        self._came = threading.Condition()

    def __call__(self, end: RecordingEnd) -> None:
        with self._came:
            self.all.append(end)
            self._came.notify_all()

    def wait(self, n: int = 1, limit_s: float = 10) -> list[RecordingEnd]:
        with self._came:
            assert self._came.wait_for(lambda: len(self.all) >= n, limit_s), self.all
        return self.all


def feed(recorder: Recorder, packets: Packets, start: int, end: int) -> None:
    for stream, packet in packets[start:end]:
        recorder.on_packet(stream, packet)


def frames_in(path: Path) -> int:
    return sum(1 for _ in VideoReader(path))


def test_a_clip_has_what_came_before_and_after(tmp_path: Path, packets: Packets) -> None:
    ends = Ends()
    recorder = Recorder(tmp_path, "yard", RecordSettings(pre_s=1.0, post_s=1.0), on_end=ends)
    feed(recorder, packets, 0, 120)
    recorder.begin(EVENT, at(4.0))  # told at 4.8 s
    feed(recorder, packets, 120, 150)
    recorder.end(EVENT, at(5.0))
    feed(recorder, packets, 150, 250)
    (end,) = ends.wait()
    assert end == RecordingEnd(EVENT, f"2026-03-04/yard/{EVENT}.mp4")
    # the last keyframe at or before 3 s is frame 70; the post-roll ends at 6 s, frame 150
    assert frames_in(tmp_path / end.clip) == 151 - 70
    header = read_header(tmp_path / end.clip)
    assert header.first_picture == at(70 / 25)
    assert header.started == at(2).astimezone().replace(tzinfo=None)  # MP4 counts whole seconds
    with VideoReader(tmp_path / end.clip) as reader:
        times = [frame.time_s for frame in reader]
    assert np.diff(times) == pytest.approx(1 / 25, abs=1e-3)
    assert not list(tmp_path.rglob(".partial-*"))


@given(st.integers(1, 40), st.floats(0, 6), st.floats(0, 3), st.floats(0, 2), st.floats(0, 2), st.integers(0, 20))
@settings(max_examples=15)
def test_no_packet_of_event_and_rolls_is_missing(
    tmp_path_factory: pytest.TempPathFactory,
    gop: int,
    start_s: float,
    length_s: float,
    pre: float,
    post: float,
    late: int,
) -> None:
    folder = tmp_path_factory.mktemp("clips")
    packets = packets_of(folder, n_frames=250, gop=gop)
    ends = Ends()
    recorder = Recorder(folder, "yard", RecordSettings(pre_s=pre, post_s=post), on_end=ends)
    begun = min(round(start_s * 25) + late, 249)
    ended = min(max(begun, round((start_s + length_s) * 25)), 249)
    feed(recorder, packets, 0, begun)
    recorder.begin(EVENT, at(start_s))
    feed(recorder, packets, begun, ended)
    recorder.end(EVENT, at(start_s + length_s))
    feed(recorder, packets, ended, 250)
    recorder.close()
    (end,) = ends.wait()
    keys = [i for i, (_, packet) in enumerate(packets) if packet.is_keyframe]
    wanted = [i for i in keys if packets[i][1].time <= at(start_s - pre)]
    first = wanted[-1] if wanted else 0
    last = max(i for i, (_, packet) in enumerate(packets) if packet.time <= at(max(start_s + length_s, 0) + post))
    assert end.clip is not None
    # never less; more only by packets that had come before the event's end was known
    assert last + 1 - first <= frames_in(folder / end.clip) <= max(last + 1, ended) - first


def test_events_may_overlap(tmp_path: Path, packets: Packets) -> None:
    ends = Ends()
    recorder = Recorder(tmp_path, "yard", RecordSettings(pre_s=1.0, post_s=2.0), on_end=ends)
    feed(recorder, packets, 0, 50)
    recorder.begin("a" * 32, at(2.0))
    feed(recorder, packets, 50, 75)
    recorder.end("a" * 32, at(3.0))
    feed(recorder, packets, 75, 85)
    recorder.begin("b" * 32, at(3.4))
    feed(recorder, packets, 85, 250)
    recorder.end("b" * 32, at(4.0))
    recorder.close()
    clips = {end.event_id[0]: end.clip for end in ends.wait(2)}
    assert frames_in(tmp_path / clips["a"]) == 126 - 20
    assert frames_in(tmp_path / clips["b"]) == 250 - 60


def test_a_stream_that_begins_anew_goes_on_in_a_second_file(tmp_path: Path, packets: Packets) -> None:
    other = packets_of(tmp_path, n_frames=60, size=(192, 128))
    other = [(stream, replace(packet, time=at(4 + i / 25))) for i, (stream, packet) in enumerate(other)]
    ends = Ends()
    recorder = Recorder(tmp_path, "yard", RecordSettings(pre_s=1.0, post_s=1.0), on_end=ends)
    feed(recorder, packets, 0, 60)
    recorder.begin(EVENT, at(2.4))
    feed(recorder, packets, 60, 100)
    feed(recorder, other, 0, 60)
    recorder.end(EVENT, at(5.0))
    recorder.close()
    (end,) = ends.wait()
    folder = tmp_path / "2026-03-04" / "yard"
    assert end.clip == f"2026-03-04/yard/{EVENT}.mp4"
    assert [next(iter(VideoReader(folder / f"{EVENT}{part}.mp4"))).image.shape for part in ("", "-2")] == [
        (64, 96, 3),
        (128, 192, 3),
    ]


def test_a_camera_that_goes_away_ends_its_clip(
    tmp_path: Path, packets: Packets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("amiss.watch.camera._recorder.SILENCE_S", 0.2)
    ends = Ends()
    recorder = Recorder(tmp_path, "yard", RecordSettings(pre_s=0.5, post_s=0.3), on_end=ends)
    feed(recorder, packets, 0, 60)
    recorder.begin(EVENT, at(2.0))
    recorder.end(EVENT, at(2.3))
    (end,) = ends.wait()
    assert end.problem is None
    assert frames_in(tmp_path / end.clip) == 60 - 30


def test_an_event_that_never_ends_does_not_fill_the_disk(tmp_path: Path, packets: Packets) -> None:
    ends = Ends()
    recorder = Recorder(tmp_path, "yard", RecordSettings(pre_s=0.0), on_end=ends, max_clip_s=2.0)
    feed(recorder, packets, 0, 51)
    recorder.begin(EVENT, at(2.0))
    feed(recorder, packets, 51, 250)
    (end,) = ends.wait()
    assert frames_in(tmp_path / end.clip) == 51
    recorder.end(EVENT, at(9.0))  # too late, and no harm
    recorder.close()
    assert len(ends.all) == 1


def test_the_ring_is_bounded(tmp_path: Path, packets: Packets, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(tmp_path, "yard", RecordSettings(pre_s=1.0), on_end=Ends(), late_s=1.0)
    feed(recorder, packets, 0, 250)
    assert 50 <= len(recorder._ring) <= 50 + 10
    assert recorder._ring_bytes == sum(len(packet.data) for packet in recorder._ring)
    endless = [(stream, replace(packet, is_keyframe=i == 0)) for i, (stream, packet) in enumerate(packets)]
    monkeypatch.setattr("amiss.watch.camera._recorder.RING_BYTES", 3000)
    other = Recorder(tmp_path, "yard", on_end=Ends())
    feed(other, endless, 0, 250)
    assert other._ring_bytes <= 3000


def test_without_a_keyframe_there_is_no_clip(tmp_path: Path, packets: Packets) -> None:
    ends = Ends()
    recorder = Recorder(tmp_path, "yard", on_end=ends)
    recorder.begin(EVENT, at(0))
    feed(recorder, packets, 1, 8)
    recorder.close()
    (end,) = ends.wait()
    assert (end.clip, end.problem) == (None, "no clip: no keyframe came from the camera")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small tmpfs needs root")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


@pytest.mark.faults
def test_a_full_disk_costs_the_clip_and_nothing_else(small_disk: Path, packets: Packets) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 60_000)
    ends = Ends()
    recorder = Recorder(small_disk, "yard", RecordSettings(pre_s=2.0, post_s=0.2), on_end=ends)
    feed(recorder, packets, 0, 100)
    recorder.begin("a" * 32, at(3.0))
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    assert recorder.snapshot("a" * 32, at(3.0), noise).result(5) == (None, "no picture: disk full")
    feed(recorder, packets, 100, 200)
    recorder.end("a" * 32, at(6.0))
    feed(recorder, packets, 200, 210)
    (end,) = ends.wait()
    assert (end.clip, end.problem) == (None, "no clip: disk full")
    assert not list(small_disk.rglob(".partial-*"))  # what was written of it is gone

    filler.unlink()  # somebody made room
    recorder.begin("b" * 32, at(8.0))
    feed(recorder, packets, 210, 250)
    recorder.end("b" * 32, at(8.5))
    recorder.close()
    assert ends.wait(2)[1].problem is None


def test_a_folder_that_cannot_be_written_is_a_problem_of_the_event(tmp_path: Path, packets: Packets) -> None:
    (tmp_path / "2026-03-04").write_text("in the way")
    ends = Ends()
    recorder = Recorder(tmp_path, "yard", on_end=ends)
    feed(recorder, packets, 0, 60)
    recorder.begin(EVENT, at(2.0))
    picture, problem = recorder.snapshot(EVENT, at(2.0), np.zeros((8, 8, 3), np.uint8)).result(5)
    assert picture is None
    assert problem is not None
    (end,) = ends.wait()
    assert end.clip is None
    assert end.problem is not None
    assert end.problem.startswith("no clip: ")
    assert str(tmp_path) not in end.problem


@given(st.text(max_size=80))
def test_no_camera_name_leaves_its_folder(name: str) -> None:
    try:
        recorder = Recorder(Path("/media"), name, on_end=lambda end: None)
    except UsageError:
        return
    path = recorder._path(EVENT, T0, ".mp4")
    assert Path(os.path.normpath(path)) == path
    assert path.parent.parent == Path("/media/2026-03-04")
    assert not name.startswith(".")


@pytest.mark.parametrize("name", ["..", "../x", "a/b", "a\\b", "", ".hidden", "a" * 65, "a\0b", "a\n"])
def test_names_that_are_no_folders(name: str) -> None:
    with pytest.raises(UsageError, match="camera name"):
        Recorder(Path("x"), name, on_end=lambda end: None)


@given(
    st.lists(st.tuples(st.one_of(st.none(), st.integers(-(10**12), 10**12)), st.floats(0, 30)), min_size=2, max_size=30)
)
@settings(max_examples=20)
def test_clips_play_whatever_the_streams_clock_does(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int | None, float]]
) -> None:
    folder = tmp_path_factory.mktemp("clock")
    packets = packets_of(folder, n_frames=30, gop=5)
    writer = PacketWriter(folder / "a.mp4", packets[0][0])
    seconds = 0.0
    for (_, packet), (stamp, step) in zip(packets, steps, strict=False):
        seconds += step
        writer.write(replace(packet, dts=stamp, pts=stamp, time=at(seconds)))
    writer.finish()
    with VideoReader(folder / "a.mp4") as reader:
        assert sum(1 for _ in reader) == min(len(steps), 30)


@pytest.mark.faults
def test_a_slow_disk_costs_the_clip_and_no_memory(
    tmp_path: Path, packets: Packets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("amiss.watch.camera._recorder.BACKLOG_BYTES", 5000)
    write = PacketWriter.write

    def slow(self: PacketWriter, packet: EncodedPacket) -> None:
        time.sleep(0.2)
        write(self, packet)

    monkeypatch.setattr(PacketWriter, "write", slow)
    ends = Ends()
    recorder = Recorder(tmp_path, "yard", on_end=ends)
    recorder.begin(EVENT, at(0))
    began = time.monotonic()
    feed(recorder, packets, 0, 250)
    assert time.monotonic() - began < 0.5  # the camera isn't held up
    (end,) = ends.wait()
    assert end.problem == "no clip: the disk is too slow"


@pytest.mark.faults
def test_a_disk_that_hangs_holds_neither_the_camera_nor_more_than_its_share_of_memory(
    tmp_path: Path, packets: Packets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("amiss.watch.camera._recorder.BACKLOG_BYTES", 5000)
    let_go = threading.Event()
    monkeypatch.setattr(PacketWriter, "write", lambda self, packet: let_go.wait(10))
    ends = Ends()
    recorder = Recorder(tmp_path, "yard", on_end=ends)
    recorder.begin(EVENT, at(0))
    (recording,) = recorder._recordings.values()
    feed(recorder, packets, 0, 250)
    assert sum(len(packet.data) for _, packet in packets) > 9000
    waiting = [recording._queue.get_nowait() for _ in range(recording._queue.qsize())]
    assert sum(len(item[1].data) for item in waiting if item) <= 5000
    for item in waiting:
        recording._queue.put(item)
    began = time.monotonic()
    recorder.close(0.3)
    assert time.monotonic() - began < 1
    let_go.set()
    assert ends.wait()[0].problem == "no clip: the disk is too slow"


@pytest.mark.faults
def test_while_a_disk_hangs_no_more_clips_and_pictures_are_begun(
    tmp_path: Path, packets: Packets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("amiss.watch.camera._recorder.BACKLOG_BYTES", 5000)
    let_go = threading.Event()
    monkeypatch.setattr(PacketWriter, "write", lambda self, packet: let_go.wait(20))
    ends = Ends()
    recorder = Recorder(tmp_path, "yard", on_end=ends)
    recorder.begin("a" * 32, at(0))
    (recording,) = recorder._recordings.values()
    feed(recorder, packets, 0, 250)
    assert recording._queue.qsize() <= 1  # what waited was given up
    recorder.begin("b" * 32, at(9))
    assert ends.wait() == [RecordingEnd("b" * 32, None, "no clip: the disk is too slow")]
    image = np.zeros((8, 8, 3), np.uint8)
    assert recorder.snapshot("b" * 32, at(9), image).result(0) == (None, "no picture: the disk is too slow")
    let_go.set()
    assert ends.wait(2)[1].problem == "no clip: the disk is too slow"
    recording.thread.join(5)
    monkeypatch.setattr("amiss.watch.camera._recorder.BACKLOG_BYTES", 10**6)
    recorder.begin("c" * 32, at(9))
    assert recorder.snapshot("c" * 32, at(9), image).result(5)[1] is None
    recorder.close()


@pytest.mark.faults
def test_pictures_that_wait_for_a_disk_are_few_and_a_thread_that_cannot_start_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = threading.Event()
    monkeypatch.setattr(Recorder, "_write_picture", lambda *arguments: (str(let_go.wait(20)), None))
    ends = Ends()
    recorder = Recorder(tmp_path, "yard", on_end=ends)
    image = np.zeros((8, 8, 3), np.uint8)
    waiting = [recorder.snapshot(EVENT, at(0), image) for _ in range(20)]
    assert sum(picture.done() for picture in waiting) == 16
    let_go.set()
    assert [picture.result(5)[1] for picture in waiting] == [None] * 4 + ["no picture: the disk is too slow"] * 16
    eventually_over = time.monotonic() + 5
    while any(thread.is_alive() for thread in recorder._pictures) and time.monotonic() < eventually_over:
        time.sleep(0.01)

    def full(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", full)
    assert recorder.snapshot(EVENT, at(0), image).result(0) == (None, "no picture: can't start new thread")
    recorder.begin(EVENT, at(0))
    assert ends.all == [RecordingEnd(EVENT, None, "no clip: can't start new thread")]


@pytest.mark.faults
def test_a_clip_of_a_killed_process_is_found_again(tmp_path: Path) -> None:
    source = write_stream(tmp_path / "source.ts", n_frames=250)
    code = f"""
import os, signal, time, pathlib
from amiss.video import LiveFrame, LivePacket, open_source
from amiss.watch.camera import Recorder
from amiss.watch.config import RecordSettings
recorder = Recorder(pathlib.Path({str(tmp_path)!r}), "yard", RecordSettings(pre_s=1), on_end=print)
for item in open_source({f"replay:{source}?speed=0"!r}, with_packets=True):
    if isinstance(item, LivePacket):
        recorder.on_packet(item.stream, item.packet)
    elif isinstance(item, LiveFrame) and item.index == 100:
        recorder.begin("{EVENT}", item.time)
time.sleep(0.5)
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert ended.returncode == -9, ended.stderr
    folder = next(tmp_path.glob("*/yard"))
    (folder / f".partial-1-{'b' * 32}.mp4").write_bytes(b"nothing yet")
    (found,) = recover_clips(tmp_path)
    assert found.event_id == EVENT
    assert found.clip == str((folder / f"{EVENT}.mp4").relative_to(tmp_path))
    assert found.problem == "clip cut off: the process ended"
    assert frames_in(tmp_path / found.clip) > 150
    assert recover_clips(tmp_path) == []
