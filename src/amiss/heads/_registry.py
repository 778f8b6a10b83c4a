"""Head registry: name → module, imported only when the head is asked for."""

import inspect
from collections.abc import Callable
from typing import Any

from amiss.errors import UsageError
from amiss.heads._base import Head
from amiss.heads._head_options import check_signature
from amiss.registry import Registry

HeadFactory = Callable[..., Head]

# name: "module:factory"; the factory is called as factory(feature_dim, **options)
_TABLE: dict[str, HeadFactory | str] = {
    "sultani": "amiss.heads.sultani:SultaniHead",
    "topk": "amiss.heads.sultani:TopKHead",
    "rtfm": "amiss.heads.rtfm:RTFMHead",
    "salient": "amiss.heads.salient:SalientHead",
    "saa": "amiss.heads.saa:SAAHead",
    "tca": "amiss.heads.tca:TCAHead",
    "lgt": "amiss.heads.lgt:LGTHead",
    "ur-dmu": "amiss.heads.ur_dmu:URDMUHead",
    "bn-wvad": "amiss.heads.bn_wvad:BNWVADHead",
    "amiss": "amiss.heads.amiss:AmissHead",
    "pooled": "amiss.heads.pooled:PooledHead",
    "late-fusion": "amiss.heads.late_fusion:LateFusionHead",
    "distribution": "amiss.heads.distribution:create_distribution_head",
}
HEADS: Registry[HeadFactory] = Registry("head", _TABLE, group="amiss.heads", entry_type=Callable)  # type: ignore[arg-type]


def list_heads() -> list[str]:
    """Names that `create_head` knows, sorted: the built-in ones and those of installed entry points `amiss.heads`."""
    return sorted(HEADS.names())


def describe_heads() -> dict[str, str]:
    """Every head's name → the first line of its documentation."""
    return {name: (inspect.getdoc(factory) or "").partition("\n")[0] for name, factory in sorted(HEADS.items())}


def has_option(name: str, option: str) -> bool:
    """Whether a head can be given an option.

    Raises:
        UsageError: there is no such head.
    """
    factory = HEADS[name]
    if hasattr(factory, "Options"):
        return option in factory.Options.model_fields
    parameters = list(inspect.signature(factory).parameters.values())[1:]
    return any(option == p.name or p.kind is p.VAR_KEYWORD for p in parameters)


def create_head(name: str, feature_dim: int, **options: Any) -> Head:
    """Build a head with fresh weights.

    Args:
        name: one of `list_heads()`.
        feature_dim: D, length of a feature vector.
        options: of that head.

    Raises:
        UsageError: unknown name, or an option that the head doesn't have or can't take.
    """
    if feature_dim < 1:
        raise UsageError(f"feature_dim is {feature_dim}; it must be at least 1")
    factory = HEADS[name]
    if hasattr(factory, "Options"):  # it checks them itself
        return factory(feature_dim, **options)
    check_signature(factory, options, f"head {name!r}")
    try:
        return factory(feature_dim, **options)
    except TypeError as error:  # of what annotations don't tell
        raise UsageError(f"head {name!r}: {error}") from error
