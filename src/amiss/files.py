"""Writing files so that each appears complete or not at all, and one process at a time."""

import errno
import hashlib
import json
import os
import re
import time
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import lock_descriptor

from amiss.errors import AmissError, OutputError

TEMPORARY_PREFIX = ".partial-"
LONGEST_NAME = 255
"""Bytes of a file's name, on nearly all file systems."""

_IS_WINDOWS = os.name == "nt"
_WAITS_S = 0.05, 0.1, 0.2, 0.4, 0.8
_DEVICE = re.compile(r"(con|prn|aux|nul|com[1-9¹²³]|lpt[1-9¹²³]|conin\$|conout\$) *(\.|$)", re.IGNORECASE)
_NOT_IN_NAMES = re.compile(r'[<>:"|?*\\\x00-\x1f]')
_DOTS = ".", ".."
_ADDRESS = re.compile(r"(s3a?|gc?s|az|abfs|https?|memory):/")


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends well, remove it otherwise.

    The temporary name keeps the suffix, so that writers that look at it (PyAV, numpy) choose the same format.

    Raises:
        OutputError: the folder can't be created or written, or the disk is full. `path` is then as it was before.
    """
    target = Path(path)
    if is_address(path):
        raise _about_name(target, "this can be written to this machine only, not to a URL")
    if _IS_WINDOWS and (part := next(filter(is_reserved, target.parts[bool(target.anchor) :]), None)) is not None:
        raise _about_name(target, f"Windows can't have a file or folder named {part}")
    temporary = target.with_name(_temporary_name(target.name))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("r+b") as written:  # Windows syncs only what may be written
            os.fsync(written.fileno())
        _replace(temporary, target)
    except OSError as error:
        if isinstance(error, AmissError):  # a store's, say: it is in our words
            raise
        raise output_error(target, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def is_address(path: str | os.PathLike[str]) -> bool:
    """Whether a path is that of a URL, which can't be written like a file: `s3://bucket/file`, or what became of it as
    a path, `s3:/bucket/file`.
    """
    return _ADDRESS.match(os.fspath(path)) is not None


def _replace(temporary: Path, target: Path) -> None:
    for wait_s in _WAITS_S if _IS_WINDOWS else ():
        try:
            temporary.replace(target)
            return
        except PermissionError:  # there a file can't be replaced while somebody reads it
            time.sleep(wait_s)
    temporary.replace(target)


def _temporary_name(name: str) -> str:
    temporary = f"{TEMPORARY_PREFIX}{os.getpid()}-{name}"
    if len(os.fsencode(temporary)) <= LONGEST_NAME:
        return temporary
    short = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    return f"{TEMPORARY_PREFIX}{os.getpid()}-{short}{Path(name).suffix[:16]}"


def output_error(path: str | os.PathLike[str], error: OSError) -> OutputError:
    """The error for a file that can't be written; it keeps the system's number."""
    wrong = OutputError(f"can't write {path}: {error.strerror or error}")
    wrong.errno = error.errno
    return wrong


def _about_name(path: Path, reason: str) -> OutputError:
    return output_error(path, OSError(errno.EINVAL, reason))


def is_about_name(error: OSError) -> bool:
    """Whether the name is what can't be written (too long, or of signs that the file system doesn't know): another
    name would do.
    """
    return error.errno in (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)


def is_reserved(name: str) -> bool:
    """Whether Windows takes a name for a device (`CON`, `nul.txt`), drops its end (`a.`), or can't have it (`a:b`)."""
    return bool(_DEVICE.match(name) or _NOT_IN_NAMES.search(name)) or (name.rstrip(". ") != name and name not in _DOTS)


