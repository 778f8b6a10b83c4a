"""Pooling clips to a fixed number of segments: the rules that the field's code bases use, exactly."""

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from amiss.backbones import FeatureSpec
from amiss.errors import UsageError
from amiss.features._feature_set import Features

PoolingRule = Literal["rtfm", "ekosman", "matlab", "norm", "none"]
"""How clips become segments; see `pool`."""
POOLING_RULES: tuple[PoolingRule, ...] = get_args(PoolingRule)
"""All of them."""

UNIT_LENGTH_RULES: tuple[PoolingRule, ...] = ("ekosman", "matlab")
"""Rules that give every segment an L2 norm of 1."""


def pool(features: Features | NDArray[np.float64], rule: PoolingRule, segments: int = 32) -> NDArray[np.floating]:
    """Pool clips [n, ..., D] to segments [S, ..., D], computed in float32 (float64 for float64 input).

    Rules:
        rtfm: mean over `[r_i, r_{i+1})`, r = ⌊linspace(0, n, S+1)⌋; every clip counts. RTFM and what builds on it.
        ekosman: r = rint(linspace(0, n-1, S+1)), half to even; the last clip is left out where n is above S; each
            segment is divided by its L2 norm (an all-zero one stays zero; the original gives NaN).
        matlab: Sultani's original: as `ekosman`, with halves rounded away from zero on 1-based positions.
        norm: per-dimension L2 norm over ⌊n/S⌋ clips; the rest is left out; n < S gives zeros (nevinbaiju's C3D files).
        none: the clips as they are, whatever `segments` is.

    Under the first three an empty interval takes its first clip, so short videos repeat clips.

    Raises:
        UsageError: unknown rule, fewer than one segment, or no clips.
    """
    if rule not in POOLING_RULES:
        raise UsageError(f"unknown pooling rule {rule!r}; known are {list(POOLING_RULES)}")
    if segments < 1:
        raise UsageError(f"segments is {segments}; it must be at least 1")
    if features.ndim < 2 or not len(features):
        raise UsageError(f"features to pool are {features.shape}; expected (n, ..., D) with n of at least 1")
    dtype = np.result_type(features.dtype, np.float32)
    if rule == "none":
        return np.asarray(features, dtype=dtype)
    if rule == "norm":
        return _norms(features, segments, dtype)
    means = _means(features, _BOUNDS[rule](len(features), segments), dtype)
    if rule in UNIT_LENGTH_RULES:
        norms = np.sqrt(np.vecdot(means, means))[..., np.newaxis]
        means /= np.where(norms > 0, norms, 1)
    return means


def pool_as(features: Features, found: FeatureSpec, wanted: FeatureSpec) -> tuple[NDArray[np.floating], FeatureSpec]:
    """A video's rows [T, C, D] as a head takes them: clips become segments where it takes those, else they stay.

    Args:
        features: of the video.
        found: their spec, found good by `check_same_features`.
        wanted: spec that the head takes.

    Returns:
        The rows, and their spec.
    """
    segments, rule = wanted.segments, wanted.pooling
    if found.segments is not None or segments is None or rule is None:
        return features, found
    return pool(features, rule, segments), found.with_(segments=segments, pooling=rule)  # type: ignore[arg-type]


def _rtfm_bounds(n: int, segments: int) -> NDArray[np.intp]:
    return np.linspace(0, n, segments + 1).astype(np.intp)


def _ekosman_bounds(n: int, segments: int) -> NDArray[np.intp]:
    return np.rint(np.linspace(0, n - 1, segments + 1)).astype(np.intp)


def _matlab_bounds(n: int, segments: int) -> NDArray[np.intp]:
    return np.floor(np.linspace(1, n, segments + 1) + 0.5).astype(np.intp) - 1


_BOUNDS: dict[str, Callable[[int, int], NDArray[np.intp]]] = {
    "rtfm": _rtfm_bounds,
    "ekosman": _ekosman_bounds,
    "matlab": _matlab_bounds,
}


def _means(features: NDArray[np.floating], bounds: NDArray[np.intp], dtype: np.dtype) -> NDArray[np.floating]:
    """Mean of `features[b_i : b_{i+1}]`, or `features[b_i]` where that is empty."""
    intervals = zip(bounds[:-1], np.maximum(bounds[1:], bounds[:-1] + 1), strict=True)
    return np.stack([features[start:end].mean(axis=0, dtype=dtype) for start, end in intervals])


def _norms(features: NDArray[np.floating], segments: int, dtype: np.dtype) -> NDArray[np.floating]:
    per_segment = len(features) // segments
    used = np.asarray(features[: per_segment * segments], dtype=dtype)
    squares: NDArray[np.floating] = np.square(used.reshape(segments, per_segment, *features.shape[1:]))
    norms: NDArray[np.floating] = np.sqrt(squares.sum(axis=1))
    return norms
