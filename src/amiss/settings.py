"""Settings: frozen, checked when they are made, each field with its docstring; and what is wrong with them, in words.

A setting is declared once, on the floor that uses it. What is above nests it and passes it whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from types import NoneType
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from amiss.errors import UsageError, showable
from amiss.registry import closest

S = TypeVar("S", bound="Settings")
ENVIRONMENT_PREFIX = "AMISS_"
Seconds = Annotated[float, Field(ge=0, le=86400)]
"""Up to a day."""
LongTime = Annotated[float, Field(ge=0, le=31536000)]
"""Seconds, up to a year: clocks can be moved by it."""
Score = Annotated[float, Field(ge=0, le=1)]
Gate = Literal["auto", "always", "never"]
"""Whether a part is used; `auto`: where the data show that it helps."""
SmoothingForm = Literal["around", "ahead", "blocks"]
"""Which clips a smoothed score is the mean of: those around it; it and those after it (PEL4VAD on UCF-Crime); those of
its block, the same for all of them (PEL4VAD on XD-Violence). In the last two, what lies behind the end counts as 0."""

_SHOWN = (bool, int, float, str)
_TYPES = {
    f"{kind}_{mistake}": words
    for kind, words in (
        ("int", "a whole number"),
        ("float", "a number"),
        ("bool", "true or false"),
        ("string", "text"),
        ("list", "a list"),
        ("tuple", "a list"),
        ("dict", "a mapping"),
        ("model", "a mapping of fields"),
    )
    for mistake in ("type", "parsing", "from_float")
}
_LONGEST_FIELD = 200  # characters of where a value stands that are shown
_BOUNDS = {
    "greater_than_equal": "at least",
    "greater_than": "above",
    "less_than_equal": "at most",
    "less_than": "below",
}


class Settings(BaseModel):
    """Base of all settings.

    Raises:
        UsageError: a value makes no sense, or there is no such field. (`model_validate` raises pydantic's
            ValidationError instead, for those who know on which line of which file a value stands; see `problems_of`.)
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True, allow_inf_nan=False
    )

    def __init__(self, /, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise UsageError(f"{type(self).__name__}: {in_words(error, type(self))}") from None

    # So marked, it is for Python callers alone: what is nested in a file's values is checked without it, and keeps the
    # place of every mistake.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    def changed(self, **values: Any) -> Self:
        """The same with other values; checked, unlike `model_copy`.

        Raises:
            UsageError: a value makes no sense.
        """
        return type(self)(**{name: getattr(self, name) for name in self.model_fields_set} | values)


def from_environment(kind: type[S]) -> S:
    """Settings as the environment of this process says: each by its name in capitals after `AMISS_`; for the rest the
    defaults.

    Raises:
        UsageError: a value in the environment makes no sense.
    """
    names = {field: f"{ENVIRONMENT_PREFIX}{field.upper()}" for field in kind.model_fields}
    return kind(**{field: os.environ[name] for field, name in names.items() if os.environ.get(name)})


@dataclass(frozen=True)
class Problem:
    """What is wrong with one value."""

    where: tuple[str | int, ...]
    """Fields and indices that lead to it."""
    message: str
    """In words, without the value."""
    value: bool | int | float | str | None = dataclass_field(default=None, repr=False)
    """What was given, where it fits into a line."""
    is_secret: bool = False
    """Whether the value may hold a secret; it is in no text then."""
    kind: str = ""
    """pydantic's name for the mistake, such as `missing`."""

    @property
    def field(self) -> str:
        """Where, with dots; on one line, whatever a file calls its fields."""
        return showable(".".join(map(str, self.where)), _LONGEST_FIELD)

    def __str__(self) -> str:
        shown = self.value
        if isinstance(shown, str) and "@" in shown:  # what stands before it may be a user and a password
            shown = f"***@{shown.rpartition('@')[2]}"
        value = "" if shown is None or self.is_secret else f"is {shown!r}"
        if self.message.startswith("is "):
            return f"{self.field} {self.message}"
        where = " ".join(part for part in (self.field, value) if part)
        return f"{where}{'; ' if value else ': ' if where else ''}{self.message}"


def problems_of(error: ValidationError, model: type[BaseModel]) -> Iterator[Problem]:
    """The mistakes that pydantic found in values for `model`, in our words."""
    fields = list(
        dict.fromkeys(field.alias or name for part in _models_in(model) for name, field in part.model_fields.items())
    )
    secrets = _secret_fields(model)
    for found in error.errors(include_url=False):
        where, kind, value = found["loc"], found["type"], found["input"]
        message = found["msg"].removeprefix("Value error, ")
        is_shown = isinstance(value, _SHOWN)
        if kind == "extra_forbidden":
            name = str(where[-1])
            advice = _groups_hint(model, name, where) if name in fields else hint(name, fields)
            message, is_shown = f"there is no such field{advice}", False
        elif kind == "missing":
            message, is_shown = "is missing", False
        elif kind in _TYPES:
            message = f"must be {_TYPES[kind]}{' or null' if _may_be_null(model, where) else ''}"
        elif kind == "greater_than_equal" and found["ctx"]["ge"] == 0:
            message = "must not be negative"
        elif kind in ("too_short", "string_too_short") and found["ctx"]["min_length"] == 1:
            message = "must not be empty"
        elif kind in _BOUNDS:
            (bound,) = found["ctx"].values()
            message = f"must be {_BOUNDS[kind]} {bound:.15g}"
        else:
            message = message.replace("Input should be", "must be")
            message = message[:1].lower() + message[1:]
        is_whole = kind.endswith("_type") and isinstance(value, str)  # in place of settings that may hold a secret
        is_secret = not secrets.isdisjoint(where) or (is_whole and bool(secrets))
        yield Problem(where, message, value if is_shown else None, is_secret, kind)


def in_words(error: ValidationError, model: type[BaseModel]) -> str:
    """All that pydantic found, in one line."""
    return "; ".join(map(str, problems_of(error, model)))


def hint(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing where none is like it."""
    close = closest(name, known)
    return f"; did you mean {close[0]!r}?" if close else ""


def _groups_hint(model: type[BaseModel], name: str, where: Iterable[str | int]) -> str:
    """`; it belongs in 'x'`: for a field that stands outside the settings that have it."""
    groups = dict.fromkeys(
        group
        for part in _models_in(model)
        for group, field in part.model_fields.items()
        for inner in _types_in(field.annotation)
        if isinstance(inner, type) and issubclass(inner, BaseModel) and name in inner.model_fields
    )
    return f"; it belongs in {' or '.join(map(repr, groups))}" if groups and groups.keys().isdisjoint(where) else ""


def _may_be_null(model: type[BaseModel], where: Iterable[str | int]) -> bool:
    """Whether a value at this place may be null; False where that can't be told."""
    parts: Iterable[Any] = [model]
    types: list[Any] = []
    for name in where:
        fields = [part.model_fields[name] for part in parts if name in getattr(part, "model_fields", {})]
        types = [part for field in fields for part in _types_in(field.annotation)]
        parts = types
    return NoneType in types


def _models_in(model: type[BaseModel], known: frozenset[type[BaseModel]] = frozenset()) -> Iterator[type[BaseModel]]:
    """A model and those inside it, which may have itself inside."""
    yield model
    known |= {model}
    for field in model.model_fields.values():
        for part in _types_in(field.annotation):
            if isinstance(part, type) and issubclass(part, BaseModel) and part not in known:
                yield from _models_in(part, known)


def _types_in(annotation: Any) -> Iterator[Any]:
    yield annotation
    for inner in get_args(annotation):
        yield from _types_in(inner)


def _secret_fields(model: type[BaseModel]) -> set[str]:
    return {
        name
        for part in _models_in(model)
        for name, field in part.model_fields.items()
        if SecretStr in _types_in(field.annotation)
    }
