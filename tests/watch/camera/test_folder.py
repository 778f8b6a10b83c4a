"""A folder of finished files as a camera: each is scored to its end, once, also over a kill; `--once` ends."""

import json
import logging
import os
import re
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from amiss.detection import causal_offline_scores
from amiss.features import extract_video
from amiss.watch.camera import _worker as worker_module
from helpers.cameras import ALARM, Wall, eventually, wall
from helpers.fake_detector import SPEC, BrightnessEngine, brightness_detector
from helpers.motion import write_scene
from helpers.streams import write_stream
from helpers.videos import count_frames, cut_short, write_video

BRIGHT = ((20, 40), (130, 180))


def drop(path: Path, age_s: int, n_frames: int, bright: tuple[tuple[int, int], ...]) -> Path:
    """A file that was finished long ago."""
    write_stream(path, n_frames=n_frames, bright=bright)
    os.utime(path, (1_600_000_000 - age_s,) * 2)
    return path


def ids(made: Wall) -> list[str]:
    return list(dict.fromkeys(event.event_id for event in made.events))


def remembered(folder: Path) -> list[str]:
    notes = folder / ".amiss-scored.jsonl"
    return [json.loads(line)["name"] for line in notes.read_text().splitlines()] if notes.exists() else []


LONG = SPEC.with_(clip_len=32, stride=32, frame_rate=15.0)


@pytest.mark.parametrize("spec", [SPEC, SPEC.with_(tail="drop"), SPEC.with_(frame_rate=10.0), LONG])
def test_every_file_is_scored_to_its_end_and_for_itself(tmp_path: Path, spec: object) -> None:
    files = [drop(tmp_path / "a.ts", 2, 136, ((100, 136),)), drop(tmp_path / "b.ts", 1, 56, ((0, 40),))]
    engine = BrightnessEngine(spec)  # type: ignore[arg-type]
    with wall(engine=engine) as made:
        worker = made.watch(f"folder:{tmp_path}", once=True)
        worker.join(20)
        assert not worker.is_alive()
    assert worker.error is None
    detector = brightness_detector(engine.spec)
    expected = [causal_offline_scores(detector, extract_video(path, engine).features).tolist() for path in files]
    assert [scored.score for scored in made.scores] == expected[0] + expected[1]
    closed = [event for event in made.events if event.state == "closed"]
    assert len(closed) == len(ids(made)) == 2  # bright over the border, and still two
    assert remembered(tmp_path) == ["a.ts", "b.ts"]


def test_a_backbone_that_is_slow_ends_no_event_within_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "GAP_S", 0.01)
    monkeypatch.setattr(worker_module, "POLL_S", 0.01)
    drop(tmp_path / "a.ts", 1, 160, ((16, 144),))
    engine = BrightnessEngine()
    engine.delay = lambda: time.sleep(0.3)
    with wall(engine=engine) as made:
        worker = made.watch(f"folder:{tmp_path}", once=True, read_timeout_s=0.05)
        worker.join(30)
    assert worker.error is None
    assert len(ids(made)) == 1
    (closed,) = [event for event in made.events if event.state == "closed"]
    assert closed.ended is not None
    assert (closed.ended - closed.started).total_seconds() == pytest.approx(128 / 25, abs=0.1)


def test_an_event_says_in_which_file_it_is_and_where(tmp_path: Path) -> None:
    drop(tmp_path / "a night.ts", 2, 200, BRIGHT)
    drop(tmp_path / os.fsdecode(b"\xff.ts"), 1, 64, ((16, 64),))  # a name that is no text
    with wall() as made:
        worker = made.watch(f"folder:{tmp_path}", once=True)
        worker.join(20)
    assert worker.error is None
    last = {event.event_id: event for event in made.events}.values()
    fps = 25
    assert [(event.file, event.file_s) for event in last] == [
        ("a night.ts", pytest.approx(16 / fps)), ("a night.ts", pytest.approx(128 / fps)),
        ("\\udcff.ts", pytest.approx(16 / fps)),
    ]  # fmt: skip
    assert [event.place for event in last][1] == "a night.ts at 0:00:05"


