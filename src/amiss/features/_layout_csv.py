"""One .csv per video without a header: the row's number, then its values (github.com/nevinbaiju/anomaly-detection).

32 rows are segments, as its extractor pools by default (a per-dimension L2 norm over clips); any other number, clips.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amiss.backbones import FeatureSpec
from amiss.errors import FeatureError
from amiss.features._feature_set import Features, FeatureSet
from amiss.features._layout_c3d_codes import c3d_spec
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
from amiss.reading import ReadError, read_lines, refusing


def _files(source: Source) -> dict[str, Path]:
    return by_video(source, "*.csv", lambda file: file.stem)


def _rows(path: Path) -> NDArray[np.float32]:
    with refusing(FeatureError, str(path), "can't be read as comma-separated numbers"):
        if not (lines := [line for _, line in read_lines(path)]):
            raise ReadError("it is empty")
        table: NDArray[np.float64] = np.loadtxt(lines, delimiter=",", ndmin=2)
    if table.shape[1] < 2 or not np.array_equal(table[:, 0], np.arange(len(table))):
        raise FeatureError(f"{path}: the first column must be the row's number 0, 1, …; it starts {table[:3, 0]}")
    return table[:, 1:].astype(np.float32)


def _recognises(path: Path) -> bool:
    try:
        return bool(first_readable(files_below(path, "*.csv"), _rows).size)
    except FeatureError:
        return False


def _spec(source: Source) -> FeatureSpec:
    rows = first_readable(_files(source).values(), _rows)
    segments = SEGMENTS if len(rows) == SEGMENTS else None
    pooling = "norm" if segments else None
    if rows.shape[1] == 4096:
        return c3d_spec(4096, segments).with_(pooling=pooling)
    return spec_of_others({}, rows.shape[1], segments=segments, pooling=pooling)


def _videos(source: Source) -> Iterator[ImportedVideo | Unreadable]:
    segments = _spec(source).segments

    def read(file: Path) -> Features:
        rows = _rows(file)
        if segments is not None and len(rows) != segments:
            raise FeatureError(f"{file} has {len(rows)} rows, others {segments}: these are not all segments")
        return rows[:, None]

    yield from each(_files(source), read)


def _write(features: FeatureSet, out: Path) -> None:
    for video_id in features.records:
        rows = segments_of(features, video_id, "norm", SEGMENTS)
        numbered = np.column_stack([np.arange(len(rows)), rows])
        save_rows(out / f"{video_id}.csv", numbered, ["%d"] + ["%.9g"] * rows.shape[1], ",")


CSV = Layout("csv", "32 rows per video, <video>.csv: row number, values", _recognises, _spec, _videos, _write)
