"""How a recipe is found, changed and written."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from amiss.errors import UsageError
from amiss.reading import ReadError, parse_json, read_text, refusing, shown
from amiss.registry import Registry, did_you_mean
from amiss.settings import problems_of
from amiss.training._recipe import Recipe
from amiss.training._shipped_recipes import RECIPES
from amiss.yaml import MAX_LENGTH, read_yaml, write_yaml

_LONGEST = 1500  # characters of what is wrong with one recipe
_BY_NAME: Registry[Recipe] = Registry("recipe", {recipe.name: recipe for recipe in RECIPES})


def list_recipes() -> list[Recipe]:
    """The recipes amiss ships."""
    return list(RECIPES)


def load_recipe(name: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Recipe:
    """A recipe by name, or from a recipe.yaml, with fields changed.

    Args:
        name: of `list_recipes()`, or a YAML file such as a run's recipe.yaml.
        overrides: `key=value`, nested keys joined by dots; values are read as JSON, else taken as text.

    Raises:
        UsageError: no such recipe or field, or a value that the field can't take.
    """
    values = _find(name)
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise UsageError(f"--set {override!r} is not of the form key=value")
        _set(values, key.strip(), _parse(text.strip()))
    return _validated(values, str(name))


def recipe_to_yaml(recipe: Recipe) -> str:
    """The recipe as YAML; `load_recipe` reads it."""
    return write_yaml(recipe.model_dump(mode="json"))


def _find(name: str | os.PathLike[str]) -> dict[str, Any]:
    if str(name) in _BY_NAME:
        return _BY_NAME[str(name)].model_dump(mode="json")
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        raise UsageError(f"{_BY_NAME.unknown(str(name))}; a file must end in .yaml")
    with refusing(UsageError, f"recipe {path}"):
        values, _ = read_yaml(read_text(path, MAX_LENGTH))
    if not isinstance(values, dict):
        raise UsageError(f"recipe {path} is not a mapping of fields")
    return _validated(values, str(path)).model_dump(mode="json")


def _validated(values: Mapping[str, Any], source: str) -> Recipe:
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        problems = [
            _no_field(problem.field) if problem.kind == "extra_forbidden" else str(problem)
            for problem in problems_of(error, Recipe)
        ]
        text = "; ".join(problems)
        raise UsageError(f"recipe {source}: {shown(text, quoted=False, most=_LONGEST)}") from None


def _set(values: dict[str, Any], key: str, value: Any) -> None:
    known = list(_fields(Recipe))
    if key not in known and not key.startswith("head_options."):
        raise UsageError(_no_field(key))
    *parents, last = key.split(".")
    if len(parents) > 1 or not last:
        raise UsageError(_no_field(key))
    for parent in parents:
        values = values[parent]
    values[last] = value


def _no_field(key: str) -> str:
    known = list(_fields(Recipe))
    nested = [name for name in known if name.endswith("." + key)]
    hint = did_you_mean(key, known) or (f"Did you mean {nested[0]!r}? " if nested else "")
    return f"recipes have no field {shown(key)}. {hint}Fields are {', '.join(known)}, and head_options.<option>"


def _fields(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Names of all settable fields, nested ones joined by dots."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _fields(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name


def _parse(text: str) -> Any:
    try:
        return parse_json(text)
    except ReadError:
        return text
