"""amiss doctor: what there is on this machine, and which engine the backbones would get."""

import importlib
import os
import platform
from collections import Counter
from importlib import metadata
from typing import Any

import cv2
import torch

from amiss import __version__
from amiss.backbones import list_backbones, list_weights
from amiss.engines import bfloat16_arithmetic, choose, openvino_version
from amiss.errors import how_to_install
from amiss.files import cache_folder
from amiss.video import why_no_nvdec

_PACKAGES = {"torch": "torch", "torchvision": "torchvision", "av": "av", "opencv-python-headless": "cv2",
             "numpy": "numpy", "scipy": "scipy", "scikit-learn": "sklearn"}  # fmt: skip
"""Distribution → module."""


def diagnose() -> dict[str, Any]:
    """Versions, devices, and engines: name → value."""
    has_cuda = torch.cuda.is_available()
    reason = why_no_nvdec()
    return {
        "amiss": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "cuda device": torch.cuda.get_device_name() if has_cuda else "none",
        "decoder": "the processor; cuda (NVDEC) " + (f"can't be used: {reason}" if reason else "can be chosen"),
        "torch cpu capability": torch.backends.cpu.get_cpu_capability(),
        "bfloat16 on the cpu": bfloat16_arithmetic() or "none",
        "openvino": openvino_version() or f"not installed: {how_to_install('openvino')}",
        **_engines("cuda" if has_cuda else "cpu"),
        "opencv optimised": cv2.useOptimized(),
        "AMISS_WEIGHTS": os.environ.get("AMISS_WEIGHTS", "not set"),
        "cache": str(cache_folder()),
        **_weights_of_pip("efficientnet_lite0"),
        **{name: _version(name, module) for name, module in _PACKAGES.items()},
    }


def _weights_of_pip(backbone: str) -> dict[str, str]:
    """Whether the weights that an extra brings are on this machine."""
    (record,) = list_weights([backbone])
    missing = f"not installed: {how_to_install(record.weights.extra)}"
    return {f"weights of {backbone}": str(record.path or missing)}


def _version(distribution: str, module: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:  # the module is from a distribution of another name, such as opencv-python
        return str(getattr(importlib.import_module(module), "__version__", "unknown"))


def _engines(device: str) -> dict[str, str]:
    """Engine, device and precision → the backbones that get them without being asked otherwise."""
    users: dict[str, dict[str, list[str]]] = {}
    infos = list_backbones()
    sizes: Counter[str] = Counter(info.kind for info in infos)
    for info in infos:
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
