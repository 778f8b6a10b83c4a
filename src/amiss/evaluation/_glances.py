"""Localisation by glances: does a detector score high where a person clicked? Needs no test video."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from amiss.evaluation._bootstrap import resample_videos

Values = NDArray[np.float64]

_REACH = 32  # a peak hits within this part of the video, at least one score


@dataclass(frozen=True, eq=False)
class ClickedScores:
    """A video with its scores and the frames that a person clicked in it."""

    scores: Sequence[Values]
    """[T] scores of each clip or segment, one array per head that scored the video."""
    spans: NDArray[np.int64]
    """[T, 2] native frames [start, end) of each."""
    clicks: tuple[int, ...]
    """Native frames, at least one."""


@dataclass(frozen=True)
class GlanceResult:
    """How well scores agree with clicks inside videos; each video counts once, however many clicks it has."""

    n_videos: int
    """Clicked videos with more than one score."""
    n_clicks: int
    """In them."""
    rank: float
    """Glance rank: share of the other clips (segments) of its video that the clicked one outscores, ties by half; mean
    over videos. 0.5 is chance."""
    rank_ci95: tuple[float, float]
    """From resampling videos."""
    middle_rank: float
    """The same for "middle first", which looks at no picture."""
    rank_gain_ci95: tuple[float, float]
    """Of rank - middle_rank, over the same resampled videos."""
    peak_hit: float
    """Share of videos whose highest score lies within a 32nd of the video (and at least one clip) of a click."""
    peak_hit_ci95: tuple[float, float]
    """From resampling videos."""
    peak_hit_chance: float
    """The same for a peak anywhere."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `dataclasses.asdict` gave, also through JSON."""
        spans = {name: tuple(values[name]) for name in ("rank_ci95", "rank_gain_ci95", "peak_hit_ci95")}
        return cls(**{**values, **spans})

    @property
    def beats_middle(self) -> bool:
        """Whether the rank is clearly better than that of "middle first"."""
        return self.rank_gain_ci95[0] > 0


def measure_glances(
    videos: Mapping[str, ClickedScores], *, n_bootstrap: int = 1000, seed: int = 0
) -> GlanceResult | None:
    """Glance rank and peak hit.

    Args:
        videos: clicked videos, by id.
        n_bootstrap: replicates for the intervals.
        seed: of the resampling.

    Returns:
        None where no video has more than one score.
    """
    rows, n_clicks = [], 0
    for video in videos.values():
        count = len(video.spans)
        if count < 2:
            continue
        at = np.array([clicked(video.spans, frame) for frame in video.clicks])
        near = np.abs(np.arange(count)[:, None] - at).min(axis=1) <= max(1, count // _REACH)
        middle = -np.abs(2 * np.arange(count) + 1 - count)
        rows.append(
            [
                np.mean([glance_rank(scores, at) for scores in video.scores]),
                glance_rank(middle, at),
                np.mean([near[scores == scores.max()].mean() for scores in video.scores]),
                near.mean(),
            ]
        )
        n_clicks += len(at)
    if not rows:
        return None
    values = np.array(rows)
    rank, middle_rank, hit, chance = values.mean(axis=0).tolist()
    weights = resample_videos(np.ones(len(rows), dtype=np.bool_), n_bootstrap, seed) / len(rows)
    drawn = weights @ values
    return GlanceResult(
        n_videos=len(rows),
        n_clicks=n_clicks,
        rank=rank,
        rank_ci95=_interval(drawn[:, 0]),
        middle_rank=middle_rank,
        rank_gain_ci95=_interval(drawn[:, 0] - drawn[:, 1]),
        peak_hit=hit,
        peak_hit_ci95=_interval(drawn[:, 2]),
        peak_hit_chance=chance,
    )


def glance_rank(scores: NDArray[np.floating], at: NDArray[np.intp]) -> float:
    """Mean share of the other scores [T] that the ones `at` these places outscore, ties by half; T > 1."""
    return float(((rankdata(scores) - 1) / (len(scores) - 1))[at].mean())


def clicked(spans: NDArray[np.int64], frame: int) -> int:
    """Which of the spans [T, 2] holds a frame; of several, or where none does, the one whose middle is nearest."""
    outside = np.maximum(np.maximum(spans[:, 0] - frame, frame - spans[:, 1] + 1), 0)
    return int(np.lexsort((np.abs(spans.sum(axis=1) - 1 - 2 * frame), outside))[0])


def _interval(values: Values) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
