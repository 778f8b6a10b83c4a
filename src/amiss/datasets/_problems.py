"""What can be wrong with a dataset's files."""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from amiss.files import sha256_file

Kind = Literal["missing", "unreadable", "damaged", "length", "rate", "duplicate", "events", "leak", "unused", "note"]


@dataclass(frozen=True)
class Problem:
    """Something found wrong, or worth knowing, about a dataset."""

    kind: Kind
    message: str
    """One line that can stand alone."""
    video_id: str | None = None
    """None where it concerns the whole dataset."""

    def __str__(self) -> str:
        return self.message

    @property
    def is_error(self) -> bool:
        """Whether results would be wrong or training would fail; the others are for the reader to judge."""
        return self.kind in ("missing", "unreadable", "length", "leak")


def duplicates(paths: Mapping[str, Path]) -> list[tuple[str, str]]:
    """(video id, id of an earlier video with the same bytes); only files of equal size are read."""
    by_size: defaultdict[int, list[str]] = defaultdict(list)
    for video_id, path in paths.items():
        with suppress(OSError):
            by_size[sum(file.stat().st_size for file in _files_of(path))].append(video_id)
    found = []
    for same_size in by_size.values():
        first_with: dict[str, str] = {}
        for video_id in same_size if len(same_size) > 1 else []:
            first = first_with.setdefault("".join(map(sha256_file, _files_of(paths[video_id]))), video_id)
            if first != video_id:
                found.append((video_id, first))
    return found


def _files_of(path: Path) -> list[Path]:
    """A video's files: one, or its pictures."""
    return sorted(file for file in Path(os.fspath(path)).iterdir() if file.is_file()) if path.is_dir() else [path]


def events_beyond(video_id: str, n_frames: int | None, events: Iterable[tuple[int, int]]) -> list[Problem]:
    """A problem for each event that reaches past the last frame. Official files have some; the protocol decides."""
    if n_frames is None:
        return []
    return [
        Problem("events", f"{video_id}: event {start}-{end} reaches past the last of {n_frames} frames", video_id)
        for start, end in events
        if end > n_frames
    ]


def first_names(names: Iterable[str], count: int = 5) -> str:
    """The first few of many names, and how many more there are."""
    every = list(names)
    more = f" and {len(every) - count} more" if len(every) > count else ""
    return ", ".join(every[:count]) + more
