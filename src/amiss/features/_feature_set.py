"""Feature sets on disk: a directory of `spec.json`, `index.jsonl` and one `<video_id>.npy` [T, C, D] per video.

A video whose frames don't come at an even rate also has `times/<video_id>.npy`, the knots of its FrameTimes.
"""

import json
import os
import sys
import warnings
import weakref
from collections.abc import Collection, Mapping
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from amiss.backbones import FeatureSpec
from amiss.datasets import Video, first_names
from amiss.errors import FeatureError, OutputError, UsageError
from amiss.files import (
    NamesInFolder,
    append_line,
    atomic_path,
    lock,
    remove_leftovers,
    sha256_file,
    write_json,
    write_text,
)
from amiss.reading import (
    JsonLines,
    check_folder,
    check_id,
    check_values,
    load_array,
    read_json,
    read_json_lines,
    refusing,
)
from amiss.registry import did_you_mean
from amiss.video import FrameTimes

Features = NDArray[np.float32] | NDArray[np.float16]
"""[T, C, D] = clips × crops × dim."""

INDEX = "index.jsonl"
"""A FeatureRecord a line."""
TIMES = "times"
"""Folder of the times of frames."""


@dataclass(frozen=True, kw_only=True)
class FeatureRecord:
    """One line of the index."""

    video_id: str
    n_clips: Annotated[int, Field(ge=1)]
    """Rows T of the array."""
    n_frames: Annotated[int, Field(ge=1)] | None
    """Decoded frames of the video; None = see the manifest."""
    fps: Annotated[float, Field(gt=0)] | None
    """Native frames per second, on average; None = see the manifest."""
    sha256: str
    """Of the .npy file."""
    engine: str | None = None
    """What ran the backbone, where and in which precision, e.g. `openvino cpu bf16`; None = not on record."""
    times_sha256: str | None = None
    """Of `times/<video_id>.npy`; None = the frames come at an even rate, as far as is known."""


@dataclass(frozen=True)
class FeatureSet:
    """A feature set that can be read. Arrays are memory-mapped."""

    folder: Path
    spec: FeatureSpec
    records: dict[str, FeatureRecord]

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
        path = self.folder / f"{video_id}.npy"
        record = self.records[video_id]
        with refusing(FeatureError, str(path)):
            array: Features = load_array(path, mapped=True)
        expected = (record.n_clips, self.spec.crops, self.spec.dim)
        if array.shape != expected or array.dtype != self.spec.dtype:
            raise FeatureError(
                f"{path} is {array.dtype} {array.shape}; spec and index say {self.spec.dtype} {expected}: "
                "extract it again"
            )
        return array

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
    root = Path(folder)
    spec = read_spec(root)
    index = _read_index(root)
    records = _by_id(index)
    if index.damage and not records:
        raise FeatureError(f"{root / INDEX}: {index.damage}, and none is whole: extract or import again")
    _tell_lost(root, index, records)
    return FeatureSet(root, spec, records)


def read_spec(folder: Path) -> FeatureSpec:
    """The FeatureSpec of a feature set.

    Raises:
        FeatureError: no such folder, no spec.json in it, or it is damaged.
    """
    path = folder / "spec.json"
    with refusing(FeatureError, f"feature set {folder}"):
        check_folder(folder)
    if not path.exists():
        raise FeatureError(f"{folder} is not a feature set: {path.name} is missing in it")
    with refusing(FeatureError, str(path)):
        values = read_json(path)
    if not isinstance(values, dict):
        raise FeatureError(f"{path} is not a FeatureSpec")
    return FeatureSpec.from_dict(values, str(path))


def _read_index(folder: Path) -> JsonLines[FeatureRecord]:
    def record(values: object) -> FeatureRecord:
        made = check_values(FeatureRecord, values)
        check_id(made.video_id, in_folders=True)
        return made

    with refusing(FeatureError, str(folder / INDEX)):
        return read_json_lines(folder / INDEX, record)


def _by_id(index: JsonLines[FeatureRecord]) -> dict[str, FeatureRecord]:
    return {record.video_id: record for record in index.values}


def _tell_lost(folder: Path, index: JsonLines[FeatureRecord], records: Collection[str]) -> None:
    """Which videos are lost with damaged lines: those whose rows are there all the same."""
    if not index.damage:
        return
    files = (path.relative_to(folder) for path in folder.rglob("[!.]*.npy"))
    ids = (str(PurePosixPath(*path.parts).with_suffix("")) for path in files if path.parts[0] != TIMES)
    lost = sorted(video_id for video_id in ids if video_id not in records)
    if lost:
        advice = "extract them again, or import again, into the same folder"
        warnings.warn(f"{folder / INDEX}: {index.damage}. Lost are {first_names(lost)}: {advice}", stacklevel=3)


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


class _FolderLock:
    """A folder that other processes don't write into, as long as a writer of this process refers to this."""

    @classmethod
    def of(cls, folder: Path) -> "_FolderLock | None":
        """The lock of a folder, which all writers of this process share; None on Windows.

        Raises:
            UsageError: another process has it.
            OSError: the folder can't be opened.
        """
        if sys.platform == "win32":
            return None
        descriptor = os.open(folder, os.O_RDONLY)
        status = os.fstat(descriptor)
        key = (status.st_dev, status.st_ino)
        if (held := _LOCKS.get(key)) is not None:
            os.close(descriptor)
            return held
        if not lock(descriptor, folder):
            os.close(descriptor)
            raise UsageError(f"another extraction is writing into {folder}: wait for it, or choose another folder")
        _LOCKS[key] = new = cls()
        weakref.finalize(new, os.close, descriptor)
        return new


