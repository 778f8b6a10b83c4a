"""YAML: values, lines, and what is refused."""

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amiss.yaml import MAX_LENGTH, YamlMistake, read_yaml, write_yaml

TEXT = """
a: &a {on: yes, hours: 22:00, day: 2026-01-01, n: 7, x: 1e-8, ok: true, none: ~}
b:
  <<: *a
  n: 8
c:
  - 1
  - {d: "2"}
3: .5
"""


def test_plain_values_are_those_of_yaml_1_2_and_each_has_its_line() -> None:
    values, lines = read_yaml(TEXT)
    a = {"on": "yes", "hours": "22:00", "day": "2026-01-01", "n": 7, "x": 1e-8, "ok": True, "none": None}
    assert values == {"a": a, "b": {**a, "n": 8}, "c": [1, {"d": "2"}], "3": 0.5}
    assert {type(value) for value in values["a"].values()} == {str, int, float, bool, type(None)}
    assert (lines["a", "n"], lines["b",], lines["b", "n"], lines["b", "x"]) == (2, 3, 5, 2)
    assert (lines["c", 0], lines["c", 1, "d"], lines["3",]) == (7, 8, 9)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: 2\na: 3", 3, "'a' stands twice"),
        ("a:\n  b: [", 2, "not YAML"),
        ("a: *b", 1, "undefined alias"),
        ("x: 1\ny: !sesame z", 2, "has a tag"),
        ("a: &a\n  b: *a", 2, "refers to itself"),
        ("a: &a\n  - *a", 2, "refers to itself"),
        ("x: 1\ny: !!int abc", 2, "'abc' is no !!int"),
        ("x: 1\ny: !!python/object:os.system z", 2, "has a tag"),
        ("x: 1\ny: !!set {a}", 2, "has a tag"),
        ("x: 1\ny: " + "9" * 5000, 2, "5000 digits"),
        ("x: 1\ny: 1e999", 2, "more than a number can be"),
        ('x: 1\ny: "a\\0"', 2, r"the character '\\x00'"),
        ('x: 1\ny: "\\ud800"', 2, r"the character '\\ud800'"),
        ("x: 1\n[a, b]: 2", 2, "a key must be text"),
        ("x: 1\ny: {<<: 3}", 2, "takes a mapping"),
        ("a\n---\nb", 2, "several documents"),
        ("%YAML 9\n---\na", 1, "not YAML"),
        ("\0", 1, "not YAML"),
        ("x: 1\n\ty: 2", 2, "not YAML"),
    ],
)
def test_what_is_refused(text: str, line: int, message: str) -> None:
    with pytest.raises(YamlMistake, match=message) as caught:
        read_yaml(text)
    assert caught.value.line == line


def layers(n: int, one: str) -> str:
    """Each layer made of the one before it."""
    return "l0: &l0 {a: b}\n" + "".join(f"l{i + 1}: &l{i + 1} {one.format(f'*l{i}')}\n" for i in range(n))


@pytest.mark.parametrize(
    "text",
    [
        "[" * MAX_LENGTH,
        "{a: " * 1000,
        "".join("\n" + " " * i + "a:" for i in range(900)),
        "- " * 1000,
        layers(12, "[{0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}]"),
        layers(12, "{{<<: [{0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}]}}"),
        layers(2000, "[{0}]"),
        layers(2000, "{{<<: {0}}}"),
        "- a\n" * (MAX_LENGTH // 4),
        "a" * (MAX_LENGTH + 1),
    ],
)
def test_what_is_too_much_is_refused_soon(text: str) -> None:
    began = time.process_time()
    with pytest.raises(YamlMistake, match=r"too deeply|more than"):
        read_yaml(text)
    assert time.process_time() - began < 5


@given(st.text(st.sampled_from("ab1: -[]{}&*!?|>#'\"%<\\\n\t,0~.e+")) | st.text())
def test_any_text_is_values_or_a_mistake(text: str) -> None:
    with suppress(YamlMistake):
        read_yaml(text)


def test_tags_that_say_what_is_there_are_followed() -> None:
    text = "a: !!str 5\nb: !!int '7'\nc: !!float 1\nd: ! 8\ne: !!map {f: !!null ''}\n"
    assert read_yaml(text)[0] == {"a": "5", "b": 7, "c": 1.0, "d": "8", "e": {"f": None}}


words = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=8) | st.sampled_from(
    ["on", "no", "~", "", "null", "<<", "1e5", "1.", ".5", "007", "0x1F", "22:00", "2026-01-01", "True", "- a", "# b"]
)
scalars = words | st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False, allow_infinity=False)


@given(st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(words, inner), max_leaves=10))
def test_what_is_written_is_read(values: object) -> None:
    assert read_yaml(write_yaml(values))[0] == values
