"""A camera for tests: MPEG-TS over HTTP from a thread, which can be told to misbehave."""

import functools
import io
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from PIL import Image

FPS = 25


@functools.cache
def transport_stream(
    n_frames: int = 50,
    size: tuple[int, int] = (96, 64),
    gop: int = 10,
    start_s: float = 0.0,
    bright: tuple[tuple[int, int], ...] = (),
) -> tuple[bytes, ...]:
    """A bar that wanders, one chunk of MPEG-TS per frame; the first has the tables and a keyframe.

    Args:
        n_frames: at 25 frames/s.
        size: width and height.
        gop: frames from one keyframe to the next.
        start_s: time stamp of the first.
        bright: frames [start, end) whose background is white.
    """
    chunks: list[bytes] = []
    collected = bytearray()

    class Sink:
        def write(self, data: bytes) -> int:
            collected.extend(data)
            return len(data)

    options = {"flush_packets": "1", "pat_period": "0.2"}
    with av.open(Sink(), "w", format="mpegts", options=options) as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "tune": "zerolatency"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = gop
        stream.codec_context.thread_count = 1
        for index in range(n_frames):
            is_bright = any(start <= index < end for start, end in bright)
            image = np.full((size[1], size[0], 3), 220 if is_bright else 40, np.uint8)
            left = index * 4 % size[0]
            image[:, left : left + 16] = 140 if is_bright else 230
            picture = av.VideoFrame.from_ndarray(image, format="rgb24")
            picture.pts = index + round(start_s * FPS)
            for packet in stream.encode(picture):
                container.mux(packet)
            chunks.append(bytes(collected))
            collected.clear()
        for packet in stream.encode():
            container.mux(packet)
    chunks[-1] += bytes(collected)
    return tuple(chunks)


class Connection:
    """One client of the camera."""

    def __init__(self, sock: socket.socket, number: int, camera: "FakeCamera") -> None:
        self.sock = sock
        self.number = number
        self.camera = camera

    def answer(self) -> None:
        """Read the request, promise a transport stream."""
        self.sock.recv(4096)
        self.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\nConnection: close\r\n\r\n")

    def play(self, chunks: tuple[bytes, ...], speed: float = 10.0) -> None:
        """Send frames in time, `speed` times as fast as they were taken."""
        began = time.monotonic()
        for index, chunk in enumerate(chunks):
            self.wait(began + index / FPS / speed - time.monotonic())
            self.sock.sendall(chunk)

    def answer_mjpeg(self) -> None:
        """Read the request, promise JPEG pictures one after the other: no time stamps."""
        self.sock.recv(4096)
        self.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n")

    def send_jpeg(self, data: bytes) -> None:
        """One part of what `answer_mjpeg` promised."""
        self.sock.sendall(b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data))
        self.sock.sendall(data + b"\r\n")

    def play_mjpeg(self, n_pictures: int, fps: float) -> None:
        """Send pictures in time, each a little redder than the one before."""
        began = time.monotonic()
        for index in range(n_pictures):
            self.wait(began + index / fps - time.monotonic())
            self.send_jpeg(jpeg(index % 250))

    def wait(self, seconds: float) -> None:
        """Do nothing; end with the camera."""
        if self.camera.closing.wait(max(0.0, seconds)):
            raise ConnectionAbortedError


class FakeCamera:
    """Listens on loopback and does with each connection what the script says; gone outside its `with` block.

    Args:
        script: called with each connection, in a thread of its own; its end closes the connection.
        port: 0 takes a free one.
    """

    def __init__(self, script: Callable[[Connection], None], port: int = 0) -> None:
        self.script = script
        self.closing = threading.Event()
        self.n_connections = 0
        self._threads: list[threading.Thread] = []
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", port))
        self._listener.listen()
        self._listener.settimeout(0.05)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/live.ts"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def _start(self, target: Callable[..., None], *args: object) -> None:
        self._threads.append(threading.Thread(target=target, args=args, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                sock, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            self.n_connections += 1
            self._start(self._serve, sock, self.n_connections)

    def _serve(self, sock: socket.socket, number: int) -> None:
        with sock:
            sock.settimeout(5)
            with suppress(OSError):
                self.script(Connection(sock, number, self))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self._listener.close()
        for thread in self._threads:
            thread.join(timeout=5)


def jpeg(red: int) -> bytes:
    """A picture of 64x48 in one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), (red, 0, 0)).save(buffer, "JPEG")
    return buffer.getvalue()


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def write_stream(path: Path, **options: object) -> Path:
    """The same pictures as a file."""
    path.write_bytes(b"".join(transport_stream(**options)))  # type: ignore[arg-type]
    return path
