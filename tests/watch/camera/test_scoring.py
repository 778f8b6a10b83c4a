"""The scoring side of a camera by itself: gaps, reference clips, failures; and the threads that a worker owns."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import torch

from amiss.detection import Calibration, Detector, Normalisation
from amiss.heads import create_head
from amiss.video import GateSettings, StillnessGate
from amiss.watch.camera._clips import LiveClip
from amiss.watch.camera._reference import ReferenceClips
from amiss.watch.camera._scoring import MOST_FAILURES, ClipScorer, SentClip
from helpers.fake_detector import SPEC, BrightnessHead, brightness_detector

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
STILL = np.full((16, 48, 64, 3), 60, np.uint8)


def clip(second: float, connection: int = 1) -> LiveClip:
    """One that lasts a second."""
    started = BEGAN + timedelta(seconds=second)
    return LiveClip(STILL, started, started + timedelta(seconds=1), second, STILL[0], connection)


def features(value: float) -> np.ndarray:
    return np.array([[value, 1.0]], np.float32)


def scorer(references: ReferenceClips | None = None, lookahead: int = 0) -> ClipScorer:
    return ClipScorer(brightness_detector(), references or ReferenceClips(None), window=8, lookahead=lookahead)


@pytest.mark.parametrize(("second", "connection"), [(5.5, 1), (2.0, 2)])
def test_clips_before_a_gap_are_scored_without_those_after_it(
    second: float, connection: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BrightnessHead, "context", None)
    made = scorer(lookahead=2)
    assert made.push(SentClip(clip(0)), features(0.25)) == []
    assert made.push(SentClip(clip(1)), features(0.5)) == []
    before = made.push(SentClip(clip(second, connection)), features(0.75))
    assert [(found.clip.started, found.score) for found in before] == [
        (clip(0).started, 0.25), (clip(1).started, 0.5)
    ]  # fmt: skip
    assert [scored.score for scored in made.finish()] == [0.75]


def test_a_spared_clip_takes_its_references_features_or_is_dropped_like_it() -> None:
    references = ReferenceClips(StillnessGate(GateSettings(enabled=True, refresh_s=60)))
    assert references.spare(clip(0)) is None  # nothing to compare with but itself: run
    reference = references.refer()
    assert references.spare(clip(1)) == references.spare(clip(2)) == reference
    made = scorer(references)
    assert made.push(SentClip(clip(0), reference), features(0.25))[0].score == 0.25
    assert made.push(SentClip(clip(1), reference), None)[0].score == 0.25
    assert made.push(SentClip(clip(2), 7), None) == []
    assert (made.n_spared, made.n_dropped, made.n_failed) == (1, 1, 0)
    assert made.push(SentClip(clip(3)), RuntimeError("broken")) == []
    assert made.push(SentClip(clip(4), reference), None) == []  # its features may be older than what failed
    assert references.spare(clip(5)) is None  # a lost reference ends the still scene


def test_only_failures_in_a_row_are_a_problem() -> None:
    made = scorer()
    for index in range(MOST_FAILURES - 1):
        made.push(SentClip(clip(index), error=ValueError("broken")), None)
    assert made.problem == ""
    assert made.push(SentClip(clip(98)), features(0.5))[0].score == 0.5
    for index in range(MOST_FAILURES):
        made.push(SentClip(clip(100 + index)), features(float("nan")))
    assert (
        made.problem == f"{MOST_FAILURES} clips in a row couldn't be scored: features have values that are not finite"
    )
    assert made.n_failed == 2 * MOST_FAILURES - 1


_INTERRUPTED = """
import signal, threading
from amiss.watch.camera._thread import OwnedThread
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background
let_go = threading.Event()
thread = OwnedThread(lambda: [let_go.wait(10)].clear(), "amiss-test")
thread.join()  # not started: nothing to wait for
thread.start()
main = threading.main_thread().ident
threading.Timer(0.2, lambda: signal.pthread_kill(main, signal.SIGINT)).start()
try:
    thread.join()
    print("not interrupted")
except KeyboardInterrupt:
    pass
assert thread.is_alive()
thread.join(0.05)
assert thread.is_alive()
let_go.set()
thread.join(5)
assert not thread.is_alive()
print("joined")
"""


def test_a_thread_is_waited_for_also_after_ctrl_c() -> None:
    # in a process of its own: what other tests leave of signals must not decide where the interrupt goes
    ran = subprocess.run([sys.executable, "-c", _INTERRUPTED], capture_output=True, text=True, timeout=120)
    assert (ran.stdout, ran.returncode) == ("joined\n", 0), ran.stderr


@pytest.mark.parametrize("lookahead", [0, 2])
def test_clips_have_the_class_that_the_detector_gives_their_features(lookahead: int) -> None:
    torch.manual_seed(0)
    head = create_head("tca", 2, channels=2, classes=["fire", "fall"]).eval()
    detector = Detector(SPEC, head, Normalisation("none"), Calibration(0.5, "test", 1))
    made = ClipScorer(detector, ReferenceClips(None), window=4, lookahead=lookahead)
    scored = [one for i in range(6) for one in made.push(SentClip(clip(i)), features(i / 6))] + made.finish()
    assert [one.clip.started for one in scored] == [clip(i).started for i in range(6)]
    assert all(one.class_name in {"fire", "fall"} for one in scored)
    assert made.finish() == []
    assert scorer().push(SentClip(clip(0)), features(0.5))[0].class_name is None
