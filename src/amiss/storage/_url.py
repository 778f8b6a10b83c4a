"""A file in a store, named like a path."""

import os
import re
import stat
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self, cast
from urllib.parse import unquote, urlsplit

from amiss.errors import UsageError
from amiss.registry import did_you_mean
from amiss.storage._settings import storage_settings

SCHEMES = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gs",
    "gcs": "gs",
    "az": "az",
    "abfs": "az",
    "http": "http",
    "https": "https",
    "memory": "memory",
}
"""What URLs may begin with, and the usual form of it."""
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://(.*)", re.DOTALL)

if TYPE_CHECKING:
    from pathlib import Path as _Path
else:
    _Path = type(Path())  # the one of this system, from which others may be made


class Url(_Path):
    """The path of a file or folder in a store: `s3://bucket/folder/file`.

    It goes where paths go. As a text it is shown without user, password and query, as these may hold keys; only
    `address` has them. A path that was made from it (its parent, a file below it) is a URL in the same store.

    Args:
        address: `scheme://place/path`; or parts that follow each other, as of a path.
    """

    _query = ""
    _user = ""

    def __new__(cls, *address: str | os.PathLike[str]) -> Self:
        """Paths are made here."""
        parts, user, query = _split(address)
        made = super().__new__(cls, *parts)
        made._user, made._query = user, query
        return made

    if _Path.__init__ is not object.__init__:  # from Python 3.12 on

        def __init__(self, *address: str | os.PathLike[str]) -> None:
            super().__init__(*_split(address)[0])

    def __str__(self) -> str:
        scheme, colon, rest = super().__str__().replace(os.sep, "/").partition(":/")
        return f"{scheme}://{rest}" if colon else scheme

    def __fspath__(self) -> str:
        return str(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.address if ":" in self.parts[0] else str(self),)

    @property
    def scheme(self) -> str:
        """Such as `s3`."""
        return str(self).partition("://")[0]

    @property
    def place(self) -> str:
        """Bucket, or host with port."""
        return str(self).partition("://")[2].partition("/")[0]

    @property
    def address(self) -> str:
        """The whole of it, with what may be a key: for the store only."""
        scheme, _, rest = str(self).partition("://")
        return f"{scheme}://{self._user}{rest}{self._query}"

    def open(self, mode: str = "r", *_: Any, **__: Any) -> IO[Any]:  # type: ignore[override]
        """Read its bytes; see `StreamedFile`."""
        from amiss.storage._stream import StreamedFile

        if mode != "rb":
            raise UsageError(f"{self}: files in stores are written whole, by amiss.storage.publish")
        return cast("IO[Any]", StreamedFile(self))

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Size (-1: the store doesn't say), and when it was written as far as that is known.

        Raises:
            StorageError: there is no such file (then also a FileNotFoundError), or the store can't be asked.
        """
        from amiss.storage._store import info

        found = info(self)
        kind = stat.S_IFDIR if found["type"] == "directory" else stat.S_IFREG
        when = found.get("LastModified") or found.get("mtime")
        seconds = when.timestamp() if isinstance(when, datetime) else 0.0
        size = -1 if found.get("size") is None else found["size"]
        return os.stat_result((kind | 0o444, 0, 0, 1, 0, 0, size, seconds, seconds, seconds))

    def _kind(self) -> int:
        try:
            return stat.S_IFMT(self.stat().st_mode)
        except FileNotFoundError:
            return 0

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        """Whether the store has it."""
        return self._kind() != 0

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Whether the store has a file of this name."""
        return self._kind() == stat.S_IFREG

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Whether the store has files below it."""
        return self._kind() == stat.S_IFDIR

    def resolve(self, strict: bool = False) -> Self:
        """Itself: there are no links."""
        return self

    def absolute(self) -> Self:
        """Itself."""
        return self

    def samefile(self, other: str | os.PathLike[str]) -> bool:
        """Whether another one has the same name."""
        return str(self) == os.fspath(other)


def _split(address: Iterable[str | os.PathLike[str]]) -> tuple[list[str], str, str]:
    """Parts of a path; user and password, ended by `@`; query, begun by `?`."""
    first, *others = [os.fspath(part) for part in address] or [""]
    if (found := _URL.fullmatch(first)) is None:
        return [first, *others], "", ""
    if found[1].lower() not in ("http", "https"):
        return [f"{found[1].lower()}:/{found[2]}", *others], "", ""
    rest, mark, query = found[2].partition("?")
    place, slash, path = rest.partition("#")[0].partition("/")
    user, at, place = place.rpartition("@")
    return [f"{found[1].lower()}:/{place}{slash}{path}", *others], user + at, mark + query


def located(target: str | os.PathLike[str]) -> Path:
    """The path of what a user names: of a file on this machine, or a `Url`.

    Args:
        target: a path; a URL, also `file:///folder/file`.

    Raises:
        UsageError: a URL of another kind, or without a bucket or host.
    """
    if isinstance(target, Path):
        return target
    text = os.fspath(target)
    if (found := _URL.fullmatch(text)) is None:
        return Path(text)
    scheme = found[1].lower()
    if scheme == "file":
        return Path(unquote(urlsplit(text).path))
    if scheme not in SCHEMES:
        known = ", ".join(f"{name}://" for name in dict.fromkeys(SCHEMES.values()) if name != "memory")
        hint = "a stream of a camera is watched by `amiss watch`. " if scheme.startswith("rtsp") else ""
        raise UsageError(f"{scheme}://… is no store; {hint or did_you_mean(scheme, SCHEMES)}there are {known}")
    if SCHEMES[scheme] in ("s3", "gs") and "@" in found[2].partition("/")[0]:
        raise UsageError(f"{scheme}://…@…: keys don't belong into URLs; set them as the store's own tools read them")
    url = Url(f"{SCHEMES[scheme]}://{found[2]}")
    if found[2][:1] in ("", "/") or url.place in (".", ".."):
        raise UsageError(f"{text} names no {'host' if scheme.startswith('http') else 'bucket'}")
    if ".." in unquote(str(url)).split("/"):  # a web server is asked for what %2e%2e leads to
        raise UsageError(f"{url}: .. leads nowhere in a store; write out where it is")
    return url


def is_allowed(url: Url, source: Path) -> bool:
    """Whether what `source` holds may lead to a URL: to its own store, and to those that the user allows
    (`StorageSettings.storage_allow`).
    """
    if isinstance(source, Url) and (source.scheme, source.place) == (url.scheme, url.place):
        return True
    allowed = storage_settings().storage_allow.split()
    whole = [start if "/" in start.partition("://")[2] else f"{start}/" for start in allowed]  # of a host's name, too
    return str(url).startswith(tuple(whole))
