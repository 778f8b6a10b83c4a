"""Bytes, text and JSON of a file, within bounds."""

import codecs
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

from pydantic import Field

from amiss.errors import AmissError
from amiss.reading._values import shown
from amiss.settings import Settings, from_environment
from amiss.storage import Url, content, located

MEGABYTE = 1 << 20
_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFREG: "a file", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_HEAD = 64  # bytes that tell UTF-16 without a mark: of plain letters every second byte is zero


class ReadingBounds(Settings):
    """Bounds on files that aren't videos. Each can be set in the environment: `AMISS_MAX_TEXT_MB=1000`."""

    max_text_mb: Annotated[int, Field(ge=1, le=1 << 20)] = 256
    """Of a manifest, a list, a table or a JSON file."""
    max_array_mb: Annotated[int, Field(ge=1, le=1 << 24)] = 16384
    """Of the arrays in an `.npz`, unpacked."""
    max_nesting: Annotated[int, Field(ge=8, le=500)] = 64
    """Lists and mappings within each other, in JSON."""


def reading_bounds() -> ReadingBounds:
    """The bounds that hold in this process: what its environment says, for the rest the defaults.

    Raises:
        UsageError: a value in the environment makes no sense.
    """
    return from_environment(ReadingBounds)


class ReadError(ValueError):
    """A file can't be read as what it should be. The message says why, and doesn't name the file."""

    def __init__(self, message: str, *, is_missing: bool = False, transient: bool = False) -> None:
        super().__init__(message)
        self.is_missing = is_missing
        """Whether there is no such file."""
        self.transient = transient
        """See `AmissError`."""


@contextmanager
def refusing(error: type[AmissError], what: str, how: str = "can't be read", advice: str = "") -> Iterator[None]:
    """Whatever goes wrong while something from outside is read and checked becomes one line of `error`.

    Readers of others (numpy, zipfile, safetensors, …) raise what they like over a damaged or hostile file. So
    everything is caught here, but an `error` that was raised within.

    Args:
        error: what to raise.
        what: names the file.
        how: what is wrong with it, where it is there.
        advice: what to do, at the end of the message.
    """
    try:
        yield
    except error:
        raise
    except Exception as wrong:
        end = f": {advice}" if advice else ""
        if isinstance(wrong, ReadError) and wrong.is_missing:
            raise error(f"{what} does not exist{end}") from None
        refused = error(f"{what} {how}: {reason_of(wrong)}{end}")
        refused.transient = getattr(wrong, "transient", False)
        raise refused from wrong


def reason_of(error: Exception) -> str:
    """Why something can't be read, in one line."""
    if isinstance(error, ReadError | AmissError):
        return str(error)
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    if isinstance(error, KeyError):
        return f"{error} is missing in it"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = str(error).splitlines()
    return shown(lines[0], quoted=False, most=300) if lines else type(error).__name__


def check_file(path: str | os.PathLike[str]) -> Path:
    """The path, where a real file is there: not a pipe, on which its reader would wait for ever, and no device.

    Raises:
        ReadError: it isn't.
    """
    try:
        mode = located(path).stat().st_mode
    except (OSError, ValueError) as error:
        _refuse_open(error)
    if not stat.S_ISREG(mode):
        _refuse_kind(mode)
    return located(path)


def check_folder(path: str | os.PathLike[str]) -> Path:
    """The path, where a folder is there.

    Raises:
        ReadError: it isn't.
    """
    try:
        mode = located(path).stat().st_mode
    except (OSError, ValueError) as error:
        _refuse_open(error)
    if not stat.S_ISDIR(mode):
        _refuse_kind(mode, "a folder")
    return located(path)


def read_bytes(path: str | os.PathLike[str], most: int | None = None) -> bytes:
    """A file's bytes.

    Args:
        path: of the file.
        most: bytes that are read at most; None = `max_text_mb`.

    Raises:
        ReadError: no such file, no right to read it, no real file, or a larger one.
    """
    bound = f"the {most} bytes that are read of it"
    if most is None:
        most = reading_bounds().max_text_mb * MEGABYTE
        bound = f"{most / MEGABYTE:g} MB; if it is meant, raise the bound by AMISS_MAX_TEXT_MB"
    try:
        data = content(path, most) if isinstance(path, Url) else _read_here(path, most)
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL in it
        _refuse_open(error)
    if len(data) > most:
        raise ReadError(f"it is larger than {bound}")
    return data


