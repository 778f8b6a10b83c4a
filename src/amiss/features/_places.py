"""Where a feature set is written: a folder of this machine, or a place in a store."""

import hashlib
import json
import os
import sys
import time
import uuid
import weakref
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amiss.errors import OutputError, UsageError
from amiss.features._index import (
    INDEX,
    JOURNAL,
    SHARDS,
    TIMES,
    FeatureRecord,
    Index,
    index_text,
    names_in,
    npy_bytes,
    path_of,
    read_index,
    read_journal,
)
from amiss.files import (
    NamesInFolder,
    append_line,
    atomic_path,
    lock,
    output_error,
    remove_leftovers,
    sha256_file,
    write_json,
    write_text,
)
from amiss.storage import StorageError, Url, listed, publish, publish_unchanged, removed, stamp_of

Array = NDArray[np.floating[Any]]
_MERGE_AFTER = 500  # records in the journal of a store; a reader asks for each


class _FolderLock:
    """A folder that other processes don't write into, as long as a writer of this process refers to this."""

    @classmethod
    def of(cls, folder: Path) -> "_FolderLock | None":
        """The lock of a folder, which all writers of this process share; None on Windows.

        Raises:
            UsageError: another process has it.
            OSError: the folder can't be opened.
        """
        if sys.platform == "win32":
            return None
        descriptor = os.open(folder, os.O_RDONLY)
        status = os.fstat(descriptor)
        key = (status.st_dev, status.st_ino)
        if (held := _LOCKS.get(key)) is not None:
            os.close(descriptor)
            return held
        if not lock(descriptor, folder):
            os.close(descriptor)
            raise UsageError(f"another extraction is writing into {folder}: wait for it, or choose another folder")
        _LOCKS[key] = new = cls()
        weakref.finalize(new, os.close, descriptor)
        return new


_LOCKS: weakref.WeakValueDictionary[tuple[int, int], _FolderLock] = weakref.WeakValueDictionary()


class FolderPlace:
    """A folder, into which one process writes. Records are appended to the index."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._index = folder / INDEX
        self._lock: _FolderLock | None = None
        self._names: NamesInFolder | None = None

    def begin(self) -> set[str]:
        """Make the folder, lock it, and clean it up; names of what is in it, but the index.

        Raises:
            UsageError: another process is writing into it.
            OutputError: it can't be written.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = _FolderLock.of(self._folder)
            remove_leftovers(self._folder)
            for name in (TIMES, SHARDS):
                if (self._folder / name).is_dir():
                    remove_leftovers(self._folder / name)
            with os.scandir(self._folder) as entries:
                return {entry.name for entry in entries} - {INDEX}
        except OSError as error:
            raise OutputError(f"can't write feature set {self._folder}: {error.strerror}") from error

    def write_spec(self, spec: dict[str, Any]) -> bool:
        """Write `spec.json`; whether this is what is there now."""
        write_json(self._folder / "spec.json", spec)
        return True

    def read_index(self) -> Index:
        """What is on record."""
        return read_index(self._folder)

    def names(self) -> list[str]:
        """All files, as paths from the folder."""
        return names_in(self._folder)

    def claim(self, video_id: str, here: Set[str]) -> None:
        """Refuse an id whose file is that of another one of those that are here.

        Raises:
            OutputError: it is.
        """
        if self._names is None:
            self._names = NamesInFolder(self._folder, here)
        self._names.claim(video_id)

    def write_array(self, name: str, array: Array) -> str:
        """Write a .npy file; gives its sha256.

        Raises:
            OutputError: it can't be written.
        """
        with atomic_path(self._folder / name) as temporary:
            np.save(temporary, array, allow_pickle=False)
            return sha256_file(temporary)

    def append(self, records: Sequence[FeatureRecord]) -> None:
        """Put videos on record, whose rows are there.

        Raises:
            OutputError: it can't be written; their rows are then removed.
        """
        try:
            append_line(self._index, "".join(record.to_line() for record in records).rstrip("\n"))
        except OSError as error:
            for record in records:
                path_of(self._folder, record).unlink(missing_ok=True)
            raise OutputError(f"can't write {self._index}: {error.strerror}") from error

    def write_index(self, records: Mapping[str, FeatureRecord]) -> None:
        """In order of ids, where it isn't yet.

        Raises:
            OutputError: it can't be written; it stays as it was.
        """
        text = index_text(records)
        if not self._index.exists() or text.encode() != self._index.read_bytes():
            write_text(self._index, text)

    def close(self) -> None:
        """Put the index in order.

        Raises:
            OutputError: as `write_index`.
        """
        if self._index.exists():
            self.write_index(self.read_index().records)

    def let_go(self) -> None:
        """Let other processes write here."""
        self._lock = None


class StorePlace:
    """A place in a store, into which several processes may write. Nothing can be appended to a file there: records are
    files of their own until the index is written anew, if nobody else has written it meanwhile.
    """

    def __init__(self, folder: Url) -> None:
        self._folder = folder
        self._found: list[str] = []
        self._n_added = 0
        self._stamp: str | None = None  # of the index, as it was read last

    def begin(self) -> set[str]:
        """Names of what is there, but the index.

        Raises:
            OutputError: the store can't be asked.
        """
        if self._folder.scheme.startswith("http"):
            raise OutputError(f"can't write {self._folder}: web servers are read only")
        try:
            self._found = list(listed(self._folder))
        except StorageError as error:
            raise output_error(self._folder, error) from None
        return {name.partition("/")[0] for name in self._found} - {INDEX, JOURNAL}

    def write_spec(self, spec: dict[str, Any]) -> bool:
        """Write `spec.json`; whether this is what is there now: another process may have been first."""
        text = json.dumps(spec, indent=2, allow_nan=False) + "\n"
        return publish_unchanged(self._folder / "spec.json", text.encode(), None)

    def read_index(self) -> Index:
        """What is on record."""
        self._stamp = stamp_of(self._folder / INDEX)
        return read_index(self._folder)

    def names(self) -> list[str]:
        """All files, as paths from the folder, when the writer began."""
        return self._found

    def claim(self, video_id: str, here: Set[str]) -> None:
        """Stores tell all names apart."""

    def write_array(self, name: str, array: Array) -> str:
        """Write a .npy file; gives its sha256.

        Raises:
            OutputError: it can't be written.
        """
        data = npy_bytes(array)
        publish(self._folder / name, data)
        return hashlib.sha256(data).hexdigest()

    def append(self, records: Sequence[FeatureRecord]) -> None:
        """Put videos on record, whose rows are there.

        Raises:
            OutputError: it can't be written.
        """
        name = f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.json"
        publish(self._folder / JOURNAL / name, "".join(record.to_line() for record in records).encode())
        self._n_added += 1
        if self._n_added % _MERGE_AFTER == 0:
            self.close()

    def write_index(self, records: Mapping[str, FeatureRecord]) -> None:
        """Leave out of the index what is damaged in it; where somebody else has written it meanwhile, so have they."""
        publish_unchanged(self._folder / INDEX, index_text(records).encode(), self._stamp)

    def close(self) -> None:
        """Put all that was added into the index.

        Raises:
            OutputError: it can't be written; what was added stays beside it.
        """
        path = self._folder / INDEX
        try:
            while added := read_journal(self._folder):
                records = self.read_index().records
                if publish_unchanged(path, index_text(records).encode(), self._stamp):
                    removed(added)
        except StorageError as error:
            raise output_error(path, error) from None

    def let_go(self) -> None:
        """Nothing is held."""
