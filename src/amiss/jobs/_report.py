"""amiss report: a folder of results → one page on which to look at them."""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from amiss.datasets import unique_ids, video_id_of
from amiss.detection import ScoreResult
from amiss.errors import OutputError, UsageError, VideoError
from amiss.jobs._progress import OnProgress, silent
from amiss.results import ShownVideo, read_results, write_results_page
from amiss.video import PictureFolder, list_videos, read_header, write_preview

_COPIES = {"small copy": ".preview.mp4", "marked video": ".annotated.mp4"}


@dataclass(frozen=True)
class PageReport:
    """A page that was written, and what it can't show."""

    page: Path
    """The HTML file."""
    n_videos: int
    """Videos on it."""
    problems: dict[str, str]
    """Name of a file of results, or of a video → why it isn't shown, or has no copy."""
    absent: list[str] = field(default_factory=list)
    """Ids of videos that aren't at hand."""
    unplayed: dict[str, str] = field(default_factory=dict)
    """Id of a video that the usual browsers don't play, and that has no copy → codec and kind of file."""


def report_results(
    folder: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | None = None,
    videos: str | os.PathLike[str] | Mapping[str, Path | None] | None = None,
    preview: bool = False,
    problems: Mapping[str, str] | None = None,
    on_progress: OnProgress = silent,
) -> PageReport:
    """Write the page of a folder of results.

    Args:
        folder: that `amiss detect --out` wrote.
        out: the HTML file; None: `report.html` in the folder.
        videos: where the videos lie: a folder of them, or video id → file; None: where the results say, seen from here
            or from the folder of results.
        preview: write a small copy, `<video_id>.preview.mp4`, of each video that the usual browsers don't play.
        problems: video id → why there is no result of it, told on the page.
        on_progress: told small copies written, and of how many.

    Raises:
        EvaluationError: there is no result in the folder.
        UsageError: `videos` is no folder.
        OutputError: the page or a copy can't be written.
    """
    root = Path(folder)
    found = read_results(root)
    where = _Places(root, videos)
    paths = {video_id: where.of(video_id, result) for video_id, result in found.results.items()}
    told = {**found.problems, **(problems or {})}
    if preview:
        told |= _write_previews(root, paths, on_progress)
    shown = {
        video_id: ShownVideo(result, paths[video_id], _copies(root, video_id))
        for video_id, result in found.results.items()
    }
    page = root / "report.html" if out is None else Path(out)
    unplayed = write_results_page(page, shown, told)
    absent = [video_id for video_id, video in shown.items() if video.path is None and not video.copies]
    return PageReport(page, len(shown), told, absent, unplayed)


class _Places:
    """Where videos are looked for."""

    def __init__(self, results: Path, videos: str | os.PathLike[str] | Mapping[str, Path | None] | None) -> None:
        self._bases = (Path(), results, results.parent)
        self._known: dict[str, Path] = {}
        self._by_name: dict[str, Path] = {}
        if isinstance(videos, Mapping):
            self._known = {video_id: path for video_id, path in videos.items() if path is not None}
        elif videos is not None:
            root = Path(videos)
            if not root.is_dir():
                raise UsageError(f"{root} is not a folder of videos")
            below = list_videos(root).videos
            self._known = unique_ids((video_id_of(path, root), path) for path in below)
            names = Counter(path.name for path in below)
            self._by_name = {path.name: path for path in below if names[path.name] == 1}

    def of(self, video_id: str, result: ScoreResult) -> Path | None:
        """The file of a video, or its folder of pictures; None where it isn't found."""
        name = Path(result.video)
        known = self._known.get(video_id) or self._by_name.get(name.name)
        found = known or next((base / name for base in self._bases if _is_video(base / name)), None)
        return PictureFolder(found, result.fps) if found is not None and found.is_dir() else found


def _is_video(path: Path) -> bool:
    """Whether it is a file, or a folder of pictures."""
    if _is_file(path):
        return True
    try:
        return path.is_dir() and bool(read_header(path))
    except (OSError, ValueError, VideoError):
        return False


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _copies(folder: Path, video_id: str) -> dict[str, Path]:
    copies = {name: folder / f"{video_id}{suffix}" for name, suffix in _COPIES.items()}
    return {name: path for name, path in copies.items() if _is_file(path)}


def _write_previews(folder: Path, paths: Mapping[str, Path | None], on_progress: OnProgress) -> dict[str, str]:
    """Copies of those that need one and have none; returns what went wrong."""
    problems: dict[str, str] = {}
    todo: dict[str, Path] = {}
    for video_id, path in paths.items():
        if path is None or _copies(folder, video_id):
            continue
        try:
            if not read_header(path).plays_in_browsers:
                todo[video_id] = path
        except VideoError:  # the page says so
            continue
    for done, (video_id, path) in enumerate(todo.items()):
        on_progress(done, len(todo), video_id)

        def on_share(share: float, done: int = done, name: str = video_id) -> None:
            on_progress(done + share, len(todo), name)

        try:
            write_preview(path, folder / f"{video_id}{_COPIES['small copy']}", on_progress=on_share)
        except OutputError:
            raise  # the next one would fail alike
        except VideoError as error:
            problems[video_id] = f"no small copy: {error}"
    if todo:
        on_progress(len(todo), len(todo), "")
    return problems
