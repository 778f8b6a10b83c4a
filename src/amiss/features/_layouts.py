"""Other projects' feature files → feature sets and back. One file per layout or two, one line each in `_TABLE`."""

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from amiss.backbones import FeatureSpec
from amiss.datasets import are_sorted_by_label
from amiss.errors import FeatureError, OutputError, UsageError
from amiss.features._axes import USUAL, Axes
from amiss.features._feature_set import Features, FeatureSet, check_rows
from amiss.features._pooling import PoolingRule, pool
from amiss.features._writer import FeatureSetWriter
from amiss.files import atomic_path
from amiss.reading import ReadError, check_file, refusing
from amiss.registry import Registry
from amiss.video import FrameTimes

T = TypeVar("T")
R = TypeVar("R")

SEGMENTS = 32
"""Rows of a video in the layouts whose rows are segments: Sultani's, ekosman's and topk's."""

Ids = Literal["names", "paths"]
"""What video ids are made of: the names of files, or their paths below the folder (`/` → `__`), as for videos."""


@dataclass(frozen=True)
class Source:
    """What is imported, and what a user says where files don't tell."""

    path: Path
    """File or folder."""
    axes: Axes | None = None
    """Order of the axes of arrays; None = recognised."""
    ids: Ids | None = None
    """None = paths where names repeat or files are sorted into `normal/` and `anomalous/`, else names."""
    streams: tuple[str, ...] | None = None
    """Of an extractor's streams, those that are concatenated; None = all."""


@dataclass(frozen=True)
class Unreadable:
    """A video that can't be imported."""

    video_id: str
    problem: str
    """Names the file."""


@dataclass(frozen=True)
class ImportedVideo:
    """The features of one video, as a layout gives them."""

    video_id: str
    features: Features
    """[T, C, D]."""
    n_frames: int | None = None
    fps: float | None = None
    times: FrameTimes | None = None
    """When each frame is shown, where the layout tells; `n_frames` and `fps` are then its own."""


@dataclass(frozen=True)
class Layout:
    """How another project lays its features out on disk."""

    name: str
    what: str
    """One line for people."""
    recognises: Callable[[Path], bool]
    """Whether a path looks like this layout; cheap, and never raises for other files."""
    spec: Callable[[Source], FeatureSpec]
    """What the features are; raises where no file can be read."""
    videos: Callable[[Source], Iterator[ImportedVideo | Unreadable]]
    """The videos, one at a time; see `each`."""
    write: Callable[[FeatureSet, Path], None] | None = None
    """Writes a feature set into an empty folder; None = import only."""


# name: "module:layout"
_TABLE: dict[str, Layout | str] = {
    "c3d-codes": "amiss.features._layout_c3d_codes:LAYOUT",
    "video-features": "amiss.features._layout_video_features:VIDEO_FEATURES",
    "vggish": "amiss.features._layout_vggish:VGGISH",
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
    called: str | None = None,
    axes: Axes | None = None,
    ids: Ids | None = None,
    streams: tuple[str, ...] | None = None,
    on_failure: Callable[[str, str], object] | None = None,
) -> int:
    """Read features in another project's layout and write them as a feature set. Videos that are there already stay.

    A video that can't be read doesn't stop the others. Where nothing can be imported, nothing is left behind.

    Args:
        path: file or folder in that layout.
        out: folder of the feature set.
        layout: one of `list_layouts()`; None = recognised.
        made_by: backbone, weights and preprocessing that made them (`amiss.backbones.published_spec`); None = those
            that the layout is known for.
        called: or the name of a network that amiss doesn't have.
        axes: order of the axes of arrays: `clips`, `dim`, and `crops` where there are three; empty = the usual
            one; None = recognised.
        ids: what video ids are made of: `names` of files, or `paths`; None = paths where names repeat or files are
            sorted into `normal/` and `anomalous/`, else names.
        streams: those of layout `video-features` that are concatenated, such as `rgb` and `flow`; None = all.
        on_failure: told the id of a video that failed and why; None = an error at the end names them.

    Returns:
        Number of videos that the feature set has of `path`.

    Raises:
        UsageError: unknown layout, or another process is writing into `out`.
        FeatureError: nothing there, not recognised, damaged, axes that can't be told, or `out` holds other features.
        OutputError: `out` can't be written.
    """
    source = Source(Path(path), axes, ids, streams)
    if not source.path.exists():
        raise FeatureError(f"{source.path} does not exist")
    chosen = LAYOUTS[layout] if layout is not None else _recognise(source.path)
    spec = _made_by(chosen.spec(source), made_by)
    if called is not None:
        spec = spec.of_another_network(called)
    failed: dict[str, str] = {}
    count = 0
    with ExitStack() as stack:
        writer: FeatureSetWriter | None = None  # opened with the first video that is good
        for video in chosen.videos(source):
            count += 1
            try:
                if isinstance(video, Unreadable):
                    raise FeatureError(video.problem)
                check_rows(video.video_id, video.features, spec)
            except FeatureError as error:
                failed[video.video_id] = str(error)
                continue
            writer = writer or stack.enter_context(FeatureSetWriter(out, spec))
            if video.video_id not in writer.done:
                writer.add(video.video_id, video.features, video.n_frames, video.fps, times=video.times)
    if on_failure is not None:
        for video_id, problem in failed.items():
            on_failure(video_id, problem)
    elif failed:
        more = f"; and {len(failed) - 5} more" if len(failed) > 5 else ""
        raise FeatureError(
            f"{len(failed)} of {count} videos can't be imported: {'; '.join(list(failed.values())[:5])}{more}"
        )
    return count - len(failed)


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
    _check_way_back(chosen, features, folder)
    return len(features.records)


