"""Manifest: the CSV that says which videos there are, in which split, with which label."""

import csv
import io
import math
import os
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Literal, get_args

from amiss.errors import ManifestError, UsageError
from amiss.files import write_text
from amiss.reading import (
    Table,
    check_id,
    read_table,
    refusing,
    shown,
    to_label,
    to_number,
    to_whole_number,
)
from amiss.storage import Url, is_allowed, located
from amiss.video import VIDEO_SUFFIXES, PictureFolder

Split = Literal["train", "val", "test"]
"""What a video is for."""
REQUIRED_COLUMNS = ("video_id", "split", "label")
OPTIONAL_COLUMNS = ("path", "class", "n_frames", "fps", "events", "group")
_SPAN = re.compile(r"([0-9]{1,15})\s*-\s*([0-9]{1,15})")
_TIME = r"((?:[0-9]{1,6}:){0,2}[0-9]{1,12}(?:[.,][0-9]{1,12})?\s*s?)"
_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")  # a drive, or another machine
_TIMES = re.compile(rf"{_TIME}\s*-\s*{_TIME}")


@dataclass(frozen=True, kw_only=True)
class Video:
    """One row of a manifest."""

    video_id: str
    split: Split
    label: int
    """0 = normal, 1 = something anomalous happens in it."""
    path: Path | None = None
    """Absolute; of pictures the folder, a `PictureFolder`; None where only features exist."""
    class_name: str | None = None
    n_frames: int | None = None
    """Decoded frames."""
    fps: float | None = None
    events: tuple[tuple[int, int], ...] = ()
    """Anomalous frames as 0-based half-open intervals [start, end), sorted, without overlap."""
    group: str | None = None
    """Recording or scene; splits and folds never cut through a group."""


