"""What clients can't do to a watcher: hold its descriptors, its places for viewers, or read it under another name."""

# ruff: noqa: E402  # what can't be imported skips the tests

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs amiss[watch]")
httpx = pytest.importorskip("httpx", reason="needs amiss[dev]")

from amiss.errors import OutputError
from amiss.watch.camera import CameraStatus
from amiss.watch.config import HttpSettings
from amiss.watch.http import HttpServer, Preview, create_app
from helpers.service import wait_for
from helpers.streams import free_port


def fake_view(preview: Preview | None = None) -> Any:
    return SimpleNamespace(alive=lambda: True, not_ready=list, cameras=list, preview=lambda _: preview)


@contextmanager
def serving(view: Any = None, **settings: Any) -> Iterator[HttpServer]:
    server = HttpServer(create_app(view or fake_view()), HttpSettings(**{"port": 0} | settings))
    server.start()
    try:
        yield server
    finally:
        server.stop()


def is_served(server: HttpServer) -> bool:
    return bool(httpx.get(f"http://127.0.0.1:{server.port}/health/live", timeout=5).status_code == 200)


def is_closed(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def connect(server: HttpServer, first: bytes = b"") -> socket.socket:
    client = socket.create_connection(("127.0.0.1", server.port), timeout=5)
    client.sendall(first)
    return client


def test_idle_connections_keep_nobody_out() -> None:
    with ExitStack() as stack:
        server = stack.enter_context(serving(max_connections=8))
        clients = [stack.enter_context(connect(server)) for _ in range(60)]
        assert is_served(server)
        wait_for(lambda: sum(map(is_closed, clients)) >= 52, 10, "the end of those that waited longest")
        assert not is_closed(clients[-1])


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx",  # answered; its body never comes
        b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\nGET /health/live HTTP/1.1\r\nHost: localhost\r\n",
    ],
)
def test_a_request_that_does_not_come_is_not_waited_for(first: bytes) -> None:
    with serving(request_timeout_s=0.5) as server, connect(server, first) as client:
        began, ended = time.monotonic(), threading.Event()

        def drip() -> None:
            while not ended.wait(0.1):
                try:
                    client.send(b"x")
                except OSError:
                    return

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            client.settimeout(8)
            with suppress(ConnectionError):  # it may be cut off amid what it sends
                while client.recv(4096):
                    pass
            assert time.monotonic() - began < 5
        finally:
            ended.set()
            dripping.join()
        assert is_served(server)


def noise() -> Callable[[], Any]:
    rng = np.random.default_rng(0)
    return lambda: SimpleNamespace(time=datetime.now(UTC), image=rng.integers(0, 255, (480, 640, 3), np.uint8))


def test_a_viewer_that_never_reads_gives_its_place_back() -> None:
    preview = Preview(CameraStatus("door", "rtsp://h/", "detector", 0.7, 0.5, "by hand"), 1, noise())
    with serving(fake_view(preview), send_timeout_s=1) as server:
        url = f"http://127.0.0.1:{server.port}/cameras/door.mjpg"
        with connect(server, b"GET /cameras/door.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n"):
            wait_for(lambda: preview.viewers == 1, 5, "the viewer")
            assert httpx.get(url).status_code == 503
            wait_for(lambda: preview.viewers == 0, 30, "its end")
            with httpx.stream("GET", url, timeout=5) as answer:
                assert answer.status_code == 200
                assert len(next(answer.iter_raw())) > 100


def test_a_viewer_of_a_still_camera_that_never_reads_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amiss.watch.http._app._STILL_S", 0.05)
    picture = noise()()
    preview = Preview(CameraStatus("door", "rtsp://h/", "detector", 0.7, 0.5, "by hand"), 1, lambda: picture)
    look = b"GET /cameras/door.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with serving(fake_view(preview), send_timeout_s=1) as server, connect(server, look):
        wait_for(lambda: preview.viewers == 1, 5, "the viewer")
        wait_for(lambda: preview.viewers == 0, 30, "its end")


