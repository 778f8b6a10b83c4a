"""`amiss watch` under a flood of connections: what is recorded lacks nothing."""

# ruff: noqa: E402  # what can't be imported skips the tests

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

resource = pytest.importorskip("resource", reason="no such limits on Windows")
pytest.importorskip("sqlalchemy", reason="needs amiss[watch]")
pytest.importorskip("httpx", reason="needs amiss[dev]")

from helpers.motion import write_scene
from helpers.service import alerts, wait_for, watching
from helpers.videos import count_frames

N = 1010


class Flood:
    """So many connections at a time, opened anew when they are closed; they say nothing."""

    def __init__(self, port: int) -> None:
        self.port, self.opened, self._ends = port, 0, threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        clients: list[socket.socket] = []
        while not self._ends.wait(0.2):
            gone = [client for client in clients if self._is_closed(client)]
            for client in gone:
                client.close()
            clients = [client for client in clients if client not in gone]
            while len(clients) < N and not self._ends.is_set():
                try:
                    client = socket.create_connection(("127.0.0.1", self.port), timeout=0.2)
                except OSError:
                    break
                client.setblocking(False)
                clients.append(client)
                self.opened += 1
        for client in clients:
            client.close()

    @staticmethod
    def _is_closed(client: socket.socket) -> bool:
        try:
            return client.recv(1) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def end(self) -> None:
        self._ends.set()
        self._thread.join()


@pytest.mark.faults
@pytest.mark.slow
def test_idle_connections_cost_neither_clip_nor_picture_nor_alert(detector: Path, tmp_path: Path) -> None:
    video = write_scene(tmp_path / "scene.mp4", [(1, 150), (9, 100), (1, 150)])
    config = f"""
detector: {detector}
defaults:
  alarm: {{smoothing_s: 1, merge_gap_s: 1}}
  record: {{pre_s: 2, post_s: 2}}
cameras:
  yard: {{url: "replay:{video}"}}
channels:
  file: {{kind: log, path: alerts.jsonl}}
rules:
  - {{name: all, channels: [file]}}
"""
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 4096), most))
    try:
        with watching(tmp_path, config) as watch:
            with suppress(PermissionError):
                resource.prlimit(watch.process.pid, resource.RLIMIT_NOFILE, (1024, 1024))
            wait_for(lambda: watch.camera("yard"), 60, "the server")
            flood = Flood(watch.port)
            try:
                wait_for(lambda: flood.opened > N, 60, "the flood")
                row = wait_for(lambda: next((r for r in watch.events() if r["clip"] and r["snapshot"]), None), 90, "it")
                (told,) = wait_for(lambda: alerts(tmp_path), 20, "the alert")
                assert watch.get("/health/live").status_code == 200
                assert len(list(Path(f"/proc/{watch.process.pid}/fd").iterdir())) < 400
                time.sleep(15)  # for a log that would grow
            finally:
                flood.end()
            assert watch.stop() == 0
            assert len(watch.text()) < 100_000
        assert told["event"]["event_id"] == row["event_id"]
        assert (row["state"], row["problem"]) in (("closed", None), ("open", None))
        assert count_frames(tmp_path / "media" / row["clip"]) > 80
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, most))
