"""Live sources: cameras, files as if they were cameras, folders of files. Each gives one stream of what happened."""

from amiss.video.live._camera import CameraSource
from amiss.video.live._folder import FolderSource
from amiss.video.live._items import (
    FileBegan,
    FileEnded,
    FileOutcome,
    FilesLeftOut,
    LiveCounters,
    LiveFrame,
    LiveItem,
    LivePacket,
    SourceState,
    StateChange,
)
from amiss.video.live._open import SOURCES, address_starts, has_known_start, open_source
from amiss.video.live._options import SourceOptions
from amiss.video.live._replay import ReplaySource
from amiss.video.live._source import LiveSource

__all__ = [
    "SOURCES",
    "CameraSource",
    "FileBegan",
    "FileEnded",
    "FileOutcome",
    "FilesLeftOut",
    "FolderSource",
    "LiveCounters",
    "LiveFrame",
    "LiveItem",
    "LivePacket",
    "LiveSource",
    "ReplaySource",
    "SourceOptions",
    "SourceState",
    "StateChange",
    "address_starts",
    "has_known_start",
    "open_source",
]
