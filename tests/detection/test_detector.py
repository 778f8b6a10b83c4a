"""Detector: round trip, scoring of stored features, events, threshold."""

import json
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from amiss.backbones import FeatureSpec
from amiss.detection import (
    Calibration,
    Detector,
    Normalisation,
    OnlineScorer,
    detector_digest,
    find_events,
    read_score_result,
    threshold_from_normal,
)
from amiss.errors import DetectorError, EvaluationError, UsageError
from amiss.heads import create_head
from amiss.video import FrameTimes

SPEC = FeatureSpec(backbone="motion", weights="none", dim=6)


def make_detector(kind: str = "standard", crops: int = 1) -> Detector:
    torch.manual_seed(0)
    rows = np.random.default_rng(0).normal(3, 2, size=(50, 6)).astype(np.float32)
    head = create_head("topk", 6).eval()
    return Detector(
        SPEC.with_(crops=crops), head, Normalisation.fit(kind, rows), Calibration(0.5, "by hand", 1), {"seed": 0}
    )


def features(n: int, crops: int = 1, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(3, 2, size=(n, crops, 6)).astype(np.float32)


@pytest.mark.parametrize("kind", ["none", "l2", "standard", "l2+standard"])
def test_round_trip_gives_the_same_scores(tmp_path: Path, kind: str) -> None:
    detector = make_detector(kind)
    detector.save(tmp_path / "d")
    loaded = Detector.load(tmp_path / "d")
    np.testing.assert_array_equal(loaded.score_features(features(7)), detector.score_features(features(7)))
    assert (loaded.spec, loaded.calibration, loaded.provenance) == (detector.spec, detector.calibration, {"seed": 0})
    assert sorted(p.name for p in (tmp_path / "d").iterdir()) == ["detector.json", "head.safetensors"]
    assert len({p.stat().st_mode for p in (tmp_path / "d").iterdir()}) == 1  # a service's user may read both or none


def test_a_digest_tells_detectors_apart(tmp_path: Path) -> None:
    detector = make_detector()
    detector.save(tmp_path / "a")
    detector.save(tmp_path / "b")
    files = [(tmp_path / "a" / name).read_bytes() for name in ("head.safetensors", "detector.json")]
    assert detector_digest(tmp_path / "a") == detector_digest(tmp_path / "b") == sha256(b"".join(files)).hexdigest()
    detector.calibration = Calibration(0.6, "by hand", 1)
    detector.save(tmp_path / "b")
    assert detector_digest(tmp_path / "a") != detector_digest(tmp_path / "b")
    with pytest.raises(DetectorError, match=r"can't be read as a detector: No such file.*head\.safetensors"):
        detector_digest(tmp_path)


def test_scores_are_one_per_clip_in_0_1_and_average_crops() -> None:
    detector = make_detector()
    x = features(9, crops=5)
    scores = detector.score_features(x)
    assert scores.shape == (9,)
    assert ((scores >= 0) & (scores <= 1)).all()
    by_crop = [detector.score_features(x[:, [c]]) for c in range(5)]
    np.testing.assert_allclose(scores, np.mean(by_crop, axis=0), atol=1e-6)


def test_float16_features_score_like_float32() -> None:
    detector = make_detector()
    x = features(9).astype(np.float16)
    np.testing.assert_allclose(detector.score_features(x), detector.score_features(x.astype(np.float32)))


@pytest.mark.parametrize("bad", [features(3)[..., :5], features(3)[:, 0], features(0)])
def test_other_shapes_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(DetectorError, match=r"expected \(clips, crops, 6\)"):
        make_detector().score_features(bad)


def test_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(DetectorError, match="not finite"):
        make_detector().score_features(features(3) * np.inf)


def test_damaged_detectors_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "selected"
    make_detector().save(folder)
    with pytest.raises(DetectorError, match=r"detector .*nowhere does not exist"):
        Detector.load(tmp_path / "nowhere")
    with pytest.raises(DetectorError, match=r"detector.json is missing in it \(did you mean .*selected\?\)"):
        Detector.load(tmp_path / "run")
    values = json.loads((folder / "detector.json").read_text())
    (folder / "detector.json").write_text(json.dumps({**values, "format": 99}))
    with pytest.raises(DetectorError, match="format 99; this amiss reads 1 to 3"):
        Detector.load(folder)
    (folder / "detector.json").write_text(json.dumps({**values, "head": {**values["head"], "feature_dim": 7}}))
    with pytest.raises(DetectorError, match="is damaged"):
        Detector.load(folder)
    (folder / "detector.json").write_text(json.dumps({**values, "head": {"name": "topk"}, "normalisation": "l3"}))
    with pytest.raises(DetectorError, match=r"head\.feature_dim is missing; head\.options is.*normalisation is 'l3'"):
        Detector.load(folder)
    (folder / "detector.json").write_text(json.dumps(values))
    (folder / "head.safetensors").write_bytes(b"\0" * 40)
    with pytest.raises(DetectorError, match=r"head\.safetensors is damaged"):
        Detector.load(folder)
    (folder / "head.safetensors").unlink()
    with pytest.raises(DetectorError, match=r"head.safetensors is missing in it"):
        Detector.load(folder)
    make_detector().save(folder)
    (folder / "detector.json").write_text("[]")
    with pytest.raises(DetectorError, match=r"detector\.json can't be read: it holds a list"):
        Detector.load(folder)


def test_normalisation() -> None:
    rows = np.random.default_rng(0).normal(3, 2, size=(500, 6)).astype(np.float32)
    rows[:, 0] = 7  # constant in training
    standard = Normalisation.fit("standard", rows).apply(rows) * np.sqrt(6)
    np.testing.assert_allclose(standard[:, 1:].mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(standard[:, 1:].std(0), 1, atol=1e-3)
    assert np.abs(standard[:, 0]).max() < 1
    unit = Normalisation.fit("l2", rows).apply(np.concatenate([rows, np.zeros((1, 6), np.float32)]))
    np.testing.assert_allclose(np.linalg.norm(unit[:-1], axis=1), 1, rtol=1e-6)
    assert not unit[-1].any()
    with pytest.raises(UsageError, match="normalisation is 'minmax'; allowed are"):
        Normalisation.fit("minmax", rows)


def test_events_are_the_runs_above_the_threshold() -> None:
    spans = [(0, 16), (16, 32), (32, 48), (48, 64), (64, 70)]
    events = find_events(np.array([0.1, 0.6, 0.9, 0.2, 0.5]), spans, FrameTimes(spans[-1][1], 10.0), threshold=0.5)
    assert [(e.start, e.end, e.score, e.peak_frame) for e in events] == [(16, 48, 0.9, 40), (64, 70, 0.5, 67)]
    assert (events[0].start_s, events[0].end_s, events[0].peak_s) == (1.6, 4.8, 4.0)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0.01, 1), st.sampled_from([8, 16]))
