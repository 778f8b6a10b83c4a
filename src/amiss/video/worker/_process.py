"""Asking the process that decodes (`amiss.reading.apart`) about a video; what goes wrong is a VideoError."""

import os
import threading
from collections.abc import Generator
from typing import Any

from amiss.errors import VideoError
from amiss.reading import apart
from amiss.reading.apart import Message

_WORK = "amiss.video.worker._work"
_NEVER = threading.Event()


class NotStartedError(VideoError):
    """No process that decodes can be started: there are too many processes or open files, or too little memory."""


class EndedError(VideoError):
    """The process that decoded a file ended, or was silent for so long that it had to be ended."""


def warm_up() -> None:
    """Start a worker for the first video that comes, while other things are prepared.

    Raises:
        NotStartedError: it can't be started.
    """
    try:
        apart.warm_up(_WORK)
    except apart.NotStartedError as error:
        raise NotStartedError(str(error)) from error


def run(
    do: str,
    request: dict[str, Any],
    path: str | os.PathLike[str],
    places: int = 0,
    stop: threading.Event = _NEVER,
) -> Generator[Message, None, None]:
    """Have a video worked on, and give what the worker says of it.

    Args:
        do: a function of `amiss.video.worker._work`.
        request: what is asked of it.
        path: the file, or folder of pictures.
        places: see `amiss.reading.apart.run`, as the next.
        stop: ends it.

    Raises:
        EndedError: the file ended the worker, or it was silent for too long.
        NotStartedError: there is no worker.
        VideoError: as what was asked for raises it.
    """
    whole = {**request, "fps": getattr(path, "fps", None)}
    try:
        yield from apart.run(f"{_WORK}:{do}", whole, path, places, stop, VideoError)
    except apart.EndedError as error:
        raise EndedError(str(error)) from error
    except apart.NotStartedError as error:
        raise NotStartedError(str(error)) from error
