"""Live sources: cameras that misbehave, files as if live, times, credentials."""

import functools
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amiss.errors import UsageError, VideoError
from amiss.video import (
    Backoff,
    FileBegan,
    FileEnded,
    FileOutcome,
    LiveFrame,
    LivePacket,
    PacketWriter,
    SourceSettings,
    StateChange,
    VideoReader,
    open_source,
    redact,
)
from amiss.video._decode import open_video
from amiss.video.live._timeline import MediaTimeline, Timeline
from helpers.sources import Watched
from helpers.streams import Connection, FakeCamera, free_port, transport_stream, write_stream
from helpers.videos import write_video
from helpers.waiting import wait_until

SECRET = "s3cr3t"


def test_a_stream_gives_every_frame_with_its_time() -> None:
    def script(connection: Connection) -> None:
        connection.answer()
        connection.play(transport_stream(), speed=1)

    with FakeCamera(script) as camera:
        watched = Watched(camera.url)
        frames = watched.frames(45)
    assert [frame.index for frame in frames] == list(range(45))
    assert watched.words[:2] == ["connecting", "running"]
    assert watched.words[-1] == "stopped"
    assert all(frame.image.shape == (64, 96, 3) for frame in frames)
    # after the backlog of the first moment, frames are as far apart as they were taken
    steps = np.diff([frame.time.timestamp() for frame in frames[25:]])
    assert np.abs(steps - 1 / 25).max() < 0.02
    age = time.monotonic() - frames[-1].monotonic_s
    assert 0 <= age < 5


@pytest.mark.faults
def test_nobody_listens_and_then_somebody_does() -> None:
    port = free_port()
    watched = Watched(f"http://127.0.0.1:{port}/live.ts")

    def script(connection: Connection) -> None:
        connection.answer()
        connection.play(transport_stream())

    opened: list[FakeCamera] = []

    def open_later() -> None:
        opened.append(FakeCamera(script, port).__enter__())

    timer = threading.Timer(0.4, open_later)
    timer.start()
    try:
        assert len(watched.frames(5)) == 5
    finally:
        timer.join()
        opened[0].__exit__(None, None, None)
    assert watched.words[:2] == ["connecting", "reconnecting"]
    assert "Connection refused" in watched.states[1][1]
    assert "next attempt in" in watched.states[1][1]
    assert watched.source.counters.reconnects >= 2


@pytest.mark.faults
def test_a_server_that_accepts_and_hangs_is_left_in_time() -> None:
    def script(connection: Connection) -> None:
        if connection.number == 1:
            connection.wait(60)
        connection.answer()
        connection.play(transport_stream())

    with FakeCamera(script) as camera:
        watched = Watched(camera.url)
        began = time.monotonic()
        assert len(watched.frames(5)) == 5
        assert time.monotonic() - began < 8
    assert "no answer within 0.6 s" in watched.states[1][1]


@pytest.mark.faults
def test_a_stream_that_freezes_is_stalled_and_nothing_old_comes_after() -> None:
    def script(connection: Connection) -> None:
        connection.answer()
        connection.play(transport_stream()[:35])
        if connection.number == 1:
            connection.wait(60)

    with FakeCamera(script) as camera:
        watched = Watched(camera.url)
        frames = watched.frames(100, until=lambda frame: frame.connection == 2)
    assert watched.words[:5] == ["connecting", "running", "stalled", "reconnecting", "running"]
    assert watched.source.counters.stalls == 1
    before, after = frames[-2], frames[-1]
    assert after.time - before.time > timedelta(seconds=0.5)  # the time that was missed is missing
    # the new connection begins with the stream's first frame: the bar is at the left
    assert after.image[:, :16].mean() > 150
    assert after.image[:, 40:].mean() < 80


