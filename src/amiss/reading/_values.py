"""Single values of what was read: numbers, labels and ids, as people and programs write them."""

import json
import math
import re
from dataclasses import replace
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from amiss.errors import showable
from amiss.settings import problems_of

T = TypeVar("T")
_LONGEST_ID = 4096
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_LABELS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}
_MOST_PROBLEMS = 3


def shown(value: object, *, quoted: bool = True, most: int = 80) -> str:
    """A value for a message, on one line of bounded length."""
    return showable(repr(value) if quoted else str(value), most)


def to_number(text: str, name: str) -> float:
    """A finite number above 0; also with a decimal comma, as spreadsheets write it in half of Europe.

    Raises:
        ValueError: it isn't one; says what it must be.
    """
    if _DECIMAL_COMMA.fullmatch(text):
        whole, _, digits = text.partition(",")
        if len(digits) == 3:
            raise ValueError(f"{name} is {text!r}: write {whole}.{digits} or {whole}{digits}, whichever it is")
        text = f"{whole}.{digits}"
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1e12:
        raise ValueError(f"{name} is {shown(text)}; it must be a number above 0")
    return value


def to_whole_number(text: str, name: str) -> int:
    """A whole number above 0; also as `60.0`, as pandas writes a column in which some are missing.

    Raises:
        ValueError: it isn't one; says what it must be.
    """
    value = to_number(text, name)
    if value != int(value):
        raise ValueError(f"{name} is {shown(text)}; it must be a whole number")
    return int(value)


def to_label(text: str) -> int:
    """0 or 1; also as `1.0` or `True`.

    Raises:
        ValueError: it is something else.
    """
    if (label := _LABELS.get(text.lower())) is None:
        raise ValueError(f"label is {shown(text)}; allowed are 0 (normal) and 1 (anomalous)")
    return label


def check_id(text: object, *, in_folders: bool = False) -> str:
    """A video's id, which is also the name of files.

    Args:
        text: the id.
        in_folders: it may be a path below a folder, `night/1`, as scripts may call their videos.

    Raises:
        ValueError: it is none.
    """
    parts = text.split("/") if isinstance(text, str) and in_folders else [text]
    if not all(isinstance(p, str) and p and not p.startswith(".") and "/" not in p and "\\" not in p for p in parts):
        raise ValueError(f"video_id {shown(text)} must be a plain name: not empty, no slash, no leading dot")
    assert isinstance(text, str)
    if any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise ValueError(f"video_id {shown(text)} has control characters; it must be a plain name")
    if len(text) > _LONGEST_ID:
        raise ValueError(f"video_id {shown(text)} has {len(text)} characters; it must be a plain name")
    return text


def check_values(kind: type[T], values: Any) -> T:
    """What JSON gave, as a dataclass or model: types as they are declared, in their ranges, every number finite.

    Raises:
        ValueError: it isn't so; names the first few mistakes.
    """
    model = _checked(kind)  # type: ignore[arg-type]  # mypy takes type[T] for not hashable
    try:
        made: T = model.model_validate_json(json.dumps({"value": values})).value  # type: ignore[attr-defined]
        return made
    except ValidationError as error:
        problems = [str(replace(problem, where=problem.where[1:])) for problem in problems_of(error, model)]
        more = f" (and {len(problems) - _MOST_PROBLEMS} more)" if len(problems) > _MOST_PROBLEMS else ""
        raise ValueError(shown(f"{'; '.join(problems[:_MOST_PROBLEMS])}{more}", quoted=False, most=600)) from None


def check_json_lines(kind: type[T], data: bytes) -> list[T]:
    """What lines of JSON say, all of them at once; each as `check_values` takes it.

    Raises:
        ValueError: something is wrong with one of them, or one is empty; doesn't say which.
    """
    listed = b",".join(data.removesuffix(b"\n").split(b"\n")) if data else b""
    try:
        made: list[T] = _checked(list[kind]).model_validate_json(b'{"value": [' + listed + b"]}").value  # type: ignore
    except ValidationError as error:
        raise ValueError(f"{error.error_count()} mistakes") from None
    return made


@cache
def _checked(kind: type) -> type[BaseModel]:
    """A model around it, whose strictness holds in dataclasses within, too."""
    strict = ConfigDict(strict=True, allow_inf_nan=False, hide_input_in_errors=True)
    return create_model("Checked", __config__=strict, value=(kind, ...))
