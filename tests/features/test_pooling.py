"""Pooling rules against the originals' numbers, and what holds for all of them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amiss.errors import UsageError
from amiss.features import POOLING_RULES, pool

SIZES = (1, 5, 16, 31, 32, 33, 40, 63, 64, 65, 100, 317, 1000)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize(
    ("key", "rule", "segments", "dtype"),
    [
        ("rtfm32", "rtfm", 32, "float32"),
        ("rtfm320", "rtfm", 320, "float32"),
        ("ekosman32", "ekosman", 32, "float64"),
        ("ekosman1", "ekosman", 1, "float64"),
        ("matlab32", "matlab", 32, "float64"),
        ("nevinbaiju", "norm", 32, "float64"),
    ],
)
def test_pooling_is_the_originals(golden: Path, key: str, rule: str, segments: int, dtype: str, n: int) -> None:
    clips = np.random.RandomState(n).rand(n, 3).astype(dtype)
    with np.load(golden / "pooling.npz") as arrays:
        expected = arrays[f"{key}_n{n}"]
    found = pool(clips, rule, segments).astype(expected.dtype)
    # numpy builds differ in the last bit of a dot product, which is behind the unit length
    np.testing.assert_allclose(found, expected, rtol=1e-15 if dtype == "float64" else 0, atol=0)


@settings(deadline=None)
@given(
    n=st.integers(1, 80),
    segments=st.integers(1, 40),
    crops=st.integers(1, 3),
    rule=st.sampled_from(POOLING_RULES),
    dtype=st.sampled_from(["float16", "float32"]),
)
def test_shape_and_dtype(n: int, segments: int, crops: int, rule: str, dtype: str) -> None:
    clips = np.random.default_rng(n).random((n, crops, 4)).astype(dtype)
    pooled = pool(clips, rule, segments)
    assert pooled.shape == ((n if rule == "none" else segments), crops, 4)
    assert pooled.dtype == np.float32
    for crop in range(crops):
        np.testing.assert_allclose(pooled[:, crop], pool(clips[:, crop], rule, segments), rtol=1e-6)


@settings(deadline=None)
@given(n=st.integers(1, 200), segments=st.integers(1, 64))
def test_rtfm_keeps_order_and_leaves_no_clip_out(n: int, segments: int) -> None:
    clips = np.eye(n)
    used = pool(clips, "rtfm", segments)
    if n >= segments:
        assert (used.sum(axis=0) > 0).all()
    np.testing.assert_allclose(used.sum(axis=1), 1)
    positions = used @ np.arange(n)
    assert (np.diff(positions) >= 0).all()


@pytest.mark.parametrize("rule", ["ekosman", "matlab"])
def test_unit_length_rules_keep_zero_rows(rule: str) -> None:
    pooled = pool(np.zeros((40, 1, 3), np.float32), rule)
    assert (pooled == 0).all()
    np.testing.assert_allclose(np.linalg.norm(pool(np.ones((40, 3), np.float32), rule), axis=1), 1, rtol=1e-6)


def test_wrong_calls_are_refused() -> None:
    clips = np.zeros((4, 2), np.float32)
    with pytest.raises(UsageError, match="unknown pooling rule 'mean'"):
        pool(clips, "mean")
    with pytest.raises(UsageError, match="segments is 0"):
        pool(clips, "rtfm", 0)
    with pytest.raises(UsageError, match="expected"):
        pool(clips[:0], "rtfm")
