"""Scores as they come, to a CSV or JSON-lines file."""

from __future__ import annotations

import csv
import io
import json
import threading
from datetime import datetime
from pathlib import Path
from typing import TextIO

from amiss.errors import OutputError, UsageError

_COLUMNS = ("time", "camera", "score", "smoothed", "event_id")


class ScoreLog:
    """Appends one line per clip: time (UTC, of the clip's end), camera, score, smoothed score, open event.

    A disk that is full loses lines, never the watching: `problem` says so.

    Raises:
        UsageError: the file ends neither in .csv nor in .jsonl.
        OutputError: it can't be opened.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix not in (".csv", ".jsonl"):
            raise UsageError(f"--log {path}: it must end in .csv or .jsonl")
        self.path = path
        self.problem = ""
        self._as_csv = path.suffix == ".csv"
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: TextIO = path.open("a", encoding="utf-8", buffering=1, newline="")
            if self._as_csv and not self._file.tell():
                self._file.write(",".join(_COLUMNS) + "\n")
        except OSError as error:
            raise OutputError(f"can't write {path}: {error.strerror}") from error

    def write(self, time: datetime, camera: str, score: float, smoothed: float, event_id: str | None) -> None:
        """Append a line; whole lines only, from any thread."""
        values = (time.isoformat(), camera, round(score, 6), round(smoothed, 6), event_id)
        if self._as_csv:
            buffer = io.StringIO()
            csv.writer(buffer, lineterminator="\n").writerow(values)
            line = buffer.getvalue()
        else:
            line = json.dumps(dict(zip(_COLUMNS, values, strict=True))) + "\n"
        with self._lock:
            try:
                self._file.write(line)
                self.problem = ""
            except OSError as error:
                self.problem = f"can't write {self.path}: {error.strerror}"

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            try:
                self._file.close()
            except OSError as error:
                self.problem = f"can't write {self.path}: {error.strerror}"
