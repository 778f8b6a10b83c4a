"""Names that a package offers and imports when they are first used: torch takes seconds, a mistyped path none.

A package writes its imports under `if typing.TYPE_CHECKING:`, where readers and type checkers look for them, and below

    __getattr__ = import_late(__name__)
"""

import ast
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def import_late(package: str) -> Callable[[str], Any]:
    """The `__getattr__` of a package whose `__init__.py` has imports under `if typing.TYPE_CHECKING:`.

    Args:
        package: its `__name__`.

    Returns:
        A function that imports one of these names, and raises AttributeError for any other.
    """
    module = sys.modules[package]
    homes = _imports(Path(str(module.__file__)))

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(homes[name]), name)
        setattr(module, name, value)
        return value

    return get


def _imports(file: Path) -> dict[str, str]:
    """Name → module that it is imported from, for type checkers."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    blocks = [node for node in tree.body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    imports = [line for block in blocks for line in block.body if isinstance(line, ast.ImportFrom)]
    return {name.name: str(line.module) for line in imports for name in line.names}
