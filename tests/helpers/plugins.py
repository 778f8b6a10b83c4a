"""Another package, as pip would have installed it."""

import sys
from pathlib import Path

import pytest


def install_plugin(
    monkeypatch: pytest.MonkeyPatch, folder: Path, group: str, name: str, value: str, code: str = ""
) -> None:
    """Put a package with one entry point on the path until the test ends.

    Args:
        monkeypatch: undoes it.
        folder: empty; becomes its place of installation.
        group: of the entry point.
        name: of the entry point.
        value: of the entry point: `module:attribute`.
        code: of that module; empty = it exists already, or not at all.
    """
    module = value.partition(":")[0]
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{name} = {value}\n", encoding="utf-8")
    if code:
        (folder / f"{module}.py").write_text(code, encoding="utf-8")
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.syspath_prepend(folder)
