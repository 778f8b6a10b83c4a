"""All frames of a test set with score and label under one protocol: what every metric is computed from."""

import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from amiss.datasets import Manifest, Video
from amiss.errors import EvaluationError
from amiss.evaluation._ground_truth import decoded_frames, ground_truth, ground_truth_length, past_end_note
from amiss.evaluation._protocols import Protocol, get_protocol
from amiss.evaluation._video_scores import (
    CLIP_LEN,
    Scores,
    VideoScores,
    are_clips,
    clip_count,
    frame_scores,
    name_differences,
    name_some,
)
from amiss.video import FrameTimes

Frames = NDArray[np.float64]
_SEGMENTS = 32


@dataclass(frozen=True, eq=False)
class ScoredFrames:
    """Frames of V test videos, one video after the other (N in all)."""

    protocol: str
    """Id of the protocol."""
    videos: tuple[Video, ...]
    """The V videos."""
    times: tuple[FrameTimes, ...]
    """When the native frames of each are shown."""
    offsets: NDArray[np.int64]
    """[V + 1] video v has frames offsets[v] .. offsets[v + 1] - 1."""
    scores: Frames
    """[N]"""
    labels: NDArray[np.bool_]
    """[N] True = anomalous."""
    notes: tuple[str, ...] = ()
    """What a reader of the numbers must know."""

    @cached_property
    def anomalous(self) -> NDArray[np.bool_]:
        """[V] the video's label."""
        return np.array([video.label == 1 for video in self.videos], dtype=np.bool_)

    @cached_property
    def has_frame_labels(self) -> bool:
        """Whether the anomalous videos have annotated events; otherwise only their labels are known."""
        return not self.anomalous.any() or any(video.events for video in self.videos)

    @cached_property
    def video_of_frame(self) -> NDArray[np.int64]:
        """[N] index of each frame's video."""
        return np.repeat(np.arange(len(self.videos)), np.diff(self.offsets))

    @cached_property
    def video_scores(self) -> Frames:
        """[V] largest frame score of each video."""
        return np.maximum.reduceat(self.scores, self.offsets[:-1])

    def seconds(self, index: int) -> float | None:
        """Length of what counts of a video, without gaps; None where the frame rate is unknown."""
        times = self.times[index]
        return None if times.fps is None else times.until(int(self.offsets[index + 1] - self.offsets[index]))

    def of_video(self, index: int) -> tuple[Frames, NDArray[np.bool_]]:
        """Frame scores and labels of one video."""
        frames = slice(self.offsets[index], self.offsets[index + 1])
        return self.scores[frames], self.labels[frames]


def score_frames(
    scores: Scores, manifest: Manifest, protocol: str = "exact", *, exclude: Collection[str] = ()
) -> ScoredFrames:
    """Give every test frame of a manifest its score and its label under a protocol.

    Warns where annotated events lie past the last frame.

    Args:
        scores: of the test videos; those of other videos of the manifest are ignored.
        manifest: whose test videos are meant. Where it doesn't say how many frames one has, protocols of whole clips
            take 16 for each score; the others need to know.
        protocol: id.
        exclude: test videos that count as if they were not in the manifest.

    Raises:
        UsageError: unknown protocol.
        EvaluationError: there are no test videos, some have no scores, scores are of unknown videos, or don't fit the
            frame counts; names the videos and the differences.
    """
    rule = get_protocol(protocol)
    videos = _test_videos(manifest, scores, exclude)
    scores = _counted_in_clips(rule, scores, videos)
    implicit = {video.video_id: scores[video.video_id] for video in videos}
    clips = _read_as_clips(rule, implicit, videos)
    parts, labels, lengths = [], [], []
    for video in videos:
        own = scores[video.video_id]
        length = ground_truth_length(rule, video, len(own.scores) if clips and own.spans is None else None)
        n_frames = video.n_frames or length
        if length == 0:
            raise EvaluationError(
                f"{video.video_id} has {video.n_frames} frames, less than a clip: exclude it for {rule.id}"
            )
        try:
            parts.append(_spread(rule, own, n_frames, length, clips))
        except EvaluationError as error:
            raise EvaluationError(f"{video.video_id}: {error}") from None
        labels.append(ground_truth(rule, video, length))
        lengths.append(n_frames)
    notes = []
    if unknown := sum(video.n_frames is None for video in videos):
        notes.append(f"nobody says how many frames {unknown} test videos have: 16 are taken for each score")
    if note := past_end_note(videos, lengths):
        warnings.warn(note, stacklevel=2)
        notes.append(note)
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
    times = tuple(_times(video, scores[video.video_id], count) for video, count in zip(videos, lengths, strict=True))
    return ScoredFrames(
        rule.id, tuple(videos), times, offsets, np.concatenate(parts), np.concatenate(labels), tuple(notes)
    )


