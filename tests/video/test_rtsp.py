"""Live sources on a real RTSP server, GStreamer's."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from amiss.video import Backoff, LiveFrame, PacketWriter, VideoReader, VideoWriter
from helpers.rtsp import PASSWORD, RtspServer, need_rtsp_server
from helpers.sources import Watched

pytestmark = pytest.mark.rtsp


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds; each frame's number is written into it in stripes of light and dark."""
    path = tmp_path_factory.mktemp("rtsp") / "clip.mp4"
    with VideoWriter(path, 25, 160, 120) as writer:
        for index in range(75):
            bits = np.array([255 if index >> bit & 1 else 0 for bit in range(8)], np.uint8)
            writer.write(np.broadcast_to(np.repeat(bits, 20)[None, :, None], (120, 160, 3)))
    return path


def number(frame: LiveFrame) -> int:
    stripes = frame.image[:, 10::20].mean(axis=(0, 2)) > 127
    return int(sum(1 << bit for bit, on in enumerate(stripes) if on))


@pytest.fixture
def server(clip: Path) -> Iterator[RtspServer]:
    need_rtsp_server()
    made = RtspServer(clip)
    made.start()
    try:
        yield made
    finally:
        made.kill()


def take(watched: Watched, until: Callable[[list[LiveFrame]], bool], limit_s: float = 30) -> list[LiveFrame]:
    timer = threading.Timer(limit_s, watched.source.stop)
    timer.start()
    frames: list[LiveFrame] = []
    for frame in watched:
        frames.append(frame)
        if until(frames):
            break
    timer.cancel()
    assert until(frames), f"{len(frames)} frames in {limit_s} s; {watched.states[-1]}"
    assert all(a.time < b.time for a, b in pairwise(frames))
    return frames


def test_every_frame_of_a_looped_stream_comes_in_order_and_on_time(server: RtspServer, tmp_path: Path) -> None:
    watched = Watched(server.url, open_timeout_s=10, read_timeout_s=10)
    source, packets = watched.source, watched.packets
    frames = take(watched, lambda frames: len(frames) == 130)
    numbers = [number(frame) for frame in frames]
    assert all(b == (a + 1) % 75 for a, b in pairwise(numbers))  # also across the seam of the loop
    steps = np.diff([frame.monotonic_s for frame in frames[60:]])
    assert np.median(steps) == pytest.approx(1 / 25, abs=0.002)
    assert time.monotonic() - frames[-1].monotonic_s < 0.5
    assert source.counters.reconnects == source.counters.damaged == source.counters.dropped == 0

    writer = PacketWriter(tmp_path / "copy.mp4", packets[0][0])
    for _, packet in packets:
        writer.write(packet)
    writer.finish()
    assert [number(LiveFrame(0, frames[0].time, 0, f.image, 1)) for f in VideoReader(writer.path)][:130] == numbers


@pytest.mark.faults
def test_a_server_that_is_killed_and_comes_back_is_found_again(server: RtspServer) -> None:
    watched = Watched(server.url, read_timeout_s=2, open_timeout_s=2, backoff=Backoff(first_s=0.2, cap_s=0.5))
    events = iter([lambda: (server.kill(), threading.Timer(1.5, server.start).start())])

    def until(frames: list[LiveFrame]) -> bool:
        if len(frames) == 20:
            next(events)()
        return frames[-1].connection > 1 and len(frames) > 60

    frames = take(watched, until)
    after = next(i for i, frame in enumerate(frames) if frame.connection > 1)
    assert frames[after].time - frames[after - 1].time > timedelta(seconds=1)
    assert number(frames[after]) == 0  # the new server begins its loop anew: nothing is left of the old one
    assert {"running", "reconnecting"} <= set(watched.words)
    assert PASSWORD not in str(watched.states)
    assert "guard" not in str(watched.states)


@pytest.mark.faults
def test_a_server_that_freezes_is_left_and_found_again(server: RtspServer) -> None:
    from signal import SIGCONT, SIGSTOP

    watched = Watched(server.url, read_timeout_s=1, open_timeout_s=1, backoff=Backoff(first_s=0.2, cap_s=0.5))

    def until(frames: list[LiveFrame]) -> bool:
        if len(frames) == 20:
            server.signal(SIGSTOP)
            threading.Timer(3.0, server.signal, (SIGCONT,)).start()
        return frames[-1].connection > 1 and len(frames) > 60

    frames = take(watched, until)
    assert "stalled" in watched.words
    assert watched.source.counters.stalls >= 1
    assert time.monotonic() - frames[-1].monotonic_s < 1.0  # nothing late


def test_wrong_credentials_are_said_and_not_shown(server: RtspServer, capfd: pytest.CaptureFixture[str]) -> None:
    watched = Watched(
        server.url.replace("p%40ss", "wr0ng"), open_timeout_s=10, read_timeout_s=10,
        backoff=Backoff(first_s=0.1, cap_s=0.2),
    )  # fmt: skip
    threading.Timer(1.0, watched.source.stop).start()
    assert list(watched) == []
    said = [reason for _, reason in watched.states]
    assert any("401 Unauthorized" in reason for reason in said)
    out, err = capfd.readouterr()
    assert "wr0ng" not in " ".join([*said, out, err, watched.source.name])
