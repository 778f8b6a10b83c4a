"""Scores: one number per clip or segment of a video, and how they become one number per frame."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amiss.errors import EvaluationError
from amiss.reading import shown
from amiss.video import FrameTimes

CLIP_LEN = 16

Spans = tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class VideoScores:
    """Anomaly scores of one video, larger = more anomalous.

    Raises:
        EvaluationError: scores are empty, not finite, not one number each, or don't fit the spans.
    """

    scores: NDArray[np.float64]
    """[T] one finite number per clip or segment."""
    spans: Spans | None = None
    """Native frames [start, end) of each score, by start; None = by convention (see `frame_scores`)."""
    times: FrameTimes | None = None
    """When the video's frames are shown; None = at the even rate that the manifest states."""

    def __post_init__(self) -> None:
        """Check, and keep the scores as float64."""
        try:
            scores = np.asarray(self.scores, dtype=np.float64)
        except (TypeError, ValueError):
            raise EvaluationError("scores must be a list of numbers, one per clip or segment") from None
        if scores.ndim != 1 or not len(scores):
            raise EvaluationError(f"scores have shape {list(scores.shape)}; it must be one number per clip or segment")
        if (bad := np.flatnonzero(~np.isfinite(scores))).size:
            raise EvaluationError(
                f"{bad.size} of {len(scores)} scores are NaN or infinite, the first is number {bad[0]}"
            )
        object.__setattr__(self, "scores", scores)
        if self.spans is not None:
            object.__setattr__(self, "spans", _checked_spans(self.spans, len(scores)))


Scores = dict[str, VideoScores]
"""Video id → its scores."""


def _checked_spans(spans: Sequence[Sequence[int]], n_scores: int) -> Spans:
    if len(spans) != n_scores:
        raise EvaluationError(f"{n_scores} scores but {len(spans)} spans; each score needs one")
    checked, last = [], 0
    for span in spans:
        if len(span) != 2 or not 0 <= span[0] <= span[1] or int(span[0]) != span[0] or int(span[1]) != span[1]:
            raise EvaluationError(f"span {shown(list(span))} is not [start, end) in frames with 0 <= start <= end")
        if span[0] < last:
            raise EvaluationError(
                f"span {shown(list(span))} starts before the one in front of it; spans must be in order"
            )
        last = int(span[0])
        checked.append((last, int(span[1])))
    return tuple(checked)


def fixed_spans(n_scores: int, clip_len: int = CLIP_LEN, stride: int = CLIP_LEN) -> Spans:
    """Frames of clips: score i covers `[i*stride, i*stride + clip_len)`, past the end of the video if need be."""
    return tuple((i * stride, i * stride + clip_len) for i in range(n_scores))


def clip_count(n_frames: int) -> int:
    """Clips of 16 frames that cover a video: ceil(n_frames / 16)."""
    return -(-n_frames // CLIP_LEN)


def are_clips(scores: Scores, n_frames: Mapping[str, int]) -> bool:
    """Whether the scores without spans are those of 16-frame clips: each video has ceil(n_frames / 16) of them.

    Otherwise they are segments spread proportionally.

    Args:
        scores: as read.
        n_frames: decoded frames of each video in `scores`.

    Raises:
        EvaluationError: most videos have that many but some have too few or too many: the scores and the frame counts
            are not of the same videos. Names them with the difference.
    """
    counts = {v: (len(s.scores), clip_count(n_frames[v])) for v, s in scores.items() if s.spans is None}
    wrong = {video_id: count for video_id, count in counts.items() if count[0] != count[1]}
    if wrong and 2 * len(wrong) < len(counts):
        raise EvaluationError(
            f"{len(counts) - len(wrong)} videos have one score per {CLIP_LEN} frames, but {name_differences(wrong)}. "
            "Check n_frames in the manifest (amiss dataset check)"
        )
    return not wrong


def name_differences(counts: Mapping[str, tuple[int, int]], most: int = 5) -> str:
    """`a has 9 scores, not 10 (-1); …`: videos whose number of scores (first) isn't the expected one (second)."""
    first = list(counts.items())[:most]
    named = [f"{video_id} has {found} scores, not {want} ({found - want:+d})" for video_id, (found, want) in first]
    return "; ".join(named) + (f"; and {len(counts) - most} more" if len(counts) > most else "")


def name_some(names: Sequence[str], most: int = 5) -> str:
    """The first names of a list, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def frame_scores(video: VideoScores, n_frames: int, *, clips: bool | None = None) -> NDArray[np.float64]:
    """One score per frame.

    Frames that several clips cover have the mean of their scores. Frames that none covers (after the last clip where
    the tail was dropped, or between clips further apart than they are long) take the score before them.

    Args:
        video: scores of the video.
        n_frames: decoded frames L.
        clips: what scores without spans are: 16-frame clips, or segments spread proportionally; None = clips if there
            are ceil(n_frames / 16) of them.

    Returns:
        [L] scores.

    Raises:
        EvaluationError: the spans can't be those of a video of this length; says by how many frames they differ.
    """
    if n_frames < 1:
        raise EvaluationError(f"a video of {n_frames} frames can't be scored")
    start, end = _span_arrays(video, n_frames, clips)
    _check_fit(start, end, n_frames)
    end = np.minimum(end, n_frames)
    if start[0] == 0 and end[-1] == n_frames and np.array_equal(start[1:], end[:-1]):
        return np.repeat(video.scores, end - start)
    total, covering = np.zeros(n_frames), np.zeros(n_frames, dtype=np.int32)
    for s, e, score in zip(start.tolist(), end.tolist(), video.scores.tolist(), strict=True):
        total[s:e] += score
        covering[s:e] += 1
    covered = covering > 0
    if not covered[0]:
        raise EvaluationError(f"the first score begins at frame {start[0]}; the frames before it have none")
    last_covered = np.maximum.accumulate(np.where(covered, np.arange(n_frames), 0))
    means: NDArray[np.float64] = (total / np.maximum(covering, 1))[last_covered]
    return means


def _span_arrays(video: VideoScores, n_frames: int, clips: bool | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if video.spans is not None:
        start, end = np.array(video.spans, dtype=np.int64).T
        return start, end
    count = len(video.scores)
    if clips is None:
        clips = count == clip_count(n_frames)
    edges = np.arange(count + 1, dtype=np.int64) * (CLIP_LEN if clips else n_frames)
    if not clips:
        edges //= count
    return edges[:-1], edges[1:]


def _check_fit(start: NDArray[np.int64], end: NDArray[np.int64], n_frames: int) -> None:
    """Clips and segments end where the video ends: at most one stride before, and past it only where padded."""
    lengths = end - start
    clip_len = int(lengths.max())
    stride = max(int(np.diff(start).max(initial=0)), 1) if len(start) > 1 else max(clip_len, 1)
    last_end = int(end.max())
    cut_short = lengths[-1] < clip_len - 1  # clipped to the video's end, so it tells how long the video is
    too_far = last_end - n_frames
    if too_far >= clip_len or int(start.max()) > n_frames or (cut_short and too_far > 0):
        raise EvaluationError(f"scores reach to frame {last_end}, but the video has {n_frames} ({too_far:+d})")
    if -too_far >= stride or (cut_short and lengths[-1] > 0 and too_far < 0):
        raise EvaluationError(f"scores end at frame {last_end}, but the video has {n_frames} ({too_far:+d})")
