"""Made-up features for the other examples: no video, no weights, learned in seconds.

In an anomalous video three clips in a row are shifted. A video has one label; where its anomalous clips are is written
down for the test videos only.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amiss.backbones import FeatureSpec
from amiss.datasets import Manifest, Video, write_manifest
from amiss.features import FeatureSetWriter


def make_features(
    n_train: int = 20, n_test: int = 10, dim: int = 12
) -> tuple[Manifest, dict[str, NDArray[np.float32]]]:
    """Videos and their features, half of them anomalous.

    Args:
        n_train: training videos of each label.
        n_test: test videos of each label.
        dim: length of a feature vector.

    Returns:
        The manifest, and for each video id its rows [T, 1, dim]: clips x crops x dim.
    """
    rng = np.random.default_rng(0)
    videos, rows = [], {}
    for split, count in (("train", n_train), ("test", n_test)):
        for number in range(2 * count):
            label, length = number % 2, int(rng.integers(8, 20))
            clips = rng.normal(0, 1, (length, 1, dim)).astype(np.float32)
            first = int(rng.integers(length - 3))
            if label:
                clips[first : first + 3, :, : dim // 6] += 3
            video_id = f"{split}{number:02d}"
            rows[video_id] = clips
            videos.append(
                Video(
                    video_id=video_id,
                    split=split,
                    label=label,
                    n_frames=16 * length,
                    fps=25.0,
                    class_name=("fall" if number % 4 == 1 else "fight") if label else None,
                    events=((16 * first, 16 * first + 48),) if label and split == "test" else (),
                )
            )
    return Manifest(tuple(videos)), rows


def write_made_data(folder: Path, n_train: int = 20, n_test: int = 10, dim: int = 12) -> tuple[Path, Path]:
    """Write `manifest.csv` and the feature set `features` as `make_features` makes them, and give their paths."""
    manifest, rows = make_features(n_train, n_test, dim)
    folder.mkdir(parents=True, exist_ok=True)
    write_manifest(manifest, folder / "manifest.csv")
    with FeatureSetWriter(folder / "features", FeatureSpec(backbone="made-up", weights="none", dim=dim)) as writer:
        for video_id, clips in rows.items():
            if video_id not in writer.done:
                writer.add(video_id, clips, n_frames=16 * len(clips), fps=25.0)
    return folder / "manifest.csv", folder / "features"