@pytest.mark.parametrize("frame_rate", [None, 25.0])
def test_where_in_a_file_is_said_in_its_true_time(tmp_path: Path, frame_rate: float | None) -> None:
    """25 frames/s, then 5, then nothing for an hour; an event in each part."""
    stamps = [i / 25 for i in range(64)]
    stamps += [stamps[-1] + (i + 1) / 5 for i in range(96)]
    stamps += [stamps[-1] + 3600 + i / 25 for i in range(96)]
    images = np.zeros((len(stamps), 48, 64, 3), np.uint8)
    for first in (16, 96, 192):
        images[first : first + 32] = 255
    write_video(tmp_path / "a.mkv", list(images), times=stamps)
    os.utime(tmp_path / "a.mkv", (1, 1))
    engine = BrightnessEngine(SPEC.with_(frame_rate=frame_rate))
    with wall(engine=engine) as made:
        worker = made.watch(f"folder:{tmp_path}", once=True, alarm=ALARM.changed(merge_gap_s=0, smoothing_s=0))
        worker.join(20)
    assert worker.error is None
    last = list({event.event_id: event for event in made.events}.values())
    clip_s = 16 / 5 if frame_rate is None else 16 / frame_rate
    assert [event.file_s for event in last] == pytest.approx([stamps[i] for i in (16, 96, 192)], abs=clip_s)
    lengths = [(event.ended - event.started).total_seconds() for event in last if event.ended is not None]
    assert lengths == pytest.approx([32 / 25, 32 / 5, 32 / 25], abs=2 * clip_s)


def test_neither_cooldown_nor_rolls_reach_into_the_next_file(tmp_path: Path) -> None:
    for index, name in enumerate(("a.ts", "b.ts", "c.ts")):
        drop(tmp_path / name, 3 - index, 80, ((32, 64),))
    (tmp_path / "media").mkdir()
    with wall(tmp_path / "media", roll_s=60) as made:
        alarm = ALARM.changed(cooldown_s=60, merge_gap_s=60)
        made.watch(f"folder:{tmp_path}", once=True, alarm=alarm).join(20)
    last = {event.event_id: event for event in made.events}.values()
    assert [event.state for event in last] == ["closed"] * 3
    for event in last:
        assert len(event.trace) == 5
        assert event.problem is None
        assert count_frames(tmp_path / "media" / event.clip) == 80  # type: ignore[operator]
    assert len(list((tmp_path / "media").rglob("*.mp4"))) == 3


@pytest.mark.faults
def test_a_file_that_breaks_the_backbone_does_not_block_the_folder(tmp_path: Path) -> None:
    drop(tmp_path / "a.ts", 2, 55 * 16, ((0, 55 * 16),))
    drop(tmp_path / "b.ts", 1, 64, ())
    engine = BrightnessEngine()
    engine.fail = lambda value: value > 0.6
    with wall(engine=engine) as made:
        worker = made.watch(f"folder:{tmp_path}", once=True)
        worker.join(20)
    assert worker.error is None
    assert (worker.counters().failed_clips, worker.counters().scores, worker.counters().damaged) == (55, 4, 1)
    assert any("a.ts is left out" in reason and "breaks the engine" in reason for _, _, reason in made.states)
    assert remembered(tmp_path) == ["b.ts"]  # the next start tries the other again


def test_the_last_file_is_finished_though_none_comes_after(tmp_path: Path) -> None:
    drop(tmp_path / "a.ts", 0, 56, ((0, 56),))
    with wall() as made:
        worker = made.watch(f"folder:{tmp_path}")
        eventually(lambda: made.events and made.events[-1].state == "closed", limit_s=5)
        assert len(made.scores) == 4
        assert worker.is_alive()


def test_a_file_is_remembered_only_when_its_last_clip_is_scored(tmp_path: Path) -> None:
    drop(tmp_path / "a.ts", 0, 64, ())
    engine, let_go = BrightnessEngine(), threading.Event()
    engine.delay = lambda: let_go.wait(10) if sum(map(len, engine.batches)) == 3 else None
    with wall(engine=engine) as made:
        made.watch(f"folder:{tmp_path}")
        eventually(lambda: len(made.scores) == 3)
        time.sleep(0.3)
        assert remembered(tmp_path) == []
        let_go.set()
        eventually(lambda: remembered(tmp_path) == ["a.ts"])
    assert len(made.scores) == 4