class NamesInFolder:
    """Keeps two names from being one file, where the file system doesn't tell `A` from `a`: macOS, Windows, FAT.

    Args:
        folder: where they are written, without a suffix that they all have.
        names: those that are there already.
    """

    def __init__(self, folder: str | os.PathLike[str], names: Iterable[str] = ()) -> None:
        self._folder = Path(folder)
        self._known = {folded(name): name for name in names}
        self._is_one: bool | None = None

    def claim(self, name: str) -> None:
        """Take a name; the same one may be taken again.

        Raises:
            OutputError: it is the file of another one.
        """
        known = self._known.setdefault(folded(name), name)
        if known == name:
            return
        if self._is_one is None:
            self._is_one = ignores_case(self._folder)
        if self._is_one:
            raise _about_name(self._folder / name, f"{known} is the same file here; rename one of them")


def ignores_case(folder: Path) -> bool:
    """Whether names that differ in capitals only are one file there. Makes the folder.

    Raises:
        OutputError: it can't be written.
    """
    probe = folder / f"{TEMPORARY_PREFIX}{os.getpid()}-case"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        return probe.with_name(probe.name.upper()).exists()
    except OSError as error:
        raise output_error(folder, error) from error
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)


def folded(name: str) -> str:
    """A name as systems compare it that don't tell capitals and forms of Unicode apart."""
    return unicodedata.normalize("NFC", name).casefold()  # macOS doesn't tell forms of é apart either


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as indented JSON, atomically. NaN is refused: it isn't JSON."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def append_line(path: str | os.PathLike[str], line: str) -> None:
    """Add a line to a file; it is on disk when this returns. It is a line of its own, also where a power cut left half
    of one at the end. Where it can't be written whole, nothing of it stays.

    Raises:
        OSError: it can't be written.
    """
    with Path(path).open("ab", buffering=0) as file:
        size = file.tell()
        rest = b"\n" * (not ends_with_line(path)) + line.encode() + b"\n"
        try:
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):
                file.truncate(size)  # half a line, where the disk is full
            raise


def ends_with_line(path: str | os.PathLike[str]) -> bool:
    """Whether nothing is after the file's last line feed: no half line, as a power cut leaves it.

    Raises:
        OSError: it can't be read.
    """
    with Path(path).open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
        return file.read(1) in (b"", b"\n")


def remove_leftovers(folder: str | os.PathLike[str]) -> None:
    """Remove the temporary files that a killed run left directly in `folder`."""
    for leftover in Path(folder).glob(f"{TEMPORARY_PREFIX}*"):
        leftover.unlink(missing_ok=True)


def lock(descriptor: int, name: str | os.PathLike[str], *, wait: bool = False) -> bool:
    """Lock an open file or folder for this process, until it is closed or the process dies, however it dies.

    A file system that knows no locks gives a warning and counts as locked.

    Args:
        descriptor: of the file; on Windows it can't be a folder's.
        name: of the file, for the warning.
        wait: until the one who has it lets go.

    Returns:
        False where another one has it.
    """
    try:
        return lock_descriptor(descriptor, blocking=wait)
    except OSError as error:
        reason = error.strerror or error
        warnings.warn(f"{name} can't be locked ({reason}): see to it that no two write there", stacklevel=3)
        return True


@contextmanager
def lock_file(path: Path, on_wait: Callable[[], object]) -> Iterator[None]:
    """Hold a lock file, which is there only meanwhile. Where another process or thread has it, wait.

    Args:
        path: of the lock file, in an existing folder.
        on_wait: called before waiting.

    Raises:
        OSError: it can't be written.
    """
    while True:
        with path.open("ab") as file:
            if not lock(file.fileno(), path):
                on_wait()
                lock(file.fileno(), path, wait=True)
            if not _is_same(path, file.fileno()):
                continue  # the one who had it has removed it since: another one may have it under this name
            try:
                yield
            finally:
                with suppress(OSError):
                    path.unlink()
            return


def _is_same(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def sha256_file(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file's bytes, as 64 hex digits."""
    file_path = path if isinstance(path, Path) else Path(path)  # of a store, it opens itself
    with file_path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cache_folder() -> Path:
    """Where amiss keeps what it can make again: `$AMISS_CACHE`, or `amiss` in the user's cache folder."""
    if given := os.environ.get("AMISS_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "amiss"
