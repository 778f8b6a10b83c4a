"""Pages name only what there is."""

import ast
import re
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

from helpers import ROOT

DOCS = ROOT / "docs"
_TEST = re.compile(r"`((?:[\w-]+/)*test_\w+\.py)(?:::([\w*]+))?`")


@cache
def functions_of(file: Path) -> list[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


@pytest.mark.parametrize(("page", "least"), [("faults.md", 60), ("security.md", 30), ("at-scale.md", 6)])
def test_every_test_that_a_page_names_exists(page: str, least: int) -> None:
    found = _TEST.findall((DOCS / "explanations" / page).read_text(encoding="utf-8"))
    assert len(found) > least
    for path, name in found:
        file = ROOT / "tests" / path
        assert file.is_file(), f"{page} names {path}, which isn't there"
        assert not name or any(fnmatch(test, name) for test in functions_of(file)), f"{page} names {path}::{name}"


def templates(tree: ast.AST) -> list[str]:
    """The texts of a file as a reader may see them: … for each value that is filled in."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            found.append("".join(str(v.value) if isinstance(v, ast.Constant) else "…" for v in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(re.sub(r"%[sdg]|%\.\d[fg]", "…", node.value))
    return found


def is_in(message: str, template: str) -> bool:
    """Whether the parts of a message between its … stand in a template, in their order."""
    at = 0
    for part in filter(None, (part.strip() for part in message.split("…"))):
        found = template.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return True


def test_the_messages_of_troubleshooting_are_those_of_the_program() -> None:
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    messages = re.findall(r"^### `(.+?)` \{", page, re.MULTILINE)
    assert len(messages) > 40
    texts = [
        text for file in (ROOT / "src").rglob("*.py") for text in templates(ast.parse(file.read_text(encoding="utf-8")))
    ]
    unknown = [message for message in messages if not any(is_in(message, text) for text in texts)]
    assert not unknown


def test_the_way_of_a_frame_is_drawn_and_told_in_names_of_the_program() -> None:
    drawing = (DOCS / "images/frame-to-alert.svg").read_text(encoding="utf-8")
    page = (DOCS / "explanations/frame-to-alert.md").read_text(encoding="utf-8")
    table = "\n".join(line for line in page.splitlines() if line.startswith("| **"))
    named = set(re.findall(r"\b[A-Z][a-z]+[A-Z]\w+", " ".join(re.findall(r">([^<>]+)</text>", drawing)) + table))
    assert {"LiveFrame", "CameraEvent"} <= named
    source = ROOT / "src/amiss"
    classes = {
        node.name
        for room in ("video", "watch")
        for file in (source / room).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    }
    assert named <= classes
    folder = source
    for path in re.findall(r"`([\w/]+(?:\.py|/))`", table):
        file = source / path if "/" in path else folder / path
        folder = file if path.endswith("/") else file.parent
        assert file.exists(), f"frame-to-alert.md names {path}"