def test_a_stop_within_a_file_scores_it_again_and_doubles_no_event(tmp_path: Path) -> None:
    drop(tmp_path / "a.ts", 0, 200, BRIGHT)
    engine, held = BrightnessEngine(), threading.Event()
    engine.delay = lambda: held.wait(0.5) if sum(map(len, engine.batches)) > 9 else None
    with wall(engine=engine) as made:
        worker = made.watch(f"folder:{tmp_path}")
        eventually(lambda: len(ids(made)) == 2)  # the second is open
        worker.stop()
        worker.join(10)
    assert remembered(tmp_path) == []
    with wall() as again:
        again.watch(f"folder:{tmp_path}", once=True).join(20)
    assert remembered(tmp_path) == ["a.ts"]
    assert ids(again) == ids(made)
    assert [event.state for event in again.events].count("closed") == 2
    with wall() as other:
        other.watch(f"folder:{tmp_path}", "other", once=True).join(20)
    assert other.scores == []  # it is remembered for the folder
    os.utime(tmp_path / "a.ts")  # another file of that name
    with wall() as other:
        other.watch(f"folder:{tmp_path}", once=True).join(20)
    assert len(ids(other)) == 2
    assert not set(ids(other)) & set(ids(made))


def test_once_waits_for_a_file_that_is_being_written_and_needs_the_folder(tmp_path: Path) -> None:
    write_stream(tmp_path / "a.ts", n_frames=32)  # just now
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with wall() as made:
        worker = made.watch(f"folder:{tmp_path}", once=True)
        worker.join(20)
        assert worker.error is None
        assert worker.counters().scores == 2
        gone = made.watch(f"folder:{tmp_path / 'gone'}", "gone", once=True)
        gone.join(20)
    assert "gone can't be read: No such file" in str(gone.error)
    assert sorted(remembered(tmp_path)) == ["a.ts", "broken.mp4"]


def test_a_file_whose_end_is_missing_or_that_never_ends_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = write_video(tmp_path / "whole.mkv", 200)
    box = tmp_path / "box"
    box.mkdir()
    cut_short(whole, box / "cut.mkv", 0.5)
    write_video(box / "long.mkv", 30, times=[50.0 * i for i in range(30)])
    for path in (whole, *box.iterdir()):
        os.utime(path, (1_600_000_000,) * 2)
    whole.rename(box / "whole.mkv")
    monkeypatch.setenv("AMISS_MAX_DURATION_H", "0.1")
    with caplog.at_level(logging.WARNING, "amiss.watch"), wall() as made:
        worker = made.watch(f"folder:{box}", once=True)
        worker.join(40)
    assert worker.error is None
    told = [record.getMessage() for record in caplog.records]
    cut, long = sorted(text for text in told if "can't be read to its end" in text)
    assert "cut.mkv" in cut
    assert re.search(r"about \d\d % of the stated 8\.0 s is missing", cut)
    assert "long.mkv" in long
    assert "longer than 0.1 h" in long
    assert sorted(remembered(box)) == ["cut.mkv", "long.mkv", "whole.mkv"]


