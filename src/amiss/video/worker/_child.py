"""The side of the worker that decodes."""

import json
import mmap
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC
from itertools import islice
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from amiss.errors import VideoError
from amiss.video._clips import iter_clips
from amiss.video._decode import open_video
from amiss.video._header import read_header
from amiss.video._parts import NotSplitError, VideoPart, split
from amiss.video._reader import VideoReader, check_video, read_frames_at, read_stated
from amiss.video._rgb import Image
from amiss.video._source_settings import SourceSettings
from amiss.video._times import FrameTimes
from amiss.video.live._apart import FRAMES_AT_ONCE, NEVER, FromZero, Sender
from amiss.video.live._decoding import LiveDecoder
from amiss.video.live._errors import is_read_error
from amiss.video.live._options import SourceOptions
from amiss.video.opening import PictureFolder, video_bounds
from amiss.video.worker._process import LENGTHS

_ALIVE_S = 1.0
_DESCRIPTORS = 64


class Asker:
    """Who asks: gets the answers, and says when there is a place for one more array."""

    def __init__(self, output: int, shared: int) -> None:
        self._output, self._shared = output, shared
        self._map: mmap.mmap | None = None
        self._placed: list[tuple[int, int]] = []  # address and offset of the arrays that were made last
        self._told_s = 0.0
        self.begin()

    def begin(self) -> None:
        """Another file: no place is free until the asker says so."""
        self._free = self._next = 0
        self._placed.clear()

    def requests(self) -> Any:
        """All that are asked, one after the other."""
        for line in sys.stdin.buffer:
            if (request := json.loads(line)).get("do"):
                yield request

    def tell(self, kind: str, data: bytes = b"", image: Image | None = None, **values: Any) -> None:
        """An answer."""
        if image is not None:
            address = image.__array_interface__["data"][0]
            offset = next(offset for known, offset in self._placed if known == address)
            values["at"] = offset, image.shape
        text = json.dumps({"kind": kind, **values}).encode()
        left = memoryview(LENGTHS.pack(len(text), len(data)) + text + data)
        while left:
            left = left[os.write(self._output, left) :]
        self._told_s = time.monotonic()

    def alive(self) -> None:
        """Something was decoded."""
        if time.monotonic() - self._told_s > _ALIVE_S:
            self.tell("alive")

    def place(self, shape: tuple[int, ...], places: int) -> Image:
        """An array in the shared memory, when there is a place for it."""
        while not self._free:
            line = sys.stdin.buffer.readline()
            if not line:
                sys.exit(0)
            self._free += 1
        self._free -= 1
        each = -(-prod(shape) // mmap.PAGESIZE) * mmap.PAGESIZE
        if self._map is None or len(self._map) < places * each:
            os.ftruncate(self._shared, places * each)
            self._map = mmap.mmap(self._shared, places * each)
        offset = (self._next % places) * each
        self._next += 1
        image: Image = np.frombuffer(self._map, np.uint8, prod(shape), offset).reshape(shape)
        self._placed.append((image.__array_interface__["data"][0], offset))
        del self._placed[:-places]
        return image


def clips(asker: Asker, path: Path, request: dict[str, Any]) -> None:
    """A video's clips."""
    part = None if request["part"] is None else VideoPart(**request["part"])
    how = request["clip_len"], request["stride"], request["tail"]
    first_clip, end_clip = (0, None) if part is None else (part.first_clip, part.end_clip)
    with VideoReader(path, frame_rate=request["frame_rate"], at_most=video_bounds().clip_pixels, part=part) as reader:
        length = reader.stated_frames or round((reader.stated_duration_s or 0) * reader.fps) or None
        asker.tell("begin", height=reader.height, width=reader.width, stated_frames=length)

        def frames() -> Any:
            for frame in reader:
                asker.alive()
                if frame.index >= first_clip * request["stride"]:
                    yield frame

        made = iter_clips(frames(), *how, allocate=lambda shape: asker.place(shape, 2))
        for clip in islice(made, None if end_clip is None else end_clip - first_clip):
            values: dict[str, Any] = {"index": clip.index + first_clip, "start": clip.start, "end": clip.end}
            asker.tell("clip", image=clip.images, n_frames=reader.n_frames, **values)
        if part is None:
            _end(asker, reader.times(), reader.problem)
        else:
            asker.tell("end", proof=asdict(reader.proof()))


def parts(asker: Asker, path: Path, request: dict[str, Any]) -> None:
    """Where a video can be split."""
    names = "n_parts", "least_frames", "clip_len", "stride", "frame_rate"
    try:
        found = split(path, **{name: request[name] for name in names}, on_packet=asker.alive)
    except NotSplitError as error:
        asker.tell("end", refused=str(error))
    else:
        _end(asker, found.times, found.problem, parts=[asdict(part) for part in found.parts])


def items(asker: Asker, path: Path, request: dict[str, Any]) -> None:
    """A folder's file, as its source gives it."""
    settings = SourceSettings(height=request["height"])
    options = SourceOptions(settings=settings, threads=request["threads"], with_packets=request["with_packets"])
    decoder = LiveDecoder(FromZero(), options, follows_clock=False)
    container, stream = open_video(path)
    asker.tell("begin", damaged=0)
    with container:
        decoder.begin(stream)
        sender = Sender(asker.tell, lambda shape: asker.place(shape, FRAMES_AT_ONCE), decoder)
        lost = sender.send_all(decoder.file_items(container, NEVER))
    number = _number(lost.__cause__) if lost is not None else None
    asker.tell("end", lost=str(lost or ""), errno=number, damaged=decoder.counters.damaged)


def _number(error: BaseException | None) -> int | None:
    """The system's number of an error in reading; None where what was read is damaged."""
    return getattr(error, "errno", None) if is_read_error(error) else None


def check(asker: Asker, path: Path, _: dict[str, Any]) -> None:
    """Decode all of it."""
    shown = check_video(path, asker.alive)
    _end(asker, shown.times, shown.problem)


def stated(asker: Asker, path: Path, _: dict[str, Any]) -> None:
    """What it states."""
    asker.tell("end", **asdict(read_stated(path)))


def header(asker: Asker, path: Path, _: dict[str, Any]) -> None:
    """What its header tells."""
    found = read_header(path)
    started = found.started
    if started is not None and found.started_from == "header":  # it tells UTC; the asker knows what is local
        started = started.astimezone(UTC)
    times = {"started": started, "first_picture": found.first_picture}
    asker.tell("end", **asdict(found) | {name: time and time.isoformat() for name, time in times.items()})


def frames(asker: Asker, path: Path, request: dict[str, Any]) -> None:
    """Some of its frames."""
    images = read_frames_at(path, request["indices"], request["height"], asker.alive)
    asker.tell("begin")
    for image in images:
        place = asker.place(image.shape, 1)
        place[:] = image
        asker.tell("frame", image=place)
    asker.tell("end")


def _end(asker: Asker, times: FrameTimes, problem: str | None, **more: Any) -> None:
    data = b"" if times.knots is None else np.ascontiguousarray(times.knots, np.float64).tobytes()
    asker.tell("end", data, n_frames=times.n_frames, fps=times.fps, problem=problem, **more)


WORK: dict[str, Callable[[Asker, Path, dict[str, Any]], None]] = {
    "clips": clips,
    "parts": parts,
    "check": check,
    "stated": stated,
    "header": header,
    "frames": frames,
    "items": items,
}


def _bound_itself() -> None:
    """Limits of the system, so that what goes wrong here ends here."""
    import resource

    n_bytes = video_bounds().decode_memory_mb << 20
    limits = {"RLIMIT_AS": n_bytes, "RLIMIT_CORE": 0, "RLIMIT_NOFILE": _DESCRIPTORS}
    for name, value in limits.items():
        with suppress(ValueError, OSError, AttributeError):  # not on every system
            hard = resource.getrlimit(getattr(resource, name))[1]
            resource.setrlimit(getattr(resource, name), (value, hard))
    with suppress(OSError):  # of Linux: where memory is short, this process goes first
        Path("/proc/self/oom_score_adj").write_text("1000")


def _end_with(asker: int) -> None:
    """Where the asker was killed, what hangs here would hang for ever."""
    while os.getppid() == asker:
        time.sleep(_ALIVE_S)
    os._exit(1)


def main() -> None:
    """Work until nobody asks any more."""
    # Service managers tell these to all processes of a service; what becomes of this one is the asker's decision.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(int(sys.argv[2]),), daemon=True).start()
    output = os.dup(1)
    os.dup2(2, 1)
    asker = Asker(output, int(sys.argv[1]))
    for request in asker.requests():
        for name in [name for name in os.environ if name.startswith("AMISS_")]:
            del os.environ[name]
        os.environ.update(request["environment"])
        asker.begin()
        try:
            with suppress(OSError):
                os.chdir(request["cwd"])
            _bound_itself()
            path = Path(request["path"]) if request["fps"] is None else PictureFolder(request["path"], request["fps"])
            WORK[request["do"]](asker, path, request)
        except VideoError as error:
            asker.tell("error", text=str(error), errno=_number(error.__context__))
        except MemoryError:
            allowed = video_bounds().decode_memory_mb
            text = f"decoding needs more than {allowed} MB of memory; AMISS_DECODE_MEMORY_MB allows more"
            asker.tell("error", text=f"{request['path']}: {text}", errno=None)
