"""Downloading a file: by one process at a time, with progress, resumed where it broke off, checked by its SHA-256."""

import hashlib
import http.client
import re
import sys
import urllib.request
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from urllib.error import HTTPError

from amiss.errors import WeightsError
from amiss.files import lock_file, sha256_file

OnBytes = Callable[[int, int | None], None]
"""Called with bytes that are there, and how many there will be (None = the server doesn't say)."""

_CHUNK = 1 << 20
_SILENCE_S = 30.0  # of the server, before it counts as gone
_ATTEMPTS = 3
_RANGE_REFUSED = 416


def download(
    url: str,
    path: Path,
    sha256_start: str = "",
    on_progress: OnBytes | None = None,
    complaint: Callable[[Path], str] = lambda path: "",
) -> None:
    """Download a file. What has arrived of it stays beside it as `<name>.<tag>.part` and is gone on with next time.

    Where another process is downloading it, wait, and take what it got.

    Args:
        url: http or https.
        path: where it goes; it appears complete, or not at all.
        sha256_start: first digits of its SHA-256; empty = unknown.
        on_progress: told how far it is.
        complaint: asked of a whole file whose SHA-256 is unknown: why it can't be the right one; empty = it may be.

    Raises:
        WeightsError: another file arrived than announced, nothing of which is kept; or there would be no way to tell.
        OSError: the server can't be reached, broke off or gave a web page, or the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    waiting = f"another process is downloading {path.name}: waiting for it\n"
    with lock_file(path.with_name(f"{path.name}.lock"), on_wait=lambda: sys.stderr.write(waiting)):
        if not path.is_file():
            part = _part(url, path, bool(sha256_start), on_progress)
            if reason := _wrong_hash(part, sha256_start) if sha256_start else complaint(part):
                part.unlink()
                raise WeightsError(f"{url} gave another file than announced: {reason}. Nothing of it was kept")
            part.replace(path)


def _wrong_hash(path: Path, sha256_start: str) -> str:
    found = sha256_file(path)
    return "" if found.startswith(sha256_start) else f"its sha256 is {found[:12]}…, not {sha256_start[:12]}…"


def _part(url: str, path: Path, has_hash: bool, on_progress: OnBytes | None) -> Path:
    """The whole file, still under its temporary name."""
    broken: OSError | None = None
    for _ in range(_ATTEMPTS):
        try:
            return _continued(url, path, has_hash, on_progress)
        except HTTPError as error:
            error.close()
            if error.code != _RANGE_REFUSED:
                raise
            _drop_parts(path)  # longer than the file on the server: begin anew
            broken = error
        except OSError as error:
            if not list(_parts(path)):
                raise  # nothing came: the next attempt wouldn't do better
            broken = error
    assert broken is not None
    raise broken


def _continued(url: str, path: Path, has_hash: bool, on_progress: OnBytes | None) -> Path:
    part = next(_parts(path), None)
    start = part.stat().st_size if part is not None else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    with urllib.request.urlopen(request, timeout=_SILENCE_S) as answer:
        if answer.headers.get_content_type() == "text/html":
            raise ConnectionError(f"{url} gave a web page instead of the file, as a proxy or a login does")
        now = path.with_name(f"{path.name}.{_tag(answer.headers)}.part")
        length = answer.headers["Content-Length"]
        total = int(length) if length else None
        if start and answer.status == http.client.PARTIAL_CONTENT:
            first, total = _content_range(answer.headers)
            if now != part or first != start or (total is not None and start >= total):
                _drop_parts(path)  # another file is at that address since, or the server sent another part of it
                return _continued(url, path, has_hash, on_progress)
        else:
            _drop_parts(path)
            start = 0
        if total is None and not has_hash:
            raise WeightsError(
                f"{url} doesn't tell how long the file is, and its sha256 is not on record: it could be cut off "
                "unseen. Fetch it by hand"
            )
        with now.open("ab") as file:
            while chunk := answer.read(_CHUNK):
                file.write(chunk)
                start += len(chunk)
                if on_progress is not None:
                    on_progress(start, total)
    if total is not None and start < total:
        raise ConnectionError(f"{url} broke off after {start} of {total} bytes")
    return now


def _content_range(headers: Message) -> tuple[int | None, int | None]:
    """First byte and length of the whole file, of an answer that has a part of it; None = it doesn't say."""
    match = re.match(r"bytes (\d+)-\d+/(\d+|\*)", headers["Content-Range"] or "")
    if match is None:
        return None, None
    return int(match[1]), None if match[2] == "*" else int(match[2])


def _tag(headers: Message) -> str:
    """Stands for one version of the file at an address."""
    version = f"{headers['ETag']} {headers['Last-Modified']}"
    return hashlib.sha256(version.encode()).hexdigest()[:8]


def _parts(path: Path) -> "filter[Path]":
    pattern = re.compile(re.escape(path.name) + r"\.[0-9a-f]{8}\.part")
    return filter(lambda p: pattern.fullmatch(p.name) is not None, path.parent.iterdir())


def _drop_parts(path: Path) -> None:
    for part in list(_parts(path)):
        part.unlink()


def lines_on_stderr(name: str) -> OnBytes:
    """Progress as a line for every tenth."""
    shown = -1

    def show(done: int, total: int | None) -> None:
        nonlocal shown
        tenth = 10 * done // total if total else done // (100 << 20)
        if tenth > shown:
            shown = tenth
            of = f" of {total / 1e6:.0f}" if total else ""
            sys.stderr.write(f"download {name}: {done / 1e6:.0f}{of} MB\n")

    return show
