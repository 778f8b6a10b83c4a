"""Plug-ins of a detector's scores: change, level, smoothing; by hand, in files, as streams, over crops."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit, logit

from amiss.backbones import FeatureSpec
from amiss.detection import Calibration, Detector, Normalisation, OnlineScorer, Scoring, causal_offline_scores
from amiss.errors import DetectorError, UsageError
from amiss.heads import create_head

DIM = 5


def detector_with(scoring: Scoring, head: str = "topk", **options: object) -> Detector:
    torch.manual_seed(0)
    module = create_head(head, DIM, **options).eval()
    spec = FeatureSpec(backbone="motion", weights="none", dim=DIM)
    return Detector(spec, module, Normalisation("l2"), Calibration(0.5, "test", 1), scoring=scoring)


def features(n_clips: int, crops: int = 2) -> np.ndarray:
    return np.random.default_rng(n_clips).normal(size=(n_clips, crops, DIM)).astype(np.float32)


def test_a_score_is_the_product_of_three_sigmoids_of_what_is_standardised() -> None:
    x = features(9)
    plain = detector_with(Scoring())
    z = plain.head_logits(x)
    unit = x / np.linalg.norm(x, axis=2, keepdims=True)
    around = [range(max(0, t - 2), min(9, t + 3)) for t in range(9)]
    pairs = [[(i, j) for i in near for j in near if i < j] for near in around]
    change = [np.mean([np.linalg.norm(unit[i] - unit[j], axis=1).mean() for i, j in own]) for own in pairs]
    level = np.sort(z)[-2:].mean()
    made = detector_with(Scoring((0.1, 0.5), change=(1.2, 0.3), level=(0.2, 0.7), change_reach=2))
    expected = expit((z - 0.1) / 0.5) * expit((np.array(change) - 1.2) / 0.3) * expit((level - 0.2) / 0.7)
    np.testing.assert_allclose(made.score_features(x), expected, rtol=1e-5)
    assert plain.score_features(x) == pytest.approx(expit(z), rel=1e-6)


@pytest.mark.parametrize(("causal", "before", "after"), [(False, 1, 1), (True, 2, 0)])
def test_smoothed_scores_are_means_of_neighbours(causal: bool, before: int, after: int) -> None:
    x = features(7)
    plain = detector_with(Scoring()).score_features(x)
    smooth = detector_with(Scoring(smoothing=3, causal=causal)).score_features(x)
    expected = [plain[max(0, t - before) : t + after + 1].mean() for t in range(7)]
    np.testing.assert_allclose(smooth, expected, rtol=1e-5)
    saturated = np.array([-800.0, 900.0, -800.0])
    assert np.isfinite(Scoring(smoothing=3).apply(saturated, None)).all()


@pytest.mark.parametrize("n_clips", [1, 2, 3, 7, 8, 9])
def test_smoothed_ahead_and_in_blocks_as_pel4vad_does(n_clips: int) -> None:
    x = features(n_clips)
    plain = detector_with(Scoring()).score_features(x)
    ahead = detector_with(Scoring(smoothing=3, smoothing_form="ahead")).score_features(x)
    blocks = detector_with(Scoring(smoothing=3, smoothing_form="blocks")).score_features(x)
    padded = np.concatenate([plain, [0, 0]])  # with which the last scores are too low
    np.testing.assert_allclose(ahead, [padded[t : t + 3].mean() for t in range(n_clips)], rtol=1e-5)
    begin = [t // 3 * 3 for t in range(n_clips)]
    np.testing.assert_allclose(blocks, [padded[b : b + 3].mean() for b in begin], rtol=1e-5)
    with pytest.raises(UsageError, match="smoothing_form ahead, which needs whole videos"):
        OnlineScorer(detector_with(Scoring(smoothing=3, smoothing_form="ahead")))


def test_a_single_clip_has_the_mean_change() -> None:
    x = features(1)
    made = detector_with(Scoring((0.0, 1.0), change=(1.0, 0.5)))
    assert made.logits(x) == pytest.approx(logit(expit(detector_with(Scoring()).logits(x)) * 0.5), rel=1e-5)


@pytest.mark.parametrize(
    ("head", "options"),
    [("topk", {}), ("tca", {"causal": True, "reach": 6, "kernel": 3}), ("amiss", {"causal": True, "components": 3})],
)
def test_causal_parts_score_streams_as_whole_videos(head: str, options: dict[str, object]) -> None:
    made = detector_with(Scoring((0.1, 0.5), change=(1.2, 0.3), smoothing=4, causal=True), head, **options)
    x = features(40)
    if made.head.context is None:  # `amiss` looks back on a window by itself
        assert made.context is None
        return
    scorer = OnlineScorer(made)
    assert scorer.window == max(made.head.context, 2) + 3
    stream = [scorer.push(row) for row in x]
    assert stream == causal_offline_scores(made, x).tolist()
    np.testing.assert_allclose(stream, made.score_features(x), atol=1e-6)


def test_parts_that_look_ahead_score_streams_by_windows() -> None:
    made = detector_with(Scoring((0.1, 0.5), change=(1.2, 0.3), level=(0.0, 1.0)))
    assert detector_with(Scoring()).context == 1
    assert made.context is None
    x = features(20)
    scorer = OnlineScorer(made, window=8, lookahead=2)
    stream = [score for row in x if (score := scorer.push(row)) is not None] + scorer.finish()
    assert stream == causal_offline_scores(made, x, window=8, lookahead=2).tolist()


def test_it_survives_its_file_and_files_without_it_are_as_before(tmp_path: Path) -> None:
    made = detector_with(Scoring((0.1, 0.5), change=(1.2, 0.3), smoothing=2, causal=True))
    made.save(tmp_path / "made")
    again = Detector.load(tmp_path / "made")
    assert again.scoring == made.scoring
    np.testing.assert_array_equal(again.score_features(features(6)), made.score_features(features(6)))
    detector_with(Scoring()).save(tmp_path / "plain")
    stored = json.loads((tmp_path / "plain" / "detector.json").read_text())
    assert (stored["format"], "scoring" in stored) == (2, False)
    assert Detector.load(tmp_path / "plain").scoring == Scoring()
    values = json.loads((tmp_path / "made" / "detector.json").read_text())
    for field, value in (("change", [1.0, 0.0]), ("smoothing", 0), ("logit", [1.0])):
        broken = {**values, "scoring": {**values["scoring"], field: value}}
        (tmp_path / "made" / "detector.json").write_text(json.dumps(broken))
        with pytest.raises(DetectorError, match=f"scoring.*{field}"):
            Detector.load(tmp_path / "made")
