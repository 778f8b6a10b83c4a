"""The videos of a folder, and what else is in it: nothing is left out without a word."""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path

from amiss.files import TEMPORARY_PREFIX
from amiss.storage import Url, listed
from amiss.video.opening._containers import VIDEO_SUFFIXES
from amiss.video.opening._pictures import PictureFolder, are_masks, numbered

# Of files that nobody takes for videos; others are named.
_OTHER_SUFFIXES = frozenset(
    [
        ".txt",
        ".csv",
        ".tsv",
        ".json",
        ".jsonl",
        ".yaml",
        ".yml",
        ".xml",
        ".md",
        ".pdf",
        ".html",
        ".log",
        ".ini",
        ".srt",
        ".vtt",
        ".ass",
        ".sub",
        ".npy",
        ".npz",
        ".pt",
        ".pth",
        ".pkl",
        ".h5",
        ".hdf5",
        ".mat",
        ".m",
        ".py",
        ".zip",
        ".tar",
        ".gz",
        ".7z",
        ".rar",
        ".jpg",
        ".jpeg",
        ".png",
        ".bmp",
        ".tif",
        ".tiff",
        ".webp",
        ".wav",
        ".mp3",
        ".aac",
        ".m4a",
        ".flac",
        ".db",
        ".thm",
        ".lrv",
        ".idx",
        ".safetensors",
        ".sh",
        ".bat",
        ".doc",
        ".docx",
        ".xls",
        ".xlsx",
    ]
)
_OWN = re.compile(r"\.(annotated|preview|event\d{2,})\.mp4$", re.IGNORECASE)
_NAMES = 5


@dataclass
class VideoListing:
    """What is in a folder and all folders below it."""

    root: Path
    videos: list[Path] = field(default_factory=list)
    """Files, and folders of numbered pictures (`PictureFolder`), in reading order of their paths; each real one once,
    whatever links lead to it."""
    others: list[Path] = field(default_factory=list)
    """Files that aren't videos by their names."""
    masks: list[Path] = field(default_factory=list)
    """Folders of pictures that are ground truth, by their names."""
    own: list[Path] = field(default_factory=list)
    """Marked videos, small copies and cut-out events that `amiss detect` wrote."""
    broken: list[Path] = field(default_factory=list)
    """Links that lead nowhere, or in a circle."""
    above: list[Path] = field(default_factory=list)
    """Links to a folder that the root is in: what lies beside the root isn't meant."""
    again: list[Path] = field(default_factory=list)
    """Links to what is taken anyway."""
    odd: list[Path] = field(default_factory=list)
    """Neither files nor folders nor links."""
    hidden: list[Path] = field(default_factory=list)
    """Their names begin with a dot or a tilde."""
    closed: list[Path] = field(default_factory=list)
    """Folders that may not be read."""
    folders: list[Path] = field(default_factory=list)
    """Not looked through."""

    def left_out(self) -> dict[str, list[Path]]:
        """Why something was left out, and what."""
        found: dict[str, list[Path]] = {
            "broken links": self.broken,
            "links to a folder above this one": self.above,
            "folders that may not be read": self.closed,
            "neither files nor folders": self.odd,
            "written by amiss (to take them, rename them)": self.own,
            "links to what is taken already": self.again,
            "folders": self.folders,
            "pictures of ground truth": self.masks,
        }
        unknown = found.setdefault("of an unknown suffix (to take them, name them themselves)", [])
        for path in self.others:
            suffix = path.suffix.lower()
            (found.setdefault(suffix, []) if suffix in _OTHER_SUFFIXES else unknown).append(path)
        found["hidden"] = self.hidden
        return {why: paths for why, paths in found.items() if paths}

    def notes(self) -> list[str]:
        """What was left out and why, in lines: those that can surprise by name, the others by number."""
        counted, named = [], []
        for why, paths in self.left_out().items():
            if why in _OTHER_SUFFIXES or why == "hidden":
                counted.append(f"{len(paths)} {why}")
            else:
                more = f" and {len(paths) - _NAMES} more" if len(paths) > _NAMES else ""
                names = ", ".join(str(path.relative_to(self.root)) for path in paths[:_NAMES])
                named.append(f"{self.root}: left out {len(paths)}, {why}: {names}{more}")
        counted.sort(key=lambda text: text.partition(" ")[2])
        return named + ([f"{self.root}: left out as no videos: {', '.join(counted)}"] if counted else [])