@pytest.mark.faults
def test_the_log_names_every_file_its_damage_and_what_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    drop(tmp_path / "a.ts", 4, 55 * 16, ((0, 55 * 16),))
    (tmp_path / "b\n.mp4").write_bytes(b"no video")
    os.utime(tmp_path / "b\n.mp4", (1_600_000_000 - 3,) * 2)
    (tmp_path / "c.mp4").symlink_to(tmp_path / "c.mp4")  # can't be read
    drop(tmp_path / "d.ts", 1, 64, ())
    engine = BrightnessEngine()
    engine.fail = lambda value: value > 0.6
    with caplog.at_level(logging.INFO, "amiss.watch"), wall(engine=engine) as made:
        worker = made.watch(f"folder:{tmp_path}", once=True)
        worker.join(20)
    assert worker.error is None
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert [(level, text) for level, text in told if level == "INFO"] == [
        ("INFO", f"yard: {text}")
        for text in ("c.mp4 begins", "a.ts begins", "b\\n.mp4 begins", "d.ts begins", "d.ts ended")
    ]  # fmt: skip
    unread, unscored, damaged = (text for level, text in told if level == "WARNING")
    assert unread.startswith("yard: c.mp4 is left out until the next start: can't be read: ")
    assert unscored.startswith("yard: a.ts is left out until the next start: 5")
    assert damaged.startswith(r"yard: b\n.mp4 is damaged: can't be read as a video: ")
    assert worker.counters().damaged == 3
    assert sorted(remembered(tmp_path)) == ["b\n.mp4", "d.ts"]


def test_a_score_says_in_which_file_its_clip_is_and_where(tmp_path: Path) -> None:
    (tmp_path / "drop").mkdir()
    drop(tmp_path / "drop" / "a.ts", 1, 32, ())
    drop(tmp_path / "drop" / "b.ts", 0, 32, ())
    with wall() as made:
        made.watch(f"folder:{tmp_path / 'drop'}", once=True).join(20)
    assert [(scored.file, scored.file_s) for scored in made.scores] == [
        (name, pytest.approx(seconds)) for name in ("a.ts", "b.ts") for seconds in (0.0, 0.64)
    ]


def test_a_replayed_files_events_say_where_they_are_and_are_new_ones_each_time(tmp_path: Path) -> None:
    path = drop(tmp_path / "a night.ts", 0, 64, ((16, 48),))
    found = []
    for query in ("speed=0", "speed=0", "speed=0&loop=1"):
        with wall() as made:
            made.watch(f"replay:{path}?{query}")
            eventually(lambda made=made: any(event.state == "closed" for event in made.events))
        found.append(made.events[0])
    assert [(event.file, event.file_s) for event in found] == [
        ("a night.ts", pytest.approx(0.64)), ("a night.ts", pytest.approx(0.64)), (None, None)
    ]  # fmt: skip
    assert len({event.event_id for event in found}) == 3


@pytest.mark.faults
def test_a_kill_within_a_file_doubles_neither_event_nor_alert(detector: Path, tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy", reason="needs amiss[watch]")
    pytest.importorskip("httpx", reason="needs amiss[dev]")
    from helpers import service

    folder = tmp_path / "drop"
    folder.mkdir()
    parts = [(1, 50), (9, 75), (1, 100), (9, 75), (1, 350)]
    for index, (name, scene) in enumerate((("a.mp4", parts), ("b.mp4", [(1, 50), (9, 60)]))):
        os.utime(write_scene(folder / name, scene), (1_600_000_000 + index,) * 2)
    config = f"""
detector: {detector}
cameras:
  yard: {{url: "folder:{folder}", alarm: {{on: 0.5, smoothing_s: 0}}}}
channels:
  file: {{kind: log, path: alerts.jsonl}}
rules:
  - {{name: opened, channels: [file], cooldown_s: 0}}
  - {{name: closed, channels: [file], on: closed, cooldown_s: 0}}
"""
    with service.watching(tmp_path, config, "--once") as watch:
        service.wait_for(lambda: len(watch.events()) == 2, 300, "two events")
        assert watch.stop(signal.SIGKILL) == -signal.SIGKILL
    before = [row["event_id"] for row in watch.events()]
    assert remembered(folder) == []
    with service.watching(tmp_path, config, "--once") as watch:
        assert watch.process.wait(300) == 0
    rows = watch.events()
    assert [row["state"] for row in rows] == ["closed"] * 3
    assert [row["event_id"] for row in rows][:2] == before
    assert remembered(folder) == ["a.mp4", "b.mp4"]
    told = sorted((line["event"]["event_id"], line["rule"]) for line in service.alerts(tmp_path))
    assert told == sorted((row["event_id"], rule) for row in rows for rule in ("opened", "closed"))
    for row in rows:
        assert count_frames(tmp_path / "media" / row["clip"]) > 50
        assert row["problem"] is None
