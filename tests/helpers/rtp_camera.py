"""A camera for tests: H.264 over RTSP (interleaved in TCP) whose time stamps run at any rate."""

import functools
import struct
import threading
import time
from contextlib import suppress
from typing import BinaryIO

import av
import numpy as np

from helpers.streams import FPS, Connection

SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\nc=IN IP4 0.0.0.0\r\n"
    "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:streamid=0\r\n"
)


@functools.cache
def pictures(n: int = 50, gop: int = 10) -> tuple[tuple[bytes, ...], ...]:
    """The NAL units of each of n encoded pictures of 96x64."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.framerate = 96, 64, "yuv420p", FPS
    encoder.gop_size = gop
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency"}
    found = []
    for index in range(n):
        image = np.full((64, 96, 3), 40, np.uint8)
        image[:, index * 4 % 96 :][:, :16] = 230
        picture = av.VideoFrame.from_ndarray(image, format="rgb24")
        picture.pts = index
        for packet in encoder.encode(picture):
            units = bytes(packet).replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")
            found.append(tuple(unit for unit in units if unit))
    return tuple(found)


class RtspCamera:
    """Plays for ever, as a script of FakeCamera.

    Args:
        rate: seconds of its stamps in a second.
        fps: pictures in a second.
    """

    def __init__(self, rate: float = 1.0, fps: float = FPS) -> None:
        self.rate, self.fps = rate, fps

    def __call__(self, connection: Connection) -> None:
        connection.sock.settimeout(600)
        lines = connection.sock.makefile("rb")
        while True:
            head = iter(lambda: lines.readline().decode().strip(), "")
            method, *rest = next(head, "").split(" ")
            fields = dict(line.split(": ", 1) for line in head)
            if not rest:
                return
            answer = {"OPTIONS": "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n",
                      "DESCRIBE": f"Content-Type: application/sdp\r\nContent-Length: {len(SDP)}\r\n",
                      "SETUP": "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n",
                      }.get(method, "Session: 1\r\n")  # fmt: skip
            body = SDP if method == "DESCRIBE" else ""
            connection.sock.sendall(f"RTSP/1.0 200 OK\r\nCSeq: {fields['CSeq']}\r\n{answer}\r\n{body}".encode())
            if method == "PLAY":
                threading.Thread(target=_drop, args=(lines,), daemon=True).start()  # what the client still says
                self._play(connection)

    def _play(self, connection: Connection) -> None:
        began, sequence, index = time.monotonic(), 0, 0
        while True:
            connection.wait(began + index / self.fps - time.monotonic())
            stamp = round(index / self.fps * self.rate * 90_000) % 2**32
            units = pictures()[index % len(pictures())]
            for number, unit in enumerate(units):
                marker = 0x80 if number == len(units) - 1 else 0
                packet = struct.pack(">BBHII", 0x80, marker | 96, sequence % 2**16, stamp, 7) + unit
                connection.sock.sendall(struct.pack(">cBH", b"$", 0, len(packet)) + packet)
                sequence += 1
            index += 1


def _drop(lines: BinaryIO) -> None:
    with suppress(OSError, ValueError):
        while lines.read1():
            pass
