"""Metrics without a value: the reason stands in the value's place until the result is put together."""

from collections.abc import Mapping
from typing import Any


class Undefined(str):
    """Why a metric has no value."""

    __slots__ = ()


Metric = float | Undefined


def settle(values: Mapping[str, Any], prefix: str = "") -> tuple[dict[str, Any], dict[str, str]]:
    """Split values from reasons.

    Returns:
        The values, nested as they were, with None for undefined ones; and dotted name → reason for these.
    """
    settled: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Undefined):
            settled[name] = None
            reasons[prefix + name] = str(value)
        elif isinstance(value, Mapping):
            settled[name], inner = settle(value, f"{prefix}{name}.")
            reasons |= inner
        else:
            settled[name] = value
    return settled, reasons
