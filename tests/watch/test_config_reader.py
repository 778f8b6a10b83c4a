"""A configuration is read in a thread of its own: whatever happens there, the supervising thread goes on."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy", reason="needs amiss[watch]")

from amiss.errors import ConfigError
from amiss.watch._config_reader import ConfigReader
from helpers.service import wait_for


class Reading:
    """A reader whose file is text, and what became of it."""

    def __init__(self, path: Path) -> None:
        self.path, self.made, self.held = path, list[str](), threading.Event()
        self.held.set()
        path.write_text("first")
        self.reader = ConfigReader(path, self.prepare)
        self.reader.start()

    def prepare(self) -> str:
        self.held.wait()
        text = self.path.read_text()
        if text.startswith("bad"):
            raise {"bad": ConfigError, "bad memory": MemoryError, "bad exit": SystemExit}[text](text)
        return text

    def make(self, text: str) -> None:
        if text == "fails":
            raise RuntimeError("rtsp://user:sesame@h/")
        self.made.append(text)

    def has_made(self, text: str) -> bool:
        self.reader.take(self.make)
        return self.made[-1:] == [text]


@pytest.fixture
def reading(tmp_path: Path) -> Reading:
    return Reading(tmp_path / "watch.yaml")


def test_changes_are_made_and_mistakes_of_all_types_are_said(reading: Reading) -> None:
    reader = reading.reader
    for text in ("bad", "bad memory", "bad exit"):
        reading.path.write_text(text)
        wait_for(lambda: text in reader.problem, 5, text)  # noqa: B023
    reading.path.write_text("second")
    wait_for(lambda: reading.has_made("second"), 5)
    assert reader.problem == ""
    reading.path.write_text("fails")
    wait_for(lambda: reading.has_made("fails") or "RuntimeError" in reader.problem, 5)
    assert "sesame" not in reader.problem
    reading.path.unlink()
    wait_for(lambda: "FileNotFoundError" in reader.problem, 5)
    reading.path.write_text("third")
    wait_for(lambda: reading.has_made("third"), 5)
    reader.ask()
    reading.made.clear()
    wait_for(lambda: reading.has_made("third"), 5, "reading what didn't change")
    reader.stop()


def test_a_reading_that_hangs_holds_up_nothing(reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amiss.watch._config_reader._LONG_S", 0.5)
    reader = reading.reader
    reading.held.clear()
    reader.ask()
    wait_for(lambda: "it has taken" in reader.slowness, 5, "a word of it")
    began = time.monotonic()
    reader.take(reading.make)
    with reader.idle(0.1) as is_idle:
        assert not is_idle
    reader.stop()
    assert time.monotonic() - began < 1
    reading.held.set()


def test_a_file_that_is_being_written_waits(reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []

    def stamp(_: Path) -> tuple[int, int, int]:
        looks.append(min(len(looks), 6))  # it grows until the sixth look
        return (0, looks[-1], 0)

    monkeypatch.setattr("amiss.watch._config_reader._stamp", stamp)
    reading.path.write_text("bad")
    wait_for(lambda: reading.reader.problem, 10, "reading it")
    assert len(looks) >= 8  # the first after which it is the same
    reading.reader.stop()
