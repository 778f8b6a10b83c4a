"""amiss features concat: feature sets of the same videos → one, their rows side by side."""

import os
import warnings
from collections.abc import Sequence

from amiss.datasets import first_names
from amiss.errors import FeatureError, UsageError
from amiss.features import FeatureSetWriter, join_video, joined_spec, open_feature_set
from amiss.jobs._progress import JobReport, OnProgress, silent


def concat_feature_sets(
    folders: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    fps: float | None = None,
    on_progress: OnProgress = silent,
) -> JobReport:
    """Join feature sets (`amiss.features.join_video`); videos that are in `out` already are skipped.

    A video that can't be joined is reported, and the rest goes on. A warning says which videos are not in all sets:
    they are left out.

    Args:
        folders: of two feature sets or more; the first one decides how many rows a video has.
        out: folder of the joined set, new or of the same sets.
        fps: native frames per second of videos of which no set says it; needed only where rates differ.
        on_progress: told videos done, of how many, and which one it is.

    Raises:
        FeatureError: a folder is no feature set, they have no video in common, or `out` holds other features.
        UsageError: fewer than two sets, the same features twice, crops or rows that don't go together, or a frame rate
            that is none.
        OutputError: `out` can't be written.
    """
    if fps is not None and not fps > 0:
        raise UsageError(f"fps is {fps}; it must be above 0")
    sets = [open_feature_set(folder) for folder in folders]
    spec = joined_spec(sets)
    every = dict.fromkeys(video_id for features in sets for video_id in features.records)
    common = [video_id for video_id in every if all(video_id in features for features in sets)]
    if not common:
        ids = [f"{features.folder} has {next(iter(features.records), 'none')!r}" for features in sets]
        raise FeatureError(f"the sets have no video in common: {', '.join(ids)}; ids must be the same")
    if lacking := list(every.keys() - dict.fromkeys(common)):
        text = (
            f"{len(lacking)} of {len(every)} videos are not in every set and left out: {first_names(sorted(lacking))}"
        )
        warnings.warn(text, stacklevel=2)
    with FeatureSetWriter(out, spec) as writer:
        todo = [video_id for video_id in common if video_id not in writer.done]
        report = JobReport(skipped=[video_id for video_id in common if video_id in writer.done])
        for count, video_id in enumerate(todo):
            on_progress(count, len(todo), video_id)
            try:
                joined = join_video(sets, video_id, fps)
                writer.add(video_id, joined.features, None, joined.fps, joined.engine, times=joined.times)
            except FeatureError as error:
                report.failed[video_id] = str(error)
                continue
            report.done.append(video_id)
    on_progress(len(todo), len(todo), "")
    return report
