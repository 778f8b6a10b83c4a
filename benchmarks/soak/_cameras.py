"""Cameras on loopback that can be told to misbehave: MPEG-TS and MJPEG over HTTP, and a folder that gets files."""

from __future__ import annotations

import io
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av

from amiss.video import VideoWriter
from soak._scene import FPS, SIZE, Scene, now_s, picture

Mode = Literal["well", "gone", "stalled", "garbage"]

_TS_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\nConnection: close\r\n\r\n"
_MJPEG_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=next\r\nConnection: close\r\n\r\n"


class HttpCamera:
    """Serves a scene as it is now to whoever connects.

    Args:
        name: of the camera.
        scene: what it sees.
        is_mjpeg: pictures one after the other without any time stamp; else H.264 in MPEG-TS.
    """

    def __init__(self, name: str, scene: Scene, *, is_mjpeg: bool) -> None:
        self.name, self.scene, self.is_mjpeg = name, scene, is_mjpeg
        self.mode: Mode = "well"
        self.mode_since_s = now_s()
        self.clock_jump_s = 0.0
        self.delivered: list[tuple[float, float]] = []
        """Times from the first to the last picture of each stretch without a fault."""
        self._closing = threading.Event()
        self._listener = _listener(0)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/live.{'mjpg' if is_mjpeg else 'ts'}"
        threading.Thread(target=self._accept, daemon=True).start()

    def set_mode(self, mode: Mode) -> None:
        """Behave so from now on."""
        self.mode, self.mode_since_s = mode, now_s()
        if mode == "gone":
            self._listener.close()
        elif self._listener.fileno() == -1:
            self._listener = _listener(self.port)

    def close(self) -> None:
        """End all connections."""
        self._closing.set()
        self._listener.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                time.sleep(0.1)  # it is gone for a while
                continue
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(10)
            connection.recv(65536)
            connection.sendall(_MJPEG_HEAD if self.is_mjpeg else _TS_HEAD)
            self._play(connection)

    def _play(self, connection: socket.socket) -> None:
        chunks = self._mjpeg() if self.is_mjpeg else self._transport_stream()
        began = last = 0.0
        try:
            for taken_s, chunk in chunks:
                mode = self.mode
                if mode == "gone" or self._closing.is_set():
                    return
                if mode == "well":
                    connection.sendall(chunk)
                    began, last = began or taken_s, taken_s
                else:
                    if began:
                        self.delivered.append((began, last))
                        began = 0.0
                    if mode == "garbage":
                        connection.sendall(os.urandom(500))
        finally:
            if began:
                self.delivered.append((began, last))

    def _moments(self) -> Iterator[float]:
        """The time of each picture, when it is due."""
        began = time.monotonic()
        index = 0
        while True:
            time.sleep(max(0.0, began + index / FPS - time.monotonic()))
            yield now_s()
            index += 1

    def _mjpeg(self) -> Iterator[tuple[float, bytes]]:
        for at_s in self._moments():
            encoder = av.CodecContext.create("mjpeg", "w")
            encoder.height, encoder.width = SIZE
            encoder.pix_fmt, encoder.time_base = "yuvj420p", Fraction(1, FPS)
            frame = av.VideoFrame.from_ndarray(self.scene.image(at_s), format="rgb24")
            jpeg = bytes(encoder.encode(frame.reformat(format="yuvj420p"))[0])
            head = b"--next\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
            yield at_s, head + jpeg + b"\r\n"

    def _transport_stream(self) -> Iterator[tuple[float, bytes]]:
        sink = _Sink()
        options = {"flush_packets": "1", "pat_period": "0.2"}
        with av.open(sink, "w", format="mpegts", options=options) as container:
            stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "tune": "zerolatency"})
            stream.height, stream.width = SIZE
            stream.pix_fmt = "yuv420p"
            stream.codec_context.gop_size = FPS
            stream.codec_context.thread_count = 1
            for index, at_s in enumerate(self._moments()):
                frame = av.VideoFrame.from_ndarray(self.scene.image(at_s), format="rgb24")
                frame.pts = index
                for packet in stream.encode(frame):
                    assert packet.time_base is not None
                    jump = round(self.clock_jump_s / packet.time_base)
                    packet.pts, packet.dts = (packet.pts or 0) + jump, (packet.dts or 0) + jump
                    container.mux(packet)
                yield at_s, sink.take()


class _Sink:
    def __init__(self) -> None:
        self._buffer = io.BytesIO()

    def write(self, data: bytes) -> int:
        return self._buffer.write(data)

    def take(self) -> bytes:
        data = self._buffer.getvalue()
        self._buffer = io.BytesIO()
        return data


def _listener(port: int) -> socket.socket:
    listener = socket.create_server(("127.0.0.1", port))
    listener.settimeout(0.2)
    return listener


class DropBox:
    """A folder that gets a video with one anomaly in it, again and again.

    Args:
        folder: where they go.
        every_s: time between two files.
    """

    def __init__(self, folder: Path, every_s: float) -> None:
        self.folder, self._every_s = folder, every_s
        self.dropped: dict[str, float] = {}
        """File → when it was put there."""
        folder.mkdir(parents=True)
        self._template = folder.with_name("template.mp4")
        with VideoWriter(self._template, FPS, SIZE[1], SIZE[0]) as writer:
            for index in range(18 * FPS):
                writer.write(picture(index, is_fast=6 * FPS <= index < 12 * FPS))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._drop, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Put no more there."""
        self._stop.set()
        self._thread.join()

    def _drop(self) -> None:
        data = self._template.read_bytes()
        while not self._stop.wait(self._every_s):
            name = f"{len(self.dropped):05}.mp4"
            temporary = self.folder.with_name(f"{name}.part")
            temporary.write_bytes(data)
            self.dropped[name] = now_s()
            temporary.rename(self.folder / name)
