"""Features that a head learns within seconds."""

from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from amiss.backbones import FeatureSpec
from amiss.datasets import Manifest, Video
from amiss.detection import Detector
from amiss.features import FeatureSet, FeatureSetWriter, open_feature_set

DIM = 12


def make_data(folder: Path, n: int) -> tuple[Manifest, FeatureSet]:
    """n normal and n anomalous training videos; anomalous clips, 3 of up to 20, are shifted in two dimensions."""
    rng = np.random.default_rng(0)
    writer = FeatureSetWriter(folder, FeatureSpec(backbone="made-up", weights="none", dim=DIM))
    videos = []
    for split, count in (("train", n), ("test", 10)):
        for i in range(2 * count):
            label, length = i % 2, int(rng.integers(8, 20))
            rows = rng.normal(5, np.logspace(-1, 1, DIM), (length, 1, DIM))
            start = int(rng.integers(length - 3))
            if label:
                rows[start : start + 3, :, :2] += 1.0
            video_id = f"{split}{i}"
            writer.add(video_id, rows.astype(np.float32), n_frames=16 * length, fps=25.0)
            events = ((16 * start, 16 * start + 48),) if label else ()
            videos.append(Video(video_id=video_id, split=split, label=label, events=events))
    return Manifest(tuple(videos)), open_feature_set(folder)


def clip_auc(detector: Detector, manifest: Manifest, features: FeatureSet) -> float:
    scores, labels = [], []
    for video in manifest.split("test"):
        scores.append(detector.score_features(features.load(video.video_id)))
        clips = np.arange(len(scores[-1])) * 16
        labels.append(np.any([(clips >= s) & (clips < e) for s, e in video.events] or [clips < 0], axis=0))
    return float(roc_auc_score(np.concatenate(labels), np.concatenate(scores)))
