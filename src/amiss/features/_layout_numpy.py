"""One .npy file per video, or per video and crop: RTFM's ten-crop files, and Peng Wu's.

RTFM (github.com/tianyu0207/RTFM) and its followers: `<video>_i3d.npy`, [T, C, D]; I3D-ResNet50 with ten crops. Peng
Wu's (UR-DMU, SAA and most XD-Violence code): one file [T, D] per crop, `<video>.npy` and `<video>__1.npy` …
`__9.npy` for UCF-Crime, `<video>__0.npy` … `__4.npy` for XD-Violence; Inception-I3D. Both say little of how frames were
cut out; the spec states what public extractors do. Features of another length are taken as from an unknown backbone.
Others keep the axes in another order (`_axes`).
"""

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from amiss import reading
from amiss.backbones import FeatureSpec
from amiss.errors import FeatureError
from amiss.features._axes import Axes, Shape, find_axes, in_our_order, is_usual
from amiss.features._feature_set import Features, FeatureSet
from amiss.features._layouts import (
    ImportedVideo,
    Layout,
    Source,
    Unreadable,
    by_video,
    each,
    files_below,
    save_array,
    spec_of_others,
    video_ids,
)
from amiss.reading import refusing

_SUFFIX = "_i3d"
_CROP = re.compile(r"__(\d)$")


def load_array(path: Path) -> Features:
    """A .npy file, memory-mapped.

    Raises:
        FeatureError: it can't be read, or holds anything but numbers.
    """
    with refusing(FeatureError, str(path)):
        array: Features = reading.load_array(path, mapped=True)
    if not array.size or array.dtype.kind not in "fiu":
        raise FeatureError(f"{path} is {array.dtype}, or empty; expected numbers")
    return array


def shapes_of(files: Iterable[Path], n_axes: int) -> list[Shape]:
    """Shapes of those files that can be read and have so many axes."""
    shapes: list[Shape] = []
    for file in files:
        try:
            shape = load_array(file).shape
        except FeatureError:
            continue
        if len(shape) == n_axes:
            shapes.append(shape)
    return shapes


def read_rows(path: Path, axes: Axes) -> Features:
    """The rows [clips, crops, dim] of a .npy file.

    Raises:
        FeatureError: it can't be read, or has another number of axes.
    """
    array = load_array(path)
    if array.ndim != len(axes):
        raise FeatureError(f"{path} is {array.dtype} {array.shape}; this layout has ({', '.join(axes)})")
    return in_our_order(array, axes)


def commonest_sizes(shapes: Iterable[Shape], axes: Axes) -> dict[str, int]:
    """Size of each axis in most of the arrays."""
    columns = zip(*shapes, strict=True)
    return {name: Counter(column).most_common(1)[0][0] for name, column in zip(axes, columns, strict=True)}


def _axes_of(source: Source, files: Iterable[Path], n_axes: int) -> tuple[Axes, list[Shape]]:
    """The order of axes, and the shapes that it was told from; warns where it isn't the usual one."""
    shapes = shapes_of(files, n_axes)
    if not shapes:
        what = "[clips, crops, dim]" if n_axes == 3 else "[clips, dim]"
        for file in files:
            load_array(file)  # says why it can't be read
        raise FeatureError(f"{source.path} has no arrays {what}")
    return find_axes(shapes, source.axes, source.path), shapes


def _has_arrays(path: Path, n_axes: int) -> bool:
    """Whether the first .npy file that can be read has so many axes."""
    for file in files_below(path, "*.npy"):
        try:
            return load_array(file).ndim == n_axes
        except FeatureError:
            continue
    return False


def _rtfm_files(source: Source) -> dict[str, Path]:
    return by_video(source, "*.npy", lambda file: file.stem.removesuffix(_SUFFIX))


def _rtfm_spec(source: Source) -> FeatureSpec:
    axes, shapes = _axes_of(source, _rtfm_files(source).values(), 3)
    _say(source, axes)
    sizes = commonest_sizes(shapes, axes)
    return spec_of_others({2048: "i3d_resnet50"}, sizes["dim"], crops=sizes["crops"])


def _rtfm_videos(source: Source) -> Iterator[ImportedVideo | Unreadable]:
    files = _rtfm_files(source)
    axes, _ = _axes_of(source, files.values(), 3)
    yield from each(files, lambda file: read_rows(file, axes))


