"""The index of a feature set: `index.jsonl`, a record a line."""

import io
import json
import os
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from amiss.datasets import first_names
from amiss.errors import FeatureError
from amiss.reading import (
    ReadError,
    check_id,
    check_json_lines,
    check_values,
    parse_json_lines,
    read_bytes,
    refusing,
)
from amiss.storage import Url, contents, listed

INDEX = "index.jsonl"
"""A FeatureRecord a line."""
JOURNAL = ".index"
"""In a store, where nothing can be added to a file: folder of records that aren't in the index yet, a file each."""
TIMES = "times"
"""Folder of the times of frames."""
SHARDS = "shards"
"""Folder of files that hold the rows of many videos, one after the other."""


@dataclass(frozen=True, kw_only=True, slots=True)
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
    """Of the .npy file; in a shard, of the one that these rows would be."""
    engine: str | None = None
    """What ran the backbone, where and in which precision, e.g. `openvino cpu bf16`; None = not on record."""
    times_sha256: str | None = None
    """Of `times/<video_id>.npy`; None = the frames come at an even rate, as far as is known."""
    shard: str | None = None
    """Name of the file in `shards/` that has the rows, a part of its checksum; None = they have a file of their own."""
    row: Annotated[int, Field(ge=0)] | None = None
    """Of the shard, the first that is this video's."""

    def to_line(self) -> str:
        """As it stands in the index."""
        names = _OF_FILES if self.shard is None else _OF_SHARDS
        values = {name: getattr(self, name) for name in names}
        return json.dumps(values) + "\n"


_OF_SHARDS = tuple(FeatureRecord.__dataclass_fields__)
_OF_FILES = _OF_SHARDS[:-2]


@dataclass(frozen=True)
class Index:
    """What an index says."""

    records: dict[str, FeatureRecord]
    """By id, as far as they are whole."""
    damage: str = ""
    """What is wrong with the others, in one line; empty: nothing."""


def read_index(folder: Path) -> Index:
    """The index of a feature set; in a store also what was added since it was last put together.

    Raises:
        FeatureError: it can't be read.
    """
    added = read_journal(folder) if isinstance(folder, Url) and not folder.scheme.startswith("http") else {}
    path = folder / INDEX
    with refusing(FeatureError, str(path)):
        try:
            data = read_bytes(path)
        except ReadError as error:  # as `refusing` says it, but a new set has none
            if not error.is_missing:
                raise
            data = b""
        index = _whole(data) or _line_by_line(data)
    newer = {record.video_id: record for records in added.values() for record in records}
    return Index(index.records | newer, index.damage)


def _whole(data: bytes) -> Index | None:
    """Of an index in which all is well: all lines at once, which is eight times as fast; None where it isn't."""
    try:
        records = {record.video_id: record for record in check_json_lines(FeatureRecord, data)}
        for video_id in records:
            check_id(video_id, in_folders=True)
    except ValueError:
        return None
    return Index(records)


def _line_by_line(data: bytes) -> Index:
    def record(values: object) -> FeatureRecord:
        made = check_values(FeatureRecord, values)
        check_id(made.video_id, in_folders=True)
        return made

    lines = parse_json_lines(data, record)
    return Index({record.video_id: record for record in lines.values}, lines.damage)


def read_journal(folder: Url) -> dict[Url, list[FeatureRecord]]:
    """What was added to a set in a store since its index was last put together, the newest last.

    Raises:
        FeatureError: the store can't be asked, or a record is damaged.
    """
    with refusing(FeatureError, f"feature set {folder}"):
        found = contents([folder / JOURNAL / name for name in sorted(listed(folder / JOURNAL))])
        return {url: check_json_lines(FeatureRecord, data) for url, data in found.items()}


def index_text(records: Mapping[str, FeatureRecord]) -> str:
    """An index, in order of ids."""
    return "".join(record.to_line() for _, record in sorted(records.items()))


def tell_lost(folder: Path, damage: str, records: Collection[str], names: Callable[[], Iterable[str]]) -> None:
    """Warn which videos are lost with damaged lines: those whose rows are there all the same.

    Args:
        folder: of the set.
        damage: of its index; empty: nothing is told.
        records: ids that the index has.
        names: gives the files of the set, as paths from its folder.
    """
    if not damage:
        return
    lost = sorted(ids_of(names()) - set(records))
    if lost:
        advice = "extract them again, or import again, into the same folder"
        warnings.warn(f"{folder / INDEX}: {damage}. Lost are {first_names(lost)}: {advice}", stacklevel=3)


def path_of(folder: Path, record: FeatureRecord) -> Path:
    """The file that has the rows of a video."""
    return folder / f"{record.video_id}.npy" if record.shard is None else folder / SHARDS / record.shard


def npy_bytes(array: NDArray[Any]) -> bytes:
    """The bytes of a .npy file of an array."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def ids_of(names: Iterable[str]) -> set[str]:
    """The videos that have a file of their own, of all files of a set, which are given as paths from its folder."""
    paths = (PurePosixPath(name) for name in names if name.endswith(".npy"))
    return {
        str(path.with_suffix(""))
        for path in paths
        if path.parts[0] not in (TIMES, SHARDS) and not any(part.startswith(".") for part in path.parts)
    }


def ids_here(folder: Path, records: Mapping[str, FeatureRecord], names: Sequence[str]) -> set[str]:
    """Videos on record whose rows are there, of all files of a set, as `names_in` gives them.

    Raises:
        FeatureError: a folder with some of them can't be listed.
    """
    for closed in (name for name in names if name.endswith("/")):
        if any(not record.shard and video_id.startswith(closed.lstrip("/")) for video_id, record in records.items()):
            raise FeatureError(
                f"{folder / closed.strip('/')} can't be listed: see that you may, and that its disk is well"
            )
    there = ids_of(names)
    return {video_id for video_id, record in records.items() if record.shard or video_id in there}


def names_in(folder: Path) -> list[str]:
    """All files of a set, as paths from its folder; and its folders that can't be listed, each with a / at its end."""
    if isinstance(folder, Url):
        return [] if folder.scheme.startswith("http") else list(listed(folder))
    names, ahead = [], [""]
    while ahead:
        below = ahead.pop()
        try:
            with os.scandir(folder / below) as entries:
                found = list(entries)
        except FileNotFoundError:  # removed meanwhile
            continue
        except OSError:
            names.append(below or "/")
            continue
        for entry in found:  # through links, and not those that lead nowhere
            with suppress(OSError):  # such as a link to itself
                if entry.is_dir():
                    ahead.append(f"{below}{entry.name}/")
                elif entry.is_file():
                    names.append(below + entry.name)
    return names
