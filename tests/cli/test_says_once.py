"""What commands say beside their result: warnings by kind, progress within a video, no more than is asked for."""

import itertools
import warnings
from pathlib import Path

import pytest

from amiss.cli import _console as console
from amiss.jobs import JobReport, detect
from helpers.command import amiss
from helpers.fake_detector import BrightnessEngine, brightness_detector
from helpers.motion import moving
from helpers.videos import write_video


def run(warned: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Lines on stderr of a command that warns."""

    def command() -> None:
        warnings.simplefilter("always")  # as Python starts without pytest, at least
        for text in warned:
            warnings.warn(text, stacklevel=1)

    console.guarded(command)()
    return [line for line in capsys.readouterr().err.splitlines() if line]


def test_a_kind_of_warning_is_told_once_with_a_count(capsys: pytest.CaptureFixture[str]) -> None:
    cut = [f"event of video_{i} is cut off at frame {100 + i}" for i in range(5)]
    assert run([*cut, cut[0], "features are of another stride"], capsys) == [
        f"warning: {cut[0]}",
        "warning: features are of another stride",
        f"warning: 4 more warnings like the first of them; the last: {cut[4]}",
    ]
    assert run([cut[1], cut[1]], capsys) == [f"warning: {cut[1]}"]  # nothing is left of the run before
    assert run(cut[:2], capsys) == [f"warning: {text}" for text in cut[:2]]


def test_videos_with_the_same_warning_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    report = JobReport(done=["a", "b", "c"])
    report.warnings = {v: f"its features don't tell length: taken as {n} frames" for v, n in (("a", 16), ("b", 32))}
    report.warnings["c"] = "3 damaged packets"
    console.finish(report, "scored")
    assert capsys.readouterr().err.splitlines() == [
        "warning: 2 videos, such as a: its features don't tell length: taken as 16 frames",
        "warning: c: 3 damaged packets",
        "3 videos scored",
    ]


def test_one_video_is_no_videos(capsys: pytest.CaptureFixture[str]) -> None:
    console.finish(JobReport(done=["a"]), "scored")
    assert capsys.readouterr().err == "1 video scored\n"


def test_plain_progress_has_a_sane_pace(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """One video for three hours: a line a minute at least. A thousand in a second: the first and the last."""
    seconds = itertools.count(0.0, 30.0)
    monkeypatch.setattr(console.time, "monotonic", lambda: next(seconds))
    with console.progress("detect") as on_progress:
        for i in range(361):
            on_progress(i / 360, 1, "lobby")
    lines = capsys.readouterr().err.splitlines()
    assert 150 < len(lines) < 200
    assert lines[90] == "detect: 50%, 1:30:00 left, lobby"
    assert lines[-1] == "detect: 100%, lobby"
    with console.progress("evaluate") as on_progress:
        for share in (0, 1, 0, 0.5):  # the time that the first part took tells nothing of the second
            on_progress(share, 1, "a")
    assert capsys.readouterr().err.splitlines()[-1] == "evaluate: 50%, 0:00:30 left, a"
    monkeypatch.undo()
    with console.progress("detect") as on_progress:
        for i in range(1001):
            on_progress(i, 1000, "clip")
    assert capsys.readouterr().err.splitlines() == ["detect: 0%, 0 of 1000 clip", "detect: 100%, 1000 of 1000 clip"]
    with console.progress("download") as on_progress:
        on_progress(3.2, 0, "MB")
    assert capsys.readouterr().err == "download: 3 MB\n"  # nobody knows of how many


def test_detect_tells_progress_within_a_video(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", moving(2, 0) * 20)
    told: list[tuple[float, float]] = []
    detector = brightness_detector()
    detector._engine = BrightnessEngine()
    report = detect({"a": video, "b": video}, detector, on_progress=lambda done, total, _: told.append((done, total)))
    assert report.done == ["a", "b"]
    shares = [done for done, total in told if total == 2]
    assert shares == sorted(shares)
    assert {0 < share < 1 for share in shares if share < 1} == {True, False}
    assert any(1 < share < 2 for share in shares)


def test_differences_from_papers_stand_behind_long() -> None:
    short, long = amiss("recipes"), amiss("recipes", "--long")
    assert "--set" not in short.out
    assert long.out.startswith(short.out)
    assert "--set normalise=none" in " ".join(long.out.split())
