"""Where alerts arrive: a webhook that can be told to misbehave, and that remembers what it said."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from soak._scene import now_s

Manner = Literal["takes", "refuses", "drips", "hangs up", "silent"]


@dataclass(frozen=True)
class Arrival:
    """An alert that was answered with yes."""

    key: str
    time_s: float


class Receiver:
    """An HTTP server on loopback."""

    def __init__(self) -> None:
        self.manner: Manner = "takes"
        self.arrivals: list[Arrival] = []
        """In their order."""
        self.n_not_taken = 0
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver._answer(self, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: BaseHTTPRequestHandler, alert: dict[str, Any]) -> None:
        manner = self.manner
        try:
            if manner == "takes":
                with self._lock:
                    self.arrivals.append(Arrival(alert["id"], now_s()))
                request.send_response(204)
                request.end_headers()
                return
            with self._lock:
                self.n_not_taken += 1
            if manner == "refuses":
                request.send_response(503, "\x1b[31mnot now")
                request.end_headers()
            elif manner == "drips":
                while True:
                    request.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                    time.sleep(0.2)
            elif manner == "silent":
                time.sleep(60)
            request.close_connection = True
        except OSError:
            pass  # the sender has gone
