"""Detectors trained on clips of 32 and 64 frames: files, live streams and stored features give the same scores."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from amiss.backbones import Backbone, FeatureSpec, Preprocessing
from amiss.datasets import Manifest, Video
from amiss.detection import Detector
from amiss.engines import TorchEngine
from amiss.features import open_feature_set
from amiss.jobs import extract
from amiss.training import load_recipe, train
from helpers.cameras import wall
from helpers.streams import write_stream

SETTINGS = ["steps=4", "evaluate_every=2", "batch.normal=2", "batch.anomalous=2", "segments=4"]


class Small(Backbone):
    """One layer over space and time; what it gives depends on every frame of a clip, and on their order."""

    preprocessing = Preprocessing(resize=(16, 24))

    def __init__(self, clip_len: int, frame_rate: float) -> None:
        super().__init__()
        clips = {"clip_len": clip_len, "stride": clip_len, "frame_rate": frame_rate}
        self.spec = FeatureSpec(backbone="small", weights="none", dim=8, **clips)  # type: ignore[arg-type]
        torch.manual_seed(0)
        self.layer = torch.nn.Conv3d(3, 8, (clip_len, 4, 4), stride=4)

    def forward(self, clips: Tensor) -> Tensor:
        return torch.relu(self.layer(clips)).mean((2, 3, 4))


@pytest.mark.parametrize(("clip_len", "frame_rate"), [(32, 15.0), (64, 25.0)])
def test_files_streams_and_stored_features_score_alike(tmp_path: Path, clip_len: int, frame_rate: float) -> None:
    videos, files = [], {}
    for i in range(8):
        bright = ((60 + 10 * i, 140 + 10 * i),) if i % 2 else ()
        files[f"v{i}"] = write_stream(tmp_path / f"v{i}.ts", n_frames=215 + i, bright=bright)
        videos.append(Video(video_id=f"v{i}", split="train", label=i % 2))
    engine = TorchEngine(Small(clip_len, frame_rate).eval(), "cpu")
    extract(files, engine, tmp_path / "features")
    stored = open_feature_set(tmp_path / "features")
    train(load_recipe("sultani2018", SETTINGS), Manifest(tuple(videos)), stored, tmp_path / "run")
    detector = Detector.load(tmp_path / "run" / "selected")
    assert (detector.spec.clip_len, detector.spec.frame_rate) == (clip_len, frame_rate)
    detector._engine = engine
    scores = detector.score_features(stored.load("v7"))
    assert len(scores) == -(-round(222 * frame_rate / 25) // clip_len)
    assert len(set(scores.tolist())) == len(scores)
    of_file = detector.score(files["v7"])
    assert [clip.score for clip in of_file.clips] == scores.tolist()
    assert of_file.clips[1].start == pytest.approx(clip_len * 25 / frame_rate, abs=1)
    with wall(engine=engine) as made:
        worker = made.watch(f"replay:{files['v7']}?speed=0", detector=detector)
        worker.join(20)
    assert worker.error is None
    assert [scored.score for scored in made.scores] == pytest.approx(scores.tolist())
