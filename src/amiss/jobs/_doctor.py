"""amiss doctor: what there is on this machine."""

import os
import platform
from importlib import metadata
from typing import Any

import cv2
import torch

from amiss import __version__

_PACKAGES = ("torch", "torchvision", "av", "opencv-python-headless", "numpy", "scipy", "scikit-learn")


def diagnose() -> dict[str, Any]:
    """Versions and devices: name → value."""
    cuda = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {
        "amiss": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "cuda device": cuda,
        "torch cpu capability": torch.backends.cpu.get_cpu_capability(),
        "opencv optimised": cv2.useOptimized(),
        "AMISS_WEIGHTS": os.environ.get("AMISS_WEIGHTS", "not set"),
        **{name: metadata.version(name) for name in _PACKAGES},
    }
