"""What a live source gives and tells."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from amiss.video._convert import Image

SourceState = Literal["connecting", "running", "stalled", "reconnecting", "stopped"]
FileFate = Literal["done", "skip", "again", "stop"]
"""What becomes of a folder's file: remembered as done; left out until the next start; tried again when the folder is
looked at again; or the iteration ends."""


@dataclass(frozen=True)
class LiveFrame:
    """One frame of a live source."""

    index: int
    """From 0; counts the frames given."""
    time: datetime
    """Aware, UTC; later than that of every frame before of its connection."""
    monotonic_s: float
    """The same moment on this machine's `time.monotonic()`; later than that of every frame before."""
    image: Image
    """[H, W, 3] RGB, upright, all of one size. Not to be written to."""
    connection: int
    """From 1. Between the frames of two connections, or of two files, an unknown time is missing. Where the wall clock
    was set by more than 2 s, another one begins: only there can `time` go back."""
    file: str = ""
    """Of a folder's frame: which file, by name, size and time of change. Of a replayed file's, unless it is looped: its
    name and two words for this reading."""


@dataclass(frozen=True)
class LiveCounters:
    """What a source has seen since it began."""

    frames: int = 0
    dropped: int = 0
    """Encoded pictures left out because the consumer was too far behind."""
    damaged: int = 0
    """Packets that couldn't be decoded; of files also those that are incomplete or give a distorted picture."""
    reconnects: int = 0
    """Times that a connection was lost, or an attempt failed."""
    stalls: int = 0
    """Times that a connection stood but gave nothing."""
