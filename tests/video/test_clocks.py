"""Cameras whose clocks are slow, fast, made up, or set: none goes blind; what waits and the drift are two numbers."""

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from amiss.video import PacketWriter, VideoReader
from amiss.video.live._timeline import Timeline
from helpers.rtp_camera import RtspCamera
from helpers.sources import Watched
from helpers.streams import Connection, FakeCamera, transport_stream

RATES = (0.4, 0.8, 0.92, 0.99, 0.999, 1.0, 1.001, 1.01, 1.08, 1.2, 2.5)
FAR_S = 2.0**33 / 90_000  # where the stamps of MPEG-TS begin anew


def followed(arrivals: Iterable[float], stamps: Iterable[float | None]) -> tuple[np.ndarray, Timeline]:
    """Times that frames get, in seconds."""
    timeline = Timeline()
    timeline.connect(datetime(2026, 1, 1, tzinfo=UTC), 0.0)
    return np.array([timeline.at(s, now)[1] for now, s in zip(arrivals, stamps, strict=True)]), timeline


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("jitter_s", [0.0, 0.03])
def test_a_clock_of_any_rate_is_followed(rate: float, jitter_s: float) -> None:
    taken = np.arange(0, 600, 1 / 25)
    arrivals = np.maximum.accumulate(taken + np.random.default_rng(0).exponential(jitter_s, len(taken)))
    times, timeline = followed(arrivals, taken * rate)
    assert timeline.drift == pytest.approx(rate - 1, abs=0.002)
    assert np.all(times <= arrivals + 1e-3)  # none is from the future
    settled = slice(250, None)
    if not jitter_s:
        assert np.abs(times - taken)[settled].max() < 1e-6
    else:  # smoother than they came, the less so the farther the clock is off
        assert np.abs(times - taken)[settled].max() < 0.03 + 0.5 * abs(rate - 1)
        assert np.diff(times)[settled].std() < np.diff(arrivals)[settled].std() * min(1.01, 0.05 + 5 * abs(rate - 1))


def test_a_clock_that_changes_its_rate_is_followed() -> None:
    taken = np.arange(0, 1200, 1 / 25)
    stamps = np.where(taken < 400, taken, np.where(taken < 800, 400 + (taken - 400) * 0.85, 740 + (taken - 800) * 1.1))
    times, timeline = followed(taken, stamps)
    assert timeline.drift == pytest.approx(0.1, abs=0.001)
    assert np.abs(taken - times).max() < 3
    assert np.abs(taken - times)[-2500:].max() < 0.01


def test_a_pause_of_the_network_does_not_move_times() -> None:
    taken = np.arange(0, 300, 1 / 25)
    arrivals = np.where((taken > 100) & (taken < 103), 103, taken)
    times, timeline = followed(arrivals, taken)
    assert np.abs(times - taken).max() < 0.01
    assert timeline.drift == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("kind", ["stands still", "jumps back", "jumps ahead", "goes back and forth", "none"])
