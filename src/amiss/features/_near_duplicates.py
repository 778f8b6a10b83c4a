"""Copies among the videos of a feature set: exact ones, and ones that were encoded anew.

Shape letters: N videos · K parts of a video · D feature dim.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amiss.features._feature_set import Features, FeatureSet

_PARTS, _PER_PART = 8, 4
_MOST_DIMS = 512  # more are projected at random, which keeps cosines to about 0.02
_BLOCK = 512  # videos that are compared with all others at once
_FARTHEST = 0.2  # distance of copies, and its share of the distance to another video, at most
_NEIGHBOUR = 9  # that one has so many nearer ones: videos in which nothing happens are alike, too


@dataclass(frozen=True)
class NearDuplicate:
    """Two videos that show the same."""

    first: str
    """Its id; the earlier one in the order that was asked for."""
    second: str
    """Id of the other."""
    is_exact: bool
    """Whether their features are the same to the last bit."""
    likeness: float
    """1 = the same; the lower one of both correlations, see `near_duplicates`."""


def near_duplicates(features: FeatureSet, video_ids: Iterable[str] | None = None) -> tuple[NearDuplicate, ...]:
    """Pairs of videos that are copies of each other in their whole length, by their features.

    Each video becomes 8 parts in time, standardised over all videos. Two are copies if their parts are alike, and
    change alike over time (two still pictures of one camera are alike, but their noise isn't), and much more so than
    other videos are: their distance, 1 less the lower correlation, is at most 0.2, and a fifth of the distance to the
    tenth nearest video. Where re-encoding was heavy, or the start was cut off, copies of a few clips may be missed.

    Videos of all-zero features are left out; those of one clip are only found if they are exact copies.

    Args:
        features: all videos of interest are in it.
        video_ids: compare these; None = all.

    Raises:
        FeatureError: a video isn't in the set, or can't be read.
    """
    ids = [i for i in dict.fromkeys(features.records if video_ids is None else video_ids) if features.load(i).any()]
    found = dict.fromkeys(_same_files(features, ids), 1.0)
    exact = frozenset(found)
    if len(ids) > 2:
        found |= {pair: likeness for pair, likeness in _alike(features, ids).items() if pair not in exact}
    return tuple(NearDuplicate(ids[a], ids[b], (a, b) in exact, found[a, b]) for a, b in sorted(found))


def _same_files(features: FeatureSet, ids: list[str]) -> list[tuple[int, int]]:
    same: defaultdict[str, list[int]] = defaultdict(list)
    for number, video_id in enumerate(ids):
        same[features.records[video_id].sha256].append(number)
    return [(a, b) for copies in same.values() for i, a in enumerate(copies) for b in copies[i + 1 :]]


def _alike(features: FeatureSet, ids: list[str]) -> dict[tuple[int, int], float]:
    x_NKD = np.stack([_parts(features.load(video_id)) for video_id in ids])
    scale_D = x_NKD.std((0, 1))
    x_NKD = ((x_NKD - x_NKD.mean((0, 1))) / np.where(scale_D > 0, scale_D, 1)).clip(-5, 5)
    if (dim := x_NKD.shape[2]) > _MOST_DIMS:
        x_NKD = x_NKD @ np.random.default_rng(0).normal(size=(dim, _MOST_DIMS)).astype(np.float32)
    whole, change = _unit(x_NKD), _unit(x_NKD - x_NKD.mean(1, keepdims=True))
    rank = min(_NEIGHBOUR, len(ids) // 2)
    nearest = np.empty(len(ids))
    close: dict[tuple[int, int], float] = {}
    for start in range(0, len(ids), _BLOCK):
        block = slice(start, start + _BLOCK)
        distance = 1 - np.minimum(whole[block] @ whole.T, change[block] @ change.T)
        own = np.arange(len(distance))
        distance[own, start + own] = np.inf
        nearest[block] = np.partition(distance, rank, axis=1)[:, rank]
        for a, b in np.argwhere(distance <= _FARTHEST):
            if start + a < b:
                close[int(start + a), int(b)] = float(distance[a, b])
    return {(a, b): 1 - d for (a, b), d in close.items() if d <= _FARTHEST * min(nearest[a], nearest[b])}


def _parts(rows: Features) -> NDArray[np.float32]:
    """A video's rows [T, C, D] as [K, D]: crops averaged, read between clips where they are few."""
    n = _PARTS * _PER_PART
    at = ((np.arange(n) + 0.5) * len(rows) / n - 0.5).clip(0, len(rows) - 1)
    before = at.astype(np.intp)
    after = np.minimum(before + 1, len(rows) - 1)
    share = (at - before).astype(np.float32)[:, None]
    read = np.asarray(rows[before], np.float32).mean(1) * (1 - share)
    read += np.asarray(rows[after], np.float32).mean(1) * share
    return np.asarray(read.reshape(_PARTS, _PER_PART, -1).mean(1))


def _unit(x_NKD: NDArray[np.float32]) -> NDArray[np.float32]:
    flat = x_NKD.reshape(len(x_NKD), -1)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9))
