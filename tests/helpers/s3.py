"""A real S3 server (moto's, a process on loopback) and buckets in it."""

import itertools
import os
import select
import socket
import socketserver
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Literal

import pytest

_numbers = itertools.count(1)


class S3Server:
    """A server, and before it a door that can be closed for a while."""

    def __init__(self, log: Path) -> None:
        self._log = log
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.inner = f"http://127.0.0.1:{self.port}"
        code = "import sys; from moto.server import main; main(sys.argv[1:])"
        with self._log.open("ab") as log_file:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code, "-H", "127.0.0.1", "-p", str(self.port)], stdout=log_file, stderr=log_file
            )

        self._door = _Door(self.port)
        self.address = f"http://127.0.0.1:{self._door.server_address[1]}"
        threading.Thread(target=self._door.serve_forever, daemon=True).start()

    @contextmanager
    def closed(self, how: Literal["refuse", "busy", "stall"]) -> Iterator[None]:
        """Within, connections are refused, requests are answered by 503, or hang after some bytes."""
        self._door.how = how
        try:
            yield
        finally:
            self._door.how = "open"

    @contextmanager
    def flapping(self, closed_s: float = 0.3, open_s: float = 0.3) -> Iterator[None]:
        """Within, the door is closed and open by turns."""
        over = threading.Event()

        def flap() -> None:
            for how in itertools.cycle(("busy", "open", "refuse", "open")):
                self._door.how = how
                if over.wait(open_s if how == "open" else closed_s):
                    return

        thread = threading.Thread(target=flap)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            self._door.how = "open"

    @property
    def n_turned_away(self) -> int:
        """Connections that met a closed door."""
        return self._door.n_turned_away

    def wait(self, timeout_s: float = 60) -> None:
        until_s = time.monotonic() + timeout_s
        while True:
            try:
                with urllib.request.urlopen(f"{self.inner}/moto-api/", timeout=5):
                    return
            except OSError:
                assert self.process.poll() is None, self._log.read_text()
                assert time.monotonic() < until_s, self._log.read_text()
                time.sleep(0.1)

    def requests(self) -> list[str]:
        """Lines of its log, one a request."""
        return [line for line in self._log.read_text().splitlines() if '"' in line]

    def stop(self) -> None:
        self._door.shutdown()
        self._door.server_close()
        self.process.kill()
        self.process.wait()


class _Door(socketserver.ThreadingTCPServer):
    daemon_threads = True
    how = "open"
    n_turned_away = 0

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Visitor)
        self.behind = port


class _Visitor(socketserver.BaseRequestHandler):
    server: _Door

    def handle(self) -> None:
        with suppress(OSError), closing(socket.create_connection(("127.0.0.1", self.server.behind))) as behind:
            other = {self.request: behind, behind: self.request}
            while True:
                for readable in select.select(list(other), [], [])[0]:
                    data = readable.recv(1 << 16)
                    if not data:
                        return
                    if readable is self.request and self.server.how != "open":
                        self.server.n_turned_away += 1
                        if self.server.how == "refuse":
                            return
                        if self.server.how == "busy":
                            self.request.sendall(_BUSY)
                            return
                        while self.server.how == "stall":
                            time.sleep(0.05)
                        return
                    other[readable].sendall(data)


_ANSWER = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Slow down.</Message></Error>"
_BUSY = b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nConnection: close\r\nContent-Length: "
_BUSY += b"%d\r\n\r\n%s" % (len(_ANSWER), _ANSWER)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A server, to which this process and those that it starts turn with `s3://`."""
    pytest.importorskip("moto")
    server = S3Server(tmp_path_factory.mktemp("s3") / "log")
    names = {"AWS_ENDPOINT_URL": server.address, "AWS_ACCESS_KEY_ID": "TESTKEYID", "AWS_DEFAULT_REGION": "us-east-1"}
    names |= {"AWS_SECRET_ACCESS_KEY": "TESTSECRET", "AWS_MAX_ATTEMPTS": "1"}
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    try:
        server.wait()
        yield server
    finally:
        server.stop()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@pytest.fixture
def bucket(s3_server: S3Server) -> str:
    """`s3://…` of a new bucket."""
    import s3fs

    name = f"bucket{os.getpid()}x{next(_numbers)}"
    s3fs.S3FileSystem(use_listings_cache=False).mkdir(name)
    return f"s3://{name}"
