"""Writing files so that each appears complete or not at all, and one process at a time."""

import errno
import hashlib
import json
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import lock_descriptor

from amiss.errors import OutputError

TEMPORARY_PREFIX = ".partial-"
LONGEST_NAME = 255
"""Bytes of a file's name, on nearly all file systems."""


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends well, remove it otherwise.

    The temporary name keeps the suffix, so that writers that look at it (PyAV, numpy) choose the same format.

    Raises:
        OutputError: the folder can't be created or written, or the disk is full. `path` is then as it was before.
    """
    target = Path(path)
    temporary = target.with_name(_temporary_name(target.name))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(target)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise output_error(target, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


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


def is_about_name(error: OSError) -> bool:
    """Whether the name is what can't be written (too long, or of signs that the file system doesn't know): another
    name would do.
    """
    return error.errno in (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as indented JSON, atomically. NaN is refused: it isn't JSON."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


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
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cache_folder() -> Path:
    """Where amiss keeps what it can make again: `$AMISS_CACHE`, or `amiss` in the user's cache folder."""
    if given := os.environ.get("AMISS_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "amiss"
