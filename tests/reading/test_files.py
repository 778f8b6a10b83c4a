"""Bytes, JSON and arrays of a file, within bounds that are settings."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from amiss.errors import FeatureError, ManifestError, UsageError
from amiss.reading import (
    ReadError,
    check_id,
    check_values,
    load_array,
    load_arrays,
    parse_json,
    read_bytes,
    refusing,
    shown,
)


def test_a_text_has_a_bound_which_is_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"1" * (1 << 20) + b" ")
    assert len(read_bytes(path)) == (1 << 20) + 1
    monkeypatch.setenv("AMISS_MAX_TEXT_MB", "1")
    with pytest.raises(ReadError, match="larger than 1 MB; if it is meant, raise the bound by AMISS_MAX_TEXT_MB"):
        read_bytes(path)
    monkeypatch.setenv("AMISS_MAX_TEXT_MB", "much")
    with pytest.raises(UsageError, match="max_text_mb is 'much'; must be a whole number"):
        read_bytes(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 65 + "]" * 65, "nested more than 64 deep"),
        ("[" * 100_000, "nested more than 64 deep"),
        ('{"a": ' * 65 + "1" + "}" * 65, "nested more than 64 deep"),
        ('{"threshold": NaN}', "holds NaN, which is not JSON: '{\"threshold\": NaN'"),
        ("[-Infinity]", "holds -Infinity"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "the name 'c' stands twice"),
        ("9" * 5000, "it is not JSON"),
        ('{"a": 1', r"it is not JSON: .* line 1 column 8"),
    ],
)
def test_json_that_is_none_or_too_deep(text: str, message: str) -> None:
    with pytest.raises(ReadError, match=message):
        parse_json(text)
    assert parse_json("[" * 64 + "]" * 64) is not None


def test_an_array_that_lies_about_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.npy"
    for shape in ("(-3, 4)", "(-3, -4, -5)", "(10**13,)", "(1000000000000000000000,)", "(True, 4)", "('a',)"):
        header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
        header += b" " * (64 - (len(header) + 11) % 64) + b"\n"
        path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\0" * 400)
        with pytest.raises(ReadError):
            load_array(path)
    np.save(path, np.arange(3.0))
    copied, mapped = load_array(path), load_array(path, mapped=True)
    assert copied.flags.writeable
    assert not mapped.flags.writeable
    np.savez_compressed(tmp_path / "bomb.npz", v=np.zeros(1 << 18))
    assert load_arrays(tmp_path / "bomb.npz")["v"].size == 1 << 18
    monkeypatch.setenv("AMISS_MAX_ARRAY_MB", "1")
    with pytest.raises(ReadError, match="take 2 MB, more than AMISS_MAX_ARRAY_MB = 1"):
        load_arrays(tmp_path / "bomb.npz")


@dataclass(frozen=True)
class _Inner:
    share: float


@dataclass(frozen=True)
class _Outer:
    count: int
    inner: tuple[_Inner, ...] = ()


def test_values_are_of_their_types_and_finite() -> None:
    assert check_values(_Outer, {"count": 1, "inner": [{"share": 1}]}) == _Outer(1, (_Inner(1.0),))
    for values, message in (
        ({"count": "1"}, "count is '1'; must be a whole number"),
        ({"count": 1, "inner": [{"share": float("nan")}]}, "inner.0.share is nan; must be a finite number"),
        ({}, "count is missing"),
        ([], "must be an object"),
    ):
        with pytest.raises(ValueError, match=message):
            check_values(_Outer, values)


def test_whatever_goes_wrong_is_one_error_of_the_asker() -> None:
    with pytest.raises(FeatureError, match=r"^x can't be read: division by zero$"), refusing(FeatureError, "x"):
        _ = 1 / 0
    again = refusing(FeatureError, "x", "is damaged", advice="train again")
    with pytest.raises(FeatureError, match=r"^x is damaged: y: train again$"), again:
        raise ManifestError("y")
    with pytest.raises(FeatureError, match=r"^as it was$"), refusing(FeatureError, "x"):
        raise FeatureError("as it was")
    with pytest.raises(FeatureError, match=r"^x does not exist$"), refusing(FeatureError, "x"):
        read_bytes("/nowhere/at all")


def test_ids_and_what_is_shown() -> None:
    assert check_id("night__lobby 2 ü") == "night__lobby 2 ü"
    assert check_id("night/1", in_folders=True) == "night/1"
    for wrong in ("", "../x", "a/b", "a\\b", ".a", "a\0b", "a\nb", "x" * 5000, 3, None):
        with pytest.raises(ValueError, match="must be a plain name"):
            check_id(wrong)
    for wrong in ("/a", "a/../b", "a//b"):
        with pytest.raises(ValueError, match="must be a plain name"):
            check_id(wrong, in_folders=True)
    assert shown("a\nb\u202e" + "c" * 200) == "'a\\nb\\u202e" + "c" * 69 + "…"
