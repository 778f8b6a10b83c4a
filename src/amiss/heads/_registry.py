"""Head registry: name → module, imported only when the head is asked for."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from amiss.errors import UsageError
from amiss.heads._base import Head
from amiss.registry import Registry

HeadFactory = Callable[..., Head]

# name: "module:factory"; the factory is called as factory(feature_dim, **options)
_TABLE: dict[str, HeadFactory | str] = {
    "sultani": "amiss.heads.sultani:SultaniHead",
    "topk": "amiss.heads.sultani:TopKHead",
    "rtfm": "amiss.heads.rtfm:RTFMHead",
    "salient": "amiss.heads.salient:SalientHead",
    "saa": "amiss.heads.saa:SAAHead",
    "distribution": "amiss.heads.distribution:create_distribution_head",
}
HEADS: Registry[HeadFactory] = Registry("head", _TABLE, group="amiss.heads", entry_type=Callable)  # type: ignore[arg-type]

# annotation of an option: what it accepts, in words
_TYPES: dict[Any, tuple[tuple[type, ...], str]] = {
    int: ((int,), "a whole number"),
    int | None: ((int, type(None)), "a whole number or null"),
    float: ((int, float), "a number"),
    bool: ((bool,), "true or false"),
    str: ((str,), "text"),
}


def list_heads() -> list[str]:
    """Names that `create_head` knows, sorted: the built-in ones and those of installed entry points `amiss.heads`."""
    return sorted(HEADS.names())


def describe_heads() -> dict[str, str]:
    """Every head's name → the first line of its documentation."""
    return {name: (inspect.getdoc(factory) or "").partition("\n")[0] for name, factory in sorted(HEADS.items())}


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
    return build(f"head {name!r}", HEADS[name], feature_dim, options)


def build(what: str, factory: Callable[..., Head], feature_dim: int, options: Mapping[str, Any]) -> Head:
    """Call a head's factory with options that come from a user.

    Raises:
        UsageError: an option that the factory doesn't have, or of another type.
    """
    signature = inspect.signature(factory)
    try:
        signature.bind(feature_dim, **options)
        for option, value in options.items():
            parameter = signature.parameters.get(option)
            if parameter is None or parameter.annotation not in _TYPES:
                continue
            types, words = _TYPES[parameter.annotation]
            if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
                raise TypeError(f"{option} is {value!r}; it must be {words}")
        return factory(feature_dim, **options)
    except TypeError as error:
        raise UsageError(f"{what}: {error}. Its options are {list(signature.parameters)[1:]}") from None