def _read_here(path: str | os.PathLike[str], most: int) -> bytes:
    # a pipe is opened without waiting for whoever would write into it
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        if not stat.S_ISREG(mode := os.fstat(descriptor).st_mode):
            _refuse_kind(mode)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(most + 1) or b""  # None: of what looks like a file, and waits for somebody to write
    finally:
        os.close(descriptor)


def _refuse_open(error: Exception) -> NoReturn:
    if isinstance(error, ReadError):
        raise error
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        raise ReadError("it does not exist", is_missing=True) from None
    transient = getattr(error, "transient", False)
    raise ReadError(getattr(error, "strerror", None) or str(error), transient=transient) from None


def _refuse_kind(mode: int, wanted: str = "a file") -> NoReturn:
    raise ReadError(f"it is {_KINDS.get(stat.S_IFMT(mode), 'a device')}, not {wanted}")


def read_text(path: str | os.PathLike[str], most: int | None = None) -> str:
    """A file's text, its lines ended by `\\n`: UTF-8, or UTF-16 as Windows writes it; a mark at the start is left out.

    Args:
        path: of the file.
        most: bytes that are read at most; None = `max_text_mb`.

    Raises:
        ReadError: as `read_bytes`, or it isn't such text.
    """
    data = read_bytes(path, most)
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), None)
    if encoding is None:
        head = data[:_HEAD]
        halves = {"utf-16-le": (head[0::2], head[1::2]), "utf-16-be": (head[1::2], head[0::2])}
        fits = [name for name, (letters, zeros) in halves.items() if letters and zeros and not any(zeros)]
        encoding = fits[0] if fits and any(head) else "utf-8"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ReadError(f"line {line} is not UTF-8 (byte {data[error.start]:#04x}): save it as UTF-8") from None
    if "\0" in text:
        raise ReadError(f"line {text.count(chr(10), 0, text.index(chr(0))) + 1} has a NUL character: it is no text")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_lines(path: str | os.PathLike[str]) -> list[tuple[int, str]]:
    """The lines of a text that aren't empty, without spaces around them, each with its number from 1.

    Raises:
        ReadError: as `read_text`.
    """
    lines = enumerate(read_text(path).split("\n"), start=1)
    return [(number, line.strip()) for number, line in lines if line.strip()]


def read_json(path: str | os.PathLike[str], *, allow_nan: bool = False) -> Any:
    """What a JSON file holds.

    Args:
        path: of the file.
        allow_nan: for who checks the numbers and can say whose they are.

    Raises:
        ReadError: as `read_text`, or as `parse_json`.
    """
    return parse_json(read_text(path), allow_nan=allow_nan)


def parse_json(text: str, *, allow_nan: bool = False) -> Any:
    """What a JSON text says.

    Raises:
        ReadError: it isn't JSON (which has no NaN), is nested too deeply, or has a name twice in one mapping.
    """
    most = reading_bounds().max_nesting

    def constant(name: str) -> float:
        if not allow_nan:
            at = text.index(name)
            raise ReadError(f"it holds {name}, which is not JSON: {shown(text[max(at - 40, 0) : at + len(name)])}")
        return float(name)

    try:
        value = json.loads(text, parse_constant=constant, object_pairs_hook=_unique_names)
    except ReadError:
        raise
    except RecursionError:
        raise ReadError(f"it is nested more than {most} deep") from None
    except ValueError as error:
        raise ReadError(f"it is not JSON: {error}") from None
    layer = [value]
    for _ in range(most):
        layer = [
            inner
            for one in layer
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
            if isinstance(inner, dict | list)
        ]
        if not layer:
            return value
    raise ReadError(f"it is nested more than {most} deep")


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ReadError(f"the name {shown(twice)} stands twice")
    return names
