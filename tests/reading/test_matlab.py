"""Files of MATLAB, read apart."""

import os
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from amiss.reading import ReadError, read_matlab


def two_arrays() -> np.ndarray:
    cells = np.empty((1, 2), object)
    cells[0, 0], cells[0, 1] = np.arange(12.0).reshape(3, 4), np.ones((1, 4), np.uint8)
    return cells


@pytest.mark.parametrize("used", ["1", "0"])
def test_the_arrays_of_a_variable_come_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, used: str
) -> None:
    monkeypatch.setenv("AMISS_DECODE_WORKER", used)
    savemat(tmp_path / "a.mat", {"cells": two_arrays(), "one": np.eye(2), "text": "abc"})
    first, second = read_matlab(tmp_path / "a.mat", "cells")
    assert np.array_equal(first, np.arange(12.0).reshape(3, 4))
    assert (second.dtype, second.tolist()) == (np.uint8, [[1, 1, 1, 1]])
    assert np.array_equal(next(read_matlab(tmp_path / "a.mat", "one")), np.eye(2))
    for name, reason in {"text": "something else than arrays", "none": "has no variable 'none'"}.items():
        with pytest.raises(ReadError, match=reason):
            list(read_matlab(tmp_path / "a.mat", name))


def test_a_spoilt_file_is_an_error_though_its_reader_crashes(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"0": two_arrays(), "volLabel": two_arrays()})
    data = bytearray((tmp_path / "a.mat").read_bytes())
    assert data[224] == 9  # miDOUBLE, of the first array's data
    data[224] = 0  # at this scipy 1.17 reads where no memory is
    (tmp_path / "a.mat").write_bytes(data)
    with pytest.raises(ReadError):
        list(read_matlab(tmp_path / "a.mat", "0"))
    os.mkfifo(tmp_path / "b.mat")
    with pytest.raises(ReadError, match="a pipe, not a file"):
        list(read_matlab(tmp_path / "b.mat", "0"))
