"""Made-up features for the other examples: no video, no weights, learned in seconds.

In an anomalous video three clips in a row are shifted. A video has one label; where its anomalous clips are is written
down for the test videos only.
"""

import numpy as np
from numpy.typing import NDArray

from amiss.datasets import Manifest, Video


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
                    events=((16 * first, 16 * first + 48),) if label and split == "test" else (),
                )
            )
    return Manifest(tuple(videos)), rows