def _times(video: Video, own: VideoScores, n_frames: int) -> FrameTimes:
    if own.times is None:
        return FrameTimes(n_frames, video.fps)
    if video.n_frames not in (None, own.times.n_frames):
        raise EvaluationError(
            f"{video.video_id}: its scores come with the times of {own.times.n_frames} frames, but it has {n_frames}"
        )
    return own.times


def _test_videos(manifest: Manifest, scores: Scores, exclude: Collection[str]) -> list[Video]:
    test = manifest.split("test")
    if not test:
        raise EvaluationError(f"{manifest.source} has no test videos (split = test)")
    if unknown := sorted(set(exclude) - {video.video_id for video in test}):
        raise EvaluationError(f"videos to exclude are not test videos of {manifest.source}: {name_some(unknown)}")
    if unknown := sorted(scores.keys() - manifest.by_id.keys()):
        raise EvaluationError(f"scores are of videos that {manifest.source} doesn't have: {name_some(unknown)}")
    videos = [video for video in test if video.video_id not in set(exclude)]
    if not videos:
        raise EvaluationError(f"all {len(test)} test videos of {manifest.source} are excluded")
    if missing := [video.video_id for video in videos if video.video_id not in scores]:
        raise EvaluationError(
            f"{len(missing)} of {len(videos)} test videos have no scores: {name_some(missing)}. Score or exclude them"
        )
    anomalous = [video for video in videos if video.label == 1]
    silent = [video.video_id for video in anomalous if not video.events]
    if silent and len(silent) < len(anomalous):
        raise EvaluationError(
            f"{len(silent)} anomalous test videos have no events while others have: {name_some(silent)}. "
            "Annotate them, or exclude them"
        )
    return videos


def _counted_in_clips(rule: Protocol, scores: Scores, videos: Sequence[Video]) -> Scores:
    """The scores, without spans where the frames are unknown and each score is of the next 16 frames.

    Raises:
        EvaluationError: the protocol needs to know, or scores are not one per 16 frames.
    """
    unknown = [video for video in videos if video.n_frames is None]
    if unknown and rule.length == "decoded":
        decoded_frames(rule, unknown[0])
    counts = [len(scores[video.video_id].scores) for video in unknown]
    if len(counts) > 1 and len(set(counts)) == 1:
        raise EvaluationError(
            f"all {len(counts)} test videos of unknown length have {counts[0]} scores: these seem to be segments, "
            "which say nothing of length. Write n_frames into the manifest"
        )
    counted = dict(scores)
    for video in unknown:
        own = scores[video.video_id]
        if own.spans is not None and any(start != CLIP_LEN * i for i, (start, _) in enumerate(own.spans)):
            raise EvaluationError(
                f"{video.video_id}: its scores are not one per {CLIP_LEN} frames, and the manifest has no n_frames for "
                "it: write them into it"
            )
        counted[video.video_id] = VideoScores(own.scores)
    return counted


