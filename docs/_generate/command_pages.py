"""The command line: usage, arguments and options of each command, from typer's own objects."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import typer

from amiss.cli import app
from amiss.errors import UsageError
from markdown_tables import table, type_in_words

_MARK = re.compile(r"^<!-- command: (amiss [a-z -]+?) -->$", re.MULTILINE)
_VALUES = {"path": "PATH", "whole number": "N", "number": "X"}


def commands() -> dict[str, Any]:
    """Every command of `amiss`, such as `amiss dataset build` → typer's object."""
    return dict(_walk(typer.main.get_command(app), "amiss"))


def _walk(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _walk(command, f"{prefix} {name}")
        elif not command.hidden:
            yield f"{prefix} {name}", command


def fill_in_commands(markdown: str) -> str:
    """Put each command's usage and options where the page has its mark.

    Raises:
        UsageError: a command has no mark, two marks, or a mark has no command.
    """
    known, marks = commands(), _MARK.findall(markdown)
    if missing := sorted(set(known) - set(marks)):
        raise UsageError(f"docs/reference/commands.md has no mark for {', '.join(missing)}: add <!-- command: NAME -->")
    if unknown := sorted(name for name in marks if name not in known or marks.count(name) > 1):
        raise UsageError(f"docs/reference/commands.md marks what is no command, or twice: {', '.join(unknown)}")
    return _MARK.sub(lambda mark: command_section(mark[1], known[mark[1]]), markdown)


def command_section(name: str, command: Any) -> str:
    """What a command does, how it is called, and a table of what it takes."""
    hints = get_type_hints(command.callback, include_extras=False)
    shown = [item for item in command.params if not getattr(item, "hidden", False) and item.name != "help"]
    lines = [name, *(_usage(item, hints) for item in shown)]
    rows = [(_label(item, hints), item.help or "", _default(item)) for item in shown]
    parts = [command.help.split("\n\n")[0], "```text\n" + _wrapped(lines) + "\n```"]
    if rows:
        parts.append(table(("argument or option", "what", "default"), rows))
    return "\n\n".join(parts)


def _wrapped(pieces: list[str], width: int = 80) -> str:
    lines, indent = [pieces[0]], " " * (len(pieces[0]) + 1)
    for piece in pieces[1:]:
        if len(lines[-1]) + len(piece) < width:
            lines[-1] += f" {piece}"
        else:
            lines.append(indent + piece)
    return "\n".join(lines)


def _is_argument(item: Any) -> bool:
    return bool(item.param_type_name == "argument")


def _value(item: Any, hints: dict[str, Any]) -> str:
    """What stands for an option's value; empty = it takes none."""
    if getattr(item, "is_flag", False):
        return ""
    words = type_in_words(hints.get(item.name, str)).removeprefix("list of ").removesuffix(" or null")
    return str(item.metavar or _VALUES.get(words.removeprefix("list of "), "TEXT"))


def _name(item: Any, hints: dict[str, Any]) -> str:
    if _is_argument(item):
        return str(item.metavar or item.name.upper().rstrip("_"))
    return f"{item.opts[0]} {_value(item, hints)}".strip()


def _usage(item: Any, hints: dict[str, Any]) -> str:
    name = _name(item, hints)
    more = "…" if item.nargs == -1 or getattr(item, "multiple", False) else ""
    return f"{name}{more}" if item.required else f"[{name}]{more}"


def _label(item: Any, hints: dict[str, Any]) -> str:
    names = [_name(item, hints), *(() if _is_argument(item) else item.opts[1:]), *item.secondary_opts]
    return ", ".join(f"`{name}`" for name in names)


def _default(item: Any) -> str:
    if item.required:
        return "required"
    if getattr(item, "is_flag", False) or item.default in (None, (), []):
        return ""
    return f"`{Path(item.default) if isinstance(item.default, Path) else item.default}`"