def test_events_agree_with_the_scores(values: list[float], threshold: float, stride: int) -> None:
    scores = np.array(values)
    n_frames = (len(scores) - 1) * stride + 16
    spans = [(i * stride, i * stride + 16) for i in range(len(scores))]
    events = find_events(scores, spans, FrameTimes(spans[-1][1], 25.0), threshold)
    for event in events:
        assert 0 <= event.start <= event.peak_frame < event.end <= n_frames
        assert event.score >= threshold
    assert all(a.end < b.start for a, b in pairwise(events))
    if stride == 16:
        above = {f for e in events for f in range(e.start, e.end)}
        assert above == {f for (s, e), v in zip(spans, scores, strict=True) if v >= threshold for f in range(s, e)}


def test_threshold_leaves_the_stated_share_of_normal_clips_quiet() -> None:
    normal = [np.arange(10) / 100 + k / 10 for k in range(10)]  # 0.00 to 0.99
    calibration = threshold_from_normal(normal, quantile=0.95)
    assert sum(int((scores >= calibration.threshold).sum()) for scores in normal) == 5
    assert calibration.n_normal == 10
    assert "95% of the 100 clips of 10 normal training videos" in calibration.method
    assert threshold_from_normal([np.array([1.0])]).threshold == 1.0
    with pytest.raises(EvaluationError, match="no normal video"):
        threshold_from_normal([])


@pytest.mark.parametrize(("head", "more"), [("lgt", {"channels": 4}), ("tca", {"channels": 4})])
def test_events_have_the_class_of_their_highest_clip_where_the_head_tells_classes(
    tmp_path: Path, head: str, more: dict[str, object]
) -> None:
    torch.manual_seed(0)
    made = Detector(
        FeatureSpec(backbone="motion", weights="none", dim=4),
        create_head(head, 4, classes=["fire", "fall"], **more).eval(),
        Normalisation("none"),
        Calibration(0.0, "test", 1),
    )
    x = np.random.default_rng(0).normal(size=(12, 2, 4)).astype(np.float32)
    result = made.result_of("v.mp4", x, FrameTimes(12 * 16, 25.0))
    classes = [clip.class_name for clip in result.clips]
    assert set(classes) <= {"fire", "fall"}
    (event,) = result.events
    assert event.class_name == max(result.clips, key=lambda clip: clip.score).class_name
    result.write_csv(tmp_path / "v.csv")
    lines = (tmp_path / "v.csv").read_text().splitlines()
    assert lines[0].endswith(",event,class")
    assert [line.rpartition(",")[2] for line in lines[1:]] == classes
    assert read_score_result(json.loads(json.dumps(result.to_dict())), "v.json") == result
    scorer = OnlineScorer(made, window=6, lookahead=2)
    live = [scorer.classes[0] for row in x if scorer.push(row) is not None and scorer.classes]
    scores = scorer.finish()
    assert scorer.classes is not None
    assert len(scores) == len(scorer.classes) == 2
    assert {*live, *scorer.classes} <= {"fire", "fall"}


def test_without_classes_results_are_as_before(tmp_path: Path) -> None:
    result = make_detector().result_of("v.mp4", features(3), FrameTimes(48, 25.0))
    assert all("class_name" not in clip for clip in result.to_dict()["clips"])
    result.write_csv(tmp_path / "v.csv")
    assert (tmp_path / "v.csv").read_text().startswith("start,end,start_s,end_s,score,event\n")
