"""Uploads: written as they come, looked at in a process of its own, and only then a video of the library."""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from amiss.errors import OutputError, UsageError, VideoError
from amiss.files import LONGEST_NAME, is_reserved, output_error
from amiss.video import VIDEO_SUFFIXES, read_header

MB = 10**6
_KEPT_FREE = 1000 * MB  # of the disk
_LONGEST_STEM = 120  # characters
_naming = threading.Lock()  # two of one name that end at once: neither takes the other's place
_ODD = re.compile(r"[^\w .()+,@=-]")


class Upload:
    """A file that is being uploaded. Left without `finish`, nothing stays of it.

    Args:
        folder: where it goes.
        name: that the person's file has; only its last part and plain signs of it are taken.
        n_bytes: how large it is said to be; None = not said.
        most_bytes: how large it may be.

    Raises:
        UsageError: no name of a video, or it is too large.
        OutputError: the disk has no room for it, or can't be written.
    """

    def __init__(self, folder: Path, name: str, n_bytes: int | None, most_bytes: int) -> None:
        self._folder, self._most = folder, most_bytes
        self.name = safe_name(name)
        self._n_bytes = 0
        if n_bytes is not None:
            self._check(n_bytes)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._check_room(n_bytes or 0)
            # beside the uploads, not among them: it isn't a video yet
            self._own = tempfile.TemporaryDirectory(prefix=".upload-", dir=folder)
            self._path = Path(self._own.name) / self.name
            self._file = self._path.open("wb")
        except OSError as error:
            raise _told(folder, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._file.close()
        with suppress(OSError):
            self._own.cleanup()

    def write(self, data: bytes) -> None:
        """The next bytes.

        Raises:
            UsageError: it is too large.
            OutputError: the disk is full.
        """
        self._n_bytes += len(data)
        self._check(self._n_bytes)
        try:
            self._check_room(len(data))  # others may be uploading, and cameras need the disk, too
            self._file.write(data)
        except OSError as error:
            raise _told(self._folder / self.name, error) from error

    def finish(self) -> Path:
        """Where it is now, if it is a video.

        Raises:
            VideoError: it is none.
            OutputError: the disk is full.
        """
        try:
            self._file.close()
            if not self._n_bytes:
                raise VideoError(f"{self.name} is empty")
            try:
                read_header(self._path)
            except VideoError as error:
                raise VideoError(str(error).replace(str(self._path), self.name)) from None
            with _naming:
                path = self._free_name()
                self._path.rename(path)
        except OSError as error:
            raise _told(self._folder, error) from error
        return path

    def _check(self, n_bytes: int) -> None:
        if n_bytes > self._most:
            raise UsageError(f"{self.name} is larger than {self._most // MB} MB; put it into the folder yourself")

    def _check_room(self, n_bytes: int) -> None:
        free = shutil.disk_usage(self._folder).free - _KEPT_FREE
        if n_bytes > free:
            raise OutputError(f"the disk has room for {max(free, 0) // MB} MB more; remove some videos first")

    def _free_name(self) -> Path:
        path = self._folder / self.name
        number = 1
        while path.exists():
            number += 1
            path = self._folder / f"{Path(self.name).stem} ({number}){path.suffix}"
        return path


def _told(path: Path, error: OSError) -> OutputError:
    return error if isinstance(error, OutputError) else output_error(path, error)


def safe_name(name: str) -> str:
    """A name that is one everywhere.

    Raises:
        UsageError: not that of a video.
    """
    given = name.replace("\\", "/").rsplit("/", 1)[-1]
    suffix = Path(given).suffix.lower()
    if suffix not in VIDEO_SUFFIXES:
        raise UsageError(
            f"{given[:80]!r} isn't the name of a video: it must end in {', '.join(sorted(VIDEO_SUFFIXES))}"
        )
    stem = _ODD.sub("_", given[: -len(suffix)]).strip(". ")[:_LONGEST_STEM] or "video"
    while len((stem + suffix).encode()) > LONGEST_NAME - 16:  # room for a number
        stem = stem[:-1]
    return f"_{stem}{suffix}" if is_reserved(stem + suffix) else stem + suffix
