"""Scoring as clips come equals causal scoring afterwards, exactly, for every head, in constant memory."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from amiss.backbones import FeatureSpec
from amiss.detection import Calibration, Detector, Normalisation, OnlineScorer, causal_offline_scores
from amiss.errors import DetectorError, UsageError
from amiss.heads import create_head, list_heads

DIM = 12
HEADS = sorted(list_heads())
CAUSAL: dict[str, tuple[str, dict[str, object]]] = {
    "tca-causal": ("tca", {"causal": True, "reach": 6, "kernel": 3}),
    "amiss-causal": ("amiss", {"causal": True, "reach": 3}),
}
SMALL: dict[str, dict[str, object]] = {name: {"channels": 16} for name in ("lgt", "ur-dmu", "bn-wvad")}


def detector_with(head: str, options: dict[str, object] | None = None) -> Detector:
    torch.manual_seed(0)
    module = create_head(head, DIM, **(options or SMALL.get(head, {})))
    spec = FeatureSpec(backbone="motion", weights="none", dim=DIM)
    return Detector(spec, module.eval(), Normalisation("l2"), Calibration(0.5, "test", 1))


def features(n_clips: int, crops: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n_clips, crops, DIM)).astype(np.float32)


@pytest.mark.parametrize("head", HEADS)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 4), st.integers(0, 100))
@settings(max_examples=8)
def test_stream_is_causal_offline_exactly(head: str, n_clips: int, window: int, lookahead: int, seed: int) -> None:
    lookahead = min(lookahead, window - 1)
    detector = detector_with(head)
    x = features(n_clips, seed=seed)
    scorer = OnlineScorer(detector, window=window, lookahead=lookahead)
    stream: list[float] = []
    for index, row in enumerate(x):
        score = scorer.push(row)
        assert (score is None) == (index < scorer.lookahead_clips)
        if score is not None:
            stream.append(score)
    stream += scorer.finish()
    assert stream == causal_offline_scores(detector, x, window=window, lookahead=lookahead).tolist()


@pytest.mark.parametrize("head", HEADS)
def test_no_score_knows_what_comes_later_than_its_lookahead(head: str) -> None:
    detector = detector_with(head)
    x, y = features(20), features(20)
    y[12:] = 5.0
    for lookahead in (0, 3):
        one, other = (causal_offline_scores(detector, z, window=8, lookahead=lookahead) for z in (x, y))
        reach = 0 if detector.head.context else lookahead
        assert (one[: 12 - reach] == other[: 12 - reach]).all()
        assert (one[12:] != other[12:]).any()


@pytest.mark.parametrize("head", [*HEADS, *CAUSAL])
def test_a_head_that_says_so_looks_at_a_few_clips_before(head: str) -> None:
    """A stream then has the scores of the whole video. Other heads need the whole bag: they differ."""
    detector = detector_with(*CAUSAL.get(head, (head,)))
    if head == "amiss-causal":
        detector.head.uses.fill_(True)  # change and level: training decides
    x = features(50)
    together = detector.score_features(x)
    in_windows = causal_offline_scores(detector, x, window=12)
    if detector.head.context:
        assert together == pytest.approx(in_windows, abs=1e-6)
        assert OnlineScorer(detector, window=32, lookahead=5).lookahead_clips == 0
    else:
        assert np.abs(together - in_windows).max() > 1e-6


def test_a_window_as_long_as_the_video_ends_with_the_offline_score() -> None:
    detector = detector_with("rtfm")
    x = features(10)
    assert causal_offline_scores(detector, x, window=10, lookahead=9) == pytest.approx(detector.score_features(x))


def test_memory_is_constant() -> None:
    scorer = OnlineScorer(detector_with("topk"), window=8)
    other = OnlineScorer(detector_with("rtfm"), window=8)
    for row in features(200):
        scorer.push(row)
        other.push(row)
    assert len(scorer._rows) == 1
    assert len(other._rows) == 8


def test_a_bad_clip_spoils_no_other() -> None:
    detector = detector_with("rtfm")
    x = features(10)
    scorer, clean = OnlineScorer(detector, window=6), OnlineScorer(detector, window=6)
    bad = [np.full((2, DIM), np.nan, np.float32), np.zeros((3, DIM), np.float32), np.zeros((2, DIM + 1), np.float32)]
    for index, row in enumerate(x):
        if index in (3, 4, 7):
            with pytest.raises(DetectorError, match="features"):
                scorer.push(bad.pop())
        assert scorer.push(row) == clean.push(row)


def test_after_a_gap_nothing_is_remembered() -> None:
    detector = detector_with("rtfm")
    scorer, fresh = OnlineScorer(detector, window=6), OnlineScorer(detector, window=6)
    for row in features(5):
        scorer.push(row)
    assert scorer.finish() == []
    assert [scorer.push(row) for row in features(5, seed=1)] == [fresh.push(row) for row in features(5, seed=1)]


@pytest.mark.parametrize(("window", "lookahead"), [(0, 0), (4, 4), (4, -1)])
def test_windows_that_make_no_sense(window: int, lookahead: int) -> None:
    with pytest.raises(UsageError, match="window"):
        OnlineScorer(detector_with("topk"), window=window, lookahead=lookahead)
