"""Pages that people read: short lines, files and tests that are there, and the house as it is built."""

import re
import tomllib
from pathlib import Path

import pytest

from helpers import ROOT

PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "examples").glob("*.md"), *(ROOT / "docs").rglob("*.md")],
    key=lambda path: path.as_posix(),
)
NAMED = re.compile(r"`((?:src|tests|docs|examples|benchmarks|deploy)/[\w./*-]+)`")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_lines_are_short(page: Path) -> None:
    long = [
        f"{number}: {line[:60]}"
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > 120
        and not line.lstrip().startswith(("|", "#", "!["))  # rows, headings and pictures are one line
    ]
    assert not long


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_that_are_named_are_there(page: Path) -> None:
    wanted = {path for path in NAMED.findall(page.read_text(encoding="utf-8")) if not path.endswith("_name.py")}
    if page.name.startswith("add-a"):  # names files that the reader makes
        wanted = {str(Path(path).parent) for path in wanted}
    assert [path for path in sorted(wanted) if not any(ROOT.glob(path.rstrip("/")))] == []


def test_the_house_page_has_every_room_on_its_floor() -> None:
    page = (ROOT / "docs/explanations/house.md").read_text(encoding="utf-8")
    table = page.partition("## The floors")[2].partition("\n## ")[0]
    floors = [set(re.findall("`(.+?)`", row.split("|")[1])) for row in table.splitlines() if row.startswith("| `")]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    house = next(contract for contract in contracts if contract["name"].startswith("The house"))
    assert floors == [set(floor.split(" | ")) for floor in house["layers"]]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_that_are_included_are_there(page: Path) -> None:
    marks = [line.strip() for line in page.read_text(encoding="utf-8").splitlines() if re.match(r"\s*-+ ?8 ?<", line)]
    for mark in marks:
        found = re.fullmatch(r'--8<-- "([\w/.-]+)(?::(\w+))?"', mark)
        assert found, f"{mark} includes nothing"
        text = (ROOT / found[1]).read_text(encoding="utf-8")
        assert not found[2] or f"[start:{found[2]}]" in text, f"{mark}: no such part"


def test_the_readme_says_what_ci_and_the_tutorials_do() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^    ((?:amiss|pip|cp) .*)$", readme, re.MULTILINE)
    demo, tests, *others = commands
    assert demo == "pip install -c constraints.txt . && amiss demo"
    assert tests == "pip install -c constraints.txt -e '.[dev]' && pytest"
    ci = (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()
    assert "pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'" in ci
    assert ci[-1] == "pytest"
    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").rglob("*.md"))
    assert demo in pages
    assert [command for command in others[:5] if command not in pages] == []  # one's own videos
    told = {" ".join(command.split()[1:2]) for command in re.findall(r"amiss \w+", " ".join(commands))}
    assert [name for name in sorted(told) if f"<!-- command: amiss {name}" not in pages] == []
