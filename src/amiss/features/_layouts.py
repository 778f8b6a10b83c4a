"""Other projects' feature files → feature sets and back. One file per layout or two, one line each in `_TABLE`."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amiss.backbones import FeatureSpec
from amiss.errors import FeatureError, OutputError, UsageError
from amiss.features._feature_set import Features, FeatureSet, FeatureSetWriter
from amiss.features._pooling import PoolingRule, pool
from amiss.files import atomic_path
from amiss.registry import Registry


@dataclass(frozen=True)
class ImportedVideo:
    """The features of one video, as a layout gives them."""

    video_id: str
    features: Features
    """[T, C, D]."""
    n_frames: int | None = None
    fps: float | None = None


@dataclass(frozen=True)
class Layout:
    """How another project lays its features out on disk."""

    name: str
    what: str
    """One line for people."""
    recognises: Callable[[Path], bool]
    """Whether a path looks like this layout; cheap, and never raises for other files."""
    spec: Callable[[Path], FeatureSpec]
    """What the features are."""
    videos: Callable[[Path], Iterator[ImportedVideo]]
    """The videos, one at a time."""
    write: Callable[[FeatureSet, Path], None] | None = None
    """Writes a feature set into an empty folder; None = import only."""


# name: "module:layout"
_TABLE: dict[str, Layout | str] = {
    "c3d-codes": "amiss.features._layout_c3d_codes:LAYOUT",
    "rtfm": "amiss.features._layout_numpy:RTFM",
    "wu": "amiss.features._layout_numpy:WU",
    "ekosman": "amiss.features._layout_text:EKOSMAN",
    "sultani": "amiss.features._layout_text:SULTANI",
    "csv": "amiss.features._layout_csv:CSV",
    "hdf5": "amiss.features._layout_hdf5:HDF5",
}
LAYOUTS: Registry[Layout] = Registry("layout", _TABLE)


def list_layouts() -> dict[str, str]:
    """Layouts that can be imported: name → what it is."""
    return {name: layout.what for name, layout in LAYOUTS.items()}


def import_features(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    layout: str | None = None,
    *,
    made_by: FeatureSpec | None = None,
) -> int:
    """Read features in another project's layout and write them as a feature set. Videos that are there already stay.

    Args:
        path: file or folder in that layout.
        out: folder of the feature set.
        layout: one of `list_layouts()`; None = recognised.
        made_by: backbone, weights and preprocessing that made them (`amiss.backbones.published_spec`); None = those
            that the layout is known for.

    Returns:
        Number of videos in `path`.

    Raises:
        UsageError: unknown layout, or another process is writing into `out`.
        FeatureError: nothing there, not recognised, damaged, or `out` holds other features.
        OutputError: `out` can't be written.
    """
    source = Path(path)
    if not source.exists():
        raise FeatureError(f"{source} does not exist")
    chosen = LAYOUTS[layout] if layout is not None else _recognise(source)
    count = 0
    with FeatureSetWriter(out, _made_by(chosen.spec(source), made_by)) as writer:
        for video in chosen.videos(source):
            count += 1
            if video.video_id not in writer.done:
                writer.add(video.video_id, video.features, video.n_frames, video.fps)
    return count


def export_features(features: FeatureSet, out: str | os.PathLike[str], layout: str) -> int:
    """Write a feature set in another project's layout. Where that has segments, clips are pooled by its own rule.

    Args:
        features: to write.
        out: folder; must be empty or not exist.
        layout: one of `list_layouts()`.

    Returns:
        Number of videos.

    Raises:
        UsageError: unknown layout, or one that is only imported.
        FeatureError: the layout can't hold these features, or the set is damaged.
        OutputError: `out` isn't empty, or can't be written.
    """
    chosen = LAYOUTS[layout]
    if chosen.write is None:
        able = [name for name, layout in LAYOUTS.items() if layout.write is not None]
        raise UsageError(f"layout {layout!r} is only imported; these can be written: {able}")
    if not features.records:
        raise FeatureError(f"{features.folder} has no videos")
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise OutputError(f"{folder} is not empty; choose another folder")
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"can't write {folder}: {error.strerror}") from error
    chosen.write(features, folder)
    return len(features.records)


def _made_by(spec: FeatureSpec, made_by: FeatureSpec | None) -> FeatureSpec:
    """The layout's spec with another backbone, weights and preprocessing; what rows are stays.

    Raises:
        UsageError: that backbone's features have another length.
    """
    if made_by is None:
        return spec
    if made_by.dim != spec.dim:
        raise UsageError(f"the features have length {spec.dim}, and {made_by.backbone} gives {made_by.dim}")
    tail = spec.tail if made_by.preset == "default" else made_by.tail
    return made_by.with_(crops=spec.crops, segments=spec.segments, pooling=spec.pooling, tail=tail)


def _recognise(path: Path) -> Layout:
    for _, layout in LAYOUTS.items():
        if layout.recognises(path):
            return layout
    raise FeatureError(f"{path} is in no known layout; name it with layout=, one of {LAYOUTS.names()}")


# what the layouts share


def by_video(path: Path, pattern: str, video_of: Callable[[Path], str]) -> dict[str, Path]:
    """Files below a folder by video id, sorted. Folders say nothing: labels and splits come from the manifest.

    Raises:
        FeatureError: no such files, or two of one video.
    """
    found: dict[str, Path] = {}
    for file in sorted(path.rglob(pattern)):
        video_id = video_of(file)
        if video_id in found:
            raise FeatureError(f"{path}: two files of video {video_id}, {found[video_id]} and {file}")
        found[video_id] = file
    if not found:
        raise FeatureError(f"{path} has no {pattern} files in it")
    return found


def spec_of_others(
    known: Mapping[int, str], dim: int, *, crops: int = 1, preset: str = "default", **changes: Any
) -> FeatureSpec:
    """Spec of features that others published, told by their length; an unknown backbone where it is another.

    Args:
        known: backbone by feature dim.
        dim: of the features.
        crops: of the features.
        preset: preprocessing of that backbone.
        changes: of fields.
    """
    if dim not in known:
        return FeatureSpec(backbone="unknown", weights="unknown", dim=dim, crops=crops, **changes)
    views = crops if crops in (1, 5, 10) else 1  # others keep odd numbers of them
    from amiss.backbones import published_spec  # with torch, which takes seconds: a wrong path is told before

    return published_spec(known[dim], crops=views, preset=preset).with_(crops=crops, **changes)


def segments_of(features: FeatureSet, video_id: str, rule: PoolingRule, segments: int) -> NDArray[np.floating]:
    """A video's rows [segments, D]: as they are where they are segments, else pooled by a rule.

    Raises:
        FeatureError: several crops, or another number of segments.
    """
    if features.spec.crops != 1:
        raise FeatureError(f"{features.folder} has {features.spec.crops} crops; this layout takes 1")
    rows = features.load(video_id)[:, 0]
    if features.spec.segments is None:
        return pool(rows, rule, segments)
    if len(rows) != segments:
        raise FeatureError(f"{features.folder}: {video_id} has {len(rows)} segments; this layout takes {segments}")
    return rows


def save_array(path: Path, array: Features) -> None:
    """Write a .npy file, atomically."""
    with atomic_path(path) as temporary:
        np.save(temporary, array, allow_pickle=False)


def save_rows(path: Path, rows: NDArray[np.floating], form: str | list[str], delimiter: str) -> None:
    """Write rows of numbers as text, atomically."""
    with atomic_path(path) as temporary:
        np.savetxt(temporary, rows, fmt=form, delimiter=delimiter)
