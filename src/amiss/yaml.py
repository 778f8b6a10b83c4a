"""YAML 1.2: values with the line of each, and back. One reader for configurations, recipes and suites.

Whatever the text, reading it is bounded: its length, how deep it goes, and how many values its aliases make of it.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    ScalarEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

Where = tuple[str | int, ...]
"""Fields and indices that lead to a value."""

MAX_LENGTH = 500_000
"""Characters of a text: seconds of reading."""
_MAX_VALUES, _MAX_DEPTH, _MAX_DIGITS = 50_000, 50, 100

_CORE = "tag:yaml.org,2002:"
_PLAIN = {
    "null": re.compile(r"null|Null|NULL|~|"),
    "bool": re.compile(r"true|True|TRUE|false|False|FALSE"),
    "int": re.compile(r"[-+]?(?:0|[1-9]\d*)", re.ASCII),
    "float": re.compile(r"[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?", re.ASCII),
}  # no others: `on` and `off` are words, 22:00 is no number, 2026-01-01 is no date
_UNFIT = re.compile("[\x00\ud800-\udfff]")


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
        YamlMistake: not YAML, a key stands twice, something refers to itself, or it is too much.
    """
    if len(text) > MAX_LENGTH:
        raise YamlMistake(1, f"it has {len(text)} characters, more than the {MAX_LENGTH} that are read")
    try:
        root = _Composer(YAML(typ="safe", pure=True).parse(text)).document()
    except YAMLError as error:
        reason = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "damaged")
        if len(reason) > 200:
            reason = f"{reason.partition(chr(39))[0]}…"  # without what it quotes
        raise YamlMistake(_line(error), f"not YAML: {reason}") from None
    lines: dict[Where, int] = {}
    return (None if root is None else _plain(root, (), 1, lines)), lines


def write_yaml(values: Any) -> str:
    """A text that `read_yaml` reads as these values; mappings in their order."""
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.width = 120
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    text = io.StringIO()
    writer.dump(values, text)
    return text.getvalue()


def is_fit(text: str) -> bool:
    """Whether a text has only characters that paths, messages and answers can hold: no NUL, no half of a pair."""
    return _UNFIT.search(text) is None


@dataclass
class _Node:
    line: int
    """1-based."""
    value: Any = None
    """Of a scalar."""
    text: str | None = None
    """Of a scalar, as it stands there."""
    is_merge: bool = False
    """It is `<<`."""
    items: list[_Node] | None = None
    """Of a sequence."""
    pairs: list[tuple[_Node, _Node]] | None = None
    """Of a mapping."""
    n_values: int = 1
    """With all in it, aliases followed."""
    height: int = 0
    """Levels in it, aliases followed."""


@dataclass
class _Composer:
    """Makes nodes of events; what an alias stands for is there once."""

    events: Iterator[Event]
    anchors: dict[str, _Node | None] = field(default_factory=dict)
    """None: it isn't complete yet."""

    def document(self) -> _Node | None:
        root = None
        for event in self.events:
            if isinstance(event, DocumentStartEvent):
                if root is not None:
                    raise YamlMistake(_line_of(event), "not YAML that is read here: it has several documents")
                root = self.node(next(self.events), 0)
            elif isinstance(event, StreamEndEvent):
                break
        return root

    def node(self, event: Event, depth: int) -> _Node:
        line = _line_of(event)
        if isinstance(event, AliasEvent):
            if event.anchor not in self.anchors:
                raise YamlMistake(line, f"not YAML: found undefined alias {event.anchor[:80]!r}")
            known = self.anchors[event.anchor]
            if known is None:
                raise YamlMistake(line, "it refers to itself")
            return known
        assert isinstance(event, ScalarEvent | MappingStartEvent | SequenceStartEvent)
        if depth > _MAX_DEPTH:
            raise YamlMistake(line, "it is nested too deeply")
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        node = _Node(line)
        if isinstance(event, ScalarEvent):
            _set_scalar(node, event)
        else:
            kind = "map" if isinstance(event, MappingStartEvent) else "seq"
            if _tag(event) not in (None, "!", _CORE + kind):
                raise YamlMistake(line, _TAGGED)
            inner = self.inner(node, depth + 1)
            if kind == "map":
                node.pairs = [(key, next(inner)) for key in inner]
            else:
                node.items = list(inner)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def inner(self, node: _Node, depth: int) -> Iterator[_Node]:
        while not isinstance(event := next(self.events), CollectionEndEvent):
            child = self.node(event, depth)
            node.n_values += child.n_values
            node.height = max(node.height, child.height + 1)
            if node.height > _MAX_DEPTH:
                raise YamlMistake(child.line, "it is nested too deeply")
            if node.n_values > _MAX_VALUES:
                raise YamlMistake(child.line, f"it has more than {_MAX_VALUES} values, aliases followed")
            yield child


