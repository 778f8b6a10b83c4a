"""The spool: what is to be written to the database, on disk before anything else happens to it.

A folder with `spool.jsonl` (one record per line, each on disk before `append` returns), `node` (who this folder is, for
the outbox) and `lock` (one process at a time). The file is emptied when everything in it is in the database; records
that a crash leaves there are written again, which changes nothing where they had arrived.
"""

import json
import logging
import os
import sys
import threading
import time
import uuid
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any

from amiss.errors import OutputError, UsageError
from amiss.files import append_line, atomic_path, lock, remove_leftovers, write_text
from amiss.reading import ReadError, read_json_lines

log = logging.getLogger("amiss.watch.store")

MAX_BYTES = 64 << 20
_REPEAT_S = 60.0  # a trouble that lasts is said again after so long
_SLOW_S = 5.0  # of a write: the disk takes nothing


@dataclass(frozen=True, eq=False)
class Entry:
    """One record that waits."""

    line: bytes = field(repr=False)
    """The record as JSON, with its line feed."""
    event_id: str | None
    """Of an event's record, else None."""
    open: bool
    """It is the state of an event that was still open: what may go when the spool is full."""


class Spool:
    """A durable first-in first-out queue of records; all methods may be called from any thread.

    A newer state of an event replaces the state of the still open event that waits before it. When more than
    `max_bytes` wait, the oldest states of open events go; the state that ended an event never does, so the file can
    grow beyond.

    Raises:
        UsageError: another process uses the folder.
        OutputError: the folder can't be made or written.
    """

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        self.folder = folder
        self.dropped = 0  # states of open events given up for want of room
        self.rejected = 0  # records put aside in rejected.jsonl
        self._path = folder / "spool.jsonl"
        self._max_bytes = max_bytes
        self._entries: dict[int, Entry] = {}  # in order
        self._open: dict[str, int] = {}  # event → its waiting state, while open
        self._unwritten: set[int] = set()  # what the disk did not take yet: in memory only
        self._writing_since: float | None = None
        self._has_failed = False  # the last write
        self._next = 0
        self._bytes = 0  # of what waits
        self._since: float | None = None
        self._said: dict[str, float] = {}
        self._changed = threading.Condition()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(folder)
            remove_leftovers(folder)
            self.node = _node(folder / "node")
            self._read()
            self._file = FileIO(self._path, "ab")
            _sync_folder(folder)
        except OSError as error:
            if isinstance(error, OutputError):
                raise
            raise OutputError(f"can't use the spool folder {folder}: {error.strerror or error}") from error
        self._size = self._file.tell()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def n_bytes(self) -> int:
        """Bytes of what waits."""
        return self._bytes

    @property
    def waiting_s(self) -> float:
        """How long something has been waiting; 0 where nothing does."""
        since = self._since
        return 0.0 if since is None else time.monotonic() - since

    @property
    def in_memory(self) -> int:
        """Records that the disk did not take, or not for seconds: lost if the process ends before the database takes
        them."""
        since = self._writing_since
        is_slow = since is not None and time.monotonic() - since > _SLOW_S
        return len(self._unwritten) if self._has_failed or is_slow else 0

    def append(self, record: bytes, *, event_id: str | None = None, is_open: bool = False) -> None:
        """Put a record (JSON in one line) at the end; it is on disk when this returns.

        Trouble with the disk is logged, not raised.
        """
        line = record + b"\n"
        with self._changed:
            if event_id is not None and event_id in self._open:
                self._drop(self._open[event_id])
            number = self._add(Entry(line, event_id, is_open))
            self._unwritten.add(number)
            self._write()
            if self._size > self._max_bytes or self._bytes > self._max_bytes:
                self._make_room()
            self._changed.notify_all()

    def wait(self, timeout_s: float | None) -> bool:
        """Wait until something is there, or `wake` is called; True where something is."""
        with self._changed:
            if not self._entries:
                self._changed.wait(timeout_s)
            return bool(self._entries)

    def wake(self) -> None:
        """End every `wait`."""
        with self._changed:
            self._changed.notify_all()

    def peek(self, count: int) -> list[tuple[int, Entry]]:
        """The oldest `count` records and their numbers; they stay until `remove`."""
        with self._changed:
            numbers = list(self._entries)[:count] if len(self._entries) > count else list(self._entries)
            return [(number, self._entries[number]) for number in numbers]

    def remove(self, numbers: list[int]) -> None:
        """Forget records that have arrived."""
        with self._changed:
            for number in numbers:
                self._drop(number)
            if self._entries:
                self._since = time.monotonic()
                if self._size - self._bytes > self._max_bytes // 2:
                    self._rewrite()
            else:
                self._since = None
                self._truncate(0)
            self._changed.notify_all()

    def wait_empty(self, timeout_s: float) -> bool:
        """Wait until all is in the database."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._entries, timeout_s)

    def reject(self, number: int, entry: Entry, why: str) -> None:
        """Put a record that the database will never take into `rejected.jsonl`, so that it blocks nothing."""
        self._put_aside(entry.line, why)
        self.remove([number])

    def close(self) -> None:
        """Let go of the folder; what waits stays in it."""
        with self._changed:
            self._file.close()
            self._lock.close()

    def _add(self, entry: Entry) -> int:
        number, self._next = self._next, self._next + 1
        self._entries[number] = entry
        self._bytes += len(entry.line)
        if entry.open and entry.event_id is not None:
            self._open[entry.event_id] = number
        if self._since is None:
            self._since = time.monotonic()
        return number

    def _drop(self, number: int) -> None:
        entry = self._entries.pop(number, None)
        if entry is None:
            return
        self._bytes -= len(entry.line)
        self._unwritten.discard(number)
        if entry.event_id is not None and self._open.get(entry.event_id) == number:
            del self._open[entry.event_id]

    def _write(self) -> None:
        """Write what is not on disk yet."""
        lines = b"".join(self._entries[number].line for number in sorted(self._unwritten))
        self._writing_since = time.monotonic()
        try:
            if self._file.closed:
                self._file = FileIO(self._path, "ab")
            self._append_bytes(lines)
            os.fsync(self._file.fileno())
        except OSError as error:
            self._has_failed = True
            self._truncate(self._size)  # no torn line before the next one
            self._say(
                "write",
                f"the spool {self._path} can't be written ({error.strerror}): {len(self._unwritten)} records are in "
                "memory only and lost if the process ends before the database takes them",
            )
            return
        finally:
            self._writing_since = None
        self._has_failed = False
        self._size += len(lines)
        self._unwritten.clear()

    def _append_bytes(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) or 0 :]

    def _truncate(self, size: int) -> None:
        if self._file.closed:
            return  # nothing was written
        try:
            self._file.truncate(size)
        except OSError as error:
            self._say("truncate", f"the spool {self._path} can't be shortened: {error.strerror}")
            return
        self._size = size

    def _make_room(self) -> None:
        n_dropped = 0
        for number in [n for n, entry in self._entries.items() if entry.open]:
            if self._bytes <= self._max_bytes * 3 // 4:
                break
            self._drop(number)
            n_dropped += 1
        self.dropped += n_dropped
        if n_dropped:
            self._say(
                "full",
                f"the spool {self._path} is full ({self._max_bytes} bytes): {self.dropped} states of open events "
                "dropped so far; the ends of events are kept",
            )
        elif self._bytes > self._max_bytes:
            self._say(
                "grown",
                f"the spool {self._path} has grown beyond {self._max_bytes} bytes: {len(self._entries)} records wait "
                "for the database, none is dropped",
            )
        if self._size - self._bytes > self._max_bytes // 8:
            self._rewrite()

    def _rewrite(self) -> None:
        """Leave only what waits in the file."""
        self._file.close()  # Windows replaces no file that is open
        try:
            with atomic_path(self._path) as temporary:
                temporary.write_bytes(b"".join(entry.line for entry in self._entries.values()))
            self._size = self._path.stat().st_size
            self._unwritten.clear()
            self._has_failed = False
            self._file = FileIO(self._path, "ab")
            _sync_folder(self.folder)
        except OSError as error:
            self._say("compact", f"the spool can't be compacted: {error}")

    def _read(self) -> None:
        """Take up what an earlier process left; a line that was torn or damaged goes to `rejected.jsonl`."""
        try:
            size = self._path.stat().st_size if self._path.exists() else 0  # what was kept may be large
            spooled = read_json_lines(self._path, _event_of, most=size)
        except ReadError as error:
            raise OSError(None, str(error)) from None
        damaged = 0
        for line in spooled.lines:
            if line.value is None or not line.raw.endswith(b"\n"):
                damaged += 1
                self._put_aside(line.raw, line.problem or "its end is missing")
                continue
            entry = Entry(line.raw, *line.value)
            if entry.event_id is not None and entry.event_id in self._open:
                self._drop(self._open[entry.event_id])
            self._add(entry)
        if damaged:
            log.error("%s: %d damaged lines put aside in rejected.jsonl", self._path, damaged)
            with atomic_path(self._path) as temporary:
                temporary.write_bytes(b"".join(entry.line for entry in self._entries.values()))
        if self._entries:
            log.warning("%s: %d records of an earlier run wait for the database", self._path, len(self._entries))

    def _put_aside(self, line: bytes, why: str) -> None:
        self.rejected += 1
        text = json.dumps({"why": why, "record": line.decode("utf-8", "replace").rstrip("\n")})
        log.error("a record can't be stored and was put into %s: %s", self.folder / "rejected.jsonl", why)
        try:
            append_line(self.folder / "rejected.jsonl", text)
        except OSError as error:
            log.error("rejected.jsonl can't be written (%s); the record: %s", error.strerror, text)

    def _say(self, kind: str, message: str) -> None:
        now = time.monotonic()
        if now - self._said.get(kind, -_REPEAT_S) >= _REPEAT_S:
            self._said[kind] = now
            log.error(message)


def _event_of(record: dict[str, Any]) -> tuple[str | None, bool]:
    """Of a record: the id of its event, if it is of one, and whether that is open."""
    event = record.get("event") or {}
    return event.get("event_id"), event.get("state") == "open"


def _lock(folder: Path) -> FileIO:
    """Held until closed; the system lets go of it when the process dies, however it dies."""
    file = FileIO(folder / "lock", "ab")
    if not lock(file.fileno(), folder / "lock"):
        file.close()
        raise UsageError(f"another process uses the spool folder {folder}: is amiss watch running twice?")
    return file


def _node(path: Path) -> str:
    if path.exists() and len(node := path.read_text(encoding="ascii").strip()) == 32:
        return node
    node = uuid.uuid4().hex
    write_text(path, node + "\n")
    return node


def _sync_folder(folder: Path) -> None:
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
