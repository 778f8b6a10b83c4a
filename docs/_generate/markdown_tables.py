"""Markdown tables, and Python's types in words."""

from __future__ import annotations

import enum
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr

_WORDS: dict[Any, str] = {
    Any: "any value",
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Path: "path",
    SecretStr: "text",
}


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; line breaks and bars in cells are made safe."""
    lines = [_row(columns), "|" + "---|" * len(columns), *(_row(row) for row in rows)]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def type_in_words(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """A type as a person writes it: `number, above 0, at most 600, or null`."""
    words = _words(annotation)
    limits = ", ".join(filter(None, map(_limits, metadata)))
    if not limits:
        return words
    if words == "text":
        limits = "not empty"
    head, null, _ = words.partition(" or null")
    return f"{head}, {limits}{',' if null else ''}{null}"


def _words(annotation: Any) -> str:
    if annotation in _WORDS:
        return _WORDS[annotation]
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_in_words(args[0], args[1:])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in args)
    if origin in (Union, types.UnionType):
        some = [arg for arg in args if arg is not types.NoneType]
        null = " or null" if len(some) < len(args) else ""
        return " or ".join(map(_words, some)) + null
    if origin in (list, tuple, set, frozenset):
        return f"list of {_words(args[0])}"
    if origin is dict:
        return f"name → {_words(args[1])}"
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return " or ".join(f"`{member.value}`" for member in annotation)
    return getattr(annotation, "__name__", str(annotation))


def _limits(item: Any) -> str:
    """What an item of an annotation's metadata (annotated_types, or a pydantic Field around them) demands."""
    parts = []
    for name, words in (("gt", "above"), ("ge", "at least"), ("lt", "below"), ("le", "at most")):
        if (limit := getattr(item, name, None)) is not None:
            parts.append(f"{words} {limit:g}")
    if length := getattr(item, "min_length", None):
        parts.append(f"{length} or more")
    parts += [_limits(inner) for inner in getattr(item, "metadata", ())]
    return ", ".join(filter(None, parts))
