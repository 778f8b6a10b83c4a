"""A fusion whose parts run in engines of their own."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from amiss.backbones import FeatureSpec
from amiss.engines._base import Engine, Prepared


class FusedEngine(Engine):
    """Runs the parts of a fused backbone one after the other and concatenates their features."""

    def __init__(self, spec: FeatureSpec, engines: Sequence[Engine]) -> None:
        self._engines = tuple(engines)
        self.spec = spec
        self.device = _joined([engine.device for engine in engines])
        self.name = _joined([engine.name for engine in engines])
        self.precision = _joined([engine.precision for engine in engines])
        self.batch = max(engine.batch for engine in engines)
        self.bytes_ahead = max(engine.bytes_ahead for engine in engines)

    @property
    def description(self) -> str:
        return _joined([engine.description for engine in self._engines])

    def limit_batch(self, n_clips: int) -> None:
        super().limit_batch(n_clips)
        for engine in self._engines:
            engine.limit_batch(n_clips)

    def prepare(self, frames: NDArray[np.uint8]) -> Prepared:
        return tuple(tensor for engine in self._engines for tensor in engine.prepare(frames))

    def run(self, prepared: Sequence[Prepared]) -> NDArray[np.float32]:
        rows = [engine.run([clip[i : i + 1] for clip in prepared]) for i, engine in enumerate(self._engines)]
        crops = self.spec.crops
        views = [np.broadcast_to(x_NCD, (len(x_NCD), crops, x_NCD.shape[2])) for x_NCD in rows]
        return np.concatenate(views, axis=2)


def _joined(words: Sequence[str]) -> str:
    return words[0] if len(set(words)) == 1 else "+".join(words)
