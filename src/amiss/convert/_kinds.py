"""Original checkpoints → our modules, by kind."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from amiss.convert._backbones import backbone_kinds
from amiss.convert._heads import HEAD_KINDS
from amiss.registry import Registry

KINDS: Registry[Callable[..., nn.Module]] = Registry(
    "kind of reference checkpoint", lambda: {**backbone_kinds(), **HEAD_KINDS}
)


def from_reference(kind: str, state_dict: Mapping[str, Any], **options: Any) -> nn.Module:
    """An original checkpoint as our module, in eval mode.

    Args:
        kind: a backbone (`c3d`, `i3d`, `i3d_resnet50`, `i3d_resnet50_nl`, `mfnet`, and the 3D ResNets and DenseNets by
            their registry names): the module takes preprocessed clips [N, 3, T, H, W] and gives features [N, D]. Or a
            head (`sultani`, `topk`, `rtfm`, `saa`, `salient`, `ur-dmu`, `bn-wvad`; `tca` as for UCF-Crime, `tca-xd`,
            `tca-shanghaitech`; VadCLIP's visual branch as `lgt` and `lgt-xd`; and `distribution`, here its variant
            `original-2024`).
        state_dict: the original's tensors by the original's names, as its file has them: also under `state_dict`,
            `model` and the like, and with the prefixes of parallel, compiled or wrapped networks. Tensors of a
            backbone's classifier are left out.
        options: of the kind; the 3D ResNets have `shortcut` (`A` or `B`, by default as the tensors show), heads their
            own options, with sizes as the tensors show.

    Raises:
        UsageError: no such kind or option.
        WeightsError: the tensors are of another network; names the first that don't fit.
    """
    return KINDS[kind](state_dict, **options)
