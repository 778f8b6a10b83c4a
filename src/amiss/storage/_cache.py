"""Copies of files in stores, in a folder that stays within its bound. Several processes may use it at once."""

import errno
import hashlib
import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from amiss.files import TEMPORARY_PREFIX, atomic_path, cache_folder, lock_file, sha256_file
from amiss.storage._settings import storage_settings
from amiss.storage._store import StorageError, asked, info, version_in
from amiss.storage._url import Url

_FOLDER = "storage"
_LOCK = ".lock"
_SLACK = 0.05  # of the bound: so much may be added before the folder is measured again
_LEFT_S = 86400.0  # what nobody wrote on for so long, a killed process has left half
_added: dict[Path, float] = {}  # bytes since this process measured the folder; at first without end
_guard = threading.Lock()


def cached(url: Url, sha256: str | None = None) -> Path:
    """A copy of a file on this machine. It may be removed once others are used: open it at once.

    Args:
        url: of the file.
        sha256: of its bytes, where it is known: then the store isn't asked whether the copy is the newest.

    Raises:
        StorageError: there is no such file, it isn't what `sha256` says, it is larger than the cache may become, the
            cache can't be written, or the store can't be asked.
    """
    name = sha256 or hashlib.sha256(f"{url.address} {version_in(info(url))}".encode()).hexdigest()
    root = cache_folder() / _FOLDER
    path = root / name[:2] / f"{name}{url.suffix[:16]}"
    if not _is_used(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with lock_file(path.with_name(path.name + _LOCK), lambda: None):
                if not _is_used(path):
                    _fetch(url, path, sha256)
                    _make_room(root, path)
        except StorageError:
            raise
        except OSError as error:
            raise StorageError(
                url, f"its copy can't be written to {root}: {error.strerror or error}", error.errno
            ) from None
    return path


def _is_used(path: Path) -> bool:
    """Whether it is there; then it counts as used just now."""
    try:
        os.utime(path)
    except OSError:
        return False
    return True


def _fetch(url: Url, path: Path, sha256: str | None) -> None:
    from fsspec.callbacks import Callback

    most_mb = storage_settings().storage_cache_mb

    def check(size: int | None, fetched: int, **_: Any) -> None:
        if max(size or 0, fetched) > most_mb << 20:
            what = f"it has more than {most_mb} MB, and so many copies may have: AMISS_STORAGE_CACHE_MB allows more"
            raise StorageError(url, what, errno.EFBIG)

    check(info(url).get("size"), 0)
    with atomic_path(path) as temporary:  # not every store says before how large a file is
        asked(url, lambda store: store.get_file(url.address, str(temporary), callback=Callback(hooks={"": check})))
        if sha256 is not None and sha256_file(temporary) != sha256:
            raise StorageError(url, "its checksum is not the one on record: it is damaged, or of another run")


def _make_room(root: Path, newest: Path) -> None:
    """Remove what was not used for the longest time, if there is too much."""
    bound = storage_settings().storage_cache_mb << 20
    with _guard:
        _added[root] = _added.get(root, float("inf")) + newest.stat().st_size
        if _added[root] <= _SLACK * bound:
            return
        _added[root] = 0.0
    found = []
    for path in root.glob("*/*"):
        with suppress(OSError):  # removed by another process meanwhile
            status = path.stat()
            if path.name.startswith(TEMPORARY_PREFIX):
                if status.st_mtime < time.time() - _LEFT_S:
                    path.unlink()
            elif not path.name.endswith(_LOCK):
                found.append((status.st_mtime_ns, status.st_size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= (1 - _SLACK) * bound:
            return
        if path != newest:
            with suppress(OSError):  # in use, on Windows
                path.unlink()
                total -= size
