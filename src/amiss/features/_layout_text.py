"""32 segments of a video as 32 lines of numbers: Sultani's `<video>_C.txt`, and ekosman's `<class>/<video>.txt`.

Both are C3D fc6 at first, pooled to rows of unit length by the rules `matlab` and `ekosman`; the class folder is not
looked at, labels come from the manifest. Features of another length than 4096 are from an unknown backbone.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amiss.backbones import FeatureSpec
from amiss.errors import FeatureError
from amiss.features._feature_set import FeatureSet
from amiss.features._layouts import (
    SEGMENTS,
    ImportedVideo,
    Layout,
    Source,
    Unreadable,
    by_video,
    each,
    files_below,
    first_readable,
    save_rows,
    segments_of,
    spec_of_others,
)
from amiss.features._pooling import PoolingRule
from amiss.reading import ReadError, read_lines, refusing

_SULTANI_SUFFIX = "_C"


def _files(source: Source) -> dict[str, Path]:
    return by_video(source, "*.txt", lambda file: file.stem.removesuffix(_SULTANI_SUFFIX))


def _rows(path: Path) -> NDArray[np.float32]:
    with refusing(FeatureError, str(path), "can't be read as lines of numbers"):
        if not (lines := [line for _, line in read_lines(path)]):
            raise ReadError("it is empty")
        rows: NDArray[np.float32] = np.loadtxt(lines, dtype=np.float32, ndmin=2)
    if len(rows) != SEGMENTS:
        raise FeatureError(f"{path} has {len(rows)} lines of numbers; this layout has {SEGMENTS}")
    return rows


def _recognises(path: Path, *, is_sultani: bool) -> bool:
    files = files_below(path, "*.txt")
    if not files or all(file.stem.endswith(_SULTANI_SUFFIX) for file in files) is not is_sultani:
        return False
    try:
        return bool(first_readable(files, _rows).size)
    except FeatureError:
        return False


def _spec(source: Source, *, pooling: PoolingRule) -> FeatureSpec:
    dim = first_readable(_files(source).values(), _rows).shape[1]
    preset = "ekosman" if pooling == "ekosman" else "default"
    return spec_of_others({4096: "c3d"}, dim, preset=preset, tail="drop", segments=SEGMENTS, pooling=pooling)


def _videos(source: Source) -> Iterator[ImportedVideo | Unreadable]:
    yield from each(_files(source), lambda file: _rows(file)[:, None])


def _write(features: FeatureSet, out: Path, *, pooling: PoolingRule, suffix: str) -> None:
    for video_id in features.records:
        save_rows(out / f"{video_id}{suffix}.txt", segments_of(features, video_id, pooling, SEGMENTS), "%.9g", " ")


EKOSMAN = Layout(
    "ekosman",
    "32 lines of numbers per video, <class>/<video>.txt",
    partial(_recognises, is_sultani=False),
    partial(_spec, pooling="ekosman"),
    _videos,
    partial(_write, pooling="ekosman", suffix=""),
)
SULTANI = Layout(
    "sultani",
    "32 lines of numbers per video, <video>_C.txt",
    partial(_recognises, is_sultani=True),
    partial(_spec, pooling="matlab"),
    _videos,
    partial(_write, pooling="matlab", suffix=_SULTANI_SUFFIX),
)
