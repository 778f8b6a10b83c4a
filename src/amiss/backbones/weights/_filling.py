"""Tensors by name → a network that is filled with them, or an error that names what doesn't fit."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from amiss.backbones.weights._reading import read_weights
from amiss.datasets import first_names
from amiss.errors import WeightsError


def load_weights(network: nn.Module, path: Path, *, unused: tuple[str, ...] = ()) -> None:
    """Fill a network from a file. Every tensor of the network must be there, and nothing else but `unused` ones.

    Args:
        network: without its classifier.
        path: the file.
        unused: prefixes of tensors that the backbone doesn't use, such as the classifier's.

    Raises:
        WeightsError: names the first tensors that don't fit.
    """
    given = read_weights(path)
    fill_network(network, {name: t for name, t in given.items() if not name.startswith(unused)}, str(path))


def fill_network(network: nn.Module, given: Mapping[str, Tensor], source: str) -> None:
    """Fill a network, which may be on the meta device, with tensors: every one that it has, and no others.

    Args:
        network: without its classifier.
        given: by the network's names.
        source: where they are from, for messages.

    Raises:
        WeightsError: names the first tensors that don't fit.
    """
    wanted = network.state_dict()
    counters = {name for name in wanted if name.endswith("num_batches_tracked")}  # not in older files, not used
    missing = [name for name in wanted if name not in given and name not in counters]
    unexpected = [name for name in given if name not in wanted]
    both = [name for name in wanted if name in given and name not in counters]
    reshaped = [n for n in both if given[n].shape != wanted[n].shape]
    other_kind = [n for n in both if not _same_kind(given[n], wanted[n])]
    problems = []
    if missing:
        problems.append(f"it lacks {len(missing)} of {len(wanted.keys() - counters)} tensors ({first_names(missing)})")
    if unexpected:
        problems.append(f"{len(unexpected)} tensors are of another network ({first_names(unexpected)})")
    if reshaped:
        shapes = [f"{n} is {tuple(given[n].shape)}, not {tuple(wanted[n].shape)}" for n in reshaped]
        problems.append(f"{len(reshaped)} tensors have another shape ({first_names(shapes)})")
    if other_kind:
        kinds = [f"{n} is {_kind(given[n])}, not {_kind(wanted[n])}" for n in other_kind]
        problems.append(f"{len(other_kind)} tensors hold another kind of number ({first_names(kinds)})")
    if broken := [n for n in both if n not in other_kind and not given[n].isfinite().all()]:
        problems.append(f"{len(broken)} tensors have values that are not finite ({first_names(broken)})")
    if problems:
        raise WeightsError(f"{source} doesn't fit this network: {'; '.join(problems)}")
    filling = {name: given[name].to(wanted[name].dtype) for name in both}
    filling |= {name: torch.zeros_like(wanted[name], device="cpu") for name in counters}
    network.load_state_dict(filling, assign=True)


def _same_kind(given: Tensor, wanted: Tensor) -> bool:
    is_plain = given.layout == torch.strided and not given.is_complex()
    return is_plain and given.is_floating_point() == wanted.is_floating_point()


def _kind(tensor: Tensor) -> str:
    sparse = "sparse " if tensor.layout != torch.strided else ""
    return sparse + str(tensor.dtype).removeprefix("torch.")
