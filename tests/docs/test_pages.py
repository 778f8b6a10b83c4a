"""Pages name only what there is."""

import ast
import re
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

from helpers import ROOT

DOCS = ROOT / "docs"
_TEST = re.compile(r"`((?:[\w-]+/)*test_\w+\.py)(?:::([\w*]+))?`")


@cache
def functions_of(file: Path) -> list[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def test_every_test_that_the_page_of_faults_names_exists() -> None:
    found = _TEST.findall((DOCS / "explanations/faults.md").read_text(encoding="utf-8"))
    assert len(found) > 60
    for path, name in found:
        file = ROOT / "tests" / path
        assert file.is_file(), f"faults.md names {path}, which isn't there"
        assert not name or any(fnmatch(test, name) for test in functions_of(file)), f"faults.md names {path}::{name}"
