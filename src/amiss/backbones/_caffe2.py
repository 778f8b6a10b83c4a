"""Caffe2's weight files: pickles of numpy arrays, read without running any code that is in them."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy._core import multiarray

_TORCH_STARTS = (b"PK\x03\x04", b"\x80\x02\x8a\nl\xfc\x9cF\xf9")  # of torch's files: those of today, the older ones


class _ArraysOnly(pickle.Unpickler):
    """Reads numpy arrays and Python's own containers, and refuses everything that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        match module, name:
            case (("numpy.core.multiarray" | "numpy._core.multiarray"), ("_reconstruct" | "scalar")):
                return getattr(multiarray, name)
            case "numpy", ("ndarray" | "dtype"):
                return getattr(np, name)
            case "_codecs", "encode":  # bytes, where Python 3 wrote for Python 2
                return lambda text, encoding: text.encode(encoding)
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def is_caffe2(path: Path, suffix: str = "") -> bool:
    """Whether a file is to be read as one of Caffe2's: a `.pkl` that torch didn't write.

    Args:
        path: the file.
        suffix: that its name will have; empty = it has it.
    """
    with path.open("rb") as file:
        return (suffix or path.suffix) == ".pkl" and not file.read(16).startswith(_TORCH_STARTS)


def read_caffe2(path: Path) -> dict[str, Any]:
    """The arrays of a Caffe2 pickle, by name.

    Raises:
        ValueError: a pickle of something else. Exception: whatever a damaged file makes pickle raise.
    """
    with path.open("rb") as file:
        content = _ArraysOnly(file, encoding="latin1").load()
    if not isinstance(content, dict) or not isinstance(content.get("blobs"), dict):
        raise ValueError("it is a pickle without `blobs`, so not one of Caffe2's weight files")
    return {name: blob for name, blob in content["blobs"].items() if isinstance(blob, np.ndarray)}
