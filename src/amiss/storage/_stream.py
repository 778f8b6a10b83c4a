"""Reading parts of a file in a store, as they are needed."""

import errno
import io
import os
from collections import OrderedDict
from typing import Any

from amiss.storage._store import StorageError, asked
from amiss.storage._url import Url

_BLOCK = 4 << 20
_KEPT = 4


class StreamedFile(io.RawIOBase):
    """A file in a store, of which blocks are read where somebody reads, and some are kept.

    Where the store can't give parts, or so much is read again and again that the whole is less, it is read from a copy
    in the cache.

    Raises:
        StorageError: there is no such file, or the store can't be asked; also while it is read.
    """

    def __init__(self, url: Url) -> None:
        self.name = url.name
        self._url = url
        self._at = 0
        self._fetched = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._copy: io.BufferedReader | None = None
        self._file: Any = asked(url, lambda store: store.open(url.address, "rb", cache_type="none"))
        size = self._file.size if self._file.seekable() else None
        if size is None:
            self._take_copy()
        self._size: int = size or 0

    def _take_copy(self) -> None:
        from amiss.storage._cache import cached

        self._copy = cached(self._url).open("rb")
        self._size = os.fstat(self._copy.fileno()).st_size
        self._blocks.clear()

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Read from another byte on."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}.get(whence)
        if base is None or base + offset < 0:
            raise OSError(errno.EINVAL, "no such place in the file")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` as far as the block that is read reaches."""
        view = memoryview(buffer).cast("B")
        if self._copy is not None:
            self._copy.seek(self._at)
            count = self._copy.readinto(view)
        elif self._at >= self._size or not len(view):
            return 0
        else:
            block = self._block(self._at // _BLOCK)
            if block is None:  # there is a copy now
                return self.readinto(buffer)
            part = block[self._at % _BLOCK :][: len(view)]
            count = len(part)
            view[:count] = part
        self._at += count
        return count

    def _block(self, number: int) -> bytes | None:
        """Of the file; None where it has become cheaper to take a copy of all of it."""
        if number in self._blocks:
            self._blocks.move_to_end(number)
            return self._blocks[number]
        start, end = number * _BLOCK, min((number + 1) * _BLOCK, self._size)
        if self._fetched >= 2 * self._size + _KEPT * _BLOCK:
            self._take_copy()
            return None
        data: bytes = asked(self._url, lambda _: self._range(start, end))
        self._fetched += len(data)
        self._blocks[number] = data
        while len(self._blocks) > _KEPT:
            self._blocks.popitem(last=False)
        return data

    def _range(self, start: int, end: int) -> bytes:
        self._file.seek(start)
        data: bytes = self._file.read(end - start)
        if len(data) != end - start:
            raise StorageError(self._url, f"{len(data)} bytes came for {end - start}", errno.EIO)
        return data

    def close(self) -> None:
        """Forget what was read."""
        if not self.closed and self._copy is not None:
            self._copy.close()
        self._blocks.clear()
        super().close()
