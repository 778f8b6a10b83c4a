"""A folder's file, decoded in a process of its own: what that process says, as items of a live source."""

import io
import threading
from collections.abc import Generator, Iterator
from contextlib import suppress
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.container import InputContainer

from amiss.video._packets import EncodedPacket, EncodedStream
from amiss.video.live._decoding import LiveDecoder
from amiss.video.live._errors import LostError
from amiss.video.live._items import LiveFrame, LiveItem, LivePacket
from amiss.video.live._timeline import MediaTimeline
from amiss.video.worker import Message

FRAMES_AT_ONCE = 8
_HEADERS = {"mp4": {"movflags": "empty_moov+default_base_moof"}, "avi": {}}


class FromZero(MediaTimeline):
    """Of the process that decodes: seconds of the file alone. The watcher gives them their time."""

    def connect(self, wall: Any, now_s: float) -> None:
        """A file begins."""
        super().connect(wall, now_s)
        self._start_s = 0.0


def items_apart(decoder: LiveDecoder, answers: Iterator[Message]) -> Generator[LiveItem, None, LostError | None]:
    """All of a file, after the first answer; returns why the rest of it can't be read, if it can't.

    Raises:
        EndedError, VideoError: as the answers do.
    """
    copied: EncodedStream | None = None
    damaged = 0
    for answer in answers:
        values = answer.values
        decoder.count(damaged=values["damaged"] - damaged)
        damaged = values["damaged"]
        if answer.kind == "stream":
            copied = _stream(answer)
        elif answer.kind == "packet" and copied is not None:
            yield LivePacket(
                copied,
                EncodedPacket(
                    answer.data,
                    decoder.now(),
                    values["is_keyframe"],
                    values["pts"],
                    values["dts"],
                    values["duration"],
                    Fraction(*values["time_base"]),
                ),
            )
        elif answer.kind == "frame" and answer.image is not None:
            yield decoder.shown(np.array(answer.image), values["seconds"], values["file_s"])
        elif answer.kind == "end" and values["lost"]:
            lost = LostError(values["lost"])
            lost.__cause__ = OSError(values["errno"], "") if values["errno"] else None
            return lost
    return None


def header_of(stream: EncodedStream) -> tuple[str, bytes]:
    """What a file needs to know besides the packets, as the begin of a file without any, and the kind of that file;
    empty where none can hold it.

    The process that watches reads this, which another made, and nothing of the file.
    """
    for kind, options in _HEADERS.items():
        memory = io.BytesIO()
        with suppress(ValueError, IndexError, av.FFmpegError), av.open(memory, "w", kind, options=options) as container:
            container.add_stream_from_template(stream.template, opaque=True)
            container.start_encoding()
            data = memory.getvalue()
            with _opened(kind, data) as again:  # MP4 forgets the size of MPEG-4
                found = again.streams.video[0]
                if (found.width, found.height) == (stream.width, stream.height):
                    return kind, data
    return "", b""


def _opened(kind: str, data: bytes) -> InputContainer:
    return av.open(io.BytesIO(data), "r", format=kind, options={"codec_whitelist": "none"})


def _stream(answer: Message) -> EncodedStream | None:
    values = answer.values
    if values["header"] not in _HEADERS:
        return None
    try:
        with _opened(values["header"], answer.data) as container:
            stream = EncodedStream(container.streams.video[0], tuple(values["size"]))
    except (ValueError, IndexError, av.FFmpegError):
        return None
    stream.template.codec_context.extradata = bytes.fromhex(values["extradata"]) or None
    return stream


class Sender:
    """Of the process that decodes: says what a source would give.

    Args:
        tell: see `Asker.tell`.
        place: an array in the shared memory for a shape.
        decoder: counts what is damaged.
    """

    def __init__(self, tell: Any, place: Any, decoder: LiveDecoder) -> None:
        self._tell, self._place, self._decoder = tell, place, decoder
        self._stream: EncodedStream | None = None

    def send_all(self, items: Generator[LiveItem, None, LostError | None]) -> LostError | None:
        """All that comes; returns what ended it."""
        while True:
            try:
                item = next(items)
            except StopIteration as end:
                lost: LostError | None = end.value
                return lost
            damaged = self._decoder.counters.damaged
            if isinstance(item, LiveFrame):
                place = self._place(item.image.shape)
                place[:] = item.image
                self._tell("frame", image=place, seconds=item.monotonic_s, file_s=item.file_s, damaged=damaged)
            elif isinstance(item, LivePacket):
                self._send_packet(item, damaged)

    def _send_packet(self, item: LivePacket, damaged: int) -> None:
        if item.stream is not self._stream:
            stream = self._stream = item.stream
            extradata = stream.template.codec_context.extradata or b""
            size = stream.width, stream.height
            kind, data = header_of(stream)
            self._tell("stream", data, header=kind, size=size, extradata=extradata.hex(), damaged=damaged)
        packet = item.packet
        self._tell(
            "packet",
            packet.data,
            is_keyframe=packet.is_keyframe,
            pts=packet.pts,
            dts=packet.dts,
            duration=packet.duration,
            time_base=packet.time_base.as_integer_ratio(),
            damaged=damaged,
        )


NEVER = threading.Event()
"""Nobody stops it: its process is ended."""
