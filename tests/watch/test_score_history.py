"""Scores of the last days, kept and read back."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from amiss.watch import _score_history, read_history
from amiss.watch._score_history import ScoreHistory
from amiss.watch.camera import ClipScored

NOW = datetime.now(UTC).replace(microsecond=0)
SHA = "0123abcd" * 8


def clip(started: datetime, smoothed: float, camera: str = "door") -> ClipScored:
    return ClipScored(camera, started, started + timedelta(seconds=0.64), 0.1, smoothed, 0.0)


def test_they_come_back_by_camera_detector_and_time(tmp_path: Path) -> None:
    history = ScoreHistory(tmp_path)
    times = [NOW - timedelta(hours=hours) for hours in (50, 25, 1)]
    for number, time in enumerate(times):
        history.write(clip(time, 0.25 * number), SHA, 8)
    history.write(clip(NOW, 0.9, "yard"), SHA, 8)
    history.write(clip(NOW, 0.9), "f" * 64, 8)
    history.write(clip(NOW, 0.9), SHA, 0)
    history.close()
    track = read_history(tmp_path, "door", SHA, NOW - timedelta(days=7))
    assert track.starts.tolist() == [time.timestamp() for time in times]
    assert (track.ends - track.starts).tolist() == pytest.approx([0.64] * 3)
    assert track.scores.tolist() == pytest.approx([0, 0.25, 0.5], abs=1e-4)
    assert len(read_history(tmp_path, "door", SHA, NOW - timedelta(hours=26)).scores) == 2
    assert len(read_history(tmp_path, "door", SHA, NOW).scores) == 0
    assert read_history(tmp_path, "nowhere", SHA, NOW).hours == 0


def test_what_is_too_old_goes_and_half_a_clip_costs_itself(tmp_path: Path) -> None:
    folder = tmp_path / "history/door"
    folder.mkdir(parents=True)
    old = folder / f"{NOW - timedelta(days=12):%Y-%m-%d}-0123abcd.bin"
    today = folder / f"{NOW:%Y-%m-%d}-0123abcd.bin"
    for path in (old, today):
        path.write_bytes(b"1234567")
    assert len(read_history(tmp_path, "door", SHA, NOW).scores) == 0
    history = ScoreHistory(tmp_path)
    history.write(clip(NOW, 0.5), SHA, 8)
    history.close()
    assert [path.name for path in folder.iterdir()] == [today.name]
    assert read_history(tmp_path, "door", SHA, NOW).scores.tolist() == pytest.approx([0.5], abs=1e-4)


def test_a_folder_that_takes_nothing_costs_the_scores_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(_score_history.log, "warning", lambda *words: said.append(words[-1]))
    (tmp_path / "history").write_text("in the way")
    history = ScoreHistory(tmp_path)
    for _ in range(3):
        history.write(clip(NOW, 0.5), SHA, 8)
    assert len(said) == 1
    assert "scores are not kept" in said[0]
    (tmp_path / "history").unlink()
    history.write(clip(NOW, 0.5), SHA, 8)
    history.close()
    assert len(read_history(tmp_path, "door", SHA, NOW).scores) == 1
