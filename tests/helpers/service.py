"""`amiss watch` as a process."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from helpers.streams import free_port

AMISS = [sys.executable, "-m", "amiss"]
BUSY = 5
"""How many times as long everything may take on a machine that does much else; only what fails waits so long."""


def wait_for(condition: Callable[[], Any], timeout_s: float = 60.0, what: str = "it") -> Any:
    until = time.monotonic() + BUSY * timeout_s
    while not (value := condition()):
        assert time.monotonic() < until, f"{what} did not happen within {BUSY * timeout_s} s"
        time.sleep(0.1)
    return value


class Watch:
    """A running `amiss watch`, or `amiss serve`; `http` are further settings of its server."""

    def __init__(self, folder: Path, config: str, *options: str, command: str = "watch", http: str = "") -> None:
        self.folder, self.file, self._http = folder, folder / "watch.yaml", http
        self.port = free_port()
        self.write(config)
        self.log = (folder / "log.txt").open("ab")
        self.process = subprocess.Popen(
            [*AMISS, command, str(self.file), *options], stderr=self.log, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )

    def write(self, config: str) -> None:
        self.file.write_text(config + f"\nhttp: {{port: {self.port}, {self._http}}}\n")

    def get(self, path: str) -> Any:
        # certificates, which nobody needs here, take longer to load than the answer
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=10, verify=False)

    def camera(self, name: str) -> dict[str, Any]:
        try:
            return next((c for c in self.get("/api/cameras").json() if c["name"] == name), {})
        except httpx.HTTPError:
            return {}

    def metric(self, line: str) -> float:
        found = re.search(rf"^{re.escape(line)} (.*)$", self.get("/metrics").text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def events(self) -> list[dict[str, Any]]:
        """Rows of the database, which is read while it is written."""
        database = self.folder / "amiss.db"
        if not database.exists():
            return []
        connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
        connection.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in connection.execute("select * from events order by started")]
        except sqlite3.OperationalError:
            return []
        finally:
            connection.close()

    def text(self) -> str:
        return (self.folder / "log.txt").read_text()

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(timeout=BUSY * 60)
        self.log.close()
        return code


@contextmanager
def watching(folder: Path, config: str, *options: str, command: str = "watch", http: str = "") -> Iterator[Watch]:
    watch = Watch(folder, config, *options, command=command, http=http)
    try:
        yield watch
        assert "Traceback" not in watch.text(), watch.text()
    finally:
        if watch.process.poll() is None:
            watch.process.kill()
            watch.process.wait()
        watch.log.close()


def alerts(folder: Path) -> list[dict[str, Any]]:
    file = folder / "alerts.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
