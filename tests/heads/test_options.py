"""Options of heads: declared once, also by heads of other packages, and what is wrong with them in words."""

from pathlib import Path
from typing import Any

import pytest

from amiss.errors import UsageError
from amiss.heads import create_head, list_heads
from helpers.plugins import install_plugin

FORWARD = """
    def forward(self, features, mask=None):
        scores = features.mean(2).sigmoid()
        return HeadOutput(scores, scores.amax(1))

    def loss(self, output, labels, *, crops=1, step=0):
        return LossTerms({"none": output.bag_score.sum()})
"""
WITH_MODEL = f'''
from amiss.heads import HeadOptions, HeadOutput, HeadWithOptions, LossTerms

class PlugOptions(HeadOptions):
    layers: int = 2
    """Of the network."""
    gain: float = 1.0
    """Times the score."""

class Plug(HeadWithOptions):
    """A head of another package."""
    name = "plug"
    Options = PlugOptions
    settings: PlugOptions
{FORWARD}'''
WITH_SIGNATURE = f'''
from typing import Literal
from amiss.heads import Head, HeadOutput, LossTerms

class Plug(Head):
    """A head of another package."""
    name = "plug"

    def __init__(self, feature_dim, *, layers: int = 2, gain: float = 1.0, kind: Literal["a", "b"] | None = None,
                 sizes: tuple[int, ...] = (1, 2), untold="x"):
        super().__init__()
        self.feature_dim = feature_dim
        self.options_ = {{"layers": layers, "gain": gain}}

    @property
    def options(self):
        return self.options_
{FORWARD}'''


@pytest.fixture(params=[WITH_MODEL, WITH_SIGNATURE], ids=["model", "signature"])
def plug(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A head that another package declares, in one of two ways."""
    install_plugin(monkeypatch, tmp_path, "amiss.heads", "plug", "plugged_head:Plug", request.param)
    return "plug"


def test_a_head_of_another_package_has_options(plug: str) -> None:
    assert plug in list_heads()
    head = create_head(plug, 4, layers=3, gain=2)
    assert (head.feature_dim, head.options) == (4, {"layers": 3, "gain": 2})
    assert create_head(head.name, head.feature_dim, **head.options).options == head.options


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"layers": 2.5}, "head 'plug': layers is 2.5; it must be a whole number. Its options are"),
        ({"gain": True, "layers": "2"}, "layers is '2'; it must be a whole number; gain is True; it must be a number"),
        ({"layer": 2}, "there is no option 'layer'; did you mean 'layers'"),
    ],
)
def test_its_mistakes_are_told_as_those_of_our_own(plug: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        create_head(plug, 4, **options)


def test_a_signature_is_held_where_it_says_something(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install_plugin(monkeypatch, tmp_path, "amiss.heads", "plug", "plugged_head:Plug", WITH_SIGNATURE)
    create_head("plug", 4, kind="a", sizes=[1, 2], untold=object())
    with pytest.raises(UsageError, match="kind is 'c'; it must be 'a' or 'b'"):
        create_head("plug", 4, kind="c")


FOR_CHECKERS = f'''
from __future__ import annotations
from typing import TYPE_CHECKING
from amiss.heads import Head, HeadOutput, LossTerms
if TYPE_CHECKING:
    from somewhere import Sizes

class Plug(Head):
    """A head of another package."""
    name = "plug"
    options = {{}}

    def __init__(self, feature_dim: int, *parts: int, sizes: Sizes = (), copy: bool = True) -> None:
        super().__init__()
        self.feature_dim = feature_dim
{FORWARD}'''


def test_a_signature_may_be_for_type_checkers_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install_plugin(monkeypatch, tmp_path, "amiss.heads", "plug", "plugged_head:Plug", FOR_CHECKERS)
    assert create_head("plug", 4, sizes=[1], copy=False).feature_dim == 4
    with pytest.raises(UsageError, match=r"there is no option 'size'; did you mean 'sizes'.*\['sizes', 'copy'\]"):
        create_head("plug", 4, size=1)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("rtfm", {"chanels": 8}, r"head 'rtfm': there is no option 'chanels'; did you mean 'channels'\?"),
        ("rtfm", {"dropout": 1.0}, "dropout is 1.0; it must be below 1"),
        ("saa", {"alpha": 1.5, "pool": "median"}, r"alpha is 1.5; it must be at most 1; pool is 'median'; it must be"),
        ("salient", {"dropout": float("nan")}, "dropout is nan"),
        ("distribution", {"spread": 1.0}, "variant 'fitted': there is no option 'spread'"),
        ("distribution", {"variant": "original-2023", "spread_range": 0}, "spread_range is 0; it must be above 0"),
    ],
)
def test_bounds_and_names_are_told(name: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        create_head(name, 4, **options)