_LOCKS: weakref.WeakValueDictionary[tuple[int, int], _FolderLock] = weakref.WeakValueDictionary()


class FeatureSetWriter:
    """Add videos to a feature set. Each becomes visible only once it is complete, so a run can be killed and resumed.

    One process writes at a time. The index lists videos as they are added, and in order of their ids once the writer is
    closed: its bytes don't depend on which video was done first.

    Raises:
        UsageError: another process is writing into the folder.
        FeatureError: the folder holds features of another spec, or is not empty and no feature set.
        OutputError: it can't be written.
    """

    def __init__(self, folder: str | os.PathLike[str], spec: FeatureSpec) -> None:
        self.folder = Path(folder)
        self.spec = spec
        self._closed = False
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock: _FolderLock | None = _FolderLock.of(self.folder)
            remove_leftovers(self.folder)
            if (self.folder / TIMES).is_dir():
                remove_leftovers(self.folder / TIMES)
            foreign = next((p.name for p in self.folder.iterdir() if p.name != INDEX), None)
        except OSError as error:
            raise OutputError(f"can't write feature set {self.folder}: {error.strerror}") from error
        if (self.folder / "spec.json").exists():
            found = read_spec(self.folder)
            if found != spec:
                names = [n for n in asdict(spec) if getattr(found, n) != getattr(spec, n)]
                what = "; ".join(
                    f"{n} is {getattr(found, n)!r}, not {getattr(spec, n)!r}" for n in names if n != "parts"
                )
                raise FeatureError(
                    f"{self.folder} holds features of another spec: {what or 'parts differ'}. Choose another folder"
                )
        elif foreign is not None:
            raise FeatureError(
                f"{self.folder} is not empty and no feature set (it has {foreign}). Choose another folder"
            )
        else:
            write_json(self.folder / "spec.json", spec.to_dict())
        self._index = self.folder / INDEX
        index = _read_index(self.folder)
        records = _by_id(index)
        if index.damage:
            _tell_lost(self.folder, index, records)
            self._write_index(records)
        self.done = {video_id for video_id in records if (self.folder / f"{video_id}.npy").is_file()}
        """Ids of videos that were complete when the writer was opened, or have been added since."""
        self._names = NamesInFolder(self.folder, self.done)
        self.engines = {record.engine for name, record in records.items() if name in self.done and record.engine}
        """What made those that were complete when the writer was opened, as far as it is on record."""

    def _write_index(self, records: Mapping[str, FeatureRecord]) -> None:
        """In order of ids, where it isn't yet."""
        text = "".join(json.dumps(asdict(record)) + "\n" for _, record in sorted(records.items()))
        if not self._index.exists() or text.encode() != self._index.read_bytes():
            write_text(self._index, text)

    def add(
        self,
        video_id: str,
        features: Features,
        n_frames: int | None,
        fps: float | None,
        engine: str | None = None,
        *,
        times: FrameTimes | None = None,
    ) -> None:
        """Write the rows of one video, [T, C, D], in the spec's dtype.

        Args:
            video_id: of the video.
            features: its rows.
            n_frames: decoded frames; None = not known.
            fps: native frames per second; None = not known.
            engine: what made them.
            times: when each frame is shown, if it is known; `n_frames` and `fps` are then its own.

        Raises:
            UsageError: the writer is closed.
            FeatureError: wrong shape, or values that are not finite.
            OutputError: can't be written (disk full, the file of another id); what was there before stays whole.
        """
        if self._closed:
            raise UsageError(f"{self.folder}: the writer is closed; {video_id} can't be added")
        check_rows(video_id, features, self.spec)
        self._names.claim(video_id)
        if times is not None:
            n_frames, fps = times.n_frames, times.fps
        knots = None if times is None else times.knots
        path = self.folder / f"{video_id}.npy"
        record = FeatureRecord(
            video_id=video_id,
            n_clips=len(features),
            n_frames=n_frames,
            fps=fps,
            times_sha256=None if knots is None else _write_array(self.folder / TIMES / path.name, knots),
            sha256=_write_array(path, features.astype(self.spec.dtype, copy=False)),
            engine=engine,
        )
        try:
            append_line(self._index, json.dumps(asdict(record)))
        except OSError as error:
            path.unlink(missing_ok=True)
            raise OutputError(f"can't write {self._index}: {error.strerror}") from error
        self.done.add(video_id)

    def close(self) -> None:
        """Put the index in order and let other processes write here. Nothing can be added any more.

        Raises:
            OutputError: the index can't be written; it stays as it was.
        """
        if self._closed:
            return
        self._closed = True
        try:
            if self._index.exists():
                self._write_index(_by_id(_read_index(self.folder)))
        finally:
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OutputError) if error else nullcontext():  # what went wrong first is what counts
            self.close()


def _write_array(path: Path, array: NDArray[np.floating]) -> str:
    """Write a .npy file, atomically; returns its sha256."""
    with atomic_path(path) as temporary:
        np.save(temporary, array, allow_pickle=False)
        return sha256_file(temporary)
