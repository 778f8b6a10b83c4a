"""amiss features verify, stats, copy: whole sets, however large."""

import os
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from amiss.errors import UsageError
from amiss.features import Copied, Repair, copy_features, open_feature_set, repair, verify
from amiss.jobs._progress import OnProgress, silent
from amiss.storage import located


@dataclass(frozen=True)
class Verification:
    """What verifying a feature set found."""

    n_checked: int
    """Videos that were read."""
    n_videos: int
    """Videos in the index."""
    faults: tuple[str, ...]
    """What is still wrong, a line each."""
    repair: Repair | None = None
    """What was done about it; None: nothing was to be done."""

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def verify_feature_set(
    folder: str | os.PathLike[str],
    sample: int | None = None,
    *,
    mend: bool = False,
    on_progress: OnProgress = silent,
) -> Verification:
    """Read every file of a feature set, or some, and compare it with the index.

    Args:
        folder: of the feature set.
        sample: read so many videos, drawn anew each time; None: all, and look for files that aren't in the index.
        mend: take videos that are missing or damaged off the index, set their files aside, and put whole ones into it.
        on_progress: told videos checked, of how many, and which one it is.

    Raises:
        UsageError: a sample is to be mended, or another process writes into the folder.
        FeatureError: not a feature set, or one in a store is to be mended.
    """
    if mend and sample is not None:
        raise UsageError(f"--repair reads all videos: leave out --sample {sample}")
    if mend:
        done = repair(located(folder), on_progress)
        n_videos = len(open_feature_set(folder).records)
        return Verification(n_videos, n_videos, tuple(fault.text for fault in done.left), done)
    features = open_feature_set(folder)
    faults = tuple(fault.text for fault in verify(features, sample, on_progress))
    n_videos = len(features.records)
    return Verification(n_videos if sample is None else min(sample, n_videos), n_videos, faults)


def feature_statistics(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """What the index of a feature set tells; no features are read.

    Raises:
        FeatureError: not a feature set.
    """
    features = open_feature_set(folder)
    spec, records = features.spec, list(features.records.values())
    clips = np.array([record.n_clips for record in records] or [0])
    hours = [one.n_frames / one.fps / 3600 for one in records if one.n_frames is not None and one.fps is not None]
    shards = {record.shard for record in records if record.shard is not None}
    own = sum(record.shard is None for record in records)
    folders = Counter(str(PurePosixPath(record.video_id).parent) for record in records)
    return {
        "backbone": spec.backbone,
        "shape of a clip": f"{spec.crops} × {spec.dim} {spec.dtype}",
        "videos": len(records),
        "clips": int(clips.sum()),
        "clips of a video, least": int(clips.min()),
        "clips of a video, median": float(np.median(clips)),
        "clips of a video, most": int(clips.max()),
        "hours": sum(hours) if hours else None,
        "videos of unknown length": len(records) - len(hours),
        "megabytes": int(clips.sum()) * spec.crops * spec.dim * np.dtype(spec.dtype).itemsize / 1e6,
        "files": own + len(shards),
        "shards": len(shards),
        "folders": len(folders),
        "made by": ", ".join(
            f"{name} ({n})" for name, n in Counter(one.engine or "?" for one in records).most_common()
        ),
    }


def copy_feature_set(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    shard_mb: int | None = None,
    on_progress: OnProgress = silent,
) -> Copied:
    """Copy a feature set to another place, or into shards, or out of them; a stopped copy goes on where it was.

    Args:
        folder: of the feature set.
        out: folder or URL, new or of the same spec.
        shard_mb: see `amiss.features.copy_features`.
        on_progress: told videos copied, of how many, and which one it is.

    Raises:
        UsageError: both are the same place, or another process writes there.
        FeatureError, OutputError: as `copy_features`.
    """
    if located(out).resolve() == located(folder).resolve():
        raise UsageError(f"{out} is the feature set itself: choose another place")
    return copy_features(open_feature_set(folder), out, shard_mb, on_progress)
