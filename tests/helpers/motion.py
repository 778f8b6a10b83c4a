"""Scenes with slow and fast movement, and a small detector on `motion` features that tells them apart."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from amiss.backbones import create_backbone
from amiss.datasets import Manifest, Video
from amiss.engines import create_engine
from amiss.features import FeatureSetWriter, extract_video, open_feature_set
from amiss.training import load_recipe, train
from helpers.videos import Image, write_video


def moving(speed: int, seed: int, n: int = 40) -> list[Image]:
    """A bright square that moves `speed` pixels a frame over a textured background."""
    rng = np.random.default_rng(seed)
    background = rng.integers(60, 90, (72, 96, 3), dtype=np.uint8)
    start = int(rng.integers(0, 80))
    images = []
    for i in range(n):
        image = background.copy()
        x = (start + speed * i) % 80
        image[30:46, x : x + 16] = 220
        images.append(image)
    return images


def write_scene(path: Path, parts: Sequence[tuple[int, int]], seed: int = 1) -> Path:
    """A video of 25 frames/s: for each (speed, frames) so many frames of that speed."""
    return write_video(path, [image for speed, n in parts for image in moving(speed, seed, n)], gop=25)


def make_motion_detector(folder: Path) -> Path:
    """Train it in a second; returns its directory."""
    engine = create_engine(create_backbone("motion", "none"))
    writer = FeatureSetWriter(folder / "features", engine.spec)
    videos = []
    for label, speed in ((0, 1), (1, 9)):
        for i in range(8):
            name = f"{label}{i}"
            path = write_video(folder / f"{name}.mp4", moving(speed, seed=10 * speed + i))
            extracted = extract_video(path, engine)
            writer.add(name, extracted.features, extracted.n_frames, extracted.fps)
            videos.append(Video(video_id=name, split="train", label=label, path=path))
    recipe = load_recipe("topk", ["steps=30", "batch.normal=8", "batch.anomalous=8", "calibration.folds=2"])
    train(recipe, Manifest(tuple(videos), source="made"), open_feature_set(folder / "features"), folder / "run", seed=0)
    return folder / "run" / "selected"
