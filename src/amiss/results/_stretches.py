"""A score result as the page needs it: stretches of time, one after the other, each with one score."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from amiss.detection import ClipScore, ScoreResult
from amiss.evaluation import VideoScores, frame_scores


@dataclass(frozen=True)
class Stretches:
    """N stretches that cover a video without gap. An event is a run of them whose score reaches the threshold."""

    times: list[float]
    """[N + 1] where each begins, and where the last one ends, in seconds from the first picture."""
    scores: list[float]
    """[N] of all frames of a stretch: the mean over the clips that cover them."""
    peaks: list[tuple[float, float]] | None
    """[N] the largest score of a clip that reaches into a stretch, and the middle of that clip in seconds; None where
    clips don't overlap, so that each is a stretch."""
    classes: list[str | None] | None
    """[N] what that clip shows if it is anomalous; None where the detector tells no classes apart."""


def stretches_of(result: ScoreResult) -> Stretches:
    """Cut a result where its score per frame can change, exactly as `find_events` takes it.

    Raises:
        EvaluationError: scores that aren't finite, or clips that can't be those of this video.
    """
    spans = tuple((clip.start, clip.end) for clip in result.clips)
    n_frames = max(end for _, end in spans)
    per_frame = frame_scores(VideoScores(np.array([clip.score for clip in result.clips]), spans), n_frames)
    edges = sorted({edge for span in spans for edge in span})
    overlap = any(before[1] > after[0] for before, after in pairwise(spans))
    best = _best_clips(result, edges)
    told = any(clip.class_name is not None for clip in result.clips)
    return Stretches(
        times=[*result.times.starts(edges[:-1]).tolist(), float(result.times.ends(edges[-1]))],
        scores=per_frame[edges[:-1]].tolist(),
        peaks=_peaks(result, best) if overlap else None,
        classes=[clip.class_name for clip in best] if told else None,
    )


def _best_clips(result: ScoreResult, edges: list[int]) -> list[ClipScore]:
    """Of each stretch the clip with the largest score; in a gap the one before it."""
    best_of, clips, first = [], result.clips, 0
    best: ClipScore | None = None
    for start, end in pairwise(edges):
        while first < len(clips) - 1 and clips[first].end <= start:
            first += 1
        until = first
        while until < len(clips) and clips[until].start < end:
            until += 1
        reaching = (clip for clip in clips[first:until] if clip.end > start)
        best = max(reaching, key=lambda clip: clip.score, default=best)
        assert best is not None, "frame 0 has a score"
        best_of.append(best)
    return best_of


def _peaks(result: ScoreResult, best: list[ClipScore]) -> list[tuple[float, float]]:
    middles = result.times.starts([(clip.start + clip.end) // 2 for clip in best]).tolist()
    return [(clip.score, middle) for clip, middle in zip(best, middles, strict=True)]
