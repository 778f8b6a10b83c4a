"""Feature sets: a folder, or a place in a store, of `spec.json`, `index.jsonl` and one `<video_id>.npy` [T, C, D] per
video.

A video whose frames don't come at an even rate also has `times/<video_id>.npy`, the knots of its FrameTimes. Of very
many small videos the rows may lie in few files instead, `shards/<part of its checksum>.npy` [sum of T, C, D].
"""

import os
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amiss.backbones import FeatureSpec
from amiss.datasets import Video
from amiss.errors import FeatureError
from amiss.features._index import (
    INDEX,
    SHARDS,
    TIMES,
    FeatureRecord,
    ids_here,
    names_in,
    path_of,
    read_index,
    tell_lost,
)
from amiss.reading import check_folder, check_id, load_array, read_json, refusing
from amiss.registry import did_you_mean
from amiss.storage import Url, cached, located
from amiss.video import FrameTimes

Features = NDArray[np.float32] | NDArray[np.float16]
"""[T, C, D] = clips × crops × dim."""
_OPEN_SHARDS = 64
_IMPORT = "`amiss features import` makes one of other projects' features"


@dataclass(frozen=True)
class FeatureSet:
    """A feature set that can be read. Arrays are memory-mapped; those in a store, of a copy in the cache."""

    folder: Path
    spec: FeatureSpec
    records: dict[str, FeatureRecord]
    _open: OrderedDict[str, Features] = field(default_factory=OrderedDict, init=False, repr=False, compare=False)
    """Shards that were read last."""

    def __contains__(self, video_id: object) -> bool:
        return video_id in self.records

    def near(self, video_id: str) -> str:
        """Which video may be meant by an id that isn't there, for messages: in another folder, or mistyped."""
        name = video_id.split("__")[-1]
        namesakes = [one for one in self.records if one.split("__")[-1] == name]
        if namesakes:
            return f"Did you mean {' or '.join(map(repr, namesakes[:3]))}? "
        return did_you_mean(video_id, self.records)

    def measured(self, video: Video) -> Video:
        """The video; where it doesn't say how many frames it has, or their rate, with what this set knows of it."""
        record = self.records.get(video.video_id)
        if record is None:
            return video
        return replace(video, n_frames=video.n_frames or record.n_frames, fps=video.fps or record.fps)

    def ids_here(self) -> set[str]:
        """Videos whose rows are there; none is read. An extraction into this set skips them.

        Raises:
            FeatureError: a folder with some of them can't be listed.
        """
        return ids_here(self.folder, self.records, names_in(self.folder))

    def load(self, video_id: str) -> Features:
        """The rows of one video, [T, C, D], memory-mapped read-only.

        Raises:
            FeatureError: the video isn't in the set, or its file is missing, damaged or of another shape.
        """
        if video_id not in self.records:
            raise FeatureError(
                f"{self.folder}: no features of video {video_id!r}. {self.near(video_id)}{len(self.records)} videos "
                "are there"
            )
        record = self.records[video_id]
        path = path_of(self.folder, record)
        with refusing(FeatureError, str(path)):
            if record.shard is None:
                array = _mapped(path, record.sha256)
            else:
                array = self._shard(record.shard)[record.row or 0 :][: record.n_clips]
        expected = (record.n_clips, self.spec.crops, self.spec.dim)
        if array.shape != expected or array.dtype != self.spec.dtype:
            raise FeatureError(
                f"{path} is {array.dtype} {array.shape}; spec and index say {self.spec.dtype} {expected}: "
                "extract it again"
            )
        return array

    def _shard(self, name: str) -> Features:
        if (known := self._open.get(name)) is not None:
            return known
        shard = self._open[name] = _mapped(self.folder / SHARDS / name)
        if len(self._open) > _OPEN_SHARDS:
            self._open.popitem(last=False)
        return shard

    def times(self, video_id: str) -> FrameTimes | None:
        """When the frames of a video are shown: at an even rate where no times are stored, as in older sets. None where
        the set doesn't know how many frames there are.

        Raises:
            FeatureError: the times are stored, but damaged.
        """
        record = self.records[video_id]
        if record.n_frames is None:
            return None
        if record.times_sha256 is None:
            return FrameTimes(record.n_frames, record.fps)
        path = self.folder / TIMES / f"{video_id}.npy"
        with refusing(FeatureError, str(path), advice=f"extract {video_id} again"):
            return FrameTimes(record.n_frames, record.fps, load_array(path))


def open_feature_set(folder: str | os.PathLike[str]) -> FeatureSet:
    """Open a feature set for reading. Where lines of its index are damaged, the videos that are lost with them are
    named in a warning, and left out.

    Raises:
        FeatureError: not a feature set, or its spec is damaged, or its whole index.
    """
    root = located(folder)
    spec = read_spec(root)
    index = read_index(root)
    if index.damage and not index.records:
        raise FeatureError(f"{root / INDEX}: {index.damage}, and none is whole: extract or import again")
    tell_lost(root, index.damage, index.records, lambda: names_in(root))
    return FeatureSet(root, spec, index.records)


def read_spec(folder: Path) -> FeatureSpec:
    """The FeatureSpec of a feature set.

    Raises:
        FeatureError: no such folder, no spec.json in it, or it is damaged.
    """
    path = folder / "spec.json"
    if not isinstance(folder, Url):  # stores have no folders
        if folder.is_file():
            raise FeatureError(f"{folder} is a file, not a feature set; {_IMPORT}")
        with refusing(FeatureError, f"feature set {folder}"):
            check_folder(folder)
    with refusing(FeatureError, str(path)):
        if not path.exists():
            raise FeatureError(f"{folder} is not a feature set: {path.name} is missing in it; {_IMPORT}")
        values = read_json(path)
    if not isinstance(values, dict):
        raise FeatureError(f"{path} is not a FeatureSpec")
    return FeatureSpec.from_dict(values, str(path))


def check_rows(video_id: str, features: Features, spec: FeatureSpec) -> None:
    """Refuse what a feature set of this spec can't have.

    Raises:
        FeatureError: the id is none, wrong shape, or values that are not finite.
    """
    try:
        check_id(video_id, in_folders=True)
    except ValueError as error:
        raise FeatureError(str(error)) from None
    if features.ndim != 3 or features.shape[1:] != (spec.crops, spec.dim) or not len(features):
        raise FeatureError(f"{video_id}: features are {features.shape}, expected (T, {spec.crops}, {spec.dim})")
    if not np.isfinite(features).all():
        raise FeatureError(f"{video_id}: features have values that are not finite")


def _mapped(path: Path, sha256: str | None = None) -> Features:
    """The array of a file, memory-mapped."""
    array: Features = load_array(cached(path, sha256) if isinstance(path, Url) else path, mapped=True)
    return array
