"""What a command was pointed at: a manifest, files, folders → videos with ids."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from amiss.datasets import read_manifest, video_id_of
from amiss.errors import ManifestError, UsageError, VideoError
from amiss.video import list_videos

OnNote = Callable[[str], object]


def video_files(targets: Sequence[str | os.PathLike[str]], on_note: OnNote = lambda _: None) -> dict[str, Path]:
    """Video id → path, for video files, folders of them (searched below), or manifests.

    Ids are the manifest's, or the path relative to the folder given, without suffix, `/` → `__`.

    Args:
        targets: what the command was given.
        on_note: told what was left out of folders, and why, in lines.

    Raises:
        UsageError: no target, or two files would get the same id.
        VideoError: a file or folder doesn't exist, or a folder has no video.
        ManifestError: a manifest is wrong or has no paths.
    """
    found: dict[str, Path] = {}
    for target in map(Path, targets):
        for video_id, path in _videos_of(target, on_note).items():
            if found.setdefault(video_id, path).resolve() != path.resolve():
                raise UsageError(
                    f"{found[video_id]} and {path} would both be {video_id!r}: give the folder above both instead"
                )
    if not found:
        raise UsageError("no video given")
    return found


def _videos_of(target: Path, on_note: OnNote) -> dict[str, Path]:
    if target.suffix.lower() == ".csv":
        manifest = read_manifest(target)
        videos = {video.video_id: video.path for video in manifest.videos if video.path is not None}
        if not videos:
            raise ManifestError(f"{target} names no video files (column path)")
        return videos
    if target.is_dir():
        paths = _listed(target, on_note)
        ids = {video_id_of(path, target): path for path in paths}
        if len(ids) < len(paths):
            twice = next(path for path in paths if ids[video_id_of(path, target)] != path)
            raise UsageError(f"{twice} and {ids[video_id_of(twice, target)]} differ only in their suffix: rename one")
        return ids
    if not target.exists():
        raise VideoError(f"{target} does not exist")
    return {target.stem: target}


def _listed(folder: Path, on_note: OnNote) -> list[Path]:
    try:
        listing = list_videos(folder)
    except OSError as error:
        raise VideoError(f"{folder} can't be read: {error.strerror}") from None
    if not listing.videos:
        raise VideoError("; ".join([f"no video files below {folder}", *listing.notes()]))
    for note in listing.notes():
        on_note(note)
    return listing.videos
