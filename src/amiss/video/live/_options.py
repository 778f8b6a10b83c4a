"""How a source is read, and what of it is given."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from amiss.backoff import Backoff
from amiss.video._source_settings import SourceSettings
from amiss.video.live._timeline import utc_now


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """How a source is read, and what of it is given."""

    settings: SourceSettings = field(default_factory=SourceSettings)
    """What people set."""
    backoff: Backoff = field(default_factory=Backoff)
    """Waits between attempts."""
    threads: int = 1
    """Decoder threads; more than one delay frames."""
    with_packets: bool = False
    """Give encoded packets too, each before its frames."""
    once: bool = False
    """Of a folder: end when no file is left, instead of waiting for more."""
    reading: str = ""
    """Of a replayed file: a word for this reading; where it is read again under the same one, its clips have the same
    names. Empty: each reading has its own."""
    wall: Callable[[], datetime] = utc_now
    """The wall clock, aware."""
