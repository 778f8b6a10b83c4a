"""Stored features in place of a backbone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from amiss.engines import Engine, Prepared
from amiss.errors import FeatureError
from amiss.features import FeatureSet


class StoredFeatures(Engine):
    """Gives the stored rows of one video, in the order of its clips, whatever the pictures are."""

    def __init__(self, features: FeatureSet, video_id: str) -> None:
        self.spec = features.spec
        self.name, self.device, self.precision = "stored", "none", "fp32"
        self._rows, self._video_id = features.load(video_id), video_id
        self._next = 0

    def prepare(self, frames: NDArray[np.uint8]) -> Prepared:
        if self._next >= len(self._rows):
            raise FeatureError(f"{self._video_id}: the video has more clips than stored features ({len(self._rows)})")
        self._next += 1
        return (torch.tensor(self._next - 1),)

    def run(self, prepared: Sequence[Prepared]) -> NDArray[np.float32]:
        return np.stack([self._rows[int(clip[0])] for clip in prepared]).astype(np.float32)
