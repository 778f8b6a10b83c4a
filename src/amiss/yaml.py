"""YAML 1.2: values with the line of each, and back. One reader for configurations, recipes and suites."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode
from ruamel.yaml.resolver import VersionedResolver

Where = tuple[str | int, ...]
"""Fields and indices that lead to a value."""

_PLAIN: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"null|Null|NULL|~|", ("n", "N", "~", "")),
    ("int", r"[-+]?(?:0|[1-9]\d*)", "-+0123456789"),
    ("float", r"[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?", "-+.0123456789"),
    ("merge", r"<<", "<"),
):
    for _character in _first:
        _PLAIN.setdefault(_character, []).append((f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$")))


class _CoreValues(VersionedResolver):
    """YAML 1.2's plain values, no others: `on` and `off` are words, 22:00 is no number, 2026-01-01 is no date."""

    @property
    def versioned_resolver(self) -> Any:
        return _PLAIN


class YamlMistake(ValueError):  # noqa: N818  # the user's, not the program's
    """A text is not YAML, or not what this program reads of it."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line
        """1-based."""
        self.message = message
        """In words; what stands in quotes in it is of the text."""


def read_yaml(text: str) -> tuple[Any, dict[Where, int]]:
    """The values of a text (dict, list, str, int, float, bool, None; keys are text), and the line of each, from 1.

    Anchors and merges (`<<`) are followed.

    Raises:
        YamlMistake: not YAML, a key stands twice, or something refers to itself.
    """
    lines: dict[Where, int] = {}
    try:
        if _refers_to_itself(_reader().compose(text), [], set()):  # which the reader would take for null
            raise YamlMistake(1, "it refers to itself")
        return _plain(_reader().load(text), (), 1, lines), lines
    except DuplicateKeyError as error:
        key = re.match(r'found duplicate key "(.*?)" with value', str(error.problem), re.DOTALL)
        name = repr(key[1]) if key else "a key"
        raise YamlMistake(_line(error), f"{name} stands twice; the first would be forgotten") from None
    except YAMLError as error:
        reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "damaged"
        raise YamlMistake(_line(error), f"not YAML: {reason}") from None
    except RecursionError:
        raise YamlMistake(1, "it is nested too deeply") from None


def write_yaml(values: Any) -> str:
    """A text that `read_yaml` reads as these values; mappings in their order."""
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.width = 120
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    text = io.StringIO()
    writer.dump(values, text)
    return text.getvalue()


def _reader() -> YAML:
    reader = YAML(typ="rt", pure=True)
    reader.Resolver = _CoreValues
    return reader


def _refers_to_itself(node: Node | None, around: list[Node], seen: set[int]) -> bool:
    if not isinstance(node, MappingNode | SequenceNode):
        return False
    if node in around:
        return True
    if id(node) in seen:
        return False
    seen.add(id(node))
    inner = [part for pair in node.value for part in pair] if isinstance(node, MappingNode) else node.value
    return any(_refers_to_itself(part, [*around, node], seen) for part in inner)


def _line(error: YAMLError) -> int:
    mark = getattr(error, "problem_mark", None)
    return 1 if mark is None else int(mark.line) + 1


def _plain(value: Any, where: Where, line: int, lines: dict[Where, int]) -> Any:
    lines[where] = line
    if value is None or isinstance(value, bool):
        return value
    match value:
        case CommentedMap():
            at = dict(_key_lines(value))
            return {str(k): _plain(v, (*where, str(k)), at.get(k, line), lines) for k, v in value.items()}
        case CommentedSeq():
            return [_plain(item, (*where, i), value.lc.item(i)[0] + 1, lines) for i, item in enumerate(value)]
        case int():
            return int(value)
        case float():
            return float(value)
        case str():
            return str(value)
    raise YamlMistake(line, "not YAML that is read here: it has a tag (a word that begins with !); put it in quotes")


def _key_lines(mapping: CommentedMap) -> Iterator[tuple[Any, int]]:
    """Each key with its line, those of merged mappings first: its own ones replace them."""
    for merged in reversed(getattr(mapping, "merge", None) or []):
        yield from _key_lines(merged[1] if isinstance(merged, tuple) else merged)
    for key, place in (mapping.lc.data or {}).items():
        yield key, place[0] + 1
