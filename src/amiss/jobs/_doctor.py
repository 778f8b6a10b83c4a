"""amiss doctor: what there is on this machine, and which engine the backbones would get."""

import os
import platform
from collections import Counter
from importlib import metadata
from typing import Any

import cv2
import torch

from amiss import __version__
from amiss.backbones import list_backbones
from amiss.engines import bfloat16_arithmetic, choose, openvino_version
from amiss.files import cache_folder

_PACKAGES = ("torch", "torchvision", "av", "opencv-python-headless", "numpy", "scipy", "scikit-learn")


def diagnose() -> dict[str, Any]:
    """Versions, devices, and engines: name → value."""
    has_cuda = torch.cuda.is_available()
    return {
        "amiss": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "cuda device": torch.cuda.get_device_name() if has_cuda else "none",
        "torch cpu capability": torch.backends.cpu.get_cpu_capability(),
        "bfloat16 on the cpu": bfloat16_arithmetic() or "none",
        "openvino": openvino_version() or "not installed: pip install 'amiss[openvino]'",
        **_engines("cuda" if has_cuda else "cpu"),
        "opencv optimised": cv2.useOptimized(),
        "AMISS_WEIGHTS": os.environ.get("AMISS_WEIGHTS", "not set"),
        "cache": str(cache_folder()),
        **{name: metadata.version(name) for name in _PACKAGES},
    }


def _engines(device: str) -> dict[str, str]:
    """Engine, device and precision → the backbones that get them without being asked otherwise."""
    users: dict[str, dict[str, list[str]]] = {}
    sizes: Counter[str] = Counter(info.kind for info in list_backbones())
    for info in list_backbones():
        choice = choose(info.name, device)
        kinds = users.setdefault(f"engine {choice.engine} {device} {choice.precision}", {})
        kinds.setdefault(info.kind, []).append(info.name)
    return {
        engine: ", ".join(_in_words(kind, names, sizes[kind]) for kind, names in kinds.items())
        for engine, kinds in users.items()
    }


def _in_words(kind: str, names: list[str], size: int) -> str:
    if len(names) <= size // 2 or size == 1:
        return ", ".join(names)
    return f"all {kind}s" if len(names) == size else f"other {kind}s"
