"""An engine and a detector for tests: the score of a clip is how bright it is."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from amiss.backbones import FeatureSpec
from amiss.detection import Calibration, Detector, Normalisation
from amiss.engines import Engine, Prepared
from amiss.heads import Head, HeadOutput, LossTerms

SPEC = FeatureSpec(backbone="brightness", weights="none", dim=2)


class BrightnessEngine(Engine):
    """Features: mean brightness 0..1, and 1. `fail` says which clips break it; `delay` is called with every batch."""

    def __init__(self, spec: FeatureSpec = SPEC) -> None:
        self.spec = spec
        self.name, self.device, self.precision = "brightness", "test", "fp32"
        self.batches: list[list[float]] = []
        self.fail = lambda value: False
        self.delay = lambda: None

    def prepare(self, frames: NDArray[np.uint8]) -> Prepared:
        return (torch.tensor(float(frames.mean()) / 255),)

    def run(self, prepared: Sequence[Prepared]) -> NDArray[np.float32]:
        self.delay()
        values = [float(clip[0]) for clip in prepared]
        self.batches.append(values)
        if any(self.fail(value) for value in values):
            raise RuntimeError("this clip breaks the engine")
        return np.array([[[value, 1.0]] for value in values], np.float32)


class BrightnessHead(Head):
    """Score = the first feature."""

    name = "brightness"
    feature_dim = 2
    context = 1
    options: dict[str, object] = {}  # noqa: RUF012

    def forward(self, features: Tensor, mask: Tensor | None = None) -> HeadOutput:
        scores = features[..., 0].clamp(0, 1)
        return HeadOutput(scores, scores.amax(dim=1))

    def loss(self, output: HeadOutput, labels: Tensor, *, crops: int = 1, step: int = 0) -> LossTerms:
        raise NotImplementedError


def brightness_detector(spec: FeatureSpec = SPEC) -> Detector:
    """It can't be saved; give the worker an identity."""
    return Detector(spec, BrightnessHead(), Normalisation("none"), Calibration(0.6, "test", 1))
