"""`amiss watch` as a process that is killed, frozen and started again, and what it says of itself."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from soak._scene import now_s


class Service:
    """The process. `outages` has the times in which it could see nothing."""

    def __init__(self, file: Path, port: int) -> None:
        self.file, self.port = file, port
        self.log = file.parent / "log.txt"
        self.outages: list[tuple[float, float]] = []
        self.ends: list[float] = []
        """When it was killed or stopped."""
        self.exit_codes: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None
        self.up_since_s = 0.0
        self._is_ending = False

    @property
    def pid(self) -> int | None:
        """Of the process, while it is to run."""
        return None if self._process is None or self._is_ending else self._process.pid

    @property
    def is_stopped(self) -> bool:
        """Whether it was ended for good."""
        return self._process is None

    @property
    def ended_by_itself(self) -> bool:
        """Whether it ended though nobody asked it to."""
        return not self._is_ending and self._process is not None and self._process.poll() is not None

    def start(self, timeout_s: float = 300.0) -> None:
        """Start it, and wait until it answers."""
        with self.log.open("ab") as log:
            environment = os.environ | {"OMP_NUM_THREADS": "1"}
            self._process = subprocess.Popen(
                [sys.executable, "-m", "amiss", "watch", str(self.file)], stderr=log, env=environment
            )
        until = time.monotonic() + timeout_s
        while self.get("/health/live") is None:
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"amiss watch doesn't start, see {self.log}")
            time.sleep(0.2)
        self.up_since_s = now_s()

    def end(self, number: int, timeout_s: float = 60.0) -> int:
        """Send a signal that ends it; returns the exit code."""
        assert self._process is not None
        self._is_ending = True
        self.ends.append(now_s())
        self._process.send_signal(number)
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._process, self._is_ending = None, False
        return code

    def restart(self, number: int) -> int:
        """End it with a signal and start it again."""
        began = now_s()
        code = self.end(number)
        self.start()
        self.outages.append((began, now_s()))
        return code

    def freeze(self, seconds: float) -> None:
        """Stop it for a while, as a machine does that sleeps."""
        began = now_s()
        self._signal(signal.SIGSTOP)
        time.sleep(seconds)
        self._signal(signal.SIGCONT)
        self.outages.append((began, now_s()))

    def reload(self) -> None:
        """Have it read its configuration."""
        self._signal(signal.SIGHUP)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def get(self, path: str, timeout_s: float = 10.0) -> bytes | None:
        """What it answers; None where it doesn't."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=timeout_s) as answer:
                body: bytes = answer.read()
                return body
        except urllib.error.HTTPError as error:
            with error:
                return error.read()
        except OSError:
            return None

    def cameras(self) -> dict[str, dict[str, Any]]:
        """By name; empty where it doesn't answer."""
        body = self.get("/api/cameras")
        return {} if body is None else {camera["name"]: camera for camera in json.loads(body)}

    def memory_mb(self) -> float:
        """Resident memory of the process, without its helpers."""
        try:
            found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text())
        except OSError:
            return 0.0
        return int(found[1]) / 1024 if found else 0.0

    def n_descriptors(self) -> int:
        """Open files of the process."""
        try:
            return sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())
        except OSError:
            return 0
