"""The site's reference names every command, option, setting and error, as the code has them."""

import re
from importlib import import_module
from typing import Any

import griffe
import pytest
import typer

from amiss.cli import app
from amiss.errors import AmissError, UsageError
from amiss.heads import list_heads
from amiss.training import list_recipes
from amiss.watch import Config
from amiss.yaml import read_yaml
from command_pages import commands, fill_in_commands
from configuration_page import configuration_page
from error_page import error_classes, fill_in_errors
from helpers import ROOT
from python_pages import PACKAGES
from recipes_page import recipes_page

DOCS = ROOT / "docs"


def read(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def leaves(group: Any, prefix: str = "amiss") -> list[str]:
    names = []
    for name, command in group.commands.items():
        names += leaves(command, f"{prefix} {name}") if hasattr(command, "commands") else [f"{prefix} {name}"]
    return names


def test_every_command_is_on_its_page_with_all_its_options() -> None:
    page = fill_in_commands(read("reference/commands.md"))
    for name in leaves(typer.main.get_command(app)):
        command = commands()[name]
        assert f"```text\n{name}" in page
        for item in command.params:
            assert item.help, f"{name}: {item.name} has no help"
            if item.param_type_name == "option" and item.name != "help":
                assert f"`{item.opts[0]}" in page


def test_a_command_without_a_mark_is_told() -> None:
    page = read("reference/commands.md").replace("<!-- command: amiss extract -->", "")
    with pytest.raises(UsageError, match="no mark for amiss extract"):
        fill_in_commands(page)


def test_a_mark_without_a_command_is_told() -> None:
    with pytest.raises(UsageError, match="amiss dance"):
        fill_in_commands(read("reference/commands.md") + "\n<!-- command: amiss dance -->\n")


def properties(schema: Any) -> set[str]:
    """Every field of a JSON schema, on all levels."""
    if isinstance(schema, list):
        return set().union(*map(properties, schema))
    if not isinstance(schema, dict):
        return set()
    names = set(schema.get("properties", {}))
    return names.union(*map(properties, schema.values()))


def test_every_setting_is_on_its_page_with_words() -> None:
    page = configuration_page()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    shown = {re.match(r"\| `(\w+)`", row)[1] for row in rows}  # type: ignore[index]
    assert shown == properties(Config.model_json_schema())
    for row in rows:
        cells = [cell.strip() for cell in row.strip("| ").split(" | ")]
        assert cells[1], row
        assert cells[-1], row


def test_every_recipe_and_every_option_of_a_head_is_on_its_page_with_words() -> None:
    page = recipes_page()
    for recipe in list_recipes():
        assert f"| `{recipe.name}` |" in page
    for name in list_heads():
        assert f"## Head `{name}`" in page
    fields = page.partition("## Fields of a recipe")[2]
    rows = [line.strip("| ").split(" | ") for line in fields.splitlines() if line.startswith("| `")]
    assert {"`selection.patience`", "`margin`", "`densities`", "`clip_scores`"} <= {cells[0] for cells in rows}
    assert all(cells[-1].strip() for cells in rows), rows


def test_every_error_is_on_its_page() -> None:
    page = fill_in_errors(read("reference/errors.md"))
    assert AmissError in error_classes()
    for error in error_classes():
        assert f"| `{error.__name__}` |" in page


def test_every_public_name_has_words() -> None:
    house = griffe.load("amiss", search_paths=[ROOT / "src"])
    silent = []
    for package in PACKAGES:
        room = house[package.partition(".")[2]] if "." in package else house
        for name in import_module(package).__all__:
            if not (name.startswith("__") or room[name].has_docstring):
                silent.append(f"{package}.{name}")
    assert not silent


def pages(nav: Any) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    return [page for item in (nav.values() if isinstance(nav, dict) else nav) for page in pages(item)]


def test_every_page_is_in_the_navigation() -> None:
    listed = set(pages(read_yaml((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))[0]["nav"]))
    assert {file.relative_to(DOCS).as_posix() for file in DOCS.rglob("*.md")} <= listed
