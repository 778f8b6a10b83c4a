"""Stored features of videos → scores."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from amiss.backbones import check_same_features, clip_spans
from amiss.datasets import Manifest, Video
from amiss.evaluation import Scores, VideoScores
from amiss.features import FeatureSet, pool_as, video_times
from amiss.jobs._progress import OnProgress, silent
from amiss.video import FrameTimes, check_video

if TYPE_CHECKING:  # torch takes seconds: a wrong path is told before
    from amiss.detection import Detector


def score_videos(detector: Detector, features: FeatureSet, videos: Iterable[Video]) -> tuple[Scores, list[str]]:
    """Score the stored features of videos.

    Returns:
        Scores by video id, and the ids of videos that can't be scored because all their features are zero (that is
        what the pooling rule `norm` makes of videos that are too short for it).

    Raises:
        SpecMismatchError: the features aren't of the kind that the detector was trained on.
        FeatureError: a video has no features, or nobody knows how many frames it has and the rows don't tell.
    """
    check_same_features(features.spec, detector.spec, str(features.folder))
    scores, unscored = {}, []
    for video in videos:
        stored = features.load(video.video_id)
        rows, spec = pool_as(stored, features.spec, detector.spec)
        if not rows.any():
            unscored.append(video.video_id)
            continue
        times = video_times(video, features)
        if times is None and len(rows) != len(stored):  # segments of clips of 16 frames
            times = FrameTimes(16 * len(stored), video.fps)
        spans = None if times is None else tuple(clip_spans(spec, len(rows), times))
        scores[video.video_id] = VideoScores(detector.score_features(rows), spans, times)
    return scores, unscored


def with_lengths(manifest: Manifest, features: FeatureSet, on_progress: OnProgress = silent) -> Manifest:
    """The manifest, with what it doesn't say itself: numbers of frames and frame rates of its videos.

    They come from the feature set; where that doesn't know how many frames a test video has, and its rows don't tell,
    from the video file.

    Args:
        manifest: of the videos.
        features: of them.
        on_progress: told videos whose frames are counted, of how many, and which one it is.

    Raises:
        VideoError: a file that is needed can't be decoded.
    """

    def must_be_counted(video: Video) -> bool:
        has_file = video.path is not None and video.path.exists()
        return has_file and video.split == "test" and video.n_frames is None and video.video_id in features.records

    videos = list(map(features.measured, manifest.videos))
    to_count = [] if features.spec.is_16_frames_a_row else [i for i, v in enumerate(videos) if must_be_counted(v)]
    for done, index in enumerate(to_count):
        video = videos[index]
        on_progress(done, len(to_count), f"{video.video_id}, counting its frames")
        assert video.path is not None
        seen = check_video(video.path)
        videos[index] = replace(video, n_frames=seen.n_frames, fps=video.fps or seen.fps)
    return Manifest(tuple(videos), manifest.source)
