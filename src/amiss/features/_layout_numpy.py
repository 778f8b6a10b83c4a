"""One .npy file per video, or per video and crop: RTFM's ten-crop files, and Peng Wu's.

RTFM (github.com/tianyu0207/RTFM) and its followers: `<video>_i3d.npy`, [T, C, D]; I3D-ResNet50 with ten crops. Peng
Wu's (UR-DMU, SAA and most XD-Violence code): one file [T, D] per crop, `<video>.npy` and `<video>__1.npy` …
`__9.npy` for UCF-Crime, `<video>__0.npy` … `__4.npy` for XD-Violence; Inception-I3D. Both say little of how frames were
cut out; the spec states what public extractors do. Features of another length are taken as from an unknown backbone.
"""

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np

from amiss.backbones import FeatureSpec
from amiss.errors import FeatureError
from amiss.features._feature_set import Features, FeatureSet
from amiss.features._layouts import ImportedVideo, Layout, by_video, save_array, spec_of_others

_RTFM_SUFFIX = "_i3d"
_CROP = re.compile(r"__(\d)$")


def _load(path: Path, n_axes: int, axes: str) -> Features:
    try:
        array: Features = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise FeatureError(f"{path} can't be read: {error}") from error
    if array.ndim != n_axes or not array.size or array.dtype not in (np.float16, np.float32, np.float64):
        raise FeatureError(f"{path} is {array.dtype} {array.shape}; this layout has floats {axes}")
    return array


def _first_shape(path: Path) -> tuple[int, ...]:
    """Shape of one of the arrays; () where there is none."""
    found = next(path.rglob("*.npy"), None) if path.is_dir() else None
    try:
        return () if found is None else tuple(np.load(found, mmap_mode="r", allow_pickle=False).shape)
    except (OSError, ValueError, EOFError):
        return ()


def _rtfm_files(path: Path) -> dict[str, Path]:
    return by_video(path, "*.npy", lambda file: file.stem.removesuffix(_RTFM_SUFFIX))


def _rtfm_spec(path: Path) -> FeatureSpec:
    _, crops, dim = _load(next(iter(_rtfm_files(path).values())), 3, "[clips, crops, dim]").shape
    return spec_of_others({2048: "i3d_resnet50"}, dim, crops=crops)


def _rtfm_videos(path: Path) -> Iterator[ImportedVideo]:
    for video_id, file in _rtfm_files(path).items():
        yield ImportedVideo(video_id, _load(file, 3, "[clips, crops, dim]"))


def _write_rtfm(features: FeatureSet, out: Path) -> None:
    for video_id in features.records:
        save_array(out / f"{video_id}{_RTFM_SUFFIX}.npy", features.load(video_id))


def _wu_files(path: Path) -> dict[str, list[Path]]:
    """The crops of each video, in order."""
    by_name = by_video(path, "*.npy", lambda file: file.stem)

    def key(name: str) -> tuple[str, int]:
        crop = _CROP.search(name)
        return (name[: crop.start()], int(crop[1])) if crop else (name, 0)

    found: dict[str, list[Path]] = {}
    for video_id, group in groupby(sorted(by_name, key=key), key=lambda name: key(name)[0]):
        names = list(group)
        if [key(name)[1] for name in names] != list(range(len(names))):
            raise FeatureError(f"{path}: crops of {video_id} are {', '.join(names)}; some are missing or doubled")
        found[video_id] = [by_name[name] for name in names]
    return found


def _wu_spec(path: Path) -> FeatureSpec:
    crops = next(iter(_wu_files(path).values()))
    return spec_of_others({1024: "i3d"}, _load(crops[0], 2, "[clips, dim]").shape[1], crops=len(crops), tail="drop")


def _wu_videos(path: Path) -> Iterator[ImportedVideo]:
    for video_id, files in _wu_files(path).items():
        crops = [_load(file, 2, "[clips, dim]") for file in files]
        if any(crop.shape != crops[0].shape for crop in crops):
            raise FeatureError(f"{files[0]}: its crops have shapes {[crop.shape for crop in crops]}")
        x_TCD = np.empty((len(crops[0]), len(crops), crops[0].shape[1]), np.float32)
        for crop, array in enumerate(crops):
            x_TCD[:, crop] = array
        yield ImportedVideo(video_id, x_TCD)


def _write_wu(features: FeatureSet, out: Path) -> None:
    if features.spec.crops > 10:
        raise FeatureError(f"{features.folder} has {features.spec.crops} crops; this layout takes 10 at most")
    for video_id in features.records:
        array = features.load(video_id)
        for crop in range(features.spec.crops):
            save_array(out / f"{video_id}{f'__{crop}' if crop else ''}.npy", array[:, crop])


RTFM = Layout(
    "rtfm",
    "one [T, crops, dim] .npy per video, <video>_i3d.npy",
    lambda path: len(_first_shape(path)) == 3,
    _rtfm_spec,
    _rtfm_videos,
    _write_rtfm,
)
WU = Layout(
    "wu",
    "one [T, dim] .npy per video and crop, <video>.npy, <video>__1.npy, …",
    lambda path: len(_first_shape(path)) == 2,
    _wu_spec,
    _wu_videos,
    _write_wu,
)
