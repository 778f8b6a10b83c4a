"""From an address to its source."""

from collections.abc import Callable
from datetime import datetime

from amiss.video._backoff import Backoff
from amiss.video._source_settings import SourceSettings
from amiss.video.live._address import parse_address
from amiss.video.live._camera import CameraSource
from amiss.video.live._folder import FolderSource
from amiss.video.live._replay import ReplaySource
from amiss.video.live._source import LiveSource
from amiss.video.live._timeline import utc_now


def open_source(
    url: str,
    settings: SourceSettings = SourceSettings(),  # noqa: B008  # frozen
    *,
    backoff: Backoff = Backoff(),  # noqa: B008  # frozen
    threads: int = 1,
    with_packets: bool = False,
    once: bool = False,
    wall: Callable[[], datetime] = utc_now,
) -> LiveSource:
    """The source of an address; nothing is connected to, or opened, before it is iterated.

    Args:
        url: `rtsp://` or `rtsps://`, `http://` or `https://` (MPEG-TS, HLS, MJPEG), `device:0` or `/dev/video0`;
            `replay:FILE?loop=1&speed=1` (a file as if it were a camera; speed 0: as fast as it is consumed);
            `folder:DIR` (each finished file once).
        settings: how it is read.
        backoff: waits between attempts.
        threads: decoder threads; more than one delay frames.
        with_packets: give encoded packets too, each before its frames.
        once: of a folder: end when no file is left, instead of waiting for more.
        wall: the wall clock, aware.

    Raises:
        UsageError: the address has no known form.
    """
    address = parse_address(url, settings.transport)
    if address.kind == "replay":
        return ReplaySource(address, settings, threads=threads, with_packets=with_packets, wall=wall)
    if address.kind == "folder":
        return FolderSource(
            address, settings, backoff=backoff, threads=threads, with_packets=with_packets, once=once, wall=wall
        )
    return CameraSource(address, settings, backoff=backoff, threads=threads, with_packets=with_packets, wall=wall)
