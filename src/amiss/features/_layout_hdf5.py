"""HDF5 with groups class/video/dataset, as github.com/Henryy-rs/top-k-Ranking-Loss reads its I3D features.

A video is the group that holds a dataset [T, D] or [T, C, D]; groups above it are not looked at. 32 rows in every video
are segments (rule `ekosman`), else rows are clips.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from amiss.backbones import FeatureSpec
from amiss.errors import FeatureError, UsageError
from amiss.features._feature_set import FeatureSet
from amiss.features._layouts import ImportedVideo, Layout, spec_of_others
from amiss.files import atomic_path

SEGMENTS = 32
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_FILE = "features.h5"


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise UsageError("HDF5 files need h5py: pip install 'amiss[hdf5]'") from error
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
        with _file(path).open("rb") as file:
            return file.read(len(_SIGNATURE)) == _SIGNATURE
    except (OSError, FeatureError):
        return False


@contextmanager
def _datasets(path: Path) -> Iterator[dict[str, Any]]:
    """Datasets by video id."""
    h5py = _h5py()
    try:
        file = h5py.File(_file(path), "r")
    except OSError as error:
        raise FeatureError(f"{path} can't be read as HDF5: {error}") from error
    with file:
        found: dict[str, Any] = {}

        def visit(name: str, item: Any) -> None:
            if not isinstance(item, h5py.Dataset):
                return
            video_id = name.split("/")[-2] if "/" in name else name
            if video_id in found:
                raise FeatureError(f"{path}: video {video_id} stands there twice, as {name} and {found[video_id].name}")
            if item.ndim not in (2, 3) or not item.size or item.dtype.kind != "f":
                raise FeatureError(f"{path}: {name} is {item.dtype} {item.shape}; expected floats [T, D] or [T, C, D]")
            found[video_id] = item

        file.visititems(visit)
        if not found:
            raise FeatureError(f"{path} has no datasets")
        yield found


def _spec(path: Path) -> FeatureSpec:
    with _datasets(path) as datasets:
        first = next(iter(datasets.values()))
        is_segments = all(len(dataset) == SEGMENTS for dataset in datasets.values())
        changes: dict[str, Any] = {"segments": SEGMENTS, "pooling": "ekosman"} if is_segments else {}
        return spec_of_others({}, first.shape[-1], crops=first.shape[1] if first.ndim == 3 else 1, **changes)


def _videos(path: Path) -> Iterator[ImportedVideo]:
    with _datasets(path) as datasets:
        for video_id, dataset in datasets.items():
            try:
                array = dataset[()]
            except OSError as error:
                raise FeatureError(f"{path}: {dataset.name} can't be read: {error}") from error
            yield ImportedVideo(video_id, array[:, None] if array.ndim == 2 else array)


def _write(features: FeatureSet, out: Path) -> None:
    h5py = _h5py()
    with atomic_path(out / _FILE) as temporary, h5py.File(temporary, "w") as file:
        for video_id in features.records:
            array = np.asarray(features.load(video_id))
            file[f"videos/{video_id}/features"] = array[:, 0] if features.spec.crops == 1 else array


HDF5 = Layout("hdf5", "HDF5 with groups class/video/dataset", _recognises, _spec, _videos, _write)
