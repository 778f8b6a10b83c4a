"""What a live source gives: one stream of what happened, in its order."""

import threading
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal, TypeAlias

from amiss.video._packets import EncodedPacket, EncodedStream
from amiss.video._rgb import Image

SourceState = Literal["connecting", "running", "stalled", "reconnecting", "stopped"]
"""Where a source is on its way: `stalled` = connected, but nothing comes."""


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
    file_s: float | None = None
    """Of a frame of a file: seconds from the file's first picture. `time` leaves gaps out, in which there is no picture
    for long."""


@dataclass(frozen=True)
class LivePacket:
    """One encoded picture; its frames come after it."""

    stream: EncodedStream
    """A new one begins with every connection and every change of the picture's size."""
    packet: EncodedPacket
    """The picture."""


@dataclass(frozen=True)
class StateChange:
    """The source is in another state, or in the same for another reason."""

    state: SourceState
    """The new one."""
    reason: str = ""
    """In one line, without credentials."""


@dataclass(frozen=True)
class FileBegan:
    """A folder's file is opened next."""

    name: str
    """As it can be shown."""


@dataclass(frozen=True)
class FilesLeftOut:
    """Something in a folder isn't given; told once for each reason."""

    why: str
    """In words."""
    names: str
    """Of the first of them, and how many more there are; as can be shown."""


class FileOutcome(StrEnum):
    """What becomes of a folder's file."""

    DONE = "done"
    """It is remembered, and never scored again."""
    SKIP = "skip"
    """It is left out until the next start."""
    AGAIN = "again"
    """It is tried again when the folder is looked at again."""


class FileEnded:
    """All of a folder's file was given, or all that can be read of it.

    The source gives nothing more until `acknowledge` is called, from any thread: a file is remembered only when
    somebody says that they are done with it.

    Args:
        name: see below.
        problem: see below.
        outcome: see below.
    """

    def __init__(self, name: str, problem: str, outcome: FileOutcome) -> None:
        self.name = name
        """As it can be shown."""
        self.problem = problem
        """What is wrong with it; empty: nothing."""
        self.outcome = outcome
        """What becomes of it, as far as reading goes; after `acknowledge`, what was said there."""
        self._acknowledged = threading.Event()

    def acknowledge(self, outcome: FileOutcome | None = None) -> None:
        """Whoever needed the file is done with it.

        Args:
            outcome: what becomes of it; None: as proposed.
        """
        self.outcome = outcome or self.outcome
        self._acknowledged.set()

    def wait(self, timeout_s: float) -> bool:
        """Whether it was acknowledged within so long."""
        return self._acknowledged.wait(timeout_s)


LiveItem: TypeAlias = LiveFrame | LivePacket | StateChange | FilesLeftOut | FileBegan | FileEnded
"""What a live source gives, one after the other."""


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
