"""Clips to a GPU: copied as 8-bit frames, preprocessed there."""

import threading

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from amiss.backbones import Preprocessing
from amiss.video import Yuv


class Upload:
    """Copies clips to a device and preprocesses them there. Each thread that calls it has a stream of its own.

    So threads that decode keep copying while the network runs. What a call gives is complete: it can be used in any
    stream. It must not be dropped before the work that uses it is done, since its memory is then used again.
    """

    def __init__(self, preprocessing: Preprocessing, device: torch.device) -> None:
        self._preprocessing, self._device = preprocessing, device
        self._of_thread = threading.local()

    def __call__(self, frames: NDArray[np.uint8], yuv: Yuv | None = None) -> Tensor:
        """One clip → the network's input [C, 3, T', H', W'] float32, on the device.

        Args:
            frames: [T, H, W, 3] uint8 RGB, or planes [T, H * 3 / 2, W].
            yuv: what planes mean.
        """
        if not hasattr(self._of_thread, "lane"):
            self._of_thread.lane = _Lane(self._device)
        lane: _Lane = self._of_thread.lane
        frames = self._preprocessing.used(frames, yuv)
        with torch.cuda.stream(lane.stream):
            x_CKTHW = self._preprocessing.on_device(lane.copied(frames), yuv)
        lane.stream.synchronize()
        return x_CKTHW


class _Lane:
    """A thread's stream, and the page-locked memory from which the device copies by itself."""

    def __init__(self, device: torch.device) -> None:
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._device = device
        self._locked = torch.empty(0, dtype=torch.uint8)

    def copied(self, frames: NDArray[np.uint8]) -> Tensor:
        """The frames on the device, when the stream comes to it."""
        if len(self._locked) < frames.size:
            self._locked = torch.empty(frames.size, dtype=torch.uint8, pin_memory=True)
        locked = self._locked[: frames.size].view(frames.shape)
        locked.numpy()[:] = frames
        return locked.to(self._device, non_blocking=True)