@dataclass(frozen=True)
class Manifest:
    """The videos of a dataset, ids unique, in the order of the file."""

    videos: tuple[Video, ...]
    source: str = "manifest"
    """Where it came from, for messages."""
    by_id: dict[str, Video] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index by id; ids must be unique."""
        by_id = {video.video_id: video for video in self.videos}
        if len(by_id) != len(self.videos):
            raise ManifestError(f"{self.source}: video ids are not unique")
        object.__setattr__(self, "by_id", by_id)

    def split(self, *names: Split) -> tuple[Video, ...]:
        """The videos of the named splits, in order."""
        return tuple(video for video in self.videos if video.split in names)


def video_id_of(path: Path, root: Path) -> str:
    """Id of a bare file, or folder of pictures: its path relative to `root` without suffix, `/` → `__`."""
    return "__".join(path.relative_to(root).with_suffix("").parts if path != root else [path.name])


def unique_ids(videos: Iterable[tuple[str, Path]]) -> dict[str, Path]:
    """Id → file. Different files of one id keep their suffixes in it: `a.mkv` and `a.mp4`.

    Args:
        videos: ids and files; one file may be there more than once.

    Raises:
        UsageError: their suffixes don't tell them apart either.
    """
    alike: dict[str, dict[Path, Path]] = {}
    for video_id, path in videos:
        alike.setdefault(video_id, {}).setdefault(path.resolve(), path)
    found: dict[str, Path] = {}
    for video_id, paths in alike.items():
        for path in paths.values():
            name = video_id + path.suffix if len(paths) > 1 else video_id
            if (first := found.setdefault(name, path)) is not path:
                raise UsageError(f"{first} and {path} would both be {name!r}: give the folder above both instead")
    return found


def parse_events(text: str, fps: float | None = None) -> tuple[tuple[int, int], ...]:
    """Parse `start-end;start-end` (0-based, half-open).

    Args:
        text: of the events.
        fps: frames per second, to say in frames what was written in seconds.

    Raises:
        ValueError: an interval is malformed, in seconds, empty, reversed, or overlaps the one before it (after
            sorting).
    """
    events = []
    for item in filter(None, (part.strip() for part in text.split(";"))):
        span = _SPAN.fullmatch(item)
        if span is None:
            if times := _TIMES.fullmatch(item):
                raise ValueError(_in_seconds(item, times[1], times[2], fps))
            raise ValueError(f"event {shown(item)} is not of the form start-end")
        start, end = int(span[1]), int(span[2])
        if end <= start:
            raise ValueError(f"event {item!r} is empty or reversed (frames are 0-based and half-open)")
        events.append((start, end))
    events.sort()
    for (s1, e1), (s2, e2) in pairwise(events):
        if s2 < e1:
            raise ValueError(f"events {s1}-{e1} and {s2}-{e2} overlap")
    return tuple(events)


def _in_seconds(item: str, start: str, end: str, fps: float | None) -> str:
    """What to write in place of an event that looks like seconds."""
    first, last = _seconds(start), _seconds(end)
    rate, whose = (25.0, "for example ") if fps is None else (fps, "")
    frames = f"{whose}{round(first * rate)}-{round(last * rate)} at {rate:g} frames a second"
    return f"event {shown(item)} looks like seconds; events are frames, {frames}"


def _seconds(text: str) -> float:
    """Of `83.2`, `1:23.2`, `0:01:23` and `83.2s`."""
    parts = text.rstrip("s ").replace(",", ".").split(":")
    return math.fsum(float(part) * 60.0**i for i, part in enumerate(reversed(parts)))


def format_events(events: Iterable[tuple[int, int]]) -> str:
    """The inverse of `parse_events`."""
    return ";".join(f"{start}-{end}" for start, end in events)


def read_manifest(path: str | os.PathLike[str]) -> Manifest:
    """Read and check a manifest CSV.

    Raises:
        ManifestError: unreadable, unknown or missing columns, duplicate ids, bad values; names the line.
    """
    file = located(path)
    with refusing(ManifestError, f"manifest {file}"):
        table = read_table(file)
    return _parsed(file, table)


def _parsed(file: Path, table: Table) -> Manifest:
    try:
        table.check_columns(REQUIRED_COLUMNS, REQUIRED_COLUMNS + OPTIONAL_COLUMNS)
    except ValueError as error:
        raise ManifestError(f"{file} {error}") from None
    videos: list[Video] = []
    line_of: dict[str, int] = {}
    foreign: list[tuple[int, str]] = []
    for row in table.rows:
        try:
            video = _parse_row(row.cells, file.parent)
        except ValueError as error:
            raise ManifestError(f"{file} line {row.line}: {error}") from None
        if (first := line_of.setdefault(video.video_id, row.line)) != row.line:
            raise ManifestError(f"{file} line {row.line}: video_id {video.video_id!r} stands already in line {first}")
        videos.append(video)
        if _WINDOWS.match(row.cells.get("path", "")):
            foreign.append((row.line, row.cells["path"]))
    if not videos:
        raise ManifestError(f"{file} has no videos")
    if foreign and os.name != "nt":
        line, name = foreign[0]
        others = f", as {len(foreign) - 1} more" if len(foreign) > 1 else ""
        warnings.warn(
            f"{file} line {line}: path {shown(name)} is of a drive of Windows{others}, which is not here: write paths "
            "relative to the manifest's folder",
            stacklevel=3,
        )
    return Manifest(tuple(videos), source=str(file))


def _parse_row(row: dict[str, str], folder: Path) -> Video:
    split = row["split"].lower()
    if split not in get_args(Split):
        raise ValueError(f"split is {shown(row['split'])}; allowed are {list(get_args(Split))}")
    label = to_label(row["label"])
    n_frames = to_whole_number(row["n_frames"], "n_frames") if row.get("n_frames") else None
    fps = to_number(row["fps"], "fps") if row.get("fps") else None
    events = parse_events(row.get("events", ""), fps)
    if events and not label:
        raise ValueError(f"label is 0 (normal) but events are {shown(row['events'])}")
    return Video(
        video_id=check_id(row["video_id"]),
        split=split,  # type: ignore[arg-type]  # checked above
        label=label,
        path=_path(row["path"], folder, fps) if row.get("path") else None,
        class_name=row.get("class") or None,
        n_frames=n_frames,
        fps=fps,
        events=events,
        group=row.get("group") or None,
    )


def _path(text: str, folder: Path, fps: float | None) -> Path:
    """Of a file, or of a folder of pictures, which have the rate that the manifest says; or in a store, where that may
    be: who wrote the manifest may be a stranger.
    """
    if "\0" in text:
        raise ValueError(f"path is {shown(text)}, which no file can be called")
    if "://" in text:
        url = located(text)
        if isinstance(url, Url) and not is_allowed(url, folder):
            raise ValueError(
                f"path is {shown(str(url))}, in another store than the manifest; if it is meant, allow it by "
                f"AMISS_STORAGE_ALLOW={url.scheme}://{url.place}/"
            )
        return url
    if isinstance(folder, Url):
        return _below(folder, text.replace("\\", "/"))
    path = folder / text
    try:
        if "\\" in text and os.name != "nt" and not path.exists():  # written on Windows
            path = folder / text.replace("\\", "/")
        path = path.resolve()
        if path.suffix.lower() not in VIDEO_SUFFIXES and path.is_dir():
            return PictureFolder(path, fps)
    except OSError as error:  # the name is too long, or leads in a circle
        raise ValueError(f"path is {shown(text)}: {error.strerror}") from None
    return path


def _below(folder: Url, text: str) -> Url:
    """The file of a path from the manifest's folder in a store. It stays in this store."""
    if text.startswith("/") or _WINDOWS.match(text):
        raise ValueError(f"path is {shown(text)}; in a store, paths are relative to the manifest's folder, or URLs")
    url = folder
    for part in text.split("/"):
        if part == "..":
            if url == url.parent:
                raise ValueError(f"path is {shown(text)}, which leads out of the store")
            url = url.parent
        else:
            url = url / part
    return url


def write_manifest(manifest: Manifest, path: str | os.PathLike[str]) -> None:
    """Write a manifest CSV, paths relative to its folder where they lie below it.

    Raises:
        OutputError: the file can't be written.
    """
    folder = Path(path).resolve().parent
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["video_id", "split", "label", "path", "class", "n_frames", "fps", "events", "group"])
    for v in manifest.videos:
        location = "" if v.path is None else str(v.path)
        if v.path is not None and v.path.is_relative_to(folder):
            location = v.path.relative_to(folder).as_posix()
        fps = "" if v.fps is None else f"{v.fps:.10g}"
        row = [v.video_id, v.split, v.label, location, v.class_name, v.n_frames, fps, format_events(v.events), v.group]
        writer.writerow(["" if cell is None else cell for cell in row])
    write_text(path, buffer.getvalue())
