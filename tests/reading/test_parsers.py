"""Whatever stands in a file of somebody else: a right answer or one line, in bounded time."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from helpers.parsers import PARSERS, Parser, refusal

QUICK = settings(
    max_examples=20,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
LONG = settings(QUICK, max_examples=2000, phases=list(Phase))
ODD = (b"\0", b"\xff", b"\xff\xfe", b'"', b",", b";", b"\n", b"\r", b"[", b"{", b"}", b"-1", b"1e999", b"NaN", b"null",
       b"0", b"99999999999999999999", b"\x1b[31m", "\u202e".encode(), "\u2028".encode(), b"a" * 3000, b": ", b"!!int x",
       b"*a", b"&a ", b"'", b"\\", b"/", b"..", b"true", b"<<: *a", b"${HOME}", b"$" )  # fmt: skip

Spoil = st.tuples(st.floats(0, 1), st.integers(0, 40), st.one_of(st.sampled_from(ODD), st.binary(max_size=20)))
"""Where, how many bytes are removed, and what is put there."""
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["a\0b", "../x", "x" * 3000, "1", -1, 0, 2.0, 1e308, 10**30]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def spoilt(data: bytes, spoils: list[tuple[float, int, bytes]]) -> bytes:
    for place, removed, put in spoils:
        at = round(place * len(data))
        data = data[:at] + put + data[at + removed :]
    return data


def replaced(value: Any, path: list[int], new: Any) -> Any:
    """JSON values with the one at a path of positions replaced."""
    if not path or not isinstance(value, dict | list) or not value:
        return new
    if isinstance(value, list):
        at = path[0] % len(value)
        return [*value[:at], replaced(value[at], path[1:], new), *value[at + 1 :]]
    key = sorted(value)[path[0] % len(value)]
    return value | {key: replaced(value[key], path[1:], new)}


def check_spoilt_bytes(parser: Parser, folder: Path, data: st.DataObject) -> None:
    file = folder / parser.file
    good = file.read_bytes()
    bad = data.draw(st.one_of(st.lists(Spoil, min_size=1, max_size=4).map(lambda s: spoilt(good, s)), st.binary()))
    try:
        file.write_bytes(bad)
        refusal(lambda: parser.read(folder))
    finally:
        file.write_bytes(good)


def check_spoilt_values(parser: Parser, folder: Path, data: st.DataObject) -> None:
    file = folder / parser.file
    good = file.read_bytes()
    lines = good.decode().splitlines() if parser.file.endswith(".jsonl") else [good.decode()]
    path, new = data.draw(st.lists(st.integers(0, 30), max_size=5)), data.draw(VALUES)
    try:
        first = json.dumps(replaced(json.loads(lines[0]), path, new))
        file.write_text("\n".join([first, *lines[1:]]))
        refusal(lambda: parser.read(folder))
    finally:
        file.write_bytes(good)


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    request.param.make(tmp_path)
    assert refusal(lambda: request.param.read(tmp_path)) is None
    return tmp_path


EVERY = pytest.mark.parametrize(("parser", "folder"), [(p, p) for p in PARSERS], ids=[p.name for p in PARSERS],
                                indirect=["folder"])  # fmt: skip
OF_JSON = [p for p in PARSERS if p.file.endswith((".json", ".jsonl"))]
EVERY_JSON = pytest.mark.parametrize(("parser", "folder"), [(p, p) for p in OF_JSON], ids=[p.name for p in OF_JSON],
                                     indirect=["folder"])  # fmt: skip


@EVERY
@QUICK
@given(data=st.data())
def test_spoilt_bytes(parser: Parser, folder: Path, data: st.DataObject) -> None:
    check_spoilt_bytes(parser, folder, data)


@EVERY_JSON
@QUICK
@given(data=st.data())
def test_spoilt_values(parser: Parser, folder: Path, data: st.DataObject) -> None:
    check_spoilt_values(parser, folder, data)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each container in JSON values with each of its keys."""
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from places(value[key])


@EVERY_JSON
@pytest.mark.parametrize("odd", ["x" * 3000, "\ud7fc\x1b"], ids=["long", "unprintable"])
def test_what_is_long_or_unprintable_is_shown_as_a_line(parser: Parser, folder: Path, odd: str) -> None:
    file = folder / parser.file
    good, *rest = file.read_text().splitlines() if parser.file.endswith(".jsonl") else [file.read_text()]
    for i in range(len(list(places(json.loads(good))))):
        for as_name in (False, True):
            values = json.loads(good)
            within, key = list(places(values))[i]
            if as_name and isinstance(within, dict):
                within[odd] = within.pop(key)
            else:
                within[key] = odd
            file.write_text("\n".join([json.dumps(values), *rest]))
            refusal(lambda: parser.read(folder))


@pytest.mark.slow
@EVERY
@LONG
@given(data=st.data())
def test_spoilt_bytes_at_length(parser: Parser, folder: Path, data: st.DataObject) -> None:
    check_spoilt_bytes(parser, folder, data)


@pytest.mark.slow
@EVERY_JSON
@LONG
@given(data=st.data())
def test_spoilt_values_at_length(parser: Parser, folder: Path, data: st.DataObject) -> None:
    check_spoilt_values(parser, folder, data)


@EVERY
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "empty", "deep", "nul"])
def test_what_is_no_file_of_that_kind(parser: Parser, folder: Path, kind: str) -> None:
    file = folder / parser.file
    file.unlink()
    match kind:
        case "pipe":
            os.mkfifo(file)
        case "device":
            file.symlink_to("/dev/zero")
        case "folder":
            file.mkdir()
        case "empty":
            file.touch()
        case "deep":
            file.write_text("[" * 100_000)
        case "nul":
            file.write_bytes(b"\0" * 5000)
    said = refusal(lambda: parser.read(folder))
    assert said is not None or kind in ("empty", "deep", "nul") or "in/" in parser.file or parser.name == "result"
