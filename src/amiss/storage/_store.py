"""Asking a store: by fsspec; again where it refuses for the moment; and what is wrong with it in our words."""

import errno
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any, TypeVar

from amiss.backoff import Backoff
from amiss.errors import AmissError, Notice, UsageError, how_to_install
from amiss.storage import _google
from amiss.storage._settings import storage_settings
from amiss.storage._url import Url

T = TypeVar("T")
_BACKOFF = Backoff(first_s=0.25, cap_s=10.0)
_STEP_S = 1.0
_FOR_THE_MOMENT = {408, 425, 429, 500, 502, 503, 504}
_PACKAGES = {"gs": "gcsfs", "az": "adlfs"}  # of the others an extra brings them


class StorageError(AmissError, OSError):
    """A store can't be reached, refuses, or doesn't have what was asked for."""

    def __init__(self, url: Url, reason: str, number: int | None = None) -> None:
        super().__init__(f"{url}: {reason}")
        self._text = AmissError(f"{url}: {reason}")
        self._url = url
        self.errno, self.strerror = number, reason

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._url, self.strerror, self.errno), {"transient": self.transient}

    def __str__(self) -> str:
        return str(self._text)


class _MissingError(StorageError, FileNotFoundError):
    """There is no such file."""


class ChangedError(StorageError):
    """A file isn't any more what it was when it was looked at."""


_on_wait: ContextVar[Callable[[], object] | None] = ContextVar("on_wait", default=None)


@contextmanager
def while_waiting(on_wait: Callable[[], object]) -> Iterator[None]:
    """Within, `on_wait` is called about once a second, whenever a store lets this thread wait."""
    token = _on_wait.set(on_wait)
    try:
        yield
    finally:
        _on_wait.reset(token)


def file_system(url: Url) -> Any:
    """fsspec's of the store. Keys, endpoint and region are what the store's own tools read: environment and profile.

    Raises:
        UsageError: its package isn't installed.
    """
    return _file_system(url.scheme)


@cache
def _file_system(scheme: str) -> Any:
    try:
        import fsspec

        options: dict[str, Any] = {"use_listings_cache": False} if scheme != "memory" else {}
        if scheme in ("http", "https"):
            from amiss.storage._web import client_options

            options |= {"client_kwargs": client_options()}
        if scheme == "gs":
            _google.prepare()
        return fsspec.filesystem(scheme, **options)
    except ImportError as error:
        how = f"pip install {_PACKAGES[scheme]}" if scheme in _PACKAGES else how_to_install("storage")
        raise UsageError(f"{scheme}:// needs a package ({error.name or error}): {how}") from None


def info(url: Url) -> dict[str, Any]:
    """What the store says of a file: `type`, `size`, and what it calls its version.

    Raises:
        StorageError: there is no such file, or the store can't be asked.
    """
    found: dict[str, Any] = asked(url, lambda store: store.info(url.address))
    return found


def version_in(found: dict[str, Any]) -> str:
    """What changes with a file, of what `info` says."""
    names = "ETag", "etag", "generation", "Content-MD5", "Digest", "Last-Modified", "LastModified", "mtime", "created"
    return next((f"{found[name]}" for name in names if found.get(name)), "") + f" {found.get('size')}"


def content(url: Url, most: int) -> bytes:
    """The bytes of a file; where it has more than `most`, one more than that.

    Raises:
        StorageError: there is no such file, it is a folder, or the store can't be asked.
    """
    found = info(url)
    if found["type"] == "directory":
        raise StorageError(url, "it is a folder, not a file", errno.EISDIR)
    size = found.get("size")
    if size == 0:
        return b""
    if size is not None and size <= most:
        data: bytes = asked(url, lambda store: store.cat_file(url.address))
    else:
        data = asked(url, lambda store: store.cat_file(url.address, start=0, end=most + 1))
    return data[: most + 1]


def contents(urls: Sequence[Url]) -> dict[Url, bytes]:
    """The bytes of several files of a store, asked for at once; those that are gone are left out.

    Raises:
        StorageError: the store can't be asked.
    """
    if not urls:
        return {}
    by_name = {url.address.partition("://")[2]: url for url in urls}

    def ask(store: Any) -> dict[str, bytes]:
        answers = store.cat(list(by_name), on_error="return")
        for answer in answers.values():
            if isinstance(answer, Exception) and not isinstance(answer, FileNotFoundError):
                raise answer
        return {name: answer for name, answer in answers.items() if not isinstance(answer, Exception)}

    return {by_name[name.lstrip("/")]: data for name, data in asked(urls[0], ask).items()}


