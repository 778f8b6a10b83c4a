"""Caffe2's weight files: pickles of numpy arrays, read without running any code that is in them."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TORCH_STARTS = (b"PK\x03\x04", b"\x80\x02\x8a\nl\xfc\x9cF\xf9")  # of torch's files: those of today, the older ones


class _Type:
    """numpy's dtype, of which only numbers are taken: numpy's own believes whatever a file says of it."""

    def __init__(self, code: str, *_: Any) -> None:
        self._code, self._is_big = code, False

    def __setstate__(self, state: Any) -> None:
        self._is_big = state[1] == ">"

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type, of booleans, integers or floats."""
        kind = np.dtype(self._code)
        if kind.kind not in "biuf":
            raise pickle.UnpicklingError(f"it holds values of {kind}")
        return kind.newbyteorder(">" if self._is_big else "<")

    def values(self, content: bytes | str) -> NDArray[Any]:
        """A copy of raw bytes, which Python 2 wrote as text."""
        return np.frombuffer(content.encode("latin1") if isinstance(content, str) else content, self.dtype).copy()


class _Array:
    """numpy's array before it knows what is in it."""

    def __init__(self, *_: Any) -> None:
        self.array: NDArray[Any] = np.empty(0)

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, by_columns, content = state
        self.array = kind.values(content).reshape(shape, order="F" if by_columns else "C")


class _ArraysOnly(pickle.Unpickler):
    """Reads arrays of numbers and Python's own containers; numpy itself is never given what the file says."""

    def find_class(self, module: str, name: str) -> Any:
        match module, name:
            case (("numpy.core.multiarray" | "numpy._core.multiarray"), "_reconstruct"):
                return _Array
            case (("numpy.core.multiarray" | "numpy._core.multiarray"), "scalar"):
                return lambda kind, content: kind.values(content)[0]
            case "numpy", "ndarray":
                return None  # what `_reconstruct` is told to make
            case "numpy", "dtype":
                return _Type
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
    return {name: blob.array for name, blob in content["blobs"].items() if isinstance(blob, _Array)}
