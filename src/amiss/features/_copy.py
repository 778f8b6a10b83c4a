"""Copying feature sets: to another place, and from a file for each video into shards, or back."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

from amiss.errors import FeatureError
from amiss.features._feature_set import FeatureSet
from amiss.features._index import FeatureRecord
from amiss.features._verify import Fault, OnChecked, fault_of, whole_video
from amiss.features._writer import FeatureSetWriter

MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Copied:
    """What became of a copy."""

    count: int
    """Videos copied."""
    left_out: tuple[Fault, ...]
    """Videos that aren't what the index says: the copy doesn't have them."""


def copy_features(
    features: FeatureSet,
    out: str | os.PathLike[str],
    shard_mb: int | None = None,
    on_copied: OnChecked = lambda *_: None,
) -> Copied:
    """Copy a feature set, whose values stay the same to the last bit. Videos that are there already are skipped, and
    those that are missing or damaged are left out.

    Args:
        features: the set.
        out: a folder, or a place in a store; new, or of the same spec.
        shard_mb: write the rows of many videos into one file, which is closed when it has about so many megabytes.
            None: a file for each video.
        on_copied: told videos copied, of how many, and which one it is.

    Raises:
        FeatureError: a store can't be read for the moment, or `out` holds features of another spec.
        UsageError: another process is writing into `out`.
        OutputError: it can't be written.
    """
    with FeatureSetWriter(out, features.spec) as writer:
        todo = [record for name, record in sorted(features.records.items()) if name not in writer.done]
        count, left_out = 0, list[Fault]()
        for group in _groups(features, todo, shard_mb):
            on_copied(count + len(left_out), len(todo), group[0].video_id)
            videos = []
            for one in group:
                try:
                    videos.append((one, *whole_video(features, one)))
                except FeatureError as error:
                    if error.transient:
                        raise
                    left_out.append(fault_of(features, one, error))
            if shard_mb is None:
                for one, rows, times in videos:
                    writer.add(one.video_id, rows, one.n_frames, one.fps, one.engine, times=times)
            elif videos:
                writer.add_shard(videos)
            count += len(videos)
    on_copied(len(todo), len(todo), "")
    return Copied(count, tuple(left_out))


def _groups(features: FeatureSet, records: list[FeatureRecord], shard_mb: int | None) -> Iterator[list[FeatureRecord]]:
    """Videos that go into one shard; without shards each for itself."""
    spec, group, size = features.spec, [], 0
    per_clip = spec.crops * spec.dim * (2 if spec.dtype == "float16" else 4)
    for record in records:
        group.append(record)
        size += record.n_clips * per_clip
        if shard_mb is None or size >= shard_mb * MEGABYTE:
            yield group
            group, size = [], 0
    if group:
        yield group
