"""Scores that mean something, and the threshold on them: strictly rising, robust, the same for old detectors."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from amiss.backbones import FeatureSpec
from amiss.detection import Calibration, Detector, Normalisation, ScoreMap, calibrate, operating_point
from amiss.errors import EvaluationError
from amiss.heads import HeadOutput, create_head, mean_logits

LABELS = [0] * 20 + [1] * 20
finite = st.floats(-1e6, 1e6)


def made(shift: float = 1.5, scale: float = 1.0) -> list[float]:
    return [float(x) for x in scale * (np.random.default_rng(0).normal(size=40) + shift * np.array(LABELS))]


@given(st.lists(finite, min_size=40, max_size=40), st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=30, unique=True))
def test_the_map_is_strictly_rising_whatever_it_was_fitted_to(peaks: list[float], logits: list[float]) -> None:
    score_map = ScoreMap.fit(np.array(peaks), np.array(LABELS))
    assert score_map.slope > 0
    # within u = ±10 000, and apart by what float64 tells of logits
    u = np.sort(np.array(logits))
    u = u[np.concatenate([[True], np.diff(u) > 1e-3])]
    scores = ScoreMap(score_map.slope, 0.0)(u / score_map.slope)
    assert ((scores > 0) & (scores < 1)).all()
    assert (np.diff(scores) > 0).all()


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e-3])
def test_aucs_stay_and_three_decimals_tell_videos_apart(scale: float) -> None:
    peaks = np.array(made(scale=scale))
    scores = ScoreMap.fit(peaks, np.array(LABELS))(peaks)
    assert roc_auc_score(LABELS, scores) == roc_auc_score(LABELS, peaks)
    assert len(np.unique(scores.round(3))) >= 36
    assert 0.001 < scores.min() < scores.max() < 0.999


def test_scores_are_shares_of_anomalous_videos() -> None:
    rng = np.random.default_rng(1)
    labels = np.arange(4000) % 2
    logits = 8 * (rng.normal(size=4000) + labels)  # eight times too sure
    scores = ScoreMap.fit(logits, labels)(logits)
    for low in (0.2, 0.4, 0.6, 0.8):
        inside = (scores >= low - 0.1) & (scores < low + 0.1)
        assert labels[inside].mean() == pytest.approx(scores[inside].mean(), abs=0.06)


def test_one_odd_video_hardly_moves_the_threshold() -> None:
    peaks = made()
    before = calibrate(peaks, LABELS, source="made up")
    odd = [1e5, *peaks[1:]]
    after = calibrate(odd, LABELS, source="made up")
    assert before.score_map is not None
    assert after.score_map is not None

    def found(calibration: Calibration) -> float:
        return float((calibration.scores_of(np.array(peaks[20:])) >= calibration.threshold).mean())

    assert found(before) > 0.5
    assert abs(found(before) - found(after)) <= 0.2
    assert after.scores_of(np.array(peaks)).std() > 0.15  # and the scores of the others stay apart


def test_the_more_normal_videos_the_more_the_threshold_is_theirs() -> None:
    rng = np.random.default_rng(5)
    away = []
    for n in (20, 80, 2000):
        normal, anomalous = rng.normal(size=n), rng.normal(size=n) + 1
        found = calibrate([*normal, *anomalous], [0] * n + [1] * n, source="made up")
        share = float((found.scores_of(normal) >= found.threshold).mean())
        away.append(abs(share - 0.1))
    assert away[0] > away[2]
    assert away[2] < 0.01


@given(st.lists(finite, min_size=40, max_size=40))
def test_the_default_is_the_point_it_says_it_is(peaks: list[float]) -> None:
    calibration = calibrate(peaks, LABELS, source="made up")
    normal = calibration.scores_of(np.array(peaks[:20]))
    assert 0 < calibration.threshold < 1
    medians = np.median(peaks[:20]), np.median(peaks[20:])
    middle = calibration.scores_of(np.array([0.3 * medians[0] + 0.7 * medians[1]]))[0]
    between, tenth = max(middle, np.quantile(normal, 0.7)), np.quantile(normal, 0.9)
    to_tenth = 20**2 / (20**2 + 45**2)
    assert calibration.threshold == pytest.approx(max(0.5, to_tenth * tenth + (1 - to_tenth) * between))
    assert calibration.threshold in [point.threshold for point in calibration.table]
    thresholds = [point.threshold for point in calibration.table]
    assert thresholds == sorted(thresholds, reverse=True)
    for point in calibration.table:
        assert point.found_ci95[0] <= point.found <= point.found_ci95[1]
        assert point.false_alarms_ci95[0] <= point.false_alarms <= point.false_alarms_ci95[1]


def test_intervals_are_wilsons() -> None:
    point = operating_point(0.5, np.array([0.1] * 8 + [0.6] * 2), np.array([0.9] * 10))
    assert point.false_alarms_ci95 == pytest.approx((0.0567, 0.5098), abs=1e-4)
    assert point.found_ci95 == pytest.approx((0.7225, 1.0), abs=1e-4)


def test_few_videos_are_called_few() -> None:
    assert "say little" in calibrate([0.0, 1.0, 2.0, 3.0], [0, 0, 1, 1], source="made up").method
    with pytest.raises(EvaluationError, match="one of them is missing"):
        calibrate([0.0, 1.0], [0, 0], source="made up")


def test_logits_tell_apart_what_scores_of_float32_cannot() -> None:
    z = torch.tensor([[-300.0, -200.0, 90.0, 100.0]])
    output = HeadOutput(torch.sigmoid(z), torch.ones(1), {}, z)
    np.testing.assert_allclose(mean_logits(output, 1).numpy(), z.numpy())
    plain = HeadOutput(torch.sigmoid(z), torch.ones(1))
    assert mean_logits(plain, 1).isfinite().all()
    two = HeadOutput(torch.tensor([[0.2], [0.6]]), torch.ones(2), {}, torch.logit(torch.tensor([[0.2], [0.6]])))
    assert float(mean_logits(two, 2)) == pytest.approx(float(torch.logit(torch.tensor(0.4))), abs=1e-5)


def make_detector(calibration: Calibration) -> Detector:
    torch.manual_seed(0)
    spec = FeatureSpec(backbone="made-up", weights="none", dim=6)
    return Detector(spec, create_head("topk", 6), Normalisation("none"), calibration)


def test_old_detectors_score_as_before(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(9, 1, 6)).astype(np.float32)
    detector = make_detector(Calibration(0.3, "by hand", 7))
    detector.save(tmp_path)
    path = tmp_path / "detector.json"
    values = json.loads(path.read_text())
    values["format"] = 1
    values["calibration"] = {"threshold": 0.3, "method": "by hand", "n_normal": 7}
    path.write_text(json.dumps(values))
    old = Detector.load(tmp_path)
    assert old.calibration == Calibration(0.3, "by hand", 7)
    with torch.inference_mode():
        expected = old.head(torch.from_numpy(x).transpose(0, 1)).scores[0].numpy()
    np.testing.assert_allclose(old.score_features(x), expected, rtol=1e-6)


def test_map_and_table_survive_the_file_and_keep_the_order(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(50, 3, 6)).astype(np.float32)
    plain = make_detector(Calibration(0.5, "none", 0)).score_features(x)
    detector = make_detector(calibrate(made(scale=30), LABELS, source="made up"))
    detector.save(tmp_path)
    again = Detector.load(tmp_path)
    assert again.calibration == detector.calibration
    scores = again.score_features(x)
    np.testing.assert_array_equal(np.argsort(scores), np.argsort(plain))
