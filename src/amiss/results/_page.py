"""The page of a folder of results: one HTML file that opens from the disk, with the videos beside it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from amiss.detection import ScoreResult
from amiss.errors import EvaluationError, VideoError
from amiss.files import write_text
from amiss.pages import render
from amiss.results._stretches import stretches_of
from amiss.storage import Url
from amiss.video import VideoHeader, read_header, start_in_name


@dataclass(frozen=True)
class ShownVideo:
    """A scored video, and the files in which it can be looked at."""

    result: ScoreResult
    """Its scores."""
    path: Path | None = None
    """The video itself; None where it isn't at hand."""
    copies: Mapping[str, Path] | None = None
    """What else shows it, such as a small copy that every browser plays: name → file."""


def write_results_page(
    out: str | os.PathLike[str], videos: Mapping[str, ShownVideo], problems: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Write the page. It has the scores in it, and links to the videos relative to itself.

    Args:
        out: the HTML file.
        videos: video id → what is shown of it.
        problems: name of a file or video → why it isn't shown, told at the end of the page.

    Returns:
        Video id → codec and kind of file, of videos that the usual browsers don't play and that have no copy.

    Raises:
        OutputError: the page can't be written.
    """
    told = dict(problems or {})
    shown, unplayed = [], {}
    for video_id, video in videos.items():
        try:
            entry, header = _entry(video_id, video, Path(out).absolute().parent)
        except EvaluationError as error:
            told[video_id] = str(error)
            continue
        shown.append(entry)
        if header is not None and not header.plays_in_browsers and not video.copies:
            unplayed[video_id] = header.form
    data = {"videos": shown, "problems": [{"name": name, "why": why} for name, why in told.items()]}
    write_text(out, render("results/results.html", data=data))
    return unplayed


def _entry(video_id: str, video: ShownVideo, folder: Path) -> tuple[dict[str, Any], VideoHeader | None]:
    """What the page's script is told of a video; see results.js."""
    result, header, problem = video.result, None, video.result.problem
    stretches = stretches_of(result)
    if video.path is not None:
        try:
            header = read_header(video.path)
        except VideoError as error:
            problem = str(error)
    started = header.started if header else start_in_name(Path(result.video).stem)
    sources = [
        {"name": name, "link": _link(path, folder), "offset": 0.0} for name, path in (video.copies or {}).items()
    ]
    is_in_a_store = isinstance(video.path, Url) and not video.path.scheme.startswith("http")  # out of a browser's reach
    if video.path is not None and header is not None and not is_in_a_store:
        original = {"name": "original", "link": _link(video.path, folder), "offset": header.offset_s}
        sources.insert(0 if header.plays_in_browsers else len(sources), original)
    return {
        "id": video_id,
        "file": result.video,
        "form": header and header.form,
        "plays": bool(header and header.plays_in_browsers and not is_in_a_store) or bool(video.copies),
        "sources": sources,
        "started": started and started.isoformat(),
        "startedFrom": header.started_from if header else started and "file name",
        "detector": result.detector,
        "threshold": result.threshold,
        "countsClips": result.fps is None,
        "problem": problem,
        "time": [round(time, 3) for time in stretches.times],
        "score": stretches.scores,
        "peaks": stretches.peaks,
        "classes": stretches.classes,
    }, header


def _link(path: Path, folder: Path) -> str:
    """An address relative to the page, so that folder and page can be moved together."""
    if isinstance(path, Url):
        return str(path)
    try:
        relative = os.path.relpath(path.absolute(), folder)
    except ValueError:  # another drive
        return path.absolute().as_uri()
    return quote(os.fsencode(relative.replace(os.sep, "/")))
