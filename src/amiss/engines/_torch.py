"""Torch engine: CPU or CUDA, float32."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from amiss.backbones import Backbone, FusedBackbone
from amiss.engines._base import Engine, Prepared
from amiss.errors import UsageError


class TorchEngine(Engine):
    """Runs a backbone in PyTorch, one clip (with all its crops) at a time.

    One clip at a time, because kernels differ with the batch size: resumed extractions then give identical files.
    """

    def __init__(self, backbone: Backbone, device: str) -> None:
        try:
            self._device = torch.device(device)
            backbone = backbone.to(self._device)
        except (RuntimeError, AssertionError) as error:  # AssertionError: torch was built without CUDA
            raise UsageError(f"device {device!r} can't be used: {str(error).splitlines()[0]}") from error
        self._parts = backbone.parts if isinstance(backbone, FusedBackbone) else (backbone,)
        self.spec = backbone.spec
        self.device = str(self._device)

    def prepare(self, frames: NDArray[np.uint8]) -> Prepared:
        with torch.inference_mode():
            return tuple(part.preprocess(frames) for part in self._parts)

    @torch.inference_mode()
    def run(self, prepared: Sequence[Prepared]) -> NDArray[np.float32]:
        rows = np.empty((len(prepared), self.spec.crops, self.spec.dim), np.float32)
        for row, clip in zip(rows, prepared, strict=True):
            features = [part(x.to(self._device)) for part, x in zip(self._parts, clip, strict=True)]
            row[:] = torch.cat(features, dim=1).float().cpu().numpy()
        return rows
