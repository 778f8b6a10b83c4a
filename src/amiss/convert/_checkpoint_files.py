"""Checkpoint files of other projects, read without running any code that is in them."""

import os
import pickle
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from amiss.backbones.weights import first_line, is_caffe2, read_caffe2, unwrap
from amiss.convert import _mindspore
from amiss.errors import WeightsError
from amiss.reading import check_file, read_matlab, refusing

# what a pickled module is made of, besides tensors; everything else in a pickle is refused
_HARMLESS: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): dict,
    ("builtins", "set"): set,
    ("torch._utils", "_rebuild_tensor"): torch._utils._rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): lambda data, *_: data,
}
# classes whose pickled objects we know how to read, besides torch's own layers
_KNOWN_MODULES = {("network.anomaly_detector_model", "AnomalyDetector")}


class _Shell:
    """Stands in for a pickled module: holds the attributes that the file gives it and has no code."""

    dump_patches = False  # asked for when torch finds a class whose source it can't compare


class _RestrictedUnpickler(pickle.Unpickler):
    """Builds tensors, plain containers and shells of modules; refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        module = {"__builtin__": "builtins"}.get(module, module)
        if (module, name) in _HARMLESS:
            return _HARMLESS[module, name]
        if (module, name) in _KNOWN_MODULES or module.startswith("torch.nn.modules."):
            return _Shell
        raise pickle.UnpicklingError(f"it names {module}.{name}, which amiss doesn't run")


_RESTRICTED_PICKLE = ModuleType("restricted_pickle")  # what torch.load asks of a pickle module
_RESTRICTED_PICKLE.Unpickler = _RestrictedUnpickler  # type: ignore[attr-defined]
_RESTRICTED_PICKLE.load = lambda file, **options: _RestrictedUnpickler(file, **options).load()  # type: ignore[attr-defined]


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The tensors of a checkpoint file by name, ready for `from_reference`.

    Reads torch's files (a state dict, also in a checkpoint as trainers save it, or a pickled module of a known class),
    safetensors, Caffe2's `.pkl`, the MATLAB file of Sultani et al. (as `fc1` .. `fc3`), and MindSpore's `.ckpt`. No
    code in the file is run.

    Raises:
        WeightsError: no such file, damaged, of another kind, or a pickle of anything but tensors and known modules.
    """
    with refusing(WeightsError, f"checkpoint {path}"):
        file = check_file(path)
    try:
        if file.suffix == ".mat":
            return _read_sultani(file)
        if file.suffix == ".safetensors":
            return load_file(file)
        if is_caffe2(file):
            return unwrap(read_caffe2(file), "it")
        with file.open("rb") as opened:
            start = opened.read(1)
        if file.suffix == ".ckpt" and start == _mindspore.FIRST_BYTE:
            return _mindspore.read(file.read_bytes())
        return unwrap(_plain(_read_torch(file)), "it")
    except Exception as error:  # whatever a damaged or hostile file makes its reader raise
        reason = first_line(error)
        if not reason.startswith("it "):  # in words of its reader, which few understand
            reason = f"it is damaged, or no checkpoint ({reason})"
        raise WeightsError(f"checkpoint {file} can't be read: {reason}") from error


def _read_torch(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        with warnings.catch_warnings():  # that the source of a shell can't be found
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=False, pickle_module=_RESTRICTED_PICKLE)


def _plain(value: Any) -> Any:
    """The same with pickled modules as state dicts."""
    if isinstance(value, _Shell):
        return dict(_tensors_of(value))
    return {name: _plain(item) for name, item in value.items()} if isinstance(value, Mapping) else value


def _tensors_of(module: _Shell, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    attributes = vars(module)
    for name, item in {**attributes["_parameters"], **attributes["_buffers"], **attributes["_modules"]}.items():
        if isinstance(item, Tensor):
            yield prefix + name, item.detach()
        elif isinstance(item, _Shell):
            yield from _tensors_of(item, f"{prefix}{name}.")


def _read_sultani(path: Path) -> dict[str, Tensor]:
    """Keras layers '0', '2', '4' as cells {W (in, out), b (1, out)}; '1' and '3' are dropout."""
    tensors = {}
    for layer, key in (("fc1", "0"), ("fc2", "2"), ("fc3", "4")):
        weight, bias = (np.asarray(cell, dtype=np.float32) for cell in read_matlab(path, key))
        tensors[f"{layer}.weight"] = torch.from_numpy(weight.T.copy())
        tensors[f"{layer}.bias"] = torch.from_numpy(bias.reshape(-1).copy())
    return tensors
