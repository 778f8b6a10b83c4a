"""Whether what a watcher stored is whole, as after restoring a backup. Nothing is changed but the database's schema."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from amiss.detection import check_detector_folder
from amiss.errors import DetectorError
from amiss.watch._event import clip_parts
from amiss.watch.config import Config
from amiss.watch.store import EventQuery, check_database, open_archive
from amiss.watch.teach import Shelf, walk_events


@dataclass(frozen=True)
class StoredCheck:
    """What was found."""

    events: int
    newest: datetime | None
    """When the last one began; None = there is none."""
    reviews: int
    users: int
    files: int
    """Clips and pictures that are there."""
    missing: tuple[str, ...]
    """Ids of events of which a clip or picture isn't there, though no retention removed it."""
    waiting: int
    """Records that wait in the spool, and come into the database at the next start."""
    problems: tuple[str, ...]
    """What of the database is damaged, and which detector can't be used."""

    @property
    def is_whole(self) -> bool:
        """Nothing is missing or damaged."""
        return not self.missing and not self.problems


def check_stored(config: Config) -> StoredCheck:
    """Read the whole database, and look for the files that it names, and for the detectors that watch.

    Raises:
        StoreError: the database can't be had, or there is none.
    """
    archive = open_archive(config.database.get_secret_value())
    try:
        database = check_database(archive)
        n_events, n_files, newest, missing = 0, 0, None, []
        for stored in walk_events(archive, EventQuery(order="oldest", limit=1000)):
            event = stored.event
            n_events, newest = n_events + 1, event.started
            named = [name for name in (event.clip, event.snapshot) if name is not None]
            found = [name for name in named if clip_parts(config.media / name)]
            n_files += len(found)
            if len(found) < len(named):
                missing.append(event.event_id)
    finally:
        archive.close()
    return StoredCheck(
        events=n_events,
        newest=newest,
        reviews=database.reviews,
        users=database.users,
        files=n_files,
        missing=tuple(missing),
        waiting=_waiting(config),
        problems=(*database.problems, *_lost_detectors(config)),
    )


def _lost_detectors(config: Config) -> list[str]:
    problems = []
    for detector in sorted({camera.detector for camera in config.cameras.values() if camera.detector is not None}):
        try:
            check_detector_folder(Shelf(config.state, detector).folder_of_promoted())
        except DetectorError as error:
            problems.append(str(error))
    return problems


def _waiting(config: Config) -> int:
    try:
        return (config.state / "spool" / "spool.jsonl").read_bytes().count(b"\n")
    except OSError:  # nothing ever waited
        return 0
