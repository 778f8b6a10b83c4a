"""The pages for people who come from another project: each command parses, and the walks on them run.

Walks run on files in that project's layouts, with made-up values. Networks are too slow for every run of the tests:
what `amiss extract` would write is made up too, and videos are not scored. `pytest -m slow` leaves nothing out.
"""

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from amiss.backbones import published_spec
from amiss.cli import app
from helpers import ROOT
from helpers.command import amiss
from helpers.source_systems import WORLDS, crc_weights, write_features

PAGES = sorted((ROOT / "docs/coming-from").glob("*.md"))
SYSTEMS = [page for page in PAGES if page.stem != "index"]
SMALL = ("steps=4", "evaluate_every=2", "calibration.folds=2", "batch.normal=4", "batch.anomalous=4")
QUICK = {"train": [word for setting in SMALL for word in ("--set", setting)]}

SMALLER = {
    "segments=320": "segments=16",
    "head_options.channels=512": "head_options.channels=16",
    "head_options.channels=null": "head_options.channels=16",
}
"""Settings of the papers → settings for seconds; those of QUICK come last, and win."""


def name(page: Path) -> str:
    return page.stem


def walk(page: Path) -> list[list[str]]:
    """The commands of the indented blocks, in their order."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    return [shlex.split(line)[1:] for line in re.findall(r"^    (amiss .+)$", text, re.MULTILINE)]


def mentioned(page: Path) -> list[list[str]]:
    """The commands within lines of text and tables."""
    return [shlex.split(span)[1:] for span in re.findall(r"`(amiss [^`]+)`", page.read_text(encoding="utf-8"))]


def parse(args: list[str]) -> dict[str, Any]:
    """Parse a command as the program does; its values by name, and its words as `command`."""
    command: Any = typer.main.get_command(app)
    words: list[str] = []
    while hasattr(command, "commands"):
        assert len(args) > len(words), f"{words} is only a group"
        words.append(args[len(words)])
        command = command.commands[words[-1]]
    context = command.make_context(" ".join(words), list(args[len(words) :]))
    return {"command": " ".join(words), **context.params}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_each_command_parses(page: Path) -> None:
    for args in walk(page):
        parse(args)
    for args in mentioned(page):
        if any(arg.startswith("-") for arg in args):
            parse(args)
        else:  # named only, or with what it takes
            names = {" ".join(args[:length]) for length in (1, 2)}
            assert names & set(commands()), f"{page.name} names amiss {' '.join(args)}"


def commands() -> Iterator[str]:
    root: Any = typer.main.get_command(app)
    for word, command in root.commands.items():
        yield word
        yield from (f"{word} {inner}" for inner in getattr(command, "commands", ()))


@pytest.mark.parametrize("page", SYSTEMS, ids=name)
def test_the_walk_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(page, tmp_path, monkeypatch, quick)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in SYSTEMS if page.stem in ("ekosman", "nevinbaiju")], ids=name)
def test_the_walk_runs_with_its_network(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crc_weights(tmp_path / "c3d.pickle", "c3d_fc6_x112")
    run(page, tmp_path, monkeypatch, in_full)


def run(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, how: Callable[[list[str]], None]) -> None:
    monkeypatch.chdir(folder)
    WORLDS[page.stem](folder)
    assert walk(page)
    for args in walk(page):
        how(args)


def quick(args: list[str]) -> None:
    """Run a command, unless it is one that runs a network."""
    values = parse(args)
    if values["command"] == "extract":
        spec = published_spec(values["backbone"], crops=values["crops"], preset=values["preset"])
        write_features(values["out"], spec, values["targets"][0])
    elif not (values["command"] == "detect" and values["videos"] and values["features"] is None):
        in_full(args)


def in_full(args: list[str]) -> None:
    args = [SMALLER.get(arg, arg) for arg in args]
    ran = amiss(*args, *QUICK.get(args[0], []))
    assert ran.code == 0, f"amiss {shlex.join(args)}\n{ran.err}"
