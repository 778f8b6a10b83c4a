"""Google Cloud Storage: what its package leaves to us."""

import json
import logging
import os
import uuid
from typing import Any
from urllib.parse import quote

_FORBIDDEN = "Forbidden: "


def prepare() -> None:
    """Before `gcsfs` is imported: it asks first of what kind each bucket is, which needs a right of its own, and logs
    whatever it is refused; what is wrong is said by us. Who has zonal buckets sets the variable to `true`.
    """
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    log = logging.getLogger("gcsfs")
    log.propagate = False
    log.addHandler(logging.NullHandler())


def put_if(store: Any, address: str, data: bytes, generation: str | None) -> None:
    """Write an object if it is still of a generation; None: if there is none of this name.

    It isn't to be cached: Google gives what everybody may read out of caches, for an hour as it was before.

    Raises:
        FileExistsError: it isn't.
    """
    bucket, name, _ = store.split_path(address)
    mark = uuid.uuid4().hex
    about = json.dumps({"name": name, "cacheControl": "no-store"})
    head = f"--{mark}\r\nContent-Type: application/json\r\n\r\n{about}\r\n"
    head += f"--{mark}\r\nContent-Type: application/octet-stream\r\n\r\n"
    store.call(
        "POST",
        f"{store.base.replace('/storage/', '/upload/storage/')}b/{quote(bucket)}/o",
        uploadType="multipart",
        ifGenerationMatch=generation or "0",
        headers={"Content-Type": f"multipart/related; boundary={mark}"},
        data=head.encode() + data + f"\r\n--{mark}--\r\n".encode(),
    )


def status_of(error: BaseException | None) -> int | None:
    """The status of the answer that an error of `gcsfs` stands for, where that isn't in its type."""
    if type(error) is OSError and str(error).startswith(_FORBIDDEN):
        return 403
    code = str(getattr(error, "code", "")) if type(error).__name__ == "HttpError" else ""  # it may be a text
    return int(code) if code.isdecimal() else None
