"""HDF5 with groups class/video/dataset, as github.com/Henryy-rs/top-k-Ranking-Loss reads its I3D features.

A video is the group that holds a dataset [T, D] or [T, C, D]; groups above it count only where
names repeat. 32 rows in every video
are segments (rule `ekosman`), else rows are clips.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from amiss.backbones import FeatureSpec
from amiss.errors import FeatureError, UsageError, how_to_install
from amiss.features._axes import Axes, find_axes, in_our_order
from amiss.features._feature_set import Features, FeatureSet
from amiss.features._layout_numpy import commonest_sizes
from amiss.features._layouts import SEGMENTS, ImportedVideo, Layout, Source, Unreadable, each, spec_of_others
from amiss.files import atomic_path
from amiss.reading import ReadError, check_file, refusing

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_FILE = "features.h5"


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise UsageError(f"HDF5 files need h5py: {how_to_install('hdf5')}") from error
    return h5py


def _file(path: Path) -> Path:
    """The file: `path`, or the only one in that folder."""
    if not path.is_dir():
        return path
    found = sorted([*path.glob("*.h5"), *path.glob("*.hdf5")])
    if len(found) != 1:
        raise FeatureError(f"{path} has {len(found)} HDF5 files; name one")
    return found[0]


def _recognises(path: Path) -> bool:
    try:
        with check_file(_file(path)).open("rb") as file:
            return file.read(len(_SIGNATURE)) == _SIGNATURE
    except (OSError, ReadError, FeatureError):
        return False


@contextmanager
def _datasets(source: Source) -> Iterator[dict[str, Any]]:
    """Datasets by video id."""
    h5py, path = _h5py(), source.path
    with refusing(FeatureError, str(path), "can't be read as HDF5"):
        file = h5py.File(check_file(_file(path)), "r")
    with file:
        found: dict[str, Any] = {}

        def visit(name: str, item: Any) -> None:
            if not isinstance(item, h5py.Dataset):
                return
            if item.ndim not in (2, 3) or not item.size:
                raise FeatureError(f"{path}: {name} is {item.dtype} {item.shape}; expected numbers [T, D] or [T, C, D]")
            found[name] = item

        file.visititems(visit)
        if not found:
            raise FeatureError(f"{path} has no datasets")
        yield _by_video(found, source)


def _by_video(datasets: dict[str, Any], source: Source) -> dict[str, Any]:
    """Datasets by video id, as `video_ids` makes them of files."""
    groups = {name: name.split("/")[:-1] or [name] for name in datasets}
    repeats = len({group[-1] for group in groups.values()}) < len({tuple(group) for group in groups.values()})
    by_path = source.ids == "paths" or (source.ids is None and repeats)
    found: dict[str, Any] = {}
    for name, group in groups.items():
        video_id = "__".join(group) if by_path else group[-1]
        if video_id in found:
            twice = f"as {found[video_id].name.lstrip('/')} and {name}"
            raise FeatureError(f"{source.path}: video {video_id} stands there twice, {twice}")
        found[video_id] = datasets[name]
    return found


def _spec(source: Source) -> FeatureSpec:
    with _datasets(source) as datasets:
        axes = _axes(source, datasets)
        sizes = commonest_sizes((d.shape for d in datasets.values() if d.ndim == len(axes)), axes)
        is_segments = all(d.ndim == len(axes) and d.shape[axes.index("clips")] == SEGMENTS for d in datasets.values())
        changes: dict[str, Any] = {"segments": SEGMENTS, "pooling": "ekosman"} if is_segments else {}
        return spec_of_others({}, sizes["dim"], crops=sizes.get("crops", 1), **changes)


def _axes(source: Source, datasets: dict[str, Any]) -> Axes:
    n_axes = next(iter(datasets.values())).ndim
    return find_axes([d.shape for d in datasets.values() if d.ndim == n_axes], source.axes, source.path)


def _videos(source: Source) -> Iterator[ImportedVideo | Unreadable]:
    with _datasets(source) as datasets:
        axes = _axes(source, datasets)

        def read(dataset: Any) -> Features:
            if dataset.ndim != len(axes) or dataset.dtype.kind not in "fiu":
                raise FeatureError(
                    f"{source.path}: {dataset.name} is {dataset.dtype} {dataset.shape}; expected numbers "
                    f"({', '.join(axes)})"
                )
            with refusing(FeatureError, f"{source.path}: {dataset.name}"):
                return in_our_order(dataset[()], axes)

        yield from each(datasets, read)


def _write(features: FeatureSet, out: Path) -> None:
    h5py = _h5py()
    with atomic_path(out / _FILE) as temporary, h5py.File(temporary, "w") as file:
        for video_id in features.records:
            array = np.asarray(features.load(video_id))
            file[f"videos/{video_id}/features"] = array[:, 0] if features.spec.crops == 1 else array


HDF5 = Layout("hdf5", "HDF5 with groups class/video/dataset", _recognises, _spec, _videos, _write)
