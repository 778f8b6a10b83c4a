"""Arrays of numpy's files, within bounds."""

import os
import zipfile
from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amiss.reading._files import MEGABYTE, ReadError, check_file, reading_bounds
from amiss.storage import Url, cached


def load_array(path: str | os.PathLike[str], *, mapped: bool = False) -> NDArray[Any]:
    """The array of an `.npy` file. A header that says more than the file holds is refused.

    Args:
        path: of the file.
        mapped: leave it on disk, memory-mapped read-only; it then changes with the file.

    Raises:
        ReadError: no such file, no real one, damaged, or without an array of plain numbers or texts.
    """
    try:
        file = cached(path) if isinstance(path, Url) else check_file(path)
        array: Any = np.load(file, mmap_mode="r", allow_pickle=False)
    except ReadError:
        raise
    except Exception as error:  # numpy raises five kinds of errors over bad headers
        if "pickle" in str(error):
            raise ReadError("it holds no array of numbers") from None
        reason = getattr(error, "strerror", None) or str(error) or "it is damaged"
        raise ReadError(reason, transient=getattr(error, "transient", False)) from None
    if not isinstance(array, np.ndarray):
        raise ReadError("it is an archive of arrays, not one array")
    return array if mapped else np.array(array)


def load_arrays(path: str | os.PathLike[str], names: Collection[str] | None = None) -> dict[str, NDArray[Any]]:
    """The arrays of an `.npz` file, by name.

    Args:
        path: of the file.
        names: of those that are read; None = all.

    Raises:
        ReadError: as `load_array`; or they are larger than the bound once unpacked, or one isn't there.
    """
    most, at = reading_bounds().max_array_mb, ""
    try:
        file = cached(path) if isinstance(path, Url) else check_file(path)
        with zipfile.ZipFile(file) as archive:
            sizes = {member.filename.removesuffix(".npy"): member.file_size for member in archive.infolist()}
        if lacking := [name for name in names or () if name not in sizes]:
            raise ReadError(f"it has no array {lacking[0]!r}")
        unpacked = sum(size for name, size in sizes.items() if names is None or name in names)
        if unpacked > most * MEGABYTE:
            raise ReadError(f"its arrays take {unpacked / MEGABYTE:.0f} MB, more than AMISS_MAX_ARRAY_MB = {most}")
        with np.load(file, allow_pickle=False) as arrays:
            found = {}
            for name in arrays if names is None else names:
                at = f"array {name!r}: "
                found[name] = arrays[name]
            return found
    except ReadError:
        raise
    except MemoryError:
        raise ReadError("it needs more memory than there is") from None
    except Exception as error:  # zipfile, zlib and numpy each have their own
        raise ReadError(at + (getattr(error, "strerror", None) or str(error) or "it is damaged")) from None
