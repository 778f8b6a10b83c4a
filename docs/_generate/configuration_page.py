"""The configuration of `amiss watch`: every field with its type, default and docstring, from the models themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from amiss.watch import Config
from markdown_tables import table, type_in_words

_INTRODUCTION = """\
# Configuration

One YAML file configures [`amiss watch`](commands.md#amiss-watch). This page is made from the program's own models;
`amiss config schema` prints the same as a JSON schema, which editors read. `amiss config check FILE` names every
mistake in a file with its line.

- Only `cameras` is required. A camera's fields that are left out come from `defaults`, field by field.
- Relative paths start at the folder of the file.
- `${NAME}` in any text is a variable of the environment. `${file:/run/secrets/name}` is the text of a file.
  `$${` is a plain `${`.
- Truth values are `true` and `false`. `on`, `off`, `yes` and `no` are words, as in YAML 1.2.
- A field that doesn't exist is an error, with the name that you may have meant.

An example, [explained step by step](../tutorials/own-cameras.md):

```yaml
--8<-- "examples/watch.yaml"
```
"""


def configuration_page() -> str:
    """The whole page: the file's own fields, then one section for each part."""
    sections = [_INTRODUCTION]
    for path, model in models():
        heading = f"## {path} {{ #{_anchor(path)} }}" if path else "## The file"
        rows = [
            (f"`{name}`", _type(field), _default(name, field), field.description or "") for name, field in fields(model)
        ]
        sections.append(f"{heading}\n\n{_summary(model)}\n\n" + table(("field", "type", "default", "what"), rows))
    return "\n".join(sections)


def models() -> list[tuple[str, type[BaseModel]]]:
    """Every model of the configuration once, with its place in the file, e.g. `cameras.NAME.source`."""
    found: dict[type[BaseModel], str] = {Config: ""}
    queue = [Config]
    while queue:
        model = queue.pop(0)
        for name, field in fields(model):
            for part, is_mapping, is_list in _parts(field.annotation):
                if part not in found:
                    path = f"{found[model]}.{name}".lstrip(".") + (".NAME" if is_mapping else "[]" if is_list else "")
                    kind = _kind(part)
                    found[part] = f"{path} (kind: {kind})" if kind else path
                    queue.append(part)
    order = {name: i for i, name in enumerate(Config.model_fields)}
    return sorted(((path, model) for model, path in found.items()), key=lambda item: order.get(_first(item[0]), -1))


def _first(path: str) -> str:
    return path.split(".")[0].removesuffix("[]")


def fields(model: type[BaseModel]) -> list[tuple[str, FieldInfo]]:
    """A model's fields, under the names that the file has for them; those that are required first."""
    named = [(field.alias or name, field) for name, field in model.model_fields.items()]
    return sorted(named, key=lambda item: not item[1].is_required())


def _parts(annotation: Any, is_mapping: bool = False, is_list: bool = False) -> Iterator[tuple[Any, bool, bool]]:
    """The models within an annotation, and whether they are values of a mapping or items of a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, is_mapping, is_list
    origin = getattr(annotation, "__origin__", None)
    for inner in get_args(annotation):
        yield from _parts(inner, is_mapping or origin is dict, is_list or origin in (list, tuple))


def _kind(model: type[BaseModel]) -> str:
    field = model.model_fields.get("kind")
    return "" if field is None else str(get_args(field.annotation)[0])


def _summary(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split("\n\n")[0].split())


def _type(field: FieldInfo) -> str:
    inner = [(path, model) for path, model in models() if model in [part for part, *_ in _parts(field.annotation)]]
    if not inner:
        return type_in_words(field.annotation, field.metadata)
    return ", ".join(f"[{path}](#{_anchor(path)})" for path, _ in inner)


def _anchor(path: str) -> str:
    return re.sub(r"[^a-z]+", "-", path.lower()).strip("-")


def _default(name: str, field: FieldInfo) -> str:
    if field.is_required() or name == "kind":
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, BaseModel) or value in ([], {}, ()):
        return ""
    return f"`{value}`" if isinstance(value, str | Path) else f"`{json.dumps(value, default=str)}`"
