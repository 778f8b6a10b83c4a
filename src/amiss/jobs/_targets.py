"""What a command was pointed at: a manifest, files, folders → videos with ids."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from amiss.datasets import read_manifest, unique_ids, video_id_of
from amiss.errors import ManifestError, UsageError, VideoError
from amiss.storage import Url, located
from amiss.video import RATE_UNKNOWN, VIDEO_SUFFIXES, PictureFolder, list_urls, list_videos

OnNote = Callable[[str], object]


def video_files(
    targets: Sequence[str | os.PathLike[str]], on_note: OnNote = lambda _: None, picture_fps: float | None = None
) -> dict[str, Path]:
    """Video id → path, for video files, folders of numbered pictures, folders of both (searched below), or manifests.

    Ids are the manifest's, or the path relative to the folder given, without suffix, `/` → `__`; files that
    differ only in their suffix keep it.

    Args:
        targets: what the command was given.
        on_note: told what was left out of folders, and why, in lines.
        picture_fps: rate of folders of pictures; None: the manifest's, else 25, and `on_note` is told.

    Raises:
        UsageError: no target, two files would get the same id, or a rate for pictures where there are none.
        VideoError: a file or folder doesn't exist, or a folder has no video.
        ManifestError: a manifest is wrong or has no paths.
    """
    found = unique_ids(video for target in map(located, targets) for video in _videos_of(target, on_note))
    if not found:
        raise UsageError("no video given")
    return _with_rate(found, on_note, picture_fps)


def _with_rate(videos: dict[str, Path], on_note: OnNote, fps: float | None) -> dict[str, Path]:
    """Folders of pictures don't tell their rate."""
    folders = {video_id: path for video_id, path in videos.items() if isinstance(path, PictureFolder)}
    if fps is not None and not folders:
        raise UsageError("--fps is the rate of folders of pictures, and none was given: videos tell their own")
    unknown = [video_id for video_id, path in folders.items() if fps is None and path.fps is None]
    if unknown:
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        on_note(f"{unknown[0]}{more}: folders of pictures; {RATE_UNKNOWN}")
    return videos | {video_id: PictureFolder(path, fps or path.fps) for video_id, path in folders.items()}


def _videos_of(target: Path, on_note: OnNote) -> list[tuple[str, Path]]:
    if target.suffix.lower() == ".csv":
        manifest = read_manifest(target)
        videos = [(video.video_id, video.path) for video in manifest.videos if video.path is not None]
        if not videos:
            raise ManifestError(f"{target} names no video files (column path)")
        return videos
    if isinstance(target, Url) and target.suffix.lower() in VIDEO_SUFFIXES:
        return [(target.stem, target)]  # reading it tells whether it is there
    if target.is_dir():
        return [(video_id_of(path, target), path) for path in _listed(target, on_note)]
    if not target.exists():
        raise VideoError(f"{target} does not exist")
    return [(target.stem, target)]


def _listed(folder: Path, on_note: OnNote) -> list[Path]:
    try:
        listing = list_urls(folder) if isinstance(folder, Url) else list_videos(folder)
    except OSError as error:
        raise VideoError(f"{folder} can't be read: {error.strerror}") from None
    if not listing.videos:
        raise VideoError("; ".join([f"no video files below {folder}", *listing.notes()]))
    for note in listing.notes():
        on_note(note)
    return listing.videos
