"""Frame-level metrics: golden numbers, scikit-learn, and what is undefined."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score

from amiss.datasets import Manifest, Video, parse_events
from amiss.errors import EvaluationError, UsageError
from amiss.evaluation import Scores, VideoScores, evaluate, ground_truth_vector

pytestmark = pytest.mark.filterwarnings("ignore:events past")


def video(
    name: str, n_frames: int, events: tuple[tuple[int, int], ...] = (), label: int | None = None, **more: str
) -> Video:
    own = int(bool(events)) if label is None else label
    return Video(
        video_id=name, split="test", label=own, n_frames=n_frames, fps=25, events=events, class_name=more.get("cls")
    )


@pytest.fixture(scope="module")
def ucf(shared: Path) -> Manifest:
    with (shared / "data/ucf_crime/annotations.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    videos = (video(r["video_id"], int(r["n_frames"]), parse_events(r["events"]), cls=r["class"]) for r in rows)
    return Manifest(tuple(videos))


def per_video(names: np.ndarray, values: np.ndarray, counts: np.ndarray) -> Scores:
    parts = np.split(values, np.cumsum(counts)[:-1])
    return {str(name): VideoScores(part) for name, part in zip(names, parts, strict=True)}


def test_golden_ekosman(ucf: Manifest, golden: Path, shared: Path) -> None:
    expected, table = np.load(golden / "evaluation.npz"), np.load(shared / "golden/gt_ucf.npz")
    outputs = np.random.RandomState(5).rand(290, 32).astype(np.float32)
    scores = {str(name): VideoScores(row) for name, row in zip(table["ekosman_order"], outputs, strict=True)}
    result = evaluate(scores, ucf, "ucf/ekosman-32", n_bootstrap=0)
    assert (result.n_frames, result.n_positive) == (expected["ekosman_frames"], expected["ekosman_pos"])
    assert result.auc == pytest.approx(float(expected["ekosman_auc"]), abs=1e-6)
    assert result.ano_auc == pytest.approx(float(expected["ekosman_auc_abnormal_only"]), abs=1e-6)


def test_golden_rtfm(ucf: Manifest, golden: Path, shared: Path) -> None:
    expected, table = np.load(golden / "evaluation.npz"), np.load(shared / "golden/gt_ucf.npz")
    values = np.random.RandomState(6).rand(69634).astype(np.float32)
    scores = per_video(table["names"], values, table["snippets_ceil"])
    result = evaluate(scores, ucf, "ucf/rtfm-ceil16", n_bootstrap=0)
    assert (result.n_frames, result.n_positive) == (expected["rtfm_frames"], expected["rtfm_pos"])
    assert result.auc == pytest.approx(float(expected["rtfm_auc"]), abs=1e-6)
    assert result.ap == pytest.approx(float(expected["rtfm_ap"]), abs=1e-6)
    assert result.pr_auc_trapezoid == pytest.approx(float(expected["rtfm_prauc_trapz"]), abs=1e-6)
    assert result.ano_auc == pytest.approx(float(expected["rtfm_auc_abnormal_only"]), abs=1e-6)
    assert result.far == pytest.approx(float(expected["rtfm_far50_normal"]), abs=1e-6)


def test_golden_rtfm_with_signal(ucf: Manifest, golden: Path, shared: Path) -> None:
    expected, table = np.load(golden / "evaluation.npz"), np.load(shared / "golden/gt_ucf.npz")
    clip_means = ground_truth_vector(ucf, "ucf/rtfm-ceil16").reshape(-1, 16).mean(axis=1)
    scores = per_video(table["names"], 0.5 * clip_means + np.random.RandomState(9).rand(69634), table["snippets_ceil"])
    result = evaluate(scores, ucf, "ucf/rtfm-ceil16", n_bootstrap=0)
    assert result.auc == pytest.approx(float(expected["rtfm_signal_auc"]), abs=1e-6)
    assert result.ap == pytest.approx(float(expected["rtfm_signal_ap"]), abs=1e-6)
    assert result.pr_auc_trapezoid == pytest.approx(float(expected["rtfm_signal_prauc"]), abs=1e-6)


def test_golden_saa(ucf: Manifest, golden: Path, shared: Path) -> None:
    expected, table = np.load(golden / "evaluation.npz"), np.load(shared / "golden/gt_ucf.npz")
    scores = per_video(table["names"], np.random.RandomState(6).rand(69355).astype(np.float32), table["snippets_wu"])
    result = evaluate(scores, ucf, "ucf/wu-floor16", n_bootstrap=0)
    assert (result.n_frames, result.n_positive) == (expected["saa_frames"], expected["saa_pos"])
    assert result.auc == pytest.approx(float(expected["saa_auc"]), abs=1e-6)
    assert result.pr_auc_trapezoid == pytest.approx(float(expected["saa_prauc_trapz"]), abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_metrics_agree_with_scikit_learn_on_plain_frames(seed: int) -> None:
    rng = np.random.default_rng(seed)
    levels = int(rng.integers(2, 50))  # few levels: many ties
    videos, scores, labels, values = [], {}, [], []
    for index in range(int(rng.integers(2, 8))):
        n_frames = int(rng.integers(20, 90))
        start = int(rng.integers(0, n_frames - 10))
        events = ((start, start + int(rng.integers(1, 10))),) if index % 2 else ()
        videos.append(video(f"v{index}", n_frames, events, cls="Fire" if events else "Normal"))
        frames = rng.integers(0, levels, n_frames) / levels
        scores[f"v{index}"] = VideoScores(frames, tuple((i, i + 1) for i in range(n_frames)))
        values.append(frames)
        labels.append(np.zeros(n_frames, dtype=bool))
        for s, e in events:
            labels[-1][s:e] = True
    result = evaluate(scores, Manifest(tuple(videos)), n_bootstrap=0)
    y, s = np.concatenate(labels), np.concatenate(values)
    anomalous = [label for label in labels if label.any()]
    own = [value for value, label in zip(values, labels, strict=True) if label.any()]
    normal = np.concatenate([value for value, label in zip(values, labels, strict=True) if not label.any()])
    precision, recall, _ = precision_recall_curve(y, s)
    assert result.auc == pytest.approx(roc_auc_score(y, s))
    assert result.ap == pytest.approx(average_precision_score(y, s))
    assert result.pr_auc_trapezoid == pytest.approx(auc(recall, precision))
    assert result.ano_auc == pytest.approx(roc_auc_score(np.concatenate(anomalous), np.concatenate(own)))
    assert result.within == pytest.approx(np.mean([roc_auc_score(a, b) for a, b in zip(anomalous, own, strict=True)]))
    assert result.video_auc == pytest.approx(roc_auc_score([x.any() for x in labels], [x.max() for x in values]))
    assert result.far == pytest.approx(np.mean(normal >= 0.5))
    assert result.brier == pytest.approx(np.mean((s - y) ** 2))
    assert result.per_class["Fire"]["auc"] == pytest.approx(result.auc)
    assert result.per_class["Fire"]["ano_auc"] == pytest.approx(result.ano_auc)


def test_calibration_error_by_hand() -> None:
    videos = Manifest((video("a", 8, ((0, 2),)), video("n", 8)))
    scores = {"a": VideoScores(np.array([0.9, 0.2]), ((0, 4), (4, 8))), "n": VideoScores(np.array([0.2]), ((0, 8),))}
    # bin of 0.9: 4 frames, half anomalous, gap 0.4; bin of 0.2: 12 frames, none anomalous, gap 0.2
    result = evaluate(scores, videos, n_bootstrap=0)
    assert result.ece == pytest.approx((4 * 0.4 + 12 * 0.2) / 16)
    assert result.brier == pytest.approx((2 * 0.01 + 2 * 0.81 + 12 * 0.04) / 16)


def test_classes_are_measured_against_all_normal_videos() -> None:
    videos = Manifest(
        (video("f", 32, ((0, 16),), cls="Fire"), video("g", 32, ((0, 16),), cls="Fall"), video("n", 32, cls="Normal"))
    )
    scores = {"f": [0.9, 0.1], "g": [0.3, 0.8], "n": [0.2, 0.2]}
    result = evaluate({name: VideoScores(np.array(s)) for name, s in scores.items()}, videos, n_bootstrap=0)
    assert result.per_class["Fire"] == {
        "n_videos": 1,
        "n_frames": 32,
        "n_positive": 16,
        "auc": 1,
        "ano_auc": 1,
        "ap": 1,
    }
    assert result.per_class["Fall"]["auc"] == pytest.approx(2 / 3)
    assert result.per_class["Fall"]["ano_auc"] == 0
    assert set(result.per_class) == {"Fire", "Fall"}


def test_video_labels_alone_give_video_auc_and_a_reason() -> None:
    videos = Manifest((video("a", 32, label=1), video("b", 32, label=1), video("n", 32), video("m", 32)))
    scores = {"a": [0.9, 0.1], "b": [0.3, 0.1], "n": [0.2, 0.2], "m": [0.1, 0.4]}
    result = evaluate({name: VideoScores(np.array(s)) for name, s in scores.items()}, videos)
    assert result.video_auc == 0.75
    assert result.auc is result.ap is result.ano_auc is result.within is result.brier is None
    assert result.undefined["auc"] == "the anomalous test videos have no events: only labels of whole videos are known"
    assert result.far == 0
    assert set(result.ci95) == {"video_auc", "far", "false_alarms_per_hour"}
    assert result.per_class == {}
    assert result.events["ap"] is None
    assert result.events["n_alarms"] == 1


def test_all_normal_test_set_has_a_far_only() -> None:
    videos = Manifest((video("n", 32), video("m", 32)))
    scores = {"n": VideoScores(np.array([0.2, 0.6])), "m": VideoScores(np.array([0.1, 0.1]))}
    result = evaluate(scores, videos)
    assert result.far == 0.25
    assert result.auc is None
    assert result.undefined["auc"] == "the test set has no anomalous frames"
    assert result.undefined["video_auc"] == "the test videos are all normal"
    assert "2 normal and 2 anomalous" in result.undefined["ci95"]
    assert result.undefined["events.recall"] == "the test set has no anomalous frames"


def test_scores_that_are_no_probabilities_have_no_far() -> None:
    videos = Manifest((video("a", 32, ((0, 16),)), video("n", 32)))
    scores = {"a": VideoScores(np.array([7.0, 1.0])), "n": VideoScores(np.array([-2.0, 3.0]))}
    result = evaluate(scores, videos)
    assert result.auc == 1
    assert result.far is result.brier is result.ece is None
    assert result.undefined["far"] == "scores go from -2 to 7; they must lie in 0..1 for this"


def test_anomalous_videos_without_events_among_annotated_ones_are_refused() -> None:
    videos = Manifest((video("a", 32, ((0, 16),)), video("forgotten", 32, label=1), video("n", 32)))
    scores = {v.video_id: VideoScores(np.ones(2)) for v in videos.videos}
    with pytest.raises(EvaluationError, match="1 anomalous test videos have no events while others have: forgotten"):
        evaluate(scores, videos)
    result = evaluate(scores, videos, exclude=["forgotten"])
    assert (result.n_videos, result.n_excluded) == (2, 1)
    assert "1 test videos are excluded" in result.notes


def test_result_is_json_without_nan(ucf: Manifest) -> None:
    scores = {v.video_id: VideoScores(np.full(32, 0.5)) for v in ucf.videos}
    result = evaluate(scores, ucf, n_bootstrap=20)
    text = json.dumps(result.to_dict(), allow_nan=False)
    assert {
        "protocol",
        "n_videos",
        "n_frames",
        "n_positive",
        "auc",
        "ano_auc",
        "ap",
        "pr_auc_trapezoid",
        "within",
        "macro_auc",
        "event_ap",
        "latency_aware_ap",
        "shortcuts",
    } < set(json.loads(text))
    assert {"video_auc", "far", "per_class", "events", "ci95", "selection", "seeds"} < set(json.loads(text))
    assert result.auc == 0.5  # the same score everywhere
    assert result.ci95["auc"] == [0.5, 0.5]
    assert any("cut off" in note for note in result.notes)


def test_wrong_calls() -> None:
    with pytest.raises(UsageError, match="unknown"):
        evaluate({}, Manifest(()), "ucf/none")
    with pytest.raises(UsageError, match="n_bootstrap is -1"):
        evaluate({}, Manifest(()), n_bootstrap=-1)
