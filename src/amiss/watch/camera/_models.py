"""Detectors that are in use, each loaded once, and one engine for all that take the same features."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from amiss.backbones import create_backbone_for
from amiss.detection import Detector, detector_digest
from amiss.engines import Engine, create_engine
from amiss.errors import DetectorError
from amiss.watch.camera._pool import EnginePool
from amiss.watch.config import WorkerSettings


@dataclass(frozen=True)
class ModelKey:
    """Which detector, exactly: a folder whose files change gives another key."""

    folder: Path
    weights: Path | None
    sha256: str
    """Of head.safetensors and detector.json together."""


def model_key(folder: Path, weights: Path | None) -> ModelKey:
    """The key of a detector as its files are now.

    Raises:
        DetectorError: they can't be read.
    """
    return ModelKey(folder, weights, detector_digest(folder))


class Models:
    """The detectors in use, and a pool for each kind of features.

    Args:
        workers: says where backbones run.
        engine: runs in place of every backbone.
    """

    def __init__(self, workers: WorkerSettings, engine: Engine | None = None) -> None:
        self._workers, self._engine = workers, engine
        self._loaded: dict[ModelKey, Detector] = {}
        self._pools: dict[tuple[str, Path | None], EnginePool] = {}

    def detector(self, key: ModelKey) -> Detector:
        """The detector of a key.

        Raises:
            DetectorError: it is damaged, or its files have changed since the key was made.
        """
        if key not in self._loaded:
            if model_key(key.folder, key.weights) != key:
                raise DetectorError(f"{key.folder} is being written; it is loaded at the next reload")
            self._loaded[key] = Detector.load(key.folder)
        return self._loaded[key]

    def pool(self, key: ModelKey) -> EnginePool:
        """The pool that makes the features of this detector; shared by all that take the same ones.

        Raises:
            WeightsError: the backbone's weights are missing.
            UsageError: no such device, or the backbone can't be compiled.
        """
        spec = self.detector(key).spec.of_clips  # scores come clip by clip
        name = spec.hash, key.weights
        if name not in self._pools:
            engine = self._engine
            if engine is None:
                backbone = create_backbone_for(spec, key.weights)
                own = self._workers
                engine = create_engine(backbone, own.device, own.threads, precision=own.precision, compiled=own.compile)
            pool = EnginePool(engine)
            if self._workers.compile:
                try:
                    pool.warm_up()
                except BaseException:
                    pool.close()
                    raise
            self._pools[name] = pool
        return self._pools[name]

    def keep(self, keys: Iterable[ModelKey]) -> None:
        """Let go of all others."""
        wanted = set(keys)
        names = {(self.detector(key).spec.of_clips.hash, key.weights) for key in wanted}
        self._loaded = {key: detector for key, detector in self._loaded.items() if key in wanted}
        for name in [name for name in self._pools if name not in names]:
            self._pools.pop(name).close()

    def close(self) -> None:
        """End all pools."""
        self.keep(())
