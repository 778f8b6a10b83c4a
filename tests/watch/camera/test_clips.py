"""Live frames become the clips that the same frames of a file become."""

from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from amiss.backbones import FeatureSpec
from amiss.video import Frame, LiveFrame, iter_clips
from amiss.watch.camera._clips import ClipAssembler, LiveClip

SPEC = FeatureSpec(backbone="brightness", weights="none", dim=2)
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
FPS = 25.0


def picture(index: int) -> np.ndarray:
    return np.full((2, 3, 3), index % 256, np.uint8)


def live(indices: range, connection: int = 1, file: str = "") -> list[LiveFrame]:
    """Frames at 25 a second."""
    return [
        LiveFrame(i, BEGAN + timedelta(seconds=i / FPS), 100 + i / FPS, picture(i), connection, file) for i in indices
    ]


def assembled(spec: FeatureSpec, frames: list[LiveFrame]) -> list[LiveClip]:
    assembler = ClipAssembler(spec)
    return [clip for frame in frames for clip in assembler.push(frame)] + list(assembler.finish())


grouping = {
    "clip_len": st.integers(1, 20),
    "stride": st.integers(1, 25),
    "tail": st.sampled_from(("last", "pad", "drop")),
}


@given(n=st.integers(0, 120), **grouping)
def test_live_frames_are_grouped_as_a_files_are(n: int, clip_len: int, stride: int, tail: str) -> None:
    spec = SPEC.with_(clip_len=clip_len, stride=stride, tail=tail)
    offline = list(iter_clips((Frame(i, i / FPS, picture(i)) for i in range(n)), clip_len, stride, tail))  # type: ignore[arg-type]
    online = assembled(spec, live(range(n)))
    assert len(online) == len(offline)
    for found, expected in zip(online, offline, strict=True):
        assert (found.images == expected.images).all()
        assert found.started == BEGAN + timedelta(seconds=expected.start / FPS)
        assert found.monotonic_s == 100 + (expected.end - 1) / FPS
        assert (found.picture == picture((expected.start + expected.end) // 2)).all()


@given(n=st.integers(2, 120), rate=st.floats(1, 60), **grouping)
def test_another_frame_rate_takes_the_latest_frame_not_after_each_tick(
    n: int, rate: float, clip_len: int, stride: int, tail: str
) -> None:
    spec = SPEC.with_(clip_len=clip_len, stride=stride, tail=tail, frame_rate=rate)
    n_ticks = int(np.ceil((n / FPS - 1e-3) * rate))
    taken = [int((tick / rate + 1e-3) * FPS + 1e-9) for tick in range(n_ticks)]
    offline = list(iter_clips((Frame(k, k / rate, picture(i)) for k, i in enumerate(taken)), clip_len, stride, tail))  # type: ignore[arg-type]
    online = assembled(spec, live(range(n)))
    assert [clip.images[:, 0, 0, 0].tolist() for clip in online] == [c.images[:, 0, 0, 0].tolist() for c in offline]


@given(sizes=st.lists(st.integers(1, 50), min_size=1, max_size=4), **grouping)
def test_every_connection_is_a_recording_of_its_own(sizes: list[int], clip_len: int, stride: int, tail: str) -> None:
    spec = SPEC.with_(clip_len=clip_len, stride=stride, tail=tail)
    frames, expected, begins = [], [], 0
    for connection, size in enumerate(sizes, 1):
        recording = live(range(begins, begins + size), connection, f"{connection}.mp4 1 2")
        frames += recording
        expected += assembled(spec, recording)
        begins += size
    found = assembled(spec, frames)
    assert [(clip.started, clip.connection, clip.origin) for clip in found] == [
        (clip.started, clip.connection, clip.origin) for clip in expected
    ]
    firsts = [clip for clip in found if clip.origin is not None and clip.origin.n_clip == 1]
    assert all(clip.origin.seconds == 0 for clip in firsts if clip.origin is not None)
