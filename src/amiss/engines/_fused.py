"""A fusion whose parts run in engines of their own."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from amiss.backbones import FeatureSpec, views_of_part
from amiss.engines._base import Engine, Prepared
from amiss.video import Yuv


class FusedEngine(Engine):
    """Runs the parts of a fused backbone one after the other and concatenates their features, see `FusedBackbone`."""

    def __init__(self, spec: FeatureSpec, engines: Sequence[Engine]) -> None:
        self._engines = tuple(engines)
        self.spec = spec
        blank = np.empty((spec.clip_len, 1, 1, 3), np.uint8)
        self._n_views = [len(views_of_part(blank, spec, engine.spec)) for engine in engines]
        """Clips of each part in one of the fusion."""
        self.device = _joined([engine.device for engine in engines])
        self.name = _joined([engine.name for engine in engines])
        self.precision = _joined([engine.precision for engine in engines])
        self.takes_planes = all(engine.takes_planes for engine in engines)
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
        return self._by_parts(frames, lambda engine, view: engine.prepare(view))

    def prepare_planes(self, planes: NDArray[np.uint8], yuv: Yuv) -> Prepared:
        return self._by_parts(planes, lambda engine, view: engine.prepare_planes(view, yuv))

    def _by_parts(
        self, frames: NDArray[np.uint8], prepare: Callable[[Engine, NDArray[np.uint8]], Prepared]
    ) -> Prepared:
        return tuple(
            tensor
            for engine in self._engines
            for view in views_of_part(frames, self.spec, engine.spec)
            for tensor in prepare(engine, view)
        )

    def run(self, prepared: Sequence[Prepared]) -> NDArray[np.float32]:
        rows, crops, first = [], self.spec.crops, 0
        for engine, n_views in zip(self._engines, self._n_views, strict=True):
            views = [clip[i : i + 1] for clip in prepared for i in range(first, first + n_views)]
            first += n_views
            x_NVCD = engine.run(views).reshape(len(prepared), n_views, engine.spec.crops, engine.spec.dim)
            x_NCD = x_NVCD[:, 0] if n_views == 1 else x_NVCD.mean(1)
            rows.append(np.broadcast_to(x_NCD, (len(prepared), crops, engine.spec.dim)))
        return np.concatenate(rows, axis=2)


def _joined(words: Sequence[str]) -> str:
    return words[0] if len(set(words)) == 1 else "+".join(words)
