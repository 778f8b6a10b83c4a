"""Which frames of a video the rows of its features cover."""

import numpy as np
from numpy.typing import NDArray

from amiss.backbones import clip_spans
from amiss.datasets import Video
from amiss.errors import FeatureError
from amiss.features._feature_set import FeatureSet
from amiss.video import FrameTimes


def video_times(video: Video, features: FeatureSet) -> FrameTimes | None:
    """When the frames of a video are shown, as the feature set knows; else at the even rate that the manifest states.

    Returns:
        None where neither knows how many frames there are, but each row is of the next 16.

    Raises:
        FeatureError: neither knows the number of frames and the rows don't tell, or they differ.
    """
    record = features.records[video.video_id]
    if video.n_frames is not None and record.n_frames is not None and video.n_frames != record.n_frames:
        raise FeatureError(
            f"{video.video_id}: manifest says {video.n_frames} frames, but {record.n_frames} were decoded for its "
            "features; correct the manifest (amiss dataset check) or extract again"
        )
    stored = features.times(video.video_id)
    if stored is not None and stored.knots is not None:
        return stored
    known = features.measured(video)
    if known.n_frames is None and not features.spec.is_16_frames_a_row:
        rows = "segments" if features.spec.segments is not None else "clips that are not of 16 frames each"
        raise FeatureError(
            f"{video.video_id}: neither manifest nor feature set says how many frames it has, and its rows are {rows}, "
            "which don't tell: name its file in the manifest, or write n_frames into it"
        )
    return None if known.n_frames is None else FrameTimes(known.n_frames, known.fps)


def row_spans(video: Video, features: FeatureSet) -> NDArray[np.int64]:
    """Native frames [start, end) of each stored row of a video, [T, 2].

    Raises:
        FeatureError: neither manifest nor feature set says how many frames it has, and the rows don't tell.
    """
    n_rows = features.records[video.video_id].n_clips
    times = video_times(video, features) or FrameTimes(16 * n_rows, video.fps)
    return np.array(clip_spans(features.spec, n_rows, times), dtype=np.int64)
