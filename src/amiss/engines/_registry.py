"""Choosing an engine."""

import cv2
import torch

from amiss.backbones import Backbone
from amiss.engines._base import Engine
from amiss.engines._torch import TorchEngine
from amiss.errors import UsageError


def create_engine(backbone: Backbone, device: str = "auto", threads: int | None = None) -> Engine:
    """The engine that runs a backbone on a device.

    Args:
        backbone: from `create_backbone`; it is moved to the device.
        device: `auto` (CUDA if there is some, else the CPU), `cpu`, `cuda`, `cuda:1`, …
        threads: CPU threads of torch and OpenCV, for the whole process; None = leave as they are.

    Raises:
        UsageError: no such device, or not one thread.
    """
    if threads is not None:
        if threads < 1:
            raise UsageError(f"threads is {threads}; it must be at least 1")
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return TorchEngine(backbone, device)
