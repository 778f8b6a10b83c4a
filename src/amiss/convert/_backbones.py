"""Reference checkpoints of backbones → our networks.

How each project names its tensors stands in the file of the family; here the families meet.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import nn

from amiss.backbones import Architecture, list_architectures


def _from_reference(architecture: Architecture, state_dict: Mapping[str, Any], **options: Any) -> nn.Module:
    """The network of a reference checkpoint: preprocessed clips [N, 3, T, H, W] → features [N, D].

    Args:
        architecture: of the network.
        state_dict: tensors by their original names, as trainers save them (`amiss.backbones.weights.unwrap`); the
            classifier may be there.
        options: `shortcut` (`A` or `B`) of the 3D ResNets; by default as the tensors show.

    Raises:
        UsageError: no such option.
        WeightsError: the tensors are of another network; names the first that don't fit.
    """
    return architecture.filled(state_dict, f"the {architecture.name} checkpoint", **options)


def backbone_kinds() -> dict[str, Callable[..., nn.Module]]:
    """Kind of checkpoint → its reader, one for each architecture."""
    return {architecture.name: partial(_from_reference, architecture) for architecture in list_architectures()}
