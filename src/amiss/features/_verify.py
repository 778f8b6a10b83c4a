"""Is a feature set whole? And making of it what is whole."""

import hashlib
import io
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from amiss.errors import FeatureError
from amiss.features._feature_set import Features, FeatureSet, check_rows, open_feature_set, read_spec
from amiss.features._index import TIMES, FeatureRecord, ids_of, names_in, npy_bytes, path_of
from amiss.features._writer import FeatureSetWriter
from amiss.files import sha256_file
from amiss.reading import check_file, load_array, refusing
from amiss.storage import Url
from amiss.video import FrameTimes

DAMAGED = ".damaged"
"""Folder in a feature set for files that were found to be damaged."""
OnChecked = Callable[[int, int, str], object]
"""Told videos checked, of how many, and which one it is."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with a video of a feature set."""

    video_id: str
    kind: Literal["missing", "damaged", "stray"]
    """Its rows aren't there; they, or its times, are not those on record; or they are there, but not on record."""
    text: str
    """In one line."""


def verify(features: FeatureSet, sample: int | None = None, on_checked: OnChecked = lambda *_: None) -> Iterator[Fault]:
    """Read videos, and compare them with what the index says: shape, type, checksum, finite values, times.

    Args:
        features: the set. In a store its files are read from there, not from the cache; shards from a copy.
        sample: so many videos, drawn anew each time, are read; None: all, and files that aren't in the index are looked
            for, too.
        on_checked: told how far it is.
    """
    ids: Sequence[str] = list(features.records)
    if sample is not None and sample < len(ids):
        ids = random.sample(ids, sample)
    for number, video_id in enumerate(ids):
        on_checked(number, len(ids), video_id)
        record = features.records[video_id]
        try:
            whole_video(features, record)
        except FeatureError as error:
            yield fault_of(features, record, error)
    if sample is None:
        for video_id in sorted(ids_of(names_in(features.folder)) - features.records.keys()):
            yield Fault(video_id, "stray", f"{video_id}.npy is not in the index")
    on_checked(len(ids), len(ids), "")


def whole_video(features: FeatureSet, record: FeatureRecord) -> tuple[Features, FrameTimes | None]:
    """The rows of a video, and its times where they are stored, compared with what is on record.

    Raises:
        FeatureError: they can't be read, or are others.
    """
    name = record.video_id
    rows, found = _read(features, record)
    if found != record.sha256:
        raise FeatureError(f"{name}: the file's checksum is not the one in the index: extract it again")
    if not np.isfinite(rows).all():
        raise FeatureError(f"{name}: has values that are not finite")
    if record.times_sha256 is None:
        return rows, None
    times = features.times(name)
    if sha256_file(features.folder / TIMES / f"{name}.npy") != record.times_sha256:
        raise FeatureError(f"{name}: the checksum of its times is not the one in the index: extract it again")
    return rows, times


def fault_of(features: FeatureSet, record: FeatureRecord, error: FeatureError) -> Fault:
    """What is wrong with a video that isn't whole."""
    is_there = path_of(features.folder, record).exists()
    return Fault(record.video_id, "damaged" if is_there else "missing", str(error))


def _read(features: FeatureSet, record: FeatureRecord) -> tuple[Features, str]:
    """The rows of a video, and their checksum.

    Raises:
        FeatureError: they can't be read.
    """
    path = path_of(features.folder, record)
    if record.shard is not None:
        rows = features.load(record.video_id)
        return rows, hashlib.sha256(npy_bytes(rows)).hexdigest()
    if not isinstance(path, Url):
        return features.load(record.video_id), sha256_file(path)
    with refusing(FeatureError, str(path)):
        with path.open("rb") as file:
            data: bytes = file.read()
        read: Features = np.load(io.BytesIO(data), allow_pickle=False)
        return read, hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Repair:
    """What was done to a feature set."""

    set_aside: tuple[Fault, ...]
    """Videos that are no longer in the index: extract or import them again. Damaged files lie in `.damaged/`."""
    added: tuple[str, ...]
    """Ids of videos whose rows were there, and that are in the index again. What made them isn't on record, and how
    many frames they have only where their times are stored."""
    left: tuple[Fault, ...]
    """Files that aren't in the index and don't fit into the set."""


def repair(folder: Path, on_checked: OnChecked = lambda *_: None) -> Repair:
    """Make an index of what is whole in a feature set of this machine.

    Raises:
        UsageError: another process is writing into the folder.
        FeatureError: no feature set.
        OutputError: it can't be written.
    """
    if isinstance(folder, Url):
        raise FeatureError(
            f"{folder}: a set in a store isn't repaired there. Copy what is whole with `amiss features copy`, and "
            "extract or import the rest into the copy"
        )
    with FeatureSetWriter(folder, read_spec(folder)) as writer:
        features = open_feature_set(folder)
        faults = list(verify(features, on_checked=on_checked))
        set_aside = [fault for fault in faults if fault.kind != "stray"]
        lost = {fault.video_id for fault in set_aside}
        for name in lost:
            _move_aside(folder, features.records[name])
        writer.forget(lost)
        added, left = [], []
        for fault in (fault for fault in faults if fault.kind == "stray"):
            try:
                writer.restore(_record_of(folder, fault.video_id, features))
                added.append(fault.video_id)
            except FeatureError as error:
                left.append(Fault(fault.video_id, "stray", str(error)))
    return Repair(tuple(set_aside), tuple(added), tuple(left))


def _move_aside(folder: Path, record: FeatureRecord) -> None:
    names = [f"{record.video_id}.npy", f"{TIMES}/{record.video_id}.npy"] if record.shard is None else []
    for name in names:
        if (folder / name).is_file():
            target = folder / DAMAGED / name
            target.parent.mkdir(parents=True, exist_ok=True)
            (folder / name).replace(target)


def _record_of(folder: Path, video_id: str, features: FeatureSet) -> FeatureRecord:
    """The record of rows that are there.

    Raises:
        FeatureError: they don't fit into the set.
    """
    path, times_path = folder / f"{video_id}.npy", folder / TIMES / f"{video_id}.npy"
    with refusing(FeatureError, str(path)):
        rows = load_array(check_file(path), mapped=True)
    check_rows(video_id, rows, features.spec)
    if rows.dtype != features.spec.dtype:
        raise FeatureError(f"{path} is of {rows.dtype}, the set of {features.spec.dtype}")
    times = None
    if times_path.is_file():
        with refusing(FeatureError, str(times_path)):
            times = _times_of(load_array(times_path))
    return FeatureRecord(
        video_id=video_id,
        n_clips=len(rows),
        n_frames=None if times is None else times.n_frames,
        fps=None if times is None else times.fps,
        sha256=sha256_file(path),
        times_sha256=None if times is None else sha256_file(times_path),
    )


def _times_of(knots: np.ndarray) -> FrameTimes:
    """Of frames and seconds, the rate on average over the time without gaps."""
    steps = np.diff(knots, axis=0)
    n_frames, seconds = int(knots[-1, 0]), float(steps[steps[:, 0] > 0, 1].sum())
    return FrameTimes(n_frames, n_frames / seconds, knots)
