"""Glances: frames that a person clicked in training videos, one inside each event."""

import os
import warnings
from collections import defaultdict
from collections.abc import Mapping

from amiss.datasets._manifest import Manifest
from amiss.datasets._problems import first_names
from amiss.errors import ManifestError
from amiss.reading import check_id, read_table, refusing, shown, to_whole_number
from amiss.storage import located

Glances = Mapping[str, tuple[int, ...]]
"""Video id → clicked native frames, from 0, rising."""


def read_glances(path: str | os.PathLike[str], manifest: Manifest) -> Glances:
    """Read clicks of training videos: a table with the columns `video_id` and `frame` (or `glance`), a click per row.

    Clicks in videos that the manifest doesn't have, or that aren't for training, are left out with a warning. The
    published files of UCF-Crime and XD-Violence (github.com/pipixin321/GlanceVAD) are of this form.

    Args:
        path: of the file.
        manifest: of the videos.

    Raises:
        ManifestError: unreadable, a row is malformed, a click lies past the end of its video or in a normal one, or no
            training video has any; names the line.
    """
    file = located(path)
    with refusing(ManifestError, f"glances {file}"):
        table = read_table(file)
        column = "glance" if "glance" in table.columns and "frame" not in table.columns else "frame"
        table.check_columns(("video_id", column))
    found: dict[str, set[int]] = defaultdict(set)
    others: dict[str, None] = {}
    for row in table.rows:
        try:
            video_id, text = check_id(row.cells["video_id"]), row.cells[column]
            frame = _to_frame(text, column)
            video = manifest.by_id.get(video_id)
            if video is None or video.split == "test":
                others[video_id] = None
                continue
            if video.label == 0:
                raise ValueError(f"{shown(video_id)} has a click, but is normal (label 0) in {manifest.source}")
            if video.n_frames is not None and frame >= video.n_frames:
                has = f"{shown(video_id)} has {video.n_frames} frames"
                raise ValueError(f"{column} is {frame}, but {has}: clicks are native frames, from 0")
        except ValueError as error:
            raise ManifestError(f"glances {file} line {row.line}: {error}") from None
        found[video_id].add(frame)
    if not found:
        named = f"; it names {first_names(others)}" if others else ""
        raise ManifestError(f"glances {file}: no training video of {manifest.source} has a click{named}")
    if others:
        warnings.warn(
            f"{file}: clicks in {len(others)} videos that {manifest.source} doesn't have for training are left out: "
            f"{first_names(others)}",
            stacklevel=2,
        )
    return {video_id: tuple(sorted(frames)) for video_id, frames in found.items()}


def _to_frame(text: str, name: str) -> int:
    if text in ("0", "0.0"):
        return 0
    try:
        return to_whole_number(text, name)
    except ValueError:
        raise ValueError(f"{name} is {shown(text)}; it must be a whole number, 0 or above") from None
