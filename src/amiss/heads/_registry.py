"""Head registry: name → module, imported only when the head is asked for."""

import difflib
import importlib
import inspect
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from amiss.errors import UsageError
from amiss.heads._base import Head

ENTRY_POINT_GROUP = "amiss.heads"

# name: "module:factory"; the factory is called as factory(feature_dim, **options)
BUILT_IN = {
    "sultani": "amiss.heads.sultani:SultaniHead",
    "topk": "amiss.heads.sultani:TopKHead",
    "rtfm": "amiss.heads.rtfm:RTFMHead",
    "salient": "amiss.heads.salient:SalientHead",
    "saa": "amiss.heads.saa:SAAHead",
    "distribution": "amiss.heads.distribution:create_distribution_head",
}

# annotation of an option: what it accepts, in words
_TYPES: dict[Any, tuple[tuple[type, ...], str]] = {
    int: ((int,), "a whole number"),
    int | None: ((int, type(None)), "a whole number or null"),
    float: ((int, float), "a number"),
    bool: ((bool,), "true or false"),
    str: ((str,), "text"),
}


def _third_party() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP) if point.name not in BUILT_IN}


def list_heads() -> list[str]:
    """Names that `create_head` knows, sorted: the built-in ones and those of installed entry points `amiss.heads`."""
    return sorted({*BUILT_IN, *_third_party()})


def describe_heads() -> dict[str, str]:
    """Every head's name → the first line of its documentation."""
    return {name: (inspect.getdoc(_factory(name)) or "").partition("\n")[0] for name in list_heads()}


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
    return build(f"head {name!r}", _factory(name), feature_dim, options)


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


def _factory(name: str) -> Callable[..., Head]:
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        factory: Callable[..., Head] = getattr(importlib.import_module(module), attribute)
        return factory
    points = _third_party()
    if name in points:
        loaded: Callable[..., Head] = points[name].load()
        return loaded
    known = list_heads()
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    raise UsageError(f"unknown head {name!r}. {hint}Known are {known}")
