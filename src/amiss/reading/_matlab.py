"""Arrays of MATLAB's files. scipy's reader can crash on a spoilt one, so it works in a process of its own."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from amiss.reading import apart
from amiss.reading._files import MEGABYTE, ReadError, check_file

if TYPE_CHECKING:
    from amiss.reading.apart._child import Asker

_WORK = "amiss.reading._matlab:work"
_LARGEST = 128 * MEGABYTE


def read_matlab(path: str | os.PathLike[str], name: str) -> Iterator[NDArray[Any]]:
    """The arrays of a variable in a `.mat` file (of MATLAB 7.2 or older): those in its cells one after the other, by
    columns, or the one that it is.

    Raises:
        ReadError: no such file, no real one, damaged, without the variable, or one that has something else than numbers
            in it; or it ends the process that reads it.
    """
    file = check_file(path)
    if not apart.is_used():
        yield from _arrays(file, name)
        return
    try:
        for answer in apart.run(_WORK, {"name": name}, file):
            if answer.kind == "array":
                dtype, shape = np.dtype(answer.values["dtype"]), answer.values["shape"]
                yield np.frombuffer(answer.data, dtype).reshape(shape)
    except (apart.EndedError, apart.NotStartedError) as error:
        raise ReadError(str(error)) from None


def work(asker: "Asker", path: Path, request: dict[str, Any]) -> None:
    """What the other process does."""
    for array in _arrays(path, request["name"]):
        asker.tell("array", array.tobytes(), dtype=array.dtype.str, shape=array.shape)
    asker.tell("end")


def _arrays(path: Path, name: str) -> Iterator[NDArray[Any]]:
    from scipy.io import loadmat  # takes a second

    try:
        value = loadmat(path, variable_names=[name]).get(name)
    except MemoryError:
        raise
    except Exception as error:  # of damaged files scipy raises anything
        raise ReadError(str(error) or type(error).__name__) from None
    if value is None:
        raise ReadError(f"it has no variable {name!r}")
    for array in value.ravel("F") if value.dtype == object else [value]:
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
            raise ReadError(f"{name!r} holds something else than arrays of numbers")
        if array.nbytes > _LARGEST:
            raise ReadError(
                f"an array in {name!r} takes {array.nbytes // MEGABYTE} MB; {_LARGEST // MEGABYTE} are read"
            )
        yield np.ascontiguousarray(array)
