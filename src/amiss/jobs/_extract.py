"""amiss extract: videos → feature set."""

import os
from collections.abc import Mapping
from pathlib import Path

from amiss.engines import Engine
from amiss.errors import VideoError
from amiss.features import FeatureSetWriter, extract_video
from amiss.jobs._progress import JobReport, OnProgress, silent


def extract(
    videos: Mapping[str, Path], engine: Engine, out: str | os.PathLike[str], on_progress: OnProgress = silent
) -> JobReport:
    """Extract the features of videos into a feature set; videos that are already in it are skipped.

    A video that can't be read is reported and the rest goes on. A kill leaves whole files only.

    Args:
        videos: video id → file.
        engine: runs the backbone.
        out: folder of the feature set, new or of the same spec.
        on_progress: told videos done, of how many, and which one it is.

    Raises:
        FeatureError: `out` holds features of another spec. OutputError: it can't be written.
    """
    writer = FeatureSetWriter(out, engine.spec)
    report = JobReport(skipped=[video_id for video_id in videos if video_id in writer.done])
    todo = {video_id: path for video_id, path in videos.items() if video_id not in writer.done}
    for count, (video_id, path) in enumerate(todo.items()):
        on_progress(count, len(todo), video_id)

        def share(part: float, count: int = count, video_id: str = video_id) -> None:
            on_progress(count + part, len(todo), video_id)

        try:
            video = extract_video(path, engine, share)
        except VideoError as error:
            report.failed[video_id] = str(error)
            continue
        writer.add(video_id, video.features, video.n_frames, video.fps)
        report.done.append(video_id)
        if video.problem:
            report.warnings[video_id] = video.problem
    on_progress(len(todo), len(todo), "")
    return report
