"""Recipes, the fields of a recipe and the options of heads, from the models that check them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from amiss.heads import HeadOptions, HeadWithOptions, create_head, list_heads
from amiss.heads.distribution import VARIANTS
from amiss.training import Recipe, list_recipes
from markdown_tables import table, type_in_words

_INTRODUCTION = """\
# Recipes and heads

A recipe is everything that decides a training run except data and seed. `amiss train` takes the name of one that
amiss ships or a YAML file, and changes single fields by `--set`: `--set steps=2000`, `--set head_options.k=1`. This
page is made from the program's own models.
"""
_COLUMNS = ("field", "type", "default", "what")


def recipes_page() -> str:
    """The whole page: the recipes, the fields, then one section for each head."""
    sections = [
        _INTRODUCTION,
        "## Recipes\n",
        table(("recipe", "head", "source"), [recipe_row(recipe) for recipe in list_recipes()]),
        "What differs from the source:\n",
        *(f"- `{recipe.name}`: {_with_code(recipe.differences)}" for recipe in list_recipes() if recipe.differences),
        "",
        "## Fields of a recipe\n",
        table(_COLUMNS, list(_rows(Recipe))),
    ]
    for title, what, model in heads():
        sections += [f"## {title}\n", f"{what} Options, below `head_options` in a recipe:\n"]
        sections.append(table(("option", *_COLUMNS[1:]), list(_rows(model))))
    return "\n".join(sections)


def recipe_row(recipe: Recipe) -> tuple[str, ...]:
    """A recipe's name, its head with the options that it sets, and its source."""
    options = ", ".join(f"{name}: {value}" for name, value in recipe.head_options.items())
    return f"`{recipe.name}`", f"`{recipe.head}`" + (f" ({options})" if options else ""), recipe.source


def _with_code(text: str) -> str:
    return re.sub(r"--set \S+?(?=[;).]*(\s|$))", r"`\g<0>`", text)


def heads() -> Iterator[tuple[str, str, type[HeadOptions]]]:
    """Every head that declares its options, variants with other options apart: a title, what it is, and the options."""
    for name in list_heads():
        variants: dict[type, list[str]] = {}
        for variant in VARIANTS if name == "distribution" else [""]:
            head = create_head(name, 1, **({"variant": variant} if variant else {}))
            variants.setdefault(type(head), []).append(f"`{variant}`" if variant else "")
        for head_class, names in variants.items():
            if issubclass(head_class, HeadWithOptions):
                title = f"Head `{name}`" + (f", {' and '.join(names)}" if any(names) else "")
                yield title, _first_line(head_class), head_class.Options


def _first_line(of: type) -> str:
    return (of.__doc__ or "").partition("\n")[0]


def _rows(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _rows(field.annotation, f"{prefix}{name}.")
        else:
            what = field.description or ""
            yield f"`{prefix}{name}`", type_in_words(field.annotation, field.metadata), _default(field), what


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    return "" if value in ("", {}) else f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"
