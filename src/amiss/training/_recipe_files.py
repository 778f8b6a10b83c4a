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
_OF_ONE = ("name", "source", "differences", "head", "class_vectors", "alternatives")  # fields of a recipe alone
_BY_NAME: Registry[Recipe] = Registry("recipe", {recipe.name: recipe for recipe in RECIPES})


def list_recipes() -> list[Recipe]:
    """The recipes amiss ships."""
    return list(RECIPES)


def load_recipe(name: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Recipe:
    """A recipe by name, or from a recipe.yaml, with fields changed.

    Args:
        name: of `list_recipes()`, or a YAML file such as a run's recipe.yaml.
        overrides: `key=value`, nested keys joined by dots; values are read as JSON, else taken as text (but for
            what begins like a list or an object). What the recipe and its alternatives have in common changes in all of
            them, see `Recipe.alternatives`.

    Raises:
        UsageError: no such recipe or field, or a value that the field can't take.
    """
    values = _find(name)
    changes = [_split(override) for override in overrides]
    for key, value in changes:
        if key in _OF_ONE:
            _set(values, key, value)
    values = _validated(values, str(name)).model_dump(mode="json")
    for key, value in changes:
        if key not in _OF_ONE:
            for candidate in _reached(key, values):
                _set(candidate, key, value)
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


def _split(override: str) -> tuple[str, Any]:
    """Key and value."""
    key, equals, text = override.partition("=")
    if not equals:
        raise UsageError(f"--set {override!r} is not of the form key=value")
    value = _parse(text.strip())
    if isinstance(value, str) and value.startswith(("[", "{")):  # a shell took the quotes, or there were none
        raise UsageError(
            f"--set {shown(override)}: {shown(value)} is not JSON. Quote texts in it, and all of it for the shell: "
            f"""--set '{key.strip()}=["one", "two"]'"""
        )
    return key.strip(), value


def _reached(key: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    """Which of a recipe and its alternatives a change is for."""
    candidates = [values, *values["alternatives"]]
    where, _, option = key.partition(".")
    if len(candidates) == 1 or where != "head_options":
        return candidates
    from amiss.heads import has_option  # with torch, which takes seconds

    return [one for one in candidates if has_option(one["head"], option)] or [values]  # which then says what is wrong


def _with_whole_recipes(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same, with recipes where others are given by name; what else is given is for the model to check."""
    whole = dict(values)
    others = whole.get("alternatives", [])
    others = [others] if isinstance(others, str) else others
    if isinstance(others, list | tuple):
        whole["alternatives"] = [_whole(one) for one in others]
    teaching = whole.get("teaching")
    if isinstance(teaching, dict) and "teacher" in teaching:
        whole["teaching"] = {**teaching, "teacher": _whole(teaching["teacher"])}
    return whole


def _whole(recipe: Any) -> Any:
    if isinstance(recipe, str):
        return _find(recipe)
    return _with_whole_recipes(recipe) if isinstance(recipe, dict) else recipe


def _validated(values: Mapping[str, Any], source: str) -> Recipe:
    try:
        return Recipe.model_validate(_with_whole_recipes(values))
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
