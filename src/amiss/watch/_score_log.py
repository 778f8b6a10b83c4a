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
from amiss.files import ends_with_line

_COLUMNS = ("time", "camera", "score", "smoothed", "event_id", "file", "seconds")


class ScoreLog:
    """Appends one line per clip: time (UTC, of the clip's end), camera, score, smoothed score, open event; of a file
    also its name and the seconds from its first frame to the clip's.

    A disk that is full loses lines, never the watching: `problem` says so.

    Raises:
        UsageError: the file ends neither in .csv nor in .jsonl, or is a .csv with other columns.
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
            _check_columns(path, self._as_csv)
            self._file: TextIO = path.open("a", encoding="utf-8", buffering=1, newline="")
            if self._as_csv and not self._file.tell():
                self._file.write(",".join(_COLUMNS) + "\n")
            elif not ends_with_line(path):  # half a line, of a power cut
                self._file.write("\n")
        except OSError as error:
            raise OutputError(f"can't write {path}: {error.strerror}") from error

    def write(
        self,
        time: datetime,
        camera: str,
        score: float,
        smoothed: float,
        event_id: str | None,
        file: str | None = None,
        seconds: float | None = None,
    ) -> None:
        """Append a line; whole lines only, from any thread."""
        into = None if seconds is None else round(seconds, 3)
        values = (time.isoformat(), camera, round(score, 6), round(smoothed, 6), event_id, file, into)
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


def _check_columns(path: Path, as_csv: bool) -> None:
    if not as_csv or not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        header = file.readline().strip()
    if header and header != ",".join(_COLUMNS):
        raise UsageError(f"--log {path}: its columns are not {','.join(_COLUMNS)}; give another file, or move it away")
