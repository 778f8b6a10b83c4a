"""A template and its values → one HTML document that loads nothing from elsewhere.

A room's own templates lie in its folder `templates/` and extend `base.html`, which brings the style. `parts.html` has
the parts that several pages share: tables, pictures, curves of scores.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from amiss.pages._colours import DARK, LIGHT

if TYPE_CHECKING:  # pages are made seldom, and figures take their colours from here
    from jinja2 import Environment


@dataclass(frozen=True)
class Picture:
    """A picture that is there in both themes; the macro `picture` of `parts.html` shows it."""

    alt: str
    light: bytes
    """PNG."""
    dark: bytes
    """PNG."""
    width: int | None = None
    """In CSS pixels; None: as wide as it is."""


def render(name: str, /, **values: object) -> str:
    """Fill in a template. Values are escaped; a value that the template names and the caller forgot is an error.

    Args:
        name: `ROOM/FILE` is `FILE` in the folder `templates/` of the package `amiss.ROOM`, such as `bench/report.html`
            or `watch/http/event.html`; a bare `FILE` is one of this room.
        values: by the names that the template uses.

    Raises:
        jinja2.TemplateNotFound: no such template.
        jinja2.UndefinedError: a value is missing.
    """
    return _environment().get_template(name).render(**values)


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(_source),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["themes"] = {"light": LIGHT, "dark": DARK}
    environment.filters["base64"] = lambda data: base64.b64encode(data).decode("ascii")
    return environment


def _source(name: str) -> tuple[str, str, Callable[[], bool]] | None:
    """A template's text, file, and whether it is up to date: what is installed doesn't change."""
    room, _, file = name.rpartition("/")
    folder = resources.files("amiss").joinpath(*(room or "pages").split("/"), "templates")
    path = folder.joinpath(file)
    if not path.is_file():
        return None
    return path.read_text(encoding="utf-8"), str(path), lambda: True
