"""amiss detect from stored features."""

from pathlib import Path

import numpy as np
import pytest
import torch

from amiss.backbones import FeatureSpec
from amiss.detection import Calibration, Detector, Normalisation
from amiss.errors import UsageError
from amiss.features import FeatureSet, FeatureSetWriter, open_feature_set
from amiss.heads import create_head
from amiss.jobs import DetectOutputs, detect

SPEC = FeatureSpec(backbone="motion", weights="none", dim=6, stride=16)


@pytest.fixture
def detector() -> Detector:
    torch.manual_seed(0)
    return Detector(SPEC, create_head("topk", 6).eval(), Normalisation("none"), Calibration(0.5, "by hand", 1))


def stored(folder: Path, stride: int, clips: int) -> FeatureSet:
    writer = FeatureSetWriter(folder, SPEC.with_(stride=stride))
    writer.add("a", np.random.default_rng(0).random((clips, 1, 6), np.float32), 100, 25.0)
    return open_feature_set(folder)


def test_clips_lie_where_the_features_were_taken(tmp_path: Path, detector: Detector) -> None:
    results = {}
    with pytest.warns(UserWarning, match="stride"):
        detect({"a": None}, detector, features=stored(tmp_path / "f", 4, 22), on_result=results.__setitem__)
    clips = results["a"].clips
    assert [(clip.start, clip.end) for clip in clips[:3]] == [(0, 16), (4, 20), (8, 24)]
    assert clips[-1].end == 100


def test_what_needs_the_video_is_refused_before_anything_is_written(tmp_path: Path, detector: Detector) -> None:
    features = stored(tmp_path / "f", 16, 7)
    with pytest.raises(UsageError, match="need the video itself"):
        detect({"a": None}, detector, out=tmp_path / "o", outputs=DetectOutputs(clips=True), features=features)
    assert not (tmp_path / "o").exists()
