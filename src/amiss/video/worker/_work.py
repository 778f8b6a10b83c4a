"""What the process that decodes does with a video. Each function answers by `asker.tell`."""

import errno
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from datetime import UTC
from functools import wraps
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from amiss.errors import VideoError
from amiss.reading.apart._child import Asker
from amiss.video._clips import iter_clips
from amiss.video._frames import CannotSeek, FramePass
from amiss.video._header import read_header
from amiss.video._parts import NotSplitError, VideoPart, split
from amiss.video._reader import VideoReader, check_video, read_frames_at, read_stated
from amiss.video._source_settings import SourceSettings
from amiss.video._times import FrameTimes
from amiss.video.live._apart import FRAMES_AT_ONCE as ITEMS_AT_ONCE
from amiss.video.live._apart import NEVER, FromZero, Sender
from amiss.video.live._decoding import LiveDecoder
from amiss.video.live._errors import is_read_error
from amiss.video.live._files import open_here
from amiss.video.live._options import SourceOptions
from amiss.video.opening import PictureFolder, video_bounds
from amiss.video.worker._clips import CLIPS_AT_ONCE
from amiss.video.worker._frames import FRAMES_AT_ONCE

Work = Callable[[Asker, Path, dict[str, Any]], None]


def _of_videos(work: Work) -> Work:
    """The same for a file or a folder of pictures; its errors tell the system's number where the system can't read."""

    @wraps(work)
    def outer(asker: Asker, path: Path, request: dict[str, Any]) -> None:
        try:
            work(asker, path if request["fps"] is None else PictureFolder(path, request["fps"]), request)
        except VideoError as error:
            error.errno = _number(error.__context__)  # type: ignore[attr-defined]
            raise
        except OSError as error:  # libav's own, too
            if error.errno == errno.ENOMEM:  # as where the shared memory may not grow
                raise MemoryError from error
            wrong = VideoError(f"{path} can't be read: {error.strerror or error}")
            wrong.errno = _number(error)  # type: ignore[attr-defined]
            raise wrong from error

    return outer


@_of_videos
def clips(asker: Asker, path: Path, request: dict[str, Any]) -> None:
    """A video's clips."""
    part = None if request["part"] is None else VideoPart(**request["part"])
    how = request["clip_len"], request["stride"], request["tail"]
    first_clip, end_clip = (0, None) if part is None else (part.first_clip, part.end_clip)
    chosen = {"frame_rate": request["frame_rate"], "planes": request["planes"], "part": part}
    with VideoReader(path, at_most=video_bounds().clip_pixels, **chosen) as reader:
        length = reader.stated_frames or round((reader.stated_duration_s or 0) * reader.fps) or None
        yuv = reader.yuv and asdict(reader.yuv)
        asker.tell("begin", height=reader.height, width=reader.width, stated_frames=length, yuv=yuv)

        def frames() -> Any:
            for frame in reader:
                asker.alive()
                if frame.index >= first_clip * request["stride"]:
                    yield frame

        made = iter_clips(frames(), *how, allocate=lambda shape: asker.place(shape, CLIPS_AT_ONCE))
        for clip in islice(made, None if end_clip is None else end_clip - first_clip):
            values: dict[str, Any] = {"index": clip.index + first_clip, "start": clip.start, "end": clip.end}
            asker.tell("clip", image=clip.images, n_frames=reader.n_frames, **values)
        if part is None:
            _end(asker, reader.times(), reader.problem)
        else:
            asker.tell("end", proof=asdict(reader.proof()))


@_of_videos
def parts(asker: Asker, path: Path, request: dict[str, Any]) -> None:
    """Where a video can be split."""
    names = "n_parts", "least_frames", "clip_len", "stride", "frame_rate"
    try:
        found = split(path, **{name: request[name] for name in names}, on_packet=asker.alive)
    except NotSplitError as error:
        asker.tell("end", refused=str(error))
    else:
        _end(asker, found.times, found.problem, parts=[asdict(part) for part in found.parts])


@_of_videos
def items(asker: Asker, path: Path, request: dict[str, Any]) -> None:
    """A file, as a live source gives it."""
    settings = SourceSettings(height=request["height"])
    options = SourceOptions(settings=settings, threads=request["threads"], with_packets=request["with_packets"])
    decoder = LiveDecoder(FromZero(), options, follows_clock=False)
    with closing(open_here(path, decoder, NEVER)) as file:
        asker.tell("begin", damaged=0, size=file.size)
        lost = Sender(asker.tell, lambda shape: asker.place(shape, ITEMS_AT_ONCE), decoder).send_all(file.items())
    number = _number(lost.__cause__) if lost is not None else None
    asker.tell("end", lost=str(lost or ""), errno=number, damaged=decoder.counters.damaged)


def _number(error: BaseException | None) -> int | None:
    """The system's number of an error in reading; None where what was read is damaged."""
    return getattr(error, "errno", None) if is_read_error(error) else None


@_of_videos
def check(asker: Asker, path: Path, _: dict[str, Any]) -> None:
    """Decode all of it."""
    shown = check_video(path, asker.alive)
    _end(asker, shown.times, shown.problem)


@_of_videos
def stated(asker: Asker, path: Path, _: dict[str, Any]) -> None:
    """What it states."""
    asker.tell("end", **asdict(read_stated(path)))


@_of_videos
def header(asker: Asker, path: Path, _: dict[str, Any]) -> None:
    """What its header tells."""
    found = read_header(path)
    started = found.started
    if started is not None and found.started_from == "header":  # it tells UTC; the asker knows what is local
        started = started.astimezone(UTC)
    times = {"started": started, "first_picture": found.first_picture}
    asker.tell("end", **asdict(found) | {name: time and time.isoformat() for name, time in times.items()})


@_of_videos
def frames(asker: Asker, path: Path, request: dict[str, Any]) -> None:
    """Some of its frames."""
    images = read_frames_at(path, request["indices"], request["height"], asker.alive)
    asker.tell("begin")
    for image in images:
        place = asker.place(image.shape, 1)
        place[:] = image
        asker.tell("frame", image=place)
    asker.tell("end")


@_of_videos
def part(asker: Asker, path: Path, request: dict[str, Any]) -> None:
    """A part of its frames, one after the other."""
    which = request["start"], request["end"], request["height"]
    try:
        with FramePass(path, *which, seek=request["seek"], on_picture=asker.alive) as frames:
            stated = frames.stated_frames
            asker.tell("begin", height=frames.height, width=frames.width, fps=frames.fps, stated_frames=stated)
            for frame in frames:
                place = asker.place(frame.image.shape, FRAMES_AT_ONCE)
                place[:] = frame.image
                asker.tell("frame", image=place, index=frame.index, time_s=frame.time_s)
    except CannotSeek:
        asker.tell("end", is_sought=False)
    else:
        asker.tell("end", is_sought=True)


def _end(asker: Asker, times: FrameTimes, problem: str | None, **more: Any) -> None:
    data = b"" if times.knots is None else np.ascontiguousarray(times.knots, np.float64).tobytes()
    asker.tell("end", data, n_frames=times.n_frames, fps=times.fps, problem=problem, **more)
