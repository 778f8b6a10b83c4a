"""Weight files → tensors by name, without running code that is in them."""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from amiss.backbones.weights._caffe2 import is_caffe2, read_caffe2
from amiss.errors import WeightsError


def read_weights(path: Path, suffix: str = "") -> dict[str, Tensor]:
    """The tensors of a `.safetensors`, torch or Caffe2 (`.pkl`) file, by name. No code in the file is run.

    Args:
        path: the file.
        suffix: that its name will have; empty = it has it.

    Raises:
        WeightsError: damaged, no such file, or one of more than tensors.
    """
    try:
        if (suffix or path.suffix) == ".safetensors":
            tensors: dict[str, Tensor] = load_file(path)
            return tensors
        if is_caffe2(path, suffix):
            state = read_caffe2(path)
        else:
            with warnings.catch_warnings(action="ignore"):  # of odd protocols: what isn't tensors is refused anyway
                state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise WeightsError(f"{path} can't be read: {error.strerror or error}") from error
    except Exception as error:  # damaged files raise anything
        if named := re.search(r"it names ([\w.]+)|GLOBAL ([\w.]+)", str(error)):
            raise WeightsError(
                f"{path} holds more than tensors ({named[1] or named[2]}) and is not loaded, as that may run code"
            ) from error
        raise WeightsError(
            f"{path} can't be read as weights: it is damaged, or no weight file ({first_line(error)}). If it was "
            "downloaded, delete it and run `amiss weights fetch BACKBONE`"
        ) from error
    return unwrap(state, str(path))


def unwrap(state: Any, source: str) -> dict[str, Tensor]:
    """The tensors by name of a state dict, or of a checkpoint that has one under `state_dict` (or Caffe2's `blobs`).

    The prefix `module.` of networks that were trained in parallel is removed; arrays become tensors.

    Args:
        state: what a file held.
        source: where it is from, for messages.

    Raises:
        WeightsError: not such a thing.
    """
    for wrapper in ("state_dict", "blobs"):
        if isinstance(state, Mapping) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
    if not isinstance(state, Mapping):
        raise WeightsError(f"{source} is no state dict (tensors by name) but a {type(state).__name__}")
    prefix = "module." if state and all(str(name).startswith("module.") for name in state) else ""
    tensors = {str(name).removeprefix(prefix): _as_tensor(value) for name, value in state.items()}
    if others := [name for name, tensor in tensors.items() if tensor is None]:
        raise WeightsError(f"{source} is no state dict (tensors by name): {first_names(others)} are something else")
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


def _as_tensor(value: Any) -> Tensor | None:
    """None = neither a tensor with values nor an array of numbers that torch knows."""
    if not isinstance(value, Tensor | np.ndarray) or (isinstance(value, Tensor) and value.is_meta):
        return None
    try:
        return torch.as_tensor(value)
    except (TypeError, ValueError):
        return None


def first_line(error: Exception) -> str:
    """What a reader's error says, but not torch's advice to run the code in the file."""
    line = (str(error).splitlines() or [type(error).__name__])[0]
    return "torch can't read it" if "weights_only" in line or "trust the source" in line else line


def first_names(names: list[str]) -> str:
    """The first three names, for messages."""
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
