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
from amiss.datasets import first_names
from amiss.errors import WeightsError
from amiss.reading import ReadError, check_file

_WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "module", "net", "network", "weights", "blobs")
_PREFIXES = ("module.", "model.", "net.", "network.")


def read_weights(path: Path, suffix: str = "") -> dict[str, Tensor]:
    """The tensors of a `.safetensors`, torch or Caffe2 (`.pkl`) file, by name. No code in the file is run.

    Args:
        path: the file.
        suffix: that its name will have; empty = it has it.

    Raises:
        WeightsError: damaged, no such file, or one of more than tensors.
    """
    try:
        check_file(path)
        if (suffix or path.suffix) == ".safetensors":
            tensors: dict[str, Tensor] = load_file(path)
            return tensors
        if is_caffe2(path, suffix):
            state = read_caffe2(path)
        else:
            with warnings.catch_warnings(action="ignore"):  # of odd protocols: what isn't tensors is refused anyway
                state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, ReadError) as error:
        raise WeightsError(f"{path} can't be read: {getattr(error, 'strerror', None) or error}") from error
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
    """The tensors by name of a state dict, or of a checkpoint that has one in it, as trainers save it.

    It may lie under `state_dict`, `model_state_dict`, `model` and the like, or be the only one in there. Prefixes of
    parallel (`module.`), compiled (`_orig_mod.`) and wrapped networks (`model.`) are removed; arrays become tensors;
    numbers and texts beside them (`epoch`) are left out.

    Args:
        state: what a file held.
        source: where it is from, for messages.

    Raises:
        WeightsError: not such a thing.
    """
    while isinstance(state, Mapping) and (inner := _wrapped(state)) is not None:
        state = inner
    if not isinstance(state, Mapping):
        raise WeightsError(f"{source} is no state dict (tensors by name) but a {type(state).__name__}")
    given = {str(name): value for name, value in state.items()}
    if any(isinstance(value, Tensor | np.ndarray) for value in given.values()):
        given = {name: value for name, value in given.items() if not isinstance(value, int | float | str | None)}
    tensors = {name: _as_tensor(value) for name, value in given.items()}
    if others := [name for name, tensor in tensors.items() if tensor is None]:
        raise WeightsError(f"{source} is no state dict (tensors by name): {first_names(others)} are something else")
    names = dict(zip(tensors, _without_prefixes(list(tensors)), strict=True))
    return {names[name]: tensor for name, tensor in tensors.items() if tensor is not None}


def _wrapped(state: Mapping[Any, Any]) -> Mapping[Any, Any] | None:
    """The state dict inside a checkpoint, or what is around it; None = this is it."""
    for name in _WRAPPERS:
        if isinstance(state.get(name), Mapping):
            inner: Mapping[Any, Any] = state[name]
            return inner
    if any(isinstance(value, Tensor | np.ndarray) for value in state.values()):
        return None
    inside = [v for v in state.values() if isinstance(v, Mapping) and any(isinstance(t, Tensor) for t in v.values())]
    return inside[0] if len(inside) == 1 else None


def _without_prefixes(names: list[str]) -> list[str]:
    names = [name.replace("_orig_mod.", "") for name in names]
    while names and (prefix := next((p for p in _PREFIXES if all(name.startswith(p) for name in names)), None)):
        names = [name.removeprefix(prefix) for name in names]
    return names


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
    if isinstance(error, EOFError):
        return "it ends too early"
    is_advice = any(words in line for words in ("weights_only", "trust the source", "invalid load key"))
    return "torch can't read it" if is_advice else line