def asked(url: Url, ask: Callable[[Any], T]) -> T:
    """The answer of a store; while it can't be reached or refuses for the moment, it is asked again.

    Raises:
        StorageError: it says no, or is silent for `storage_wait_s`.
    """
    store = file_system(url)
    until_s = time.monotonic() + storage_settings().storage_wait_s
    attempt = 0
    while True:
        try:
            return _watched(lambda: ask(store))
        except Exception as error:
            wrong, passes = _in_words(url, error)
            attempt += 1
            wait_s = _BACKOFF.wait_s(attempt)
            if not passes or time.monotonic() + wait_s > until_s:
                wrong.transient = passes
                raise wrong from None  # what it was made of may hold keys
            if attempt == 1:
                warnings.warn(f"{wrong}; it is asked again", Notice, stacklevel=2)
        _sleep(wait_s)


def _watched(call: Callable[[], T]) -> T:
    if (on_wait := _on_wait.get()) is None:
        return call()
    with ThreadPoolExecutor(1, "amiss-storage") as pool:
        future = pool.submit(call)
        while True:
            try:
                return future.result(_STEP_S)
            except TimeoutError:
                if future.done():
                    return future.result()
                on_wait()


def _sleep(wait_s: float) -> None:
    until_s = time.monotonic() + wait_s
    while (left_s := until_s - time.monotonic()) > 0:
        time.sleep(min(left_s, _STEP_S))
        if (on_wait := _on_wait.get()) is not None:
            on_wait()


def _in_words(url: Url, error: Exception) -> tuple[StorageError, bool]:
    """What is wrong, never in the store's own words, which may repeat keys; and whether it may pass."""
    cause = error.__cause__
    if isinstance(error, FileNotFoundError) and isinstance(cause, Exception):
        return _in_words(url, cause)  # fsspec takes whatever a web server does for that
    kinds = {kind.__name__ for kind in type(error).__mro__}
    status = getattr(error, "status", None) or _status_of(error) or _status_of(cause)
    if isinstance(error, StorageError):
        return error, False
    if isinstance(error, FileNotFoundError) or status == 404:
        return _MissingError(url, "it does not exist", errno.ENOENT), False
    if "FileExpired" in kinds or status == 412:
        return ChangedError(url, "it was changed meanwhile: try again", errno.EBUSY), False
    if kinds & {"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "TokenRetrievalError"}:
        return StorageError(url, "no keys for the store were found (AWS_ACCESS_KEY_ID, a profile)", errno.EACCES), False
    if kinds & {"DefaultCredentialsError", "RefreshError"}:
        return StorageError(url, "no valid keys for the store (GOOGLE_APPLICATION_CREDENTIALS)", errno.EACCES), False
    if "LedAwayError" in kinds:
        return StorageError(url, "the server leads into a private network, where it may not", errno.EACCES), False
    if isinstance(error, PermissionError) or status in (401, 403):
        return StorageError(url, "the store gives no right to it, or doesn't know the keys", errno.EACCES), False
    if isinstance(error, FileExistsError):
        return ChangedError(url, "it is there already", errno.EEXIST), False
    if isinstance(error, IsADirectoryError):
        return StorageError(url, "it is a folder, not a file", errno.EISDIR), False
    if isinstance(error, MemoryError | NotImplementedError | ValueError | TypeError) and not isinstance(error, OSError):
        return StorageError(url, f"the store can't do it ({type(error).__name__})"), False
    if status is not None:
        return StorageError(url, f"the store answers {status}", errno.EIO), status in _FOR_THE_MOMENT
    if isinstance(error, TimeoutError) or any("Timeout" in kind for kind in kinds):
        return StorageError(url, "the store doesn't answer", errno.ETIMEDOUT), True
    if isinstance(error, ConnectionError) or any("Connect" in kind for kind in kinds):
        return StorageError(url, "the store can't be reached", errno.ECONNREFUSED), True
    number = getattr(error, "errno", None)
    if number == errno.ENOSPC:
        return StorageError(url, "no space is left for its copy", number), False
    return StorageError(url, f"the store can't be read or written ({type(error).__name__})", number), True


def _status_of(error: BaseException | None) -> int | None:
    """Of the answer of S3 or GCS."""
    answer = getattr(error, "response", None)
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(answer, dict) else None
    return status if isinstance(status, int) else _google.status_of(error)