def test_a_clock_that_is_set_or_stands_still_gives_the_time_at_which_pictures_come(kind: str) -> None:
    arrivals = np.arange(0, 60, 1 / 10)
    stamps: list[float | None] = {
        "stands still": np.full(600, 7.0).tolist(),
        "jumps back": (arrivals % 5).tolist(),
        "jumps ahead": (arrivals + arrivals // 5 * 1000).tolist(),
        "goes back and forth": np.where(np.arange(600) % 2, arrivals, -arrivals).tolist(),
        "none": [None] * 600,
    }[kind]
    times, _ = followed(arrivals, stamps)
    assert np.abs(times - arrivals).max() < 1e-3


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What 5 s of lag do, in half a second."""
    monkeypatch.setattr("amiss.video.live._camera.LAG_S", 0.5)


@pytest.mark.faults
@pytest.mark.usefixtures("impatient")
def test_pictures_without_stamps_are_given_without_end(tmp_path: Path) -> None:
    """libav supposes 25 a second: at 10 a second its stamps fall behind by 0.6 s in each."""

    def script(connection: Connection) -> None:
        connection.answer_mjpeg()
        connection.play_mjpeg(100, fps=10)

    with FakeCamera(script) as camera:
        watched = Watched(camera.url, open_timeout_s=5)
        frames = watched.frames(40)
    assert watched.source.counters.dropped == 0
    assert watched.source.drift is None
    steps = np.diff([frame.monotonic_s for frame in frames[-20:]])
    assert steps.mean() == pytest.approx(0.1, abs=0.02)
    writer = PacketWriter(tmp_path / "event.mp4", watched.packets[0][0])
    for _, packet in watched.packets[10:]:
        writer.write(packet)
    writer.finish()
    *_, last = VideoReader(writer.path)
    assert last.time_s == pytest.approx(2.9, abs=0.4)  # the event's video plays as fast as it happened


@pytest.mark.faults
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("speed", [0.8, 1.25])
def test_a_slow_and_a_fast_camera_are_given_without_end(speed: float) -> None:
    def script(connection: Connection) -> None:
        connection.answer()
        connection.play(transport_stream(n_frames=150), speed)

    with FakeCamera(script) as camera:
        watched = Watched(camera.url)
        frames = watched.frames(110)
        drift = watched.source.drift
    assert watched.source.counters.dropped == 0
    assert {frame.connection for frame in frames} == {1}
    assert drift == pytest.approx(speed - 1, abs=0.08)
    assert np.diff([frame.monotonic_s for frame in frames[-40:]]).mean() == pytest.approx(0.04 / speed, abs=0.004)


@pytest.mark.faults
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("rate", [0.8, 1.2])
def test_an_rtsp_camera_with_a_slow_or_fast_clock_is_given_without_end(rate: float) -> None:
    with FakeCamera(RtspCamera(rate)) as camera:
        watched = Watched(camera.url.replace("http", "rtsp"), open_timeout_s=5, read_timeout_s=5)
        frames = watched.frames(125)
        drift = watched.source.drift
    assert watched.source.counters.dropped == 0
    assert {frame.connection for frame in frames} == {1}
    assert drift == pytest.approx(rate - 1, abs=0.05)
    assert np.diff([frame.monotonic_s for frame in frames[-40:]]).mean() == pytest.approx(0.04, abs=0.004)


@pytest.mark.faults
@pytest.mark.slow
def test_an_rtsp_camera_whose_clock_is_8_percent_slow_is_given_for_longer_than_it_once_was() -> None:
    """In real time, with the real limits: after 57 s all was dropped."""
    with FakeCamera(RtspCamera(0.92)) as camera:
        watched = Watched(camera.url.replace("http", "rtsp"), open_timeout_s=10, read_timeout_s=10)
        frames = watched.frames(100 * 25, limit_s=150)
        drift = watched.source.drift
    assert watched.source.counters.dropped == watched.source.counters.reconnects == 0
    assert drift == pytest.approx(-0.08, abs=0.005)
    assert frames[-1].monotonic_s - frames[0].monotonic_s == pytest.approx(100, abs=2)


@pytest.mark.faults
@pytest.mark.usefixtures("impatient")
def test_stamps_that_begin_anew_are_followed() -> None:
    def script(connection: Connection) -> None:
        connection.answer()
        connection.play(transport_stream(n_frames=100, start_s=FAR_S - 2), speed=1)

    with FakeCamera(script) as camera:
        watched = Watched(camera.url)
        frames = watched.frames(90)
    assert watched.source.counters.dropped == 0
    assert 2.0 < frames[-1].monotonic_s - frames[0].monotonic_s < 6


@pytest.mark.faults
def test_pictures_that_can_not_be_decoded_are_no_progress() -> None:
    def script(connection: Connection) -> None:
        connection.answer_mjpeg()
        connection.play_mjpeg(20, fps=25)
        for _ in range(200):
            connection.wait(0.02)
            connection.send_jpeg(b"\xff\xd8\xff" + b"no picture" * 20 + b"\xff\xd9")

    with FakeCamera(script) as camera:
        watched = Watched(camera.url, open_timeout_s=5)
        watched.frames(200, until=lambda frame: frame.connection == 2)
    assert watched.source.counters.stalls == 1
    assert ("stalled", "no picture for 0.6 s, though data comes") in watched.states
    assert watched.source.counters.damaged > 10


@pytest.mark.faults
@pytest.mark.usefixtures("impatient")
def test_a_wait_for_a_keyframe_that_never_comes_ends() -> None:
    def script(connection: Connection) -> None:
        connection.answer()
        connection.play(transport_stream(n_frames=250, gop=250), speed=1)

    with FakeCamera(script) as camera:
        watched = Watched(camera.url)
        for frame in watched:
            if frame.index == 30:
                time.sleep(1.5)
            if frame.connection == 2:
                break
    assert watched.words[-3:] == ["stalled", "reconnecting", "running"]
    assert watched.source.counters.dropped > 10


@pytest.mark.faults
def test_what_waits_is_told_and_what_is_scored_late_is_not_lost() -> None:
    def script(connection: Connection) -> None:
        connection.answer()
        connection.play(transport_stream(n_frames=150), speed=1)
        connection.wait(60)

    with FakeCamera(script) as camera:
        watched = Watched(camera.url, read_timeout_s=5)
        frames = []
        for frame in watched:
            frames.append(frame)
            if frame.index == 30:
                time.sleep(1.5)
                assert 1.4 < watched.source.lag_s < 2.5
            if frame.index == 120:
                assert watched.source.lag_s < 0.3
                break
    assert watched.source.counters.dropped == 0  # 1.5 s are less than 5
    steps = [b.monotonic_s - a.monotonic_s for a, b in pairwise(frames[40:])]
    assert max(steps) < 0.3


NULL_PACKET = b"\x47\x1f\xff\x10" + b"\xff" * 184
PROMISES = {
    "a head that never ends": (b"", b"H"),
    "no stream in the stream": (b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n\r\n", NULL_PACKET),
    "a picture that never ends": (
        b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n--b\r\n"
        b"Content-Type: image/jpeg\r\nContent-Length: 100000000\r\n\r\n",
        b"x",
    ),
}


@pytest.mark.faults
@pytest.mark.parametrize("promise", PROMISES)
def test_a_connection_that_drips_for_ever_is_left(promise: str) -> None:
    head, drop = PROMISES[promise]

    def script(connection: Connection) -> None:
        if connection.number > 2:
            connection.answer()
            connection.play(transport_stream())
        connection.sock.recv(4096)
        connection.sock.sendall(head)
        while True:
            connection.wait(0.02)
            connection.sock.sendall(drop)

    with FakeCamera(script) as camera:
        watched = Watched(camera.url, open_timeout_s=0.5, read_timeout_s=0.5)
        watched.frames(5)
    assert watched.words[:4] == ["connecting", "reconnecting", "reconnecting", "running"]