def _read_as_clips(rule: Protocol, scores: Scores, videos: Sequence[Video]) -> bool:
    """Whether scores without spans are 16-frame clips, else segments; an error where they are neither."""
    n_frames = {video.video_id: video.n_frames for video in videos if video.n_frames is not None}
    if rule.length == "decoded":
        return are_clips(scores, n_frames)
    counts = {video_id: len(scores[video_id].scores) for video_id in n_frames if scores[video_id].spans is None}
    allowed = {video_id: _clip_counts(rule, n_frames[video_id]) for video_id in counts}
    wrong = {
        video_id: (count, allowed[video_id][0]) for video_id, count in counts.items() if count not in allowed[video_id]
    }
    if not wrong:
        return True
    near = sum(abs(found - want) <= 1 for found, want in wrong.values())
    if len(set(counts.values())) == 1 and 2 * (len(counts) - len(wrong) + near) < len(counts):
        return False  # the same number for every video, and for most far from the number of clips: segments
    raise EvaluationError(
        f"{rule.id} takes one score per {CLIP_LEN} frames, or the same number of segments for every video, but "
        f"{name_differences(wrong)}"
    )


def _clip_counts(rule: Protocol, n_frames: int) -> tuple[int, ...]:
    """Numbers of scores that are clips under a protocol, its own first; files with the last clip padded fit all."""
    whole, padded = n_frames // CLIP_LEN, clip_count(n_frames)
    match rule.length:
        case "floor16":
            return (whole, padded)
        case "wu16":
            return (whole, padded, whole - 1) if whole == padded else (whole, padded)
        case _:
            return (padded,)


def _spread(rule: Protocol, own: VideoScores, n_frames: int, length: int, clips: bool) -> Frames:
    """Scores of a video → [length] frame scores under a protocol."""
    segments = _are_32_segments(own, n_frames, clips)
    if rule.spread == "ekosman" and segments:
        frames = np.zeros(n_frames)
        size = n_frames // _SEGMENTS
        frames[: size * _SEGMENTS] = np.repeat(own.scores, size)
        return frames
    if rule.spread == "matlab" and segments:
        return matlab_frame_scores(own.scores, max(n_frames // CLIP_LEN, 1), n_frames)
    reach = n_frames
    if clips and own.spans is None:  # where the last clip was dropped, the video ends before it
        reach = min(max(length, CLIP_LEN * len(own.scores)), n_frames)
    frames = frame_scores(own, reach, clips=clips)[:length]
    frames = np.pad(frames, (0, length - len(frames)), mode="edge")
    if rule.spread == "ekosman":
        frames[n_frames // _SEGMENTS * _SEGMENTS :] = 0
    if rule.spread == "matlab":
        count = max(n_frames // CLIP_LEN, 1)
        frames[CLIP_LEN * matlab_segments(count)[-1][1] :] = 0
    return frames


def _are_32_segments(own: VideoScores, n_frames: int, clips: bool) -> bool:
    if len(own.scores) != _SEGMENTS:
        return False
    if own.spans is None:
        return not clips
    return own.spans == tuple((i * n_frames // _SEGMENTS, (i + 1) * n_frames // _SEGMENTS) for i in range(_SEGMENTS))


def matlab_segments(n_clips: int) -> list[tuple[int, int]]:
    """Clips [first, end) of the 32 segments in Sultani's scripts; the last clip is in none if there are many."""
    edges = np.floor(np.linspace(1, n_clips, _SEGMENTS + 1) + 0.5).astype(int).tolist()  # half up, as MATLAB rounds
    return [(first - 1, max(first, after - 1)) for first, after in pairwise(edges)]


def matlab_frame_scores(scores: Frames, n_clips: int, n_frames: int) -> Frames:
    """32 segment scores → frame scores by Sultani's evaluation script: the clips that no segment holds have 0.

    Args:
        scores: [32].
        n_clips: 16-frame clips of the video.
        n_frames: decoded frames L.

    Returns:
        [L]; frames after the last whole clip repeat its score, be it 0.
    """
    frames = np.zeros(max(CLIP_LEN * n_clips, n_frames))
    for (first, end), score in zip(matlab_segments(n_clips), scores, strict=True):
        frames[CLIP_LEN * first : CLIP_LEN * end] = score
    frames[CLIP_LEN * n_clips :] = frames[CLIP_LEN * n_clips - 1]
    return frames[:n_frames]
