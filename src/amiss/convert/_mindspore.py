"""MindSpore's checkpoint files and names: a protocol buffer of named tensors.

Checkpoint { repeated Value value = 1 }    Value { string tag = 1; TensorProto tensor = 2 }
TensorProto { repeated int64 dims = 1; string tensor_type = 2; bytes tensor_content = 3 }
"""

import re
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

FIRST_BYTE = b"\x0a"  # field 1, a message
_TYPES = {"Float32": np.float32, "Float16": np.float16, "Float64": np.float64, "Int32": np.int32, "Int64": np.int64}
_NORMALISATION = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def read(data: bytes) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name. Tensors in several parts are joined.

    Raises:
        ValueError: not such a file, or damaged. KeyError: a type of number that isn't known.
    """
    parts: dict[str, list[np.ndarray]] = {}
    shapes: dict[str, list[int]] = {}
    for field, value in _fields(data):
        if field != 1 or isinstance(value, int):
            raise ValueError("it is not a MindSpore checkpoint")
        entry = dict(_fields(value))
        name, tensor = entry.get(1), entry.get(2)
        if not isinstance(name, bytes) or not isinstance(tensor, bytes):
            raise ValueError("it is not a MindSpore checkpoint")
        dims: list[int] = []
        kind, content = "", b""
        for number, item in _fields(tensor):
            if number == 1:
                dims += [item] if isinstance(item, int) else list(_varints(item))
            elif number == 2 and isinstance(item, bytes):
                kind = item.decode()
            elif number == 3 and isinstance(item, bytes):
                content = item
        parts.setdefault(name.decode(), []).append(np.frombuffer(content, _TYPES[kind]))
        shapes[name.decode()] = [] if dims == [0] else dims  # how it writes a scalar
    return {n: torch.from_numpy(np.concatenate(pieces).reshape(shapes[n])) for n, pieces in parts.items()}


def torch_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """PyTorch's names and shapes: normalisation statistics renamed, 4-D kernels of Conv1d made 3-D, no optimiser."""
    renamed = {}
    for name, tensor in tensors.items():
        stem, _, last = name.rpartition(".")
        if not stem or name.startswith(("moment1.", "moment2.")):
            continue
        is_kernel = last == "weight" and tensor.ndim == 4 and tensor.shape[2] == 1
        renamed[f"{stem}.{_NORMALISATION.get(last, last)}"] = tensor.squeeze(2) if is_kernel else tensor
    return renamed


def is_mindspore(tensors: Mapping[str, Tensor]) -> bool:
    """Whether names are MindSpore's."""
    return any(re.search(r"\.(gamma|moving_mean)$", name) for name in tensors)


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and values of a message: varints as int, everything else as bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire = key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if wire == 2:
            length, at = _varint(data, at)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError("it is not a MindSpore checkpoint")
        if at + length > len(data):
            raise ValueError("it ends too early")
        yield key >> 3, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("it ends too early")
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not data[at - 1] & 0x80:
            return value, at


def _varints(data: bytes) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value
