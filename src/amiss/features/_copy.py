"""Copying feature sets: to another place, and from a file for each video into shards, or back."""

import os
from collections.abc import Iterator

from amiss.features._feature_set import FeatureSet
from amiss.features._index import FeatureRecord
from amiss.features._verify import OnChecked
from amiss.features._writer import FeatureSetWriter

MEGABYTE = 1 << 20


def copy_features(
    features: FeatureSet,
    out: str | os.PathLike[str],
    shard_mb: int | None = None,
    on_copied: OnChecked = lambda *_: None,
) -> int:
    """Copy a feature set, whose values stay the same to the last bit. Videos that are there already are skipped.

    Args:
        features: the set.
        out: a folder, or a place in a store; new, or of the same spec.
        shard_mb: write the rows of many videos into one file, which is closed when it has about so many megabytes.
            None: a file for each video.
        on_copied: told videos copied, of how many, and which one it is.

    Returns:
        Videos copied.

    Raises:
        FeatureError: a video can't be read, or `out` holds features of another spec.
        UsageError: another process is writing into `out`.
        OutputError: it can't be written.
    """
    with FeatureSetWriter(out, features.spec) as writer:
        todo = [record for name, record in sorted(features.records.items()) if name not in writer.done]
        count = 0
        for group in _groups(features, todo, shard_mb):
            on_copied(count, len(todo), group[0].video_id)
            videos = [
                (one, features.load(one.video_id), features.times(one.video_id) if one.times_sha256 else None)
                for one in group
            ]
            if shard_mb is None:
                for one, rows, times in videos:
                    writer.add(one.video_id, rows, one.n_frames, one.fps, one.engine, times=times)
            else:
                writer.add_shard(videos)
            count += len(group)
    on_copied(count, len(todo), "")
    return count


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
