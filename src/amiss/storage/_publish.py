"""Writing files to a store: each appears complete or not at all."""

from collections.abc import Iterable

from amiss.files import output_error
from amiss.storage._google import put_if
from amiss.storage._store import ChangedError, StorageError, asked, info, version_in
from amiss.storage._url import Url


def publish(url: Url, data: bytes) -> None:
    """Write a file in one go. Who looks meanwhile sees what was there before; a kill leaves that, too.

    Raises:
        OutputError: the store can't be reached, or refuses.
    """
    try:
        asked(url, lambda store: store.pipe_file(url.address, data))
    except StorageError as error:
        raise output_error(url, error) from None


def stamp_of(url: Url) -> str | None:
    """What changes whenever a file is written, for `publish_unchanged`; None where there is none.

    Raises:
        StorageError: the store can't be asked.
    """
    try:
        found = info(url)
    except FileNotFoundError:
        return None
    return str(found.get("generation") or found.get("ETag") or found.get("etag") or version_in(found))


def publish_unchanged(url: Url, data: bytes, stamp: str | None) -> bool:
    """Write a file if it is still the one that was read before. S3 and GCS promise that; elsewhere it is written.

    Args:
        url: of the file.
        data: its bytes.
        stamp: of `stamp_of`, before it was read; None: there was none.

    Returns:
        Whether it was written; False where somebody else wrote it meanwhile.

    Raises:
        OutputError: the store can't be reached, or refuses.
    """
    condition = {} if url.scheme != "s3" else {"mode": "create"} if stamp is None else {"IfMatch": stamp}
    try:
        if url.scheme == "gs":
            asked(url, lambda store: put_if(store, url.address, data, stamp))
        else:
            asked(url, lambda store: store.pipe_file(url.address, data, **condition))
    except ChangedError:
        return False
    except StorageError as error:
        raise output_error(url, error) from None
    return True


def listed(folder: Url) -> dict[str, int]:
    """Files below a folder, by their path from it, and their sizes; none where there is no such folder.

    Raises:
        StorageError: the store can't be asked, or can't list (HTTP).
    """
    if folder.scheme in ("http", "https"):
        raise StorageError(folder, "files of a web server can't be listed; name each, in a manifest")
    try:
        found = asked(folder, lambda store: store.find(folder.address, detail=True))
    except FileNotFoundError:
        return {}
    start = str(folder).partition("://")[2].rstrip("/") + "/"
    names = {name.lstrip("/"): entry for name, entry in found.items()}
    return {name.removeprefix(start): entry["size"] or 0 for name, entry in names.items() if name.startswith(start)}


def removed(urls: Iterable[Url]) -> None:
    """Remove files; those that are gone already are.

    Raises:
        OutputError: the store can't be reached, or refuses.
    """
    for url in urls:
        try:
            asked(url, lambda store, url=url: store.rm_file(url.address))  # type: ignore[misc]
        except FileNotFoundError:
            continue
        except StorageError as error:
            raise output_error(url, error) from None
