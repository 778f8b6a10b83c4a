"""Files of JSON lines, whole and spoilt."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amiss.reading import ReadError, read_json_lines


def number(values: dict[str, int]) -> int:
    return values["n"]


def test_what_is_whole_is_read_and_what_is_not_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    assert read_json_lines(path, number).lines == ()
    path.write_bytes(
        b'\xef\xbb\xbf{"n": 1}\r\n\n[2]\n{"n": 3, "m\n' + bytes(50) + b'{"n": 4}\n\xff\n' + b"[" * 9999 + b'\n{"n": 5}'
    )
    found = read_json_lines(path, number)
    assert found.values == [1, 4, 5]
    assert [line.number for line in found.damaged] == [3, 4, 5, 6, 7]
    assert found.damage.startswith("5 lines are damaged (line 3: list indices")
    problems = [line.problem for line in found.damaged[2:]]
    assert problems[0] == "nothing but zeros, as a power cut leaves them"
    assert problems[1:] == ["it is not UTF-8", "it is nested more than 64 deep"]
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ReadError, match="a pipe"):
        read_json_lines(tmp_path / "pipe", number)


@given(st.binary(max_size=200), st.integers(0, 30))
def test_whatever_is_cut_off_or_added_whole_lines_stay(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, cut: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "lines.jsonl"
    whole = b"".join(b'{"n": %d}\n' % i for i in range(4))
    path.write_bytes(whole[: len(whole) - cut] + b"\n" + junk + b"\n" + b'{"n": 9}\n')
    values = [line.value for line in read_json_lines(path, number).lines]
    n_whole = (len(whole) - cut + 1) // 9
    assert values[:n_whole] == list(range(n_whole))
    assert values[-1] == 9