def _write_rtfm(features: FeatureSet, out: Path) -> None:
    for video_id in features.records:
        save_array(out / f"{video_id}{_SUFFIX}.npy", features.load(video_id))


def _wu_files(source: Source) -> dict[str, dict[int, Path]]:
    """The files of each video's crops, by their numbers."""
    stems = [file.stem for file in files_below(source.path, "*.npy")]
    suffix = _SUFFIX if all(stem.endswith(_SUFFIX) for stem in stems) else ""

    def parts(file: Path) -> tuple[str, int]:
        stem = file.stem.removesuffix(suffix)
        crop = _CROP.search(stem)
        return (stem[: crop.start()], int(crop[1])) if crop else (stem, 0)

    found: dict[str, dict[int, Path]] = {}
    for file, video_id in video_ids(source, "*.npy", lambda file: parts(file)[0]).items():
        crops, crop = found.setdefault(video_id, {}), parts(file)[1]
        if crop in crops:
            raise FeatureError(f"{source.path}: two files of crop {crop} of {video_id}, {crops[crop]} and {file}")
        crops[crop] = file
    return found


def _wu_spec(source: Source) -> FeatureSpec:
    videos = _wu_files(source)
    axes, shapes = _axes_of(source, [file for crops in videos.values() for file in crops.values()], 2)
    _say(source, axes)
    crops = Counter(len(crops) for crops in videos.values()).most_common(1)[0][0]
    spec = spec_of_others({1024: "i3d"}, commonest_sizes(shapes, axes)["dim"], crops=crops, tail="drop")
    return spec.of_another_network("i3d-flow") if spec.backbone == "i3d" and _is_flow(source.path) else spec


def _is_flow(path: Path) -> bool:
    """XD-Violence's features of flow have the length of those of RGB, and lie in folders Flow and FlowTest."""
    files = [file.relative_to(path.parent) for file in files_below(path, "*.npy")]
    return all(any(part.lower().startswith("flow") for part in file.parts[:-1]) for file in files)


def _wu_videos(source: Source) -> Iterator[ImportedVideo | Unreadable]:
    videos = _wu_files(source)
    axes, _ = _axes_of(source, [file for crops in videos.values() for file in crops.values()], 2)
    yield from each(videos, lambda files: _joined(files, axes))


def _joined(files: dict[int, Path], axes: Axes) -> Features:
    """The crops of one video, [T, C, D]."""
    if sorted(files) != list(range(len(files))):
        names = ", ".join(file.stem for file in files.values())
        raise FeatureError(f"{next(iter(files.values())).parent}: crops of a video are {names}; some are missing")
    crops = [read_rows(files[crop], axes)[:, 0] for crop in range(len(files))]
    if any(crop.shape != crops[0].shape for crop in crops):
        raise FeatureError(f"{files[0]}: its crops have shapes {[crop.shape for crop in crops]}")
    x_TCD = np.empty((len(crops[0]), len(crops), crops[0].shape[1]), np.float32)
    for crop, array in enumerate(crops):
        x_TCD[:, crop] = array
    return x_TCD


def _write_wu(features: FeatureSet, out: Path) -> None:
    if features.spec.crops > 10:
        raise FeatureError(f"{features.folder} has {features.spec.crops} crops; this layout takes 10 at most")
    first = "__0" if any(_CROP.search(video_id) for video_id in features.records) else ""  # else ids look like crops
    for video_id in features.records:
        array = features.load(video_id)
        for crop in range(features.spec.crops):
            save_array(out / f"{video_id}{f'__{crop}' if crop else first}.npy", array[:, crop])


def _say(source: Source, axes: Axes) -> None:
    if source.axes is None and not is_usual(axes):
        warnings.warn(f"{source.path}: arrays are taken as ({', '.join(axes)}), as their shapes tell", stacklevel=2)


RTFM = Layout(
    "rtfm",
    "one [T, crops, dim] .npy per video, <video>_i3d.npy",
    lambda path: _has_arrays(path, 3),
    _rtfm_spec,
    _rtfm_videos,
    _write_rtfm,
)
WU = Layout(
    "wu",
    "one [T, dim] .npy per video and crop, <video>.npy, <video>__1.npy, …",
    lambda path: _has_arrays(path, 2),
    _wu_spec,
    _wu_videos,
    _write_wu,
)