def _check_way_back(layout: Layout, features: FeatureSet, folder: Path) -> None:
    """Refuse an export from which other videos would be imported, and remove it."""
    try:
        taken_for = _recognise(folder)
        if taken_for is not layout:
            raise FeatureError(f"it would be taken for layout {taken_for.name}")
        found = {video.video_id for video in layout.videos(Source(folder, USUAL))}
        if found != features.records.keys():
            example = next(iter(features.records.keys() - found), None) or next(iter(found - features.records.keys()))
            raise FeatureError(f"its files would not be read as the same videos ({example} would be lost or new)")
    except FeatureError as error:
        for file in folder.iterdir():
            file.unlink()
        raise FeatureError(
            f"layout {layout.name} can't hold {features.folder}: {error}. Rename videos, or choose another layout"
        ) from error
    try:
        is_told = layout.spec(Source(folder)) == layout.spec(Source(folder, USUAL))
    except FeatureError:
        is_told = False
    if not is_told:
        warnings.warn(
            "the sizes of these arrays don't tell which axis is which: to import them again, say --axes usual",
            stacklevel=3,
        )


def _made_by(spec: FeatureSpec, made_by: FeatureSpec | None) -> FeatureSpec:
    """The layout's spec with another backbone, weights and preprocessing; what rows are stays.

    Raises:
        UsageError: that backbone's features have another length.
    """
    if made_by is None:
        return spec
    if made_by.dim != spec.dim:
        raise UsageError(f"the features have length {spec.dim}, and {made_by.backbone} gives {made_by.dim}")
    rows = {"crops": spec.crops, "segments": spec.segments, "pooling": spec.pooling}
    if made_by.preset == "default":  # which says nothing of how clips were cut
        rows |= {"clip_len": spec.clip_len, "stride": spec.stride, "tail": spec.tail}
    return made_by.with_(**rows)


def _recognise(path: Path) -> Layout:
    if not path.is_dir():
        with refusing(FeatureError, str(path)):
            if not check_file(path).stat().st_size:
                raise ReadError("it is empty")
    for _, layout in LAYOUTS.items():
        if layout.recognises(path):
            return layout
    raise FeatureError(f"{path} is in no known layout; name it with --layout, one of {LAYOUTS.names()}")


# what the layouts share


def files_below(path: Path, pattern: str) -> list[Path]:
    """Files below a folder, sorted; hidden ones left out, as of videos. None where it is no folder."""
    found = sorted(path.rglob(pattern)) if path.is_dir() else []
    return [file for file in found if not any(part.startswith(".") for part in file.relative_to(path).parts)]


def by_video(source: Source, pattern: str, name_of: Callable[[Path], str]) -> dict[str, Path]:
    """Files below a folder by video id, sorted; labels and splits come from the manifest, not from folders.

    Args:
        source: whose `ids` say what ids are made of.
        pattern: of file names.
        name_of: the video's name in a file's name.

    Raises:
        FeatureError: no such files, or two of one video.
    """
    found: dict[str, Path] = {}
    for file, video_id in video_ids(source, pattern, name_of).items():
        if video_id in found:
            raise FeatureError(f"{source.path}: two files of video {video_id}, {found[video_id]} and {file}")
        found[video_id] = file
    return found


def video_ids(source: Source, pattern: str, name_of: Callable[[Path], str]) -> dict[Path, str]:
    """Files below a folder and the ids of their videos; for the rest as `by_video`, but a video may have several."""
    names = {file: name_of(file) for file in files_below(source.path, pattern)}
    if not names:
        raise FeatureError(f"{source.path} has no {pattern} files in it")
    by_path = source.ids == "paths"
    if source.ids is None:
        places = {(name, file.parent) for file, name in names.items()}
        by_path = len({name for name, _ in places}) < len(places) or are_sorted_by_label(names, source.path)
    if not by_path:
        return names
    return {file: "__".join([*file.relative_to(source.path).parts[:-1], name]) for file, name in names.items()}


def each(files: Mapping[str, T], read: Callable[[T], ImportedVideo | Features]) -> Iterator[ImportedVideo | Unreadable]:
    """The videos one at a time, those that can't be read among them.

    Args:
        files: of each video, by its id.
        read: gives its rows [T, C, D]; raises FeatureError.
    """
    for video_id, of_video in files.items():
        try:
            with refusing(FeatureError, video_id):
                rows = read(of_video)
        except FeatureError as error:
            yield Unreadable(video_id, str(error))
        else:
            yield rows if isinstance(rows, ImportedVideo) else ImportedVideo(video_id, rows)


def first_readable(files: Iterable[T], read: Callable[[T], R]) -> R:
    """What the first file that can be read gives.

    Raises:
        FeatureError: none can; says why of the first.
    """
    problem: FeatureError | None = None
    for file in files:
        try:
            return read(file)
        except FeatureError as error:
            problem = problem or error
    raise problem or FeatureError("there are no files")


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
