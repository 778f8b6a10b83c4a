"""From an address to its source."""

from collections.abc import Callable
from datetime import datetime

from amiss.backoff import Backoff
from amiss.errors import UsageError
from amiss.registry import Registry
from amiss.video._redact import redact
from amiss.video._source_settings import SourceSettings
from amiss.video.live._options import SourceOptions
from amiss.video.live._source import LiveSource
from amiss.video.live._timeline import utc_now

_CAMERA = "amiss.video.live._camera:CameraSource"
SOURCES: Registry[type[LiveSource]] = Registry(
    "source",
    {
        "rtsp": _CAMERA,
        "rtsps": _CAMERA,
        "http": _CAMERA,
        "https": _CAMERA,
        "device": _CAMERA,
        "replay": "amiss.video.live._replay:ReplaySource",
        "folder": "amiss.video.live._folder:FolderSource",
    },
    group="amiss.sources",
    entry_type=type,
)
"""What an address has before its first colon → its kind of source."""
_WITH_HOST = ("rtsp", "rtsps", "http", "https")


def address_starts() -> tuple[str, ...]:
    """What an address may begin with."""
    return (*(f"{name}://" if name in _WITH_HOST else f"{name}:" for name in SOURCES.names()), "/dev/")


def has_known_start(url: str) -> bool:
    """Whether an address begins with one of `address_starts`; quick, where no other package has to be asked."""
    scheme, colon, rest = url.lower().partition(":")
    if scheme.startswith("/dev/"):
        return True
    return bool(colon) and (scheme not in _WITH_HOST or rest.startswith("//")) and scheme in SOURCES


def open_source(
    url: str,
    settings: SourceSettings = SourceSettings(),  # noqa: B008  # frozen
    *,
    backoff: Backoff = Backoff(),  # noqa: B008  # frozen
    threads: int = 1,
    with_packets: bool = False,
    once: bool = False,
    reading: str = "",
    wall: Callable[[], datetime] = utc_now,
) -> LiveSource:
    """The source of an address. Nothing is connected to, or opened, before it is iterated: this also checks an address.

    Args:
        url: `rtsp://` or `rtsps://`, `http://` or `https://` (MPEG-TS, HLS, MJPEG), `device:0` or `/dev/video0`;
            `replay:FILE?loop=1&speed=1` (a file as if it were a camera; speed 0: as fast as it is consumed);
            `folder:DIR` (each finished file once); or of a kind that another package adds.
        settings: how it is read.
        backoff: waits between attempts.
        threads: decoder threads; more than one delay frames.
        with_packets: give encoded packets too, each before its frames.
        once: of a folder: end when no file is left, instead of waiting for more.
        reading: of a replayed file, see `SourceOptions`.
        wall: the wall clock, aware.

    Raises:
        UsageError: the address has no known form; the message has no credentials.
    """
    options = SourceOptions(
        settings=settings,
        backoff=backoff,
        threads=threads,
        with_packets=with_packets,
        once=once,
        reading=reading,
        wall=wall,
    )
    scheme, colon, _ = ("device", ":", "") if url.startswith("/dev/") else url.partition(":")
    if not colon or scheme.lower() not in SOURCES:
        forms = ", ".join(dict.fromkeys(kind.form for _, kind in SOURCES.items()))
        raise UsageError(f"{redact(url)!r} is no address of a camera; known forms are {forms}")
    return SOURCES[scheme.lower()](url, options)
