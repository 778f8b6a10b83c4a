"""Files of JSON lines, to which records are appended: what of them is whole, and what isn't."""

import io
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from amiss.reading._files import ReadError, parse_json, read_bytes, reason_of

T = TypeVar("T")
_ZEROS = re.compile(rb"(\0+)")  # of blocks that were never written, as a power cut leaves them
_MARK = b"\xef\xbb\xbf"  # as editors on Windows begin a file


@dataclass(frozen=True)
class JsonLine(Generic[T]):
    """A line that isn't empty."""

    number: int
    """Of the line, from 1."""
    raw: bytes
    """As it stands there, with its line feed."""
    value: T | None
    """What it says; None where it is damaged."""
    problem: str = ""
    """What is wrong with it; empty: nothing."""


@dataclass(frozen=True)
class JsonLines(Generic[T]):
    """A file of JSON lines."""

    lines: tuple[JsonLine[T], ...] = ()
    """All that aren't empty, in their order."""

    @property
    def values(self) -> list[T]:
        """What those say that are whole."""
        return [line.value for line in self.lines if line.value is not None]

    @property
    def damaged(self) -> list[JsonLine[T]]:
        """The others."""
        return [line for line in self.lines if line.problem]

    @property
    def damage(self) -> str:
        """What is wrong with them, in one line; empty: there are none."""
        if not (damaged := self.damaged):
            return ""
        are = "1 line is damaged" if len(damaged) == 1 else f"{len(damaged)} lines are damaged"
        return f"{are} (line {damaged[0].number}: {damaged[0].problem})"


def read_json_lines(path: str | os.PathLike[str], make: Callable[[Any], T], most: int | None = None) -> JsonLines[T]:
    """The lines of a file to which records are appended; none where it isn't there yet.

    A power cut, a kill or a full disk leaves half a line, or zeros, and later lines may come after them. Each is read
    for itself, so that what is whole isn't lost with what isn't.

    Args:
        path: of the file.
        make: makes a record of what a line says; whatever it raises is wrong with that line.
        most: see `read_bytes`.

    Raises:
        ReadError: it can't be read, is no file, or too large.
    """
    try:
        data = read_bytes(path, most)
    except ReadError as error:
        if error.is_missing:
            return JsonLines()
        raise
    return parse_json_lines(data, make)


def parse_json_lines(data: bytes, make: Callable[[Any], T]) -> JsonLines[T]:
    """The lines of a file's bytes, see `read_json_lines`."""
    lines = []
    for number, raw in enumerate(io.BytesIO(data.removeprefix(_MARK)), start=1):
        parts = _ZEROS.split(raw) if b"\0" in raw else [raw]
        lines += [_read(number, part, make) for part in parts if part.strip()]
    return JsonLines(tuple(lines))


def _read(number: int, raw: bytes, make: Callable[[Any], T]) -> JsonLine[T]:
    if not raw.strip(b"\0"):
        return JsonLine(number, raw, None, "nothing but zeros, as a power cut leaves them")
    try:
        return JsonLine(number, raw, make(parse_json(raw.decode("utf-8"))))
    except UnicodeDecodeError:
        return JsonLine(number, raw, None, "it is not UTF-8")
    except Exception as error:  # of what `make` was given, anything may be wrong
        return JsonLine(number, raw, None, reason_of(error))
