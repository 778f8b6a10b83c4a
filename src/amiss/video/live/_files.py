"""One file, or folder of pictures, as items of a live source: decoded by a worker where the system can bound one."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from itertools import chain
from pathlib import Path

import av

from amiss.errors import VideoError
from amiss.video._decode import open_video
from amiss.video._pictures import PictureDecoder
from amiss.video.live._apart import FRAMES_AT_ONCE, items_apart
from amiss.video.live._decoding import LiveDecoder
from amiss.video.live._errors import LostError
from amiss.video.live._items import LiveItem
from amiss.video.live._options import SourceOptions
from amiss.video.opening import accelerator
from amiss.video.worker import Message, is_used, run

Items = Generator[LiveItem, None, LostError | None]
"""What is in a file; at the end why the rest of it can't be read, if it can't."""


class OpenFile(ABC):
    """A file that was opened, for `contextlib.closing`."""

    size: str
    """Of its pictures: width, x, height."""

    @abstractmethod
    def items(self, file: str = "", *, new_size: bool = False) -> Items:
        """All of it.

        Args:
            file: see LiveFrame.
            new_size: take on the size of its first picture; else that of the file before.

        Raises:
            VideoError: its pictures are of a kind that can't be converted; or it ended the process that decodes it.
        """

    @abstractmethod
    def close(self) -> None:
        """End what is under way."""


def open_file(path: Path, decoder: LiveDecoder, options: SourceOptions, stop: threading.Event) -> OpenFile:
    """Open a file, or a folder of pictures.

    Args:
        path: of it.
        decoder: gives its pictures their times, and counts.
        options: how it is read.
        stop: ends it.

    Raises:
        VideoError: it can't be read; the error's context is the system's error, where it is one (`is_read_error`).
        EndedError, NotStartedError: see `amiss.video.worker`.
    """
    if is_used():
        return _Apart(path, decoder, options, stop)
    return open_here(path, decoder, stop)


def open_here(path: Path, decoder: LiveDecoder, stop: threading.Event) -> OpenFile:
    """The same, decoded in this process."""
    try:
        return _Pictures(path, decoder, stop) if path.is_dir() else _Video(path, decoder, stop)
    except OSError as error:
        raise VideoError(f"{path} can't be read: {error.strerror}") from error


class _Video(OpenFile):
    def __init__(self, path: Path, decoder: LiveDecoder, stop: threading.Event) -> None:
        self._decoder, self._stop = decoder, stop
        self._container, self._stream = open_video(path, accelerator())
        self.size = f"{self._stream.codec_context.width}x{self._stream.codec_context.height}"

    def items(self, file: str = "", *, new_size: bool = False) -> Items:
        self._decoder.begin(self._stream, file=file, new_size=new_size)
        return self._decoder.file_items(self._container, self._stop)

    def close(self) -> None:
        self._container.close()


class _Pictures(OpenFile):
    def __init__(self, path: Path, decoder: LiveDecoder, stop: threading.Event) -> None:
        self._decoder, self._stop = decoder, stop
        self._pictures = PictureDecoder(path)
        shown = iter(self._pictures)
        if (first := next(shown, None)) is None:
            raise self._pictures.nothing_decodes()
        self._shown: Iterator[tuple[av.VideoFrame, float]] = chain([first], shown)
        self.size = f"{first[0].width}x{first[0].height}"

    def items(self, file: str = "", *, new_size: bool = False) -> Items:
        self._decoder.begin(file=file, new_size=new_size)
        for picture, time_s in self._shown:
            if self._stop.is_set():
                return None
            yield self._decoder.frame(picture, time_s, time_s)
        self._decoder.count(damaged=self._pictures.n_damaged)
        return None

    def close(self) -> None:
        self._pictures.close()


class _Apart(OpenFile):
    def __init__(self, path: Path, decoder: LiveDecoder, options: SourceOptions, stop: threading.Event) -> None:
        self._decoder = decoder
        request = {
            "height": options.settings.height,
            "threads": options.threads,
            "with_packets": options.with_packets,
        }
        self._answers: Generator[Message, None, None] = run("items", request, path, FRAMES_AT_ONCE, stop)
        begin = next(self._answers, None)  # none where it was stopped
        self.size = "" if begin is None else begin.values["size"]

    def items(self, file: str = "", *, new_size: bool = False) -> Items:
        self._decoder.begin(file=file, new_size=new_size)
        return items_apart(self._decoder, self._answers)

    def close(self) -> None:
        self._answers.close()