def list_videos(root: Path, kind: Callable[[Path], Hashable] = lambda _: None, *, deep: bool = True) -> VideoListing:
    """Look through a folder. Links are followed, and each real folder and file is taken once.

    Args:
        root: the folder.
        kind: of a folder; where two folders lead to the same one and are of different kinds, both are looked through.
        deep: also through the folders below it.

    Raises:
        OSError: it can't be read.
    """
    listing = VideoListing(root)
    above = {_identity(folder.stat()) for folder in root.resolve().parents if folder.exists()}
    seen: set[tuple[Hashable, tuple[int, int]]] = set()
    taken: defaultdict[Hashable, set[tuple[int, int]]] = defaultdict(set)
    waiting: list[Path] = [root]
    links: list[Path] = []
    file_links: list[tuple[os.DirEntry[str], Path, Hashable]] = []
    while waiting or links:
        is_link = not waiting
        folder = links.pop(0) if is_link else waiting.pop(0)
        what = kind(folder)
        try:
            identity = what, _identity(folder.stat())
            if identity[1] in above:
                listing.above.append(folder)
                continue
            if identity in seen:
                listing.again.append(folder)
                continue
            seen.add(identity)
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            if folder is root:
                raise
            listing.closed.append(folder)
            continue
        pictures = set(_pictures_in(folder, [entry.name for entry in found], listing)) if deep else set()
        for entry in found:
            path = folder / entry.name
            if entry.name in pictures:
                continue
            if entry.name.startswith((".", "~")):
                if not entry.name.startswith(TEMPORARY_PREFIX):
                    listing.hidden.append(path)
            elif _is(entry.is_dir):
                where = (links if entry.is_symlink() else waiting) if deep else listing.folders
                where.append(path)
            elif entry.is_symlink():
                file_links.append((entry, path, what))
            else:
                _sort_in(listing, entry, path, taken[what])
    for entry, path, what in file_links:
        _sort_in(listing, entry, path, taken[what])
    for paths in (listing.videos, listing.others, listing.own):
        paths.sort()
    return listing


def list_urls(root: Url) -> VideoListing:
    """The videos below a place in a store. Folders of pictures are none there.

    Raises:
        OSError: it can't be listed.
    """
    listing = VideoListing(root)
    for name in sorted(listed(root)):
        path = root / name
        if any(part.startswith((".", "~")) for part in name.split("/")):
            listing.hidden.append(path)
        elif path.suffix.lower() not in VIDEO_SUFFIXES:
            listing.others.append(path)
        else:
            (listing.own if _OWN.search(path.name) else listing.videos).append(path)
    return listing


def _pictures_in(folder: Path, names: list[str], listing: VideoListing) -> list[str]:
    """The pictures that make the folder a video, or masks of one: those that belong to it, which is noted."""
    there = {name for name in names if not name.startswith((".", "~"))}
    if any(Path(name).suffix.lower() in VIDEO_SUFFIXES for name in there):
        return []  # thumbnails, or figures of results
    results = {Path(name).stem for name in there if name.endswith(".json")}
    results &= {Path(name).stem for name in there if name.endswith(".csv")}
    series = numbered(name for name in there if Path(name).stem not in results)
    if series:
        (listing.masks if are_masks(folder.name) else listing.videos).append(PictureFolder(folder))
    return series


def _sort_in(listing: VideoListing, entry: "os.DirEntry[str]", path: Path, taken: set[tuple[int, int]]) -> None:
    if not _is(entry.is_file):
        (listing.broken if entry.is_symlink() else listing.odd).append(path)
    elif path.suffix.lower() not in VIDEO_SUFFIXES:
        listing.others.append(path)
    elif _OWN.search(path.name):
        listing.own.append(path)
    else:
        try:
            identity = _identity(path.stat())
        except OSError:  # moved away just now
            return
        if entry.is_symlink() and identity in taken:
            listing.again.append(path)
            return
        taken.add(identity)
        listing.videos.append(path)


def _identity(status: os.stat_result) -> tuple[int, int]:
    """What tells a real file or folder from all others."""
    return status.st_dev, status.st_ino


def _is(question: Callable[[], bool]) -> bool:
    """The answer of a directory's entry; no, where it can't be told."""
    try:
        return question()
    except OSError:
        return False
