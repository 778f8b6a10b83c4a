"""Weights that the golden arrays of networks without a checkpoint were computed with (golden/README.md)."""

import json
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


def crc_checkpoint(golden: Path, network: str) -> dict[str, Tensor]:
    """Tensors of a network by their original names."""
    shapes = json.loads((golden / "state_dict_keys.json").read_text())[network]
    return {name: crc_values(name, shape) for name, shape in shapes.items() if not name.endswith("num_batches_tracked")}


def crc_values(name: str, shape: list[int] | torch.Size) -> Tensor:
    """The values of one tensor, by its original name."""
    n = np.random.RandomState(zlib.crc32(name.encode()) % 2**31).standard_normal(shape)
    if name.endswith("running_var"):
        n = 1 + 0.1 * abs(n)
    elif len(shape) >= 2:
        n = n / np.sqrt(np.prod(shape[1:]))
    elif name.endswith("weight"):
        n = 1 + 0.1 * n
    else:
        n = 0.1 * n
    return torch.from_numpy(np.asarray(n, np.float32))


def golden_bags(seed: int, shape: tuple[int, ...]) -> Tensor:
    """0.3 |n|, as most golden inputs are."""
    return torch.from_numpy((0.3 * abs(np.random.RandomState(seed).standard_normal(shape))).astype(np.float32))