_TAGGED = "not YAML that is read here: it has a tag (a word that begins with !); put it in quotes"


def _tag(event: ScalarEvent | MappingStartEvent | SequenceStartEvent) -> str | None:
    return None if event.tag is None else str(event.tag)


def _set_scalar(node: _Node, event: ScalarEvent) -> None:
    text, tag = str(event.value), _tag(event)
    node.text = text
    if (unfit := _UNFIT.search(text)) is not None:
        raise YamlMistake(node.line, f"a text has the character {unfit[0]!a}, which nothing here takes")
    if tag is None and event.implicit[0]:
        node.is_merge = text == "<<"
        kind = next((kind for kind, pattern in _PLAIN.items() if pattern.fullmatch(text)), "str")
    elif tag in (None, "!"):
        kind = "str"
    else:
        kind = tag.removeprefix(_CORE)
        if kind != "str" and kind not in _PLAIN:
            raise YamlMistake(node.line, _TAGGED)
        if kind != "str" and not _PLAIN[kind].fullmatch(text):
            raise YamlMistake(node.line, f"not YAML: {text[:40]!r} is no {tag.replace(_CORE, '!!')}")
    if kind in ("int", "float"):
        if len(text) > _MAX_DIGITS:
            raise YamlMistake(node.line, f"a number of {len(text)} digits is more than anything here takes")
        node.value = int(text) if kind == "int" else float(text)
        if not math.isfinite(node.value):
            raise YamlMistake(node.line, f"{text[:40]} is more than a number can be")
    elif kind == "bool":
        node.value = text.lower() == "true"
    else:
        node.value = text if kind == "str" else None


def _plain(node: _Node, where: Where, line: int, lines: dict[Where, int]) -> Any:
    lines[where] = line
    if node.items is not None:
        return [_plain(item, (*where, i), item.line, lines) for i, item in enumerate(node.items)]
    if node.pairs is None:
        return node.value
    return {
        name: _plain(value, (*where, name), key.line, lines) for name, (key, value) in _merged(node, node.line).items()
    }


def _merged(node: _Node, line: int) -> dict[str, tuple[_Node, _Node]]:
    """A mapping's key and value by name; those of merged mappings first, the earlier ones of them go before."""
    if node.pairs is None:
        raise YamlMistake(line, "`<<` takes a mapping, or a list of them")
    own: dict[str, tuple[_Node, _Node]] = {}
    merged: dict[str, tuple[_Node, _Node]] = {}
    for key, value in node.pairs:
        if key.is_merge:
            for other in value.items if value.items is not None else [value]:
                merged = {**_merged(other, key.line), **merged}
        elif key.text is None:
            raise YamlMistake(key.line, "a key must be text, not a list or mapping")
        elif key.text in own:
            raise YamlMistake(key.line, f"{key.text[:80]!r} stands twice; the first would be forgotten")
        else:
            own[key.text] = (key, value)
    return {**merged, **own}


def _line_of(event: Event) -> int:
    return int(event.start_mark.line) + 1


def _line(error: YAMLError) -> int:
    mark = getattr(error, "problem_mark", None)
    return 1 if mark is None else int(mark.line) + 1
