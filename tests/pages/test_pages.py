"""Pages from templates: the style, the parts, what is escaped, what is refused."""

import re
from dataclasses import fields
from importlib import resources
from pathlib import Path

import pytest
from jinja2 import Environment, FunctionLoader, TemplateNotFound, UndefinedError

from amiss.pages import DARK, LIGHT, Picture, Theme, render

PAGE = """{% extends "base.html" %}{% import "parts.html" as parts %}
{% block title %}{{ name }}{% endblock %}
{% block body %}
{{ parts.picture(shown) }}
{{ parts.curve([(0, 0.25), (10, 1.0)], 20, spans=[(2, 5)], threshold=0.5) }}
{{ parts.table(["system", "selected", "oracle"], [["a <b>", "1", "2"]], main=[1], apart=[2]) }}
{% endblock %}"""


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A room's folder of templates, as if it were part of the package."""
    templates = tmp_path / "room" / "templates"
    templates.mkdir(parents=True)
    (templates / "page.html").write_text(PAGE, encoding="utf-8")
    inside = resources.files("amiss")

    class Package:
        def joinpath(self, *parts: str) -> object:
            return tmp_path.joinpath(*parts) if parts[0] == "room" else inside.joinpath(*parts)

    monkeypatch.setattr("importlib.resources.files", lambda _: Package())
    return templates


@pytest.fixture
def page(room: Path) -> str:
    return render("room/page.html", name="<fall & rise>", shown=Picture('a "curve"', b"light", b"dark", width=300))


def test_values_are_escaped(page: str) -> None:
    assert "<title>&lt;fall &amp; rise&gt;</title>" in page
    assert "<td>a &lt;b&gt;</td>" in page
    assert 'alt="a &#34;curve&#34;"' in page


def test_page_is_complete_and_loads_nothing(page: str) -> None:
    assert page.startswith("<!doctype html>")
    assert page.rstrip().endswith("</html>")
    assert all(link.startswith("data:") for link in re.findall(r'(?:src|srcset|href)="([^"]*)"', page))
    assert "url(" not in page


def test_parts(page: str) -> None:
    assert 'srcset="data:image/png;base64,ZGFyaw=="' in page
    assert 'width="300" src="data:image/png;base64,bGlnaHQ="' in page
    assert '<rect x="2" y="-0.05" width="3" height="1.1"/>' in page
    assert '<polyline points="0,0.750 10,0.000 "/>' in page
    assert 'y1="0.500"' in page
    assert '<td class="main">1</td><td class="apart">2</td>' in page


def test_both_themes_are_in_every_page(page: str) -> None:
    style, dark = page.split("@media (prefers-color-scheme: dark)", 1)
    for name in ("background", "text", "muted", "grid", "card", "score", "event", "truth", "warning"):
        assert getattr(LIGHT, name) in style
        assert getattr(DARK, name) in dark


def test_text_can_be_read_in_both_themes() -> None:
    for theme in (LIGHT, DARK):
        for name in ("text", "muted", "score", "event", "truth", "warning"):
            assert contrast(getattr(theme, name), theme.background) >= 3, name
        assert contrast(theme.text, theme.card) >= 7
        assert contrast(theme.muted, theme.card) >= 4.5
        assert contrast(theme.warning, theme.warning_card) >= 4.5
    assert len(LIGHT.cycle) == len(DARK.cycle)
    assert all(re.fullmatch(r"#[0-9a-f]{6}", getattr(LIGHT, f.name)) for f in fields(Theme) if f.name != "cycle")


def test_forgotten_value_and_unknown_template_are_errors(room: Path) -> None:
    with pytest.raises(UndefinedError, match="'name' is undefined"):
        render("room/page.html", shown=None)
    with pytest.raises(TemplateNotFound):
        render("room/other.html")


def test_templates_of_all_rooms_can_be_parsed() -> None:
    """Every template lies in the package, where a wheel takes it from, and its text is right."""
    found = sorted(Path(str(resources.files("amiss"))).rglob("templates/*"))
    assert {path.name for path in found} >= {"base.html", "style.css", "parts.html"}
    environment = Environment(loader=FunctionLoader(lambda _: None), autoescape=True)
    environment.filters["base64"] = str
    for path in found:
        environment.parse(path.read_text(encoding="utf-8"), filename=str(path))


def contrast(one: str, other: str) -> float:
    """Contrast of two colours by WCAG 2, 1 to 21."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