@pytest.mark.faults
def test_garbage_is_left_and_frames_come_again() -> None:
    def script(connection: Connection) -> None:
        connection.answer()
        if connection.number == 1:
            connection.play(transport_stream()[:20])
            noise = np.random.default_rng(0).integers(0, 256, 200_000, np.uint8).tobytes()
            connection.sock.sendall(noise)
            for _ in range(100):
                connection.wait(0.05)
                connection.sock.sendall(noise[:5000])
        else:
            connection.play(transport_stream())

    with FakeCamera(script) as camera:
        watched = Watched(camera.url)
        frames = watched.frames(200, until=lambda frame: frame.connection == 2 and frame.index > 15)
    assert frames[-1].connection == 2
    assert "stalled" in watched.words or watched.source.counters.reconnects


@pytest.mark.faults
def test_a_connection_that_ends_within_a_gop_is_begun_anew() -> None:
    def script(connection: Connection) -> None:
        connection.answer()
        chunks = transport_stream(gop=25)[:33]
        connection.play((*chunks[:-1], chunks[-1][: len(chunks[-1]) // 2]))

    with FakeCamera(script) as camera:
        watched = Watched(camera.url)
        frames = watched.frames(75)
    assert {frame.connection for frame in frames} >= {1, 2, 3}
    assert any("ended" in reason or "lost" in reason for state, reason in watched.states if state == "reconnecting")


@pytest.mark.faults
def test_a_stream_without_pictures_is_stalled_though_data_comes() -> None:
    def script(connection: Connection) -> None:
        connection.answer()
        chunks = transport_stream()
        connection.play(chunks[:25])
        for _ in range(100):  # null packets: valid transport stream, no pictures
            connection.wait(0.02)
            connection.sock.sendall((b"\x47\x1f\xff\x10" + b"\xff" * 184) * 7)

    with FakeCamera(script) as camera:
        watched = Watched(camera.url)
        watched.frames(200, until=lambda frame: frame.connection == 2)
    assert "stalled" in watched.words


@pytest.mark.faults
def test_a_clock_that_jumps_does_not_move_time() -> None:
    early, late = transport_stream(start_s=5000), transport_stream(start_s=100)

    def script(connection: Connection) -> None:
        connection.answer()
        connection.play(early, speed=1)
        connection.play(late, speed=1)

    with FakeCamera(script) as camera:
        watched = Watched(camera.url)
        frames = watched.frames(85)
    span = (frames[-1].time - frames[0].time).total_seconds()
    assert 2.0 < span < 6.0
    assert {frame.connection for frame in frames} == {1}


@pytest.mark.faults
def test_packets_before_the_first_frame_are_not_of_the_time_of_the_file_before(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, 20)
    packets, frames, kind = [], [], ""
    for item in open_source(f"folder:{tmp_path}", once=True, with_packets=True):
        match item:
            case FileBegan():
                kind = "packet"
            case LivePacket() if kind == "packet":
                packets.append(item.packet.time)
                kind = "frame"
            case LiveFrame() if kind == "frame":
                frames.append(item.time)
                kind = ""
            case FileEnded():
                item.acknowledge()
    assert frames[1] - frames[0] > timedelta(seconds=10)  # the pause between files
    assert np.abs([(p - f).total_seconds() for p, f in zip(packets, frames, strict=True)]).max() < 0.01


def test_before_its_first_frame_a_connection_has_the_time_of_its_begin() -> None:
    timeline, start = Timeline(), datetime(2026, 1, 1, tzinfo=UTC)
    timeline.connect(start, 0.0)
    shown = timeline.at(7.0, 1.0)[0]
    assert timeline.latest == shown
    timeline.connect(start + timedelta(hours=1), 3600.0)  # it was away
    assert timeline.latest == start + timedelta(hours=1)
    assert timeline.at(0.0, 3600.5)[0] == timeline.latest


def test_another_picture_size_goes_on_in_the_first_and_starts_a_new_stream_of_packets(tmp_path: Path) -> None:
    small, large = transport_stream(), transport_stream(size=(192, 128), start_s=2.0)

    def script(connection: Connection) -> None:
        connection.answer()
        connection.play(small)
        connection.play(large)

    with FakeCamera(script) as camera:
        watched = Watched(camera.url)
        frames = watched.frames(90)
    assert {frame.image.shape for frame in frames} == {(64, 96, 3)}
    streams = list({id(stream): stream for stream, _ in watched.packets}.values())
    assert [(stream.width, stream.height) for stream in streams] == [(96, 64), (192, 128)]
    for stream, size in zip(streams, [(64, 96), (128, 192)], strict=True):
        writer = PacketWriter(tmp_path / f"{size[0]}.mp4", stream)
        for _, packet in (pair for pair in watched.packets if pair[0] is stream):
            writer.write(packet)
        writer.finish()
        images = [frame.image for frame in VideoReader(writer.path)]
        assert len(images) > 25
        assert images[0].shape[:2] == size


@pytest.mark.faults
def test_a_slow_consumer_skips_to_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amiss.video.live._camera.LAG_S", 0.5)
    chunks = transport_stream(n_frames=250, gop=10)

    def script(connection: Connection) -> None:
        connection.answer()
        connection.play(chunks, speed=1)
        connection.wait(60)

    with FakeCamera(script) as camera:
        watched = Watched(camera.url, read_timeout_s=5)
        slept = False
        lags = []
        for frame in watched:
            lags.append(time.monotonic() - frame.monotonic_s)
            if frame.index == 60 and not slept:
                slept = True
                time.sleep(2)
            if frame.index > 120:
                break
    assert watched.source.counters.dropped > 10
    assert max(lags[-20:]) < 1.0
    assert len({id(stream) for stream, _ in watched.packets}) == 1  # nothing is missing of the encoded stream
    assert len(watched.packets) >= 120 + watched.source.counters.dropped - 5


def serve(folder: Path) -> ThreadingHTTPServer:
    handler = functools.partial(QuietHandler, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


def test_hls_is_read_and_must_not_read_local_files(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    for index in range(3):
        write_stream(site / f"{index}.ts", start_s=2.0 * index)
    write_stream(tmp_path / "secret.ts")
    head = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:0\n"
    parts = "".join(f"#EXTINF:2.0,\n{index}.ts\n" for index in range(3))
    (site / "live.m3u8").write_text(head + parts + "#EXT-X-ENDLIST\n")
    (site / "evil.m3u8").write_text(f"{head}#EXTINF:2.0,\nfile://{tmp_path}/secret.ts\n#EXT-X-ENDLIST\n")
    server = serve(site)
    try:
        frames = Watched(f"http://127.0.0.1:{server.server_port}/live.m3u8", open_timeout_s=5).frames(150)
        assert {frame.image.shape for frame in frames} == {(64, 96, 3)}
        evil = Watched(f"http://127.0.0.1:{server.server_port}/evil.m3u8")
        threading.Timer(1.0, evil.source.stop).start()
        assert list(evil) == []
    finally:
        server.shutdown()
        server.server_close()


def test_mjpeg_is_read() -> None:
    def script(connection: Connection) -> None:
        connection.answer_mjpeg()
        connection.play_mjpeg(200, fps=50)

    with FakeCamera(script) as camera:
        watched = Watched(camera.url, open_timeout_s=5)
        frames = watched.frames(50)
    assert frames[0].image.shape == (48, 64, 3)
    assert watched.source.drift is None


def test_stop_ends_a_silent_camera_within_its_timeout() -> None:
    with FakeCamera(lambda connection: connection.wait(60)) as camera:
        watched = Watched(camera.url)
        threading.Timer(0.1, watched.source.stop).start()
        began = time.monotonic()
        assert list(watched) == []
        assert time.monotonic() - began < 3
    assert watched.words[-1] == "stopped"


def test_replay_gives_a_files_frames_and_times(tmp_path: Path) -> None:
    path = write_stream(tmp_path / "a.ts")
    frames = list(Watched(f"replay:{path}?speed=0"))
    expected = list(VideoReader(path))
    assert len(frames) == len(expected) == 50
    assert all((a.image == b.image).all() for a, b in zip(frames, expected, strict=True))
    seconds = [(frame.time - frames[0].time).total_seconds() for frame in frames]
    assert seconds == pytest.approx([frame.time_s for frame in expected], abs=1e-5)


def test_replay_keeps_time_and_loops(tmp_path: Path) -> None:
    path = write_stream(tmp_path / "a.ts")
    watched = Watched(f"replay:{path}?loop=1&speed=5")
    began = time.monotonic()
    frames = watched.frames(120)
    assert 0.35 < time.monotonic() - began < 4  # 120 frames are 4.8 s at speed 1
    assert (frames[-1].time - frames[0].time).total_seconds() == pytest.approx(119 / 25, abs=0.1)
    assert not watched.source.is_live


def test_a_replay_without_a_file_says_so() -> None:
    with pytest.raises(VideoError, match="does not exist"):
        list(Watched("replay:/nowhere/a.mp4"))


def test_a_folder_is_scored_file_by_file_and_remembered(tmp_path: Path) -> None:
    for name in ("b.ts", "a.ts"):
        write_stream(tmp_path / name)
        os.utime(tmp_path / name, (1_600_000_000, 1_600_000_000 + (name == "a.ts")))
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    os.utime(tmp_path / "broken.mp4", (1_600_000_005, 1_600_000_005))
    (tmp_path / ".hidden.mp4").write_bytes(b"x")
    (tmp_path / "notes.txt").write_bytes(b"x")
    watched = Watched(f"folder:{tmp_path}")
    frames = watched.frames(1000, until=lambda frame: frame.index == 99)
    assert [frame.connection for frame in frames] == [1] * 50 + [2] * 50
    assert [reason for _, reason in watched.states[1:3]] == ["b.ts", "a.ts"]

    again = Watched(f"folder:{tmp_path}", once=True)
    rest = list(again)
    assert {frame.connection for frame in rest} == {1}  # a.ts had not been finished when the first was left
    assert any("broken.mp4" in reason for _, reason in again.states)
    seen = [json.loads(line)["name"] for line in (tmp_path / ".amiss-scored.jsonl").read_text().splitlines()]
    assert sorted(seen) == ["a.ts", "b.ts", "broken.mp4"]

    assert list(Watched(f"folder:{tmp_path}", once=True)) == []


def test_a_folder_that_vanishes_is_waited_for(tmp_path: Path) -> None:
    watched = Watched(f"folder:{tmp_path / 'later'}")
    threading.Timer(0.4, watched.source.stop).start()
    assert list(watched) == []
    assert "reconnecting" in watched.words


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://x/y", "known forms"),
        ("camera1", "known forms"),
        ("", "known forms"),
        ("rtsp:", "known forms"),
        ("replay:a.mp4?sped=2", "loop=0|1"),
        ("replay:a.mp4?speed=fast", "loop=0|1"),
        (f"rtsp://user:{SECRET}@host/a b", "blanks"),
    ],
)
def test_addresses_that_are_none(url: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_source(url)
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)


def test_bad_numbers() -> None:
    with pytest.raises(UsageError, match="transport"):
        SourceSettings(transport="pigeon")
    with pytest.raises(UsageError, match="read_timeout_s"):
        SourceSettings(read_timeout_s=0)
    with pytest.raises(UsageError, match="jitter"):
        Backoff(jitter=1.5)


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_credentials_are_nowhere(
    scheme: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    def script(connection: Connection) -> None:
        connection.sock.recv(4096)
        connection.sock.sendall(b"HTTP/1.1 401 Unauthorized\r\n\r\n" if connection.number % 2 else b"nonsense\r\n\r\n")

    with FakeCamera(script) as camera:
        watched = Watched(f"{scheme}://admin:{SECRET}@127.0.0.1:{camera.port}/x?pwd={SECRET}")
        threading.Timer(0.8, watched.source.stop).start()
        assert list(watched) == []
    out, err = capfd.readouterr()
    said = " ".join([watched.source.name, str(watched.states), out, err, caplog.text])
    assert SECRET not in said
    assert "admin" not in said
    assert f"{scheme}://***@127.0.0.1" in watched.source.name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://user:pass@host:554/a", "rtsp://***@host:554/a"),
        ("rtsp://user:p@ss/w@rd@host/a", "rtsp://***@host/a"),
        ("open RTSPS://u:p@h/x failed, see http://h2/y", "open RTSPS://***@h/x failed, see http://h2/y"),
        ("http://h/cgi?user=me&pwd=x&channel=1", "http://h/cgi?user=***&pwd=***&channel=1"),
        ("http://h/a?access_token=abc#f", "http://h/a?access_token=***#f"),
        ("rtsp://host/a", "rtsp://host/a"),
        ("mail me@example.org about it", "mail me@example.org about it"),
    ],
)
def test_redact(text: str, shown: str) -> None:
    assert redact(text) == shown


@given(
    st.text(st.characters(blacklist_categories=("Z", "C"), blacklist_characters='"<>'), min_size=1),
    st.sampled_from(["rtsp", "http", "mqtts", "postgresql+psycopg"]),
)
def test_no_password_survives_redaction(password: str, scheme: str) -> None:
    password = f"#{password}#"
    assert password not in redact(f"can't reach {scheme}://admin:{password}@camera.example/x: no route")


def test_backoff_grows_to_its_cap_and_is_spread() -> None:
    backoff = Backoff(first_s=1, factor=2, cap_s=60, jitter=0.3)
    assert [backoff.wait_s(n, lambda: 0.5) for n in (1, 2, 3, 7, 8, 10_000)] == [1, 2, 4, 60, 60, 60]
    assert backoff.wait_s(1, lambda: 0.0) == pytest.approx(0.7)
    assert backoff.wait_s(1, lambda: 1.0) == pytest.approx(1.3)


@given(
    st.lists(
        st.tuples(
            st.floats(0, 30),  # seconds that pass here
            st.floats(-1e6, 1e6) | st.none(),  # the frame's stamp
            st.floats(-1e5, 1e5),  # step of the wall clock
            st.booleans(),  # a new connection
        ),
        min_size=1,
    )
)
def test_time_strictly_rises_whatever_the_clocks_do(steps: list[tuple[float, float | None, float, bool]]) -> None:
    timeline = Timeline()
    now, wall = 1000.0, datetime(2026, 1, 1, tzinfo=UTC)
    timeline.connect(wall, now)
    last = None
    for passed, stamp, step, anew in steps:
        now += passed
        wall += timedelta(seconds=passed + step)
        if anew:
            timeline.connect(wall, now)
        was_set = timeline.was_set(wall, now) or anew
        moment, mono = timeline.at(stamp, now)
        assert mono <= now + 1e-3
        assert moment <= wall + timedelta(seconds=2.1)  # right, whenever the clock was
        if last is not None:
            assert mono > last[1]
            assert moment > last[0] or (was_set and step < 0)
        last = moment, mono


@pytest.mark.parametrize("step_s", [-3600.0, -2.5, 2.5, 3600.0, 50 * 365 * 86400.0])
def test_a_wall_clock_that_is_set_is_followed_within_a_connection(step_s: float) -> None:
    shift = [0.0]

    def script(connection: Connection) -> None:
        connection.answer()
        connection.play(transport_stream(n_frames=100)[:50], speed=4)
        shift[0] = step_s
        connection.play(transport_stream(n_frames=100)[50:], speed=4)

    with FakeCamera(script) as camera:
        told: list[datetime] = []

        def wall() -> datetime:
            told.append(datetime.now(UTC) + timedelta(seconds=shift[0]))
            return told[-1]

        watched = Watched(camera.url, wall=wall)
        frames = []
        for frame in watched:
            frames.append((frame, told[-1] - timedelta(seconds=watched.source.lag_s)))
            if len(frames) == 90:
                break
    assert all(abs((frame.time - wall).total_seconds()) < 2.2 for frame, wall in frames)
    assert [frame.connection for frame, _ in frames] == sorted(frame.connection for frame, _ in frames)
    assert {frame.connection for frame, _ in frames} == {1, 2}
    assert watched.source.counters.reconnects == 0
    for (a, _), (b, _) in pairwise(frames):
        assert a.monotonic_s < b.monotonic_s
        assert a.time < b.time or a.connection < b.connection


@pytest.mark.parametrize("step_s", [-1.5, 1.5])
def test_small_steps_of_the_wall_clock_change_nothing(step_s: float) -> None:
    timeline = Timeline()
    start = datetime(2026, 1, 1, tzinfo=UTC)
    timeline.connect(start, 0.0)
    assert not timeline.was_set(start + timedelta(seconds=10 + step_s), 10.0)
    assert timeline.at(10.0, 10.0) == (start + timedelta(seconds=10), 10.0)


def test_a_late_burst_keeps_its_own_times() -> None:
    timeline = Timeline()
    timeline.connect(datetime(2026, 1, 1, tzinfo=UTC), 0.0)
    arrivals = [index / 25 for index in range(50)] + [5.0] * 75  # three seconds of silence, then all of it at once
    times = [timeline.at(index / 25, now)[1] for index, now in enumerate(arrivals)]
    assert np.abs(np.diff(times) - 1 / 25).max() < 0.01


def test_files_follow_each_other_in_media_time() -> None:
    timeline = MediaTimeline()
    start = datetime(2026, 1, 1, tzinfo=UTC)
    timeline.connect(start, 10.0)
    first = [timeline.at(s, 10.0)[0] for s in (0.0, 1.0, 2.0)]
    timeline.connect(start + timedelta(seconds=1), 11.0)
    second = [timeline.at(s, 11.0)[0] for s in (0.0, 1.0)]
    assert first == [start + timedelta(seconds=s) for s in (0, 1, 2)]
    assert timedelta(0) < second[0] - first[-1] < timedelta(seconds=0.1)
    assert abs(second[1] - second[0] - timedelta(seconds=1)) < timedelta(seconds=0.001)


def test_a_timeout_within_a_file_is_none(tmp_path: Path) -> None:
    damaged = bytearray(b"".join(transport_stream()))
    damaged[3000:4000] = os.urandom(1000)
    path = tmp_path / "a.ts"
    path.write_bytes(damaged)
    assert 10 < len(list(Watched(f"replay:{path}?speed=0"))) <= 50


def test_a_file_that_changed_while_it_was_scored_is_scored_again(tmp_path: Path) -> None:
    path = write_stream(tmp_path / "a.ts")
    os.utime(path, (1_600_000_000, 1_600_000_000))
    watched = Watched(f"folder:{tmp_path}")

    def until(frame: LiveFrame) -> bool:
        if frame.index == 10:
            path.write_bytes(path.read_bytes() * 2)
            os.utime(path, (1_600_000_100, 1_600_000_100))
        return frame.connection == 2

    frames = watched.frames(1000, until)
    assert frames[-1].connection == 2


def test_a_file_that_is_moved_away_during_the_look_at_the_folder_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.ts", "b.ts"):
        os.utime(write_stream(tmp_path / name), (1_600_000_000, 1_600_000_000))
    stat = Path.stat

    def moving(path: Path, **how: bool) -> os.stat_result:
        if path.name == "a.ts":
            raise FileNotFoundError(2, "No such file or directory", path.name)
        return stat(path, **how)

    monkeypatch.setattr(Path, "stat", moving)
    watched = Watched(f"folder:{tmp_path}", once=True)
    assert {frame.file.split()[0] for frame in watched} == {"b.ts"}


def test_a_folder_that_cannot_be_written_is_said_and_scored_once(tmp_path: Path) -> None:
    write_stream(tmp_path / "a.ts")
    os.utime(tmp_path / "a.ts", (1_600_000_000, 1_600_000_000))
    (tmp_path / ".amiss-scored.jsonl").symlink_to(tmp_path / "missing" / "file")  # can't be written, not even by root
    watched = Watched(f"folder:{tmp_path}")
    threading.Timer(1.5, watched.source.stop).start()
    assert len(list(watched)) == 50
    assert any("No such file" in reason for _, reason in watched.states)


def finished(path: Path, age_s: int = 0) -> Path:
    os.utime(write_stream(path), (1_600_000_000 - age_s,) * 2)
    return path


def noted(folder: Path) -> list[str]:
    file = folder / ".amiss-scored.jsonl"
    return [json.loads(line)["name"] for line in file.read_text().splitlines()] if file.exists() else []


class Failing:
    """A container whose disk fails after a few packets; before that, `then` happens."""

    def __init__(self, path: Path, then: Callable[[], object]) -> None:
        (self.container, self.stream), self.then = open_video(path), then
        self.duration, self.format = self.container.duration, self.container.format

    def close(self) -> None:
        self.container.close()

    def demux(self) -> Iterator[object]:
        for index, packet in enumerate(self.container.demux()):
            if index == 20:
                self.then()
                raise av.error.OSError(5, "Input/output error")
            yield packet


def failing(monkeypatch: pytest.MonkeyPatch, name: str, then: Callable[[], object] = lambda: None) -> None:
    def open_(path: Path, *_: object) -> tuple[object, object]:
        if path.name != name:
            return open_video(path)
        container = Failing(path, then)
        return container, container.stream

    monkeypatch.setenv("AMISS_DECODE_WORKER", "0")  # another process can't be told to fail
    monkeypatch.setattr("amiss.video.live._files.open_video", open_)


@pytest.mark.faults
def test_a_file_that_may_not_be_read_is_left_out_until_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished(tmp_path / "a.mp4", 2)
    (tmp_path / "b.mp4").symlink_to(tmp_path / "b.mp4")  # a circle
    finished(tmp_path / "c.mp4")

    def open_(path: Path, *_: object) -> object:
        if path.name == "a.mp4":  # what another user's file with mode 0600 gives; root may read it
            raise PermissionError(13, "Permission denied", str(path))
        return open_video(path)

    monkeypatch.setenv("AMISS_DECODE_WORKER", "0")  # another process can't be told to fail
    monkeypatch.setattr("amiss.video.live._files.open_video", open_)
    watched = Watched(f"folder:{tmp_path}", once=True)
    assert len(watched.frames(1000)) == 50
    assert ("running", "a.mp4: can't be read: Permission denied") in watched.states
    assert any(reason.startswith("b.mp4: can't be read: ") for _, reason in watched.states)
    assert "reconnecting" not in watched.words
    assert noted(tmp_path) == ["c.mp4"]


@pytest.mark.faults
def test_a_file_whose_disk_fails_is_said_and_left_out_until_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished(tmp_path / "a.ts", 1)
    finished(tmp_path / "b.ts")
    with monkeypatch.context() as patch:
        failing(patch, "a.ts")
        watched = Watched(f"folder:{tmp_path}", once=True)
        assert 10 < len([frame for frame in watched.frames(1000) if frame.file.startswith("a.ts")]) < 50
    assert ("running", "a.ts: it can't be read to its end: Input/output error") in watched.states
    assert noted(tmp_path) == ["b.ts"]
    again = Watched(f"folder:{tmp_path}", once=True)
    assert len(again.frames(1000)) == 50
    assert noted(tmp_path) == ["b.ts", "a.ts"]


@pytest.mark.faults
def test_a_folder_that_goes_within_a_file_leaves_none_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, away = tmp_path / "share", tmp_path / "away"
    folder.mkdir()
    finished(folder / "a.ts", 1)
    finished(folder / "b.ts")
    gone = iter([True])

    def go() -> None:
        if next(gone, False):
            folder.rename(away)
            threading.Timer(2.0, lambda: away.rename(folder)).start()
        else:
            monkeypatch.undo()

    failing(monkeypatch, "a.ts", go)
    watched = Watched(f"folder:{folder}")
    watched.frames(1000, until=lambda frame: len(watched.ended) == 2, limit_s=10)
    assert "reconnecting" in watched.words
    ends = [(ended.name, ended.outcome) for ended in watched.ended]
    assert ends == [("a.ts", "again"), ("a.ts", "skip")]  # nothing is tried while it is away; then the disk fails again


def test_nothing_comes_and_nothing_is_remembered_before_a_file_is_acknowledged(tmp_path: Path) -> None:
    for index, name in enumerate(("a.ts", "b.ts", "c.ts")):
        finished(tmp_path / name, 3 - index)
    source = open_source(f"folder:{tmp_path}", once=True)
    items = iter(source)

    def next_end() -> FileEnded:
        return next(item for item in items if isinstance(item, FileEnded))

    first = next_end()
    assert (first.name, first.problem, first.outcome) == ("a.ts", "", FileOutcome.DONE)
    timer = threading.Timer(0.3, first.acknowledge, (FileOutcome.SKIP,))
    timer.start()
    began = next(items)
    assert not timer.is_alive()
    assert began == FileBegan("b.ts")
    assert noted(tmp_path) == []
    next_end().acknowledge()
    assert next(items) == FileBegan("c.ts")
    assert noted(tmp_path) == ["b.ts"]
    next_end()
    threading.Timer(0.3, source.stop).start()
    assert list(items) == [StateChange("stopped")]
    assert noted(tmp_path) == ["b.ts"]


def test_damaged_files_are_named_and_not_tried_again(tmp_path: Path) -> None:
    whole = write_stream(tmp_path / "whole.bin").read_bytes()
    for name, data in (("a.mp4", b"no video"), ("b.ts", whole[:3000] + bytes(1000) + whole[4000:])):
        (tmp_path / name).write_bytes(data)
        os.utime(tmp_path / name, (1_600_000_000,) * 2)
    watched = Watched(f"folder:{tmp_path}", once=True)
    assert 10 < len(watched.frames(1000)) <= 50
    ends = {ended.name: (ended.problem, ended.outcome) for ended in watched.ended}
    assert ends["a.mp4"] == ("can't be read as a video: Invalid data found when processing input", "done")
    assert "damaged packet" in ends["b.ts"][0]
    assert ends["b.ts"][1] == "done"
    assert sorted(noted(tmp_path)) == ["a.mp4", "b.ts"]


def test_an_idle_folder_shows_no_file(tmp_path: Path) -> None:
    finished(tmp_path / "a.ts")
    watched = Watched(f"folder:{tmp_path}")
    idle = ("running", "waiting for files")

    def stop() -> None:
        with suppress(AssertionError):
            wait_until(lambda: watched.states[-1:] == [idle], 20)
        watched.source.stop()

    threading.Thread(target=stop).start()
    assert len(list(watched)) == 50
    assert watched.states[-2:] == [idle, ("stopped", "")]


@pytest.mark.parametrize("raw", [b"caf\xe9.ts", b"a\nERROR forged.ts", b"a\x1b[31m.ts", "a\u202egpj.ts".encode()])
def test_a_name_that_is_no_text_or_not_printable_is_shown_with_its_numbers(tmp_path: Path, raw: bytes) -> None:
    path = finished(tmp_path / os.fsdecode(raw))
    watched = Watched(f"folder:{tmp_path}", once=True)
    said = [frame.file for frame in watched.frames(1000)] + [reason for _, reason in watched.states] + watched.begun
    assert len(watched.states) >= 3
    assert all(text.isprintable() for text in said)
    assert all("\\" in name for name in watched.begun)

    replayed = Watched(f"replay:{quote(os.fsencode(path))}?speed=0")
    frames = replayed.frames(1000)
    assert len(frames) == 50
    assert {frame.file.rsplit(" ", 2)[0] for frame in frames} == set(watched.begun)
    path.write_bytes(b"no video")
    with pytest.raises(VideoError, match="can't be read as a video") as caught:
        list(Watched(f"replay:{quote(os.fsencode(path))}"))
    assert str(caught.value).isprintable()


def test_seconds_into_a_loop_are_of_no_file(tmp_path: Path) -> None:
    watched = Watched(f"replay:{write_stream(tmp_path / 'a.ts')}?speed=0&loop=1")
    assert {frame.file for frame in watched.frames(60)} == {""}
