"""What an engine is: it runs a backbone over clips.

Shape letters: N clips · C crops · T frames of a clip · H, W pixels · D feature dim.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from amiss.backbones import FeatureSpec
from amiss.video import Yuv

Prepared = tuple[Tensor, ...]
"""A preprocessed clip [C, 3, T', H', W'], one per fused part. It lies where the engine wants it."""


class Engine(ABC):
    """Runs a backbone. The features of a clip never depend on the clips that are run beside it."""

    spec: FeatureSpec
    """Of the features that come out."""
    device: str
    """Where the backbone runs, in words."""
    name: str
    """`torch` or `openvino`; joined by `+` where the parts of a fusion differ."""
    precision: str
    """Of the network's arithmetic: `fp32`, `bf16`, `fp16` or `int8`; joined as the names are. Features are float32."""
    batch: int = 1
    """Clips that are best given to `run` at once."""
    takes_planes: bool = False
    """Whether `prepare_planes` may be called: colours are made on the device."""
    bytes_ahead: int = 256 << 20
    """Of prepared clips that may wait for it."""

    @property
    def description(self) -> str:
        """Engine, device and precision in words, as feature sets record them."""
        return f"{self.name} {self.device} {self.precision}"

    def limit_batch(self, n_clips: int) -> None:
        """Say that no more clips than these will come at once; a GPU's batches, which are filled up, get that small."""
        self.batch = min(self.batch, n_clips)

    @abstractmethod
    def prepare(self, frames: NDArray[np.uint8]) -> Prepared:
        """Preprocess one clip [T, H, W, 3] uint8 RGB. May run in another thread than `run`."""

    def prepare_planes(self, planes: NDArray[np.uint8], yuv: Yuv) -> Prepared:
        """The same from the decoder's planes [T, H * 3 / 2, W] uint8, see `PlanesConverter`."""
        raise NotImplementedError(f"{self.name} on {self.device} takes RGB")

    @abstractmethod
    def run(self, prepared: Sequence[Prepared]) -> NDArray[np.float32]:
        """Prepared clips → features [N, C, D]."""

    def encode(self, clips: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Clips as decoded, N times [T, H, W, 3] uint8 RGB → features [N, C, D]."""
        return self.run([self.prepare(clip) for clip in clips])