def test_a_viewer_that_reads_slowly_keeps_its_place() -> None:
    preview = Preview(CameraStatus("door", "rtsp://h/", "detector", 0.7, 0.5, "by hand"), 1, noise())
    look = b"GET /cameras/door.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with serving(fake_view(preview), send_timeout_s=1) as server, connect(server, look) as client:
        until = time.monotonic() + 3
        while time.monotonic() < until:
            assert client.recv(40_000)
            time.sleep(0.05)
        assert preview.viewers == 1


PUBLIC = {"host": "0.0.0.0", "allow_public": True}
BASE = {"base_url": "https://Cams.example.org/watch"}


@pytest.mark.parametrize(
    ("settings", "host", "status"),
    [
        ({}, "localhost", 200),
        ({}, "127.0.0.1:8720", 200),
        ({}, "[::1]:8720", 200),
        ({}, "evil.example", 400),
        ({}, "", 400),
        (BASE, "cams.example.org", 200),
        (PUBLIC, "anything.example", 200),  # nobody said under which name it is reached
        (PUBLIC | BASE, "evil.example", 400),
        (PUBLIC | BASE, "evil.example:8720", 400),
        (PUBLIC | BASE, "cams.example.org.evil.example", 400),
        (PUBLIC | BASE, "cams.example.org@evil.example", 400),
        (PUBLIC | BASE, "192.0.2.9", 400),
        (PUBLIC | BASE, "[::1", 400),
        (PUBLIC | BASE, "0.0.0.0", 400),
        (PUBLIC | BASE, "CAMS.example.org.:443", 200),
        (PUBLIC | BASE, "127.0.0.1", 200),
        (PUBLIC | BASE, "watch:8720", 400),
        (PUBLIC | BASE | {"hosts": ("watch", "192.0.2.9")}, "watch:8720", 200),
        (PUBLIC | BASE | {"hosts": ("watch", "192.0.2.9")}, "192.0.2.9", 200),
        (PUBLIC | {"hosts": ("watch",)}, "evil.example", 400),
        (PUBLIC | {"base_url": "http://127.0.0.1:8720"}, "evil.example", 400),  # as deploy/compose.yaml has it
        (PUBLIC | {"base_url": "http://127.0.0.1:8720"}, "127.0.0.1:8720", 200),
    ],
)
def test_requests_for_another_host_are_refused(settings: dict[str, Any], host: str, status: int) -> None:
    with serving(**settings) as server:
        for path in ("/api/cameras", "/health/live", "/"):
            answer = httpx.get(f"http://127.0.0.1:{server.port}{path}", headers={"Host": host})
            assert answer.status_code == (404 if (status, path) == (200, "/") else status), path


def test_a_server_takes_over_from_another() -> None:
    with serving() as first:
        second = HttpServer(create_app(fake_view()), first.settings.changed(max_viewers=1), instead_of=first)
        second.start()
        assert second.port == first.port
        first.stop()
        assert is_served(second)
        everywhere = second.settings.changed(host="0.0.0.0", allow_public=True, port=second.port)
        third = HttpServer(create_app(fake_view()), everywhere, instead_of=second)
        third.start()
        second.stop()
        assert is_served(third)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            for settings in (everywhere.changed(port=taken.getsockname()[1]), everywhere.changed(host="a..b")):
                with pytest.raises(OutputError, match="can't listen on"):
                    HttpServer(create_app(fake_view()), settings, instead_of=third)
        with pytest.raises(OutputError, match="already in use"):
            HttpServer(create_app(fake_view()), everywhere)  # nobody else may share it
        assert is_served(third)
        fourth = HttpServer(create_app(fake_view()), everywhere.changed(port=free_port()), instead_of=third)
        fourth.start()
        third.stop()
        assert is_served(fourth)
        fourth.stop()
