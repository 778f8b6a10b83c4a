"""A folder into which finished video files are put, and which of them were scored."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from amiss.errors import showable
from amiss.files import append_line
from amiss.reading import ReadError, read_json_lines
from amiss.video.opening import VIDEO_SUFFIXES, list_videos

SEEN = ".amiss-scored.jsonl"
SETTLED_S = 2.0  # a file that hasn't grown for so long is finished


class DropBox:
    """The finished video files of a folder, each once, oldest first; also those that come later.

    What was scored is remembered in the folder's `.amiss-scored.jsonl` by name, size and time of change, so a restart
    doesn't score it again and a file that is replaced is.

    `left_out` names what is in the folder and isn't given, by why. `was_read` and `is_worked_off` tell how the last
    look at the folder went: whether it could be read, and whether no file was left, not even one that is still being
    written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._seen: set[tuple[str, int, int]] | None = None
        self._sizes: dict[str, tuple[tuple[int, int], float]] = {}
        self._given: tuple[str, int, int] | None = None
        self._ended: Counter[tuple[str, int, int]] = Counter()
        self.left_out: dict[str, list[str]] = {}
        self._damage = ""  # of its notes
        self.was_read = self.is_worked_off = False

    def finished(self) -> Iterator[tuple[Path, str]]:
        """Files to be scored now, each with what tells it from all others: name, size and time of change.

        Raises:
            OSError: the folder can't be read.
        """
        self.was_read = self.is_worked_off = False
        if self._seen is None:
            self._seen = set(self._remembered())
        found = []
        listing = list_videos(self.folder, deep=False)
        for path in listing.videos:
            try:
                status = path.stat()
                found.append((status.st_mtime_ns, status.st_size, path.name))
            except FileNotFoundError:  # moved away just now
                pass
        # Opening a link that leads nowhere says why it can't be read.
        lost = [path for path in listing.broken if path.suffix.lower() in VIDEO_SUFFIXES]
        found += [(0, 1, path.name) for path in lost]
        listing.broken = [path for path in listing.broken if path not in lost]
        self.left_out = {why: [path.name for path in paths] for why, paths in listing.left_out().items()}
        if self._damage:
            self.left_out["lines of its notes, so that files may be scored again"] = [f"{SEEN}: {self._damage}"]
        self._sizes = {name: kept for name, kept in self._sizes.items() if name in {name for _, _, name in found}}
        self.was_read = True
        left = [(name, size, mtime) for mtime, size, name in sorted(found) if (name, size, mtime) not in self._seen]
        self.is_worked_off = not any(size for _, size, _ in left)  # an empty file is none
        for file in left:
            if self._is_settled(*file):
                self._given = file
                yield self.folder / file[0], showable(" ".join(map(str, file)))

    def _is_settled(self, name: str, size: int, mtime: int) -> bool:
        now = time.monotonic()
        state, since = self._sizes.get(name, (None, now))
        if state != (size, mtime):
            self._sizes[name] = (size, mtime), now
            return time.time() - mtime / 1e9 > 60 and size > 0  # long finished
        return now - since >= SETTLED_S and size > 0

    def still_has(self, path: Path) -> bool:
        """Whether the folder can be read and the file is in it."""
        try:
            return path in self.folder.iterdir()
        except OSError:
            return False

    def remember(self, *, for_good: bool = True) -> None:
        """Note that the file given last was scored, as it was when it was given.

        Args:
            for_good: also on disk; else until the process ends.

        Raises:
            OSError: the note can't be written; the file is still remembered until the process ends.
        """
        if self._given is None or self._seen is None:
            return
        self._seen.add(self._given)
        if not for_good:
            return
        self._write(self._given)

    def note_ended(self) -> int:
        """Note, on disk where that is possible, that the file given last ended the process that decoded it; returns how
        often it did so.
        """
        if self._given is None:
            return 0
        self._ended[self._given] += 1
        with suppress(OSError):
            self._write(self._given, ended=True)
        return self._ended[self._given]

    def _write(self, file: tuple[str, int, int], **more: bool) -> None:
        name, size, mtime = file
        append_line(self.folder / SEEN, json.dumps({"name": name, "size": size, "mtime_ns": mtime, **more}))

    def _remembered(self) -> Iterator[tuple[str, int, int]]:
        try:
            notes = read_json_lines(self.folder / SEEN, _note)
        except ReadError as error:
            raise OSError(None, str(error), str(self.folder / SEEN)) from None
        self._damage = notes.damage
        for file, is_end in notes.values:
            if is_end:
                self._ended[file] += 1
            else:
                yield file


def _note(values: dict[str, Any]) -> tuple[tuple[str, int, int], bool]:
    file = str(values["name"]), int(values["size"]), int(values["mtime_ns"])
    return file, bool(values.get("ended", False))
