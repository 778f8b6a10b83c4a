"""YAML: values, lines, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amiss.yaml import YamlMistake, read_yaml, write_yaml

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
        ("a: &a\n  b: *a", 1, "refers to itself"),
        ("a: &a\n  - *a", 1, "refers to itself"),
        ("[" * 5000, 1, "nested too deeply"),
    ],
)
def test_what_is_refused(text: str, line: int, message: str) -> None:
    with pytest.raises(YamlMistake, match=message) as caught:
        read_yaml(text)
    if "deeply" not in message:
        assert caught.value.line == line


words = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=8) | st.sampled_from(
    ["on", "no", "~", "", "null", "<<", "1e5", "1.", ".5", "007", "0x1F", "22:00", "2026-01-01", "True", "- a", "# b"]
)
scalars = words | st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False, allow_infinity=False)


@given(st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(words, inner), max_leaves=10))
def test_what_is_written_is_read(values: object) -> None:
    assert read_yaml(write_yaml(values))[0] == values
