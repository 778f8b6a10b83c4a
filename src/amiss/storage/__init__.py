"""Paths and URLs: files that lie in a store (S3, GCS, HTTP) are read and written where files of this machine are.

`located` makes a path of what a user names; a URL becomes a `Url`, which goes wherever a path goes. Who opens files
asks here for the rest: streams, copies in a bounded cache, whole files put in one go.
"""

from amiss.files import is_address
from amiss.storage._cache import cached
from amiss.storage._publish import listed, publish, publish_unchanged, removed, stamp_of
from amiss.storage._settings import StorageSettings, storage_settings
from amiss.storage._store import StorageError, content, contents, while_waiting
from amiss.storage._stream import StreamedFile
from amiss.storage._url import Url, is_allowed, located

__all__ = [
    "StorageError",
    "StorageSettings",
    "StreamedFile",
    "Url",
    "cached",
    "content",
    "contents",
    "is_address",
    "is_allowed",
    "listed",
    "located",
    "publish",
    "publish_unchanged",
    "removed",
    "stamp_of",
    "storage_settings",
    "while_waiting",
]
