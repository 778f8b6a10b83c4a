"""Settings: checked for callers in Python, and their mistakes in words."""

from typing import Annotated

import pytest
from pydantic import Field, SecretStr, ValidationError

from amiss.errors import UsageError
from amiss.settings import Settings, in_words, problems_of


class Inner(Settings):
    """A part."""

    size: Annotated[int, Field(ge=1)] = 3
    """Of it."""
    word: SecretStr | None = None
    """A secret."""


class Outer(Settings):
    """The whole."""

    inner: Inner = Inner()
    """A part."""
    shares: tuple[float, ...] = ()
    """Some."""
    wait_s: Annotated[float, Field(ge=0)] = 0.0
    """Seconds."""


class Named(Settings):
    """What must not be empty."""

    names: Annotated[tuple[str, ...], Field(min_length=1)]
    """Some."""
    word: Annotated[str, Field(min_length=1)]
    """One."""


def test_a_wrong_value_is_a_usage_error_for_python_callers() -> None:
    with pytest.raises(UsageError, match=r"^Inner: size is 0; must be at least 1$"):
        Inner(size=0)
    with pytest.raises(UsageError, match="there is no such field; did you mean 'size'"):
        Inner(sise=4)
    with pytest.raises(UsageError, match="wait_s is -1; must not be negative"):
        Outer().changed(wait_s=-1)
    with pytest.raises(UsageError, match=r"^Named: names: must not be empty; word is ''; must not be empty$"):
        Named(names=(), word="")
    with pytest.raises(ValidationError):  # frozen
        Outer().wait_s = 3  # type: ignore[misc]


def test_changed_keeps_what_was_stated_and_no_more() -> None:
    changed = Outer(shares=[0.5]).changed(wait_s=2)
    assert (changed.shares, changed.wait_s, changed.model_fields_set) == ((0.5,), 2, {"shares", "wait_s"})


def test_mistakes_in_nested_values_keep_their_place() -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate({"inner": {"size": "x"}, "shares": [0, "y"], "size": 1, "wait": 1})
    found = {problem.where: str(problem) for problem in problems_of(caught.value, Outer)}
    assert list(found) == [("inner", "size"), ("shares", 1), ("size",), ("wait",)]
    assert found["size",] == "size: there is no such field; it belongs in 'inner'"
    assert found["inner", "size"] == "inner.size is 'x'; must be a whole number"
    assert found["wait",] == "wait: there is no such field; did you mean 'wait_s'?"


class Bare(Settings):
    """A part without secrets."""


class Plain(Settings):
    """Without secrets."""

    sizes: dict[str, int] = Field(default={})
    """Some."""
    maybe: Bare | None = None
    """A part."""


def test_what_should_be_a_mapping_is_told_without_the_names_of_classes() -> None:
    with pytest.raises(UsageError) as caught:
        Plain(sizes=3, maybe="x")
    assert (
        str(caught.value) == "Plain: sizes is 3; must be a mapping; maybe is 'x'; must be a mapping of fields or null"
    )


@pytest.mark.parametrize("values", [{"inner": {"word": 7777}}, {"inner": "7777"}, {"inner": {"word": ["7777"]}}])
def test_no_secret_is_in_a_mistake(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(values)
    assert "7777" not in in_words(caught.value, Outer) + repr(list(problems_of(caught.value, Outer)))
    with pytest.raises(UsageError) as refused:
        Outer(**values)
    assert "7777" not in str(refused.value)
    assert "7777" not in repr(Inner(word=SecretStr("7777")))


def test_nothing_before_an_at_sign_is_in_a_mistake() -> None:
    with pytest.raises(UsageError, match=r"^Inner: size is '\*\*\*@host'; must be a whole number$"):
        Inner(size="joe:s@same@host")
