"""Manifest: the CSV that says which videos there are, in which split, with which label."""

import csv
import io
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Literal, TypeVar, get_args

from amiss.errors import ManifestError, UsageError
from amiss.files import write_text
from amiss.video import VIDEO_SUFFIXES, PictureFolder

N = TypeVar("N", int, float)
Split = Literal["train", "val", "test"]
"""What a video is for."""
REQUIRED_COLUMNS = ("video_id", "split", "label")
OPTIONAL_COLUMNS = ("path", "class", "n_frames", "fps", "events", "group")


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


def parse_events(text: str) -> tuple[tuple[int, int], ...]:
    """Parse `start-end;start-end` (0-based, half-open).

    Raises:
        ValueError: an interval is malformed, empty, reversed, or overlaps the one before it (after sorting).
    """
    events = []
    for item in filter(None, (part.strip() for part in text.split(";"))):
        start, dash, end = item.partition("-")
        if not (dash and start.strip().isdecimal() and end.strip().isdecimal()):
            raise ValueError(f"event {item!r} is not of the form start-end")
        if int(end) <= int(start):
            raise ValueError(f"event {item!r} is empty or reversed (frames are 0-based and half-open)")
        events.append((int(start), int(end)))
    events.sort()
    for (s1, e1), (s2, e2) in pairwise(events):
        if s2 < e1:
            raise ValueError(f"events {s1}-{e1} and {s2}-{e2} overlap")
    return tuple(events)


def format_events(events: Iterable[tuple[int, int]]) -> str:
    """The inverse of `parse_events`."""
    return ";".join(f"{start}-{end}" for start, end in events)


def read_manifest(path: str | os.PathLike[str]) -> Manifest:
    """Read and check a manifest CSV.

    Raises:
        ManifestError: unreadable, unknown or missing columns, duplicate ids, bad values; names the line.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ManifestError(f"manifest {file} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"manifest {file} can't be read: {error}") from error
    reader = csv.reader(io.StringIO(text))
    header = [name.strip() for name in next(reader, [])]
    known = REQUIRED_COLUMNS + OPTIONAL_COLUMNS
    if missing := [name for name in REQUIRED_COLUMNS if name not in header]:
        raise ManifestError(
            f"{file} line 1: columns {missing} are missing; the header must name {list(REQUIRED_COLUMNS)}"
        )
    if unknown := [name for name in header if name not in known]:
        raise ManifestError(f"{file} line 1: unknown columns {unknown}; known are {list(known)}")
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise ManifestError(f"{file} line 1: columns {twice} stand twice")
    videos: list[Video] = []
    line_of: dict[str, int] = {}
    for cells in reader:
        line = reader.line_num
        if not any(cells):
            continue
        if len(cells) != len(header):
            raise ManifestError(f"{file} line {line}: {len(cells)} values for {len(header)} columns")
        row = dict(zip(header, (cell.strip() for cell in cells), strict=True))
        try:
            video = _parse_row(row, file.parent)
        except ValueError as error:
            raise ManifestError(f"{file} line {line}: {error}") from None
        if video.video_id in line_of:
            raise ManifestError(
                f"{file} line {line}: video_id {video.video_id!r} stands already in line {line_of[video.video_id]}"
            )
        line_of[video.video_id] = line
        videos.append(video)
    if not videos:
        raise ManifestError(f"{file} has no videos")
    return Manifest(tuple(videos), source=str(file))


def _parse_row(row: dict[str, str], folder: Path) -> Video:
    video_id = row["video_id"]
    if not video_id or "/" in video_id or "\\" in video_id or video_id.startswith("."):
        raise ValueError(f"video_id {video_id!r} must be a plain name: not empty, no slash, no leading dot")
    if row["split"] not in get_args(Split):
        raise ValueError(f"split is {row['split']!r}; allowed are {list(get_args(Split))}")
    if row["label"] not in ("0", "1"):
        raise ValueError(f"label is {row['label']!r}; allowed are 0 (normal) and 1 (anomalous)")
    n_frames = _number(row.get("n_frames", ""), "n_frames", int)
    fps = _number(row.get("fps", ""), "fps", float)
    events = parse_events(row.get("events", ""))
    if events and row["label"] == "0":
        raise ValueError(f"label is 0 (normal) but events are {row['events']!r}")
    return Video(
        video_id=video_id,
        split=row["split"],  # type: ignore[arg-type]  # checked above
        label=int(row["label"]),
        path=_path(folder / row["path"], fps) if row.get("path") else None,
        class_name=row.get("class") or None,
        n_frames=n_frames,
        fps=fps,
        events=events,
        group=row.get("group") or None,
    )


def _path(path: Path, fps: float | None) -> Path:
    """Of a file, or of a folder of pictures, which have the rate that the manifest says."""
    path = path.resolve()
    if path.suffix.lower() not in VIDEO_SUFFIXES and path.is_dir():
        return PictureFolder(path, fps)
    return path


def _number(text: str, name: str, kind: type[N]) -> N | None:
    if not text:
        return None
    try:
        value = kind(text)
    except ValueError:
        value = kind(0)
    if not 0 < value < 1e12:
        raise ValueError(f"{name} is {text!r}; it must be a number above 0")
    return value


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
