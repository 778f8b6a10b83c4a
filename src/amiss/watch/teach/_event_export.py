"""Events as files that others read: a table, JSON with the score curves, clips and pictures."""

import csv
import io
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from amiss.errors import OutputError
from amiss.files import atomic_path, output_error, write_json, write_text
from amiss.watch._event import clip_parts
from amiss.watch.store import Archive, EventQuery, StoredEvent

_COLUMNS = ("event_id", "camera", "state", "started", "ended", "peak", "peak_score", "class_name", "verdict",
            "label", "note", "protected", "detector", "detector_sha256", "file", "file_s", "clip", "snapshot",
            "problem")  # fmt: skip


@dataclass(frozen=True)
class EventExport:
    """What was written."""

    n_events: int
    n_files: int
    """Clips and pictures."""
    missing: tuple[str, ...]
    """Ids of events of which a file is gone."""


def walk_events(archive: Archive, query: EventQuery) -> Iterator[StoredEvent]:
    """All that a query finds, page by page; its limit is the size of a page."""
    while True:
        page = archive.list_events(query)
        yield from page.events
        if page.next is None:
            return
        query = replace(query, cursor=page.next)


def export_events(
    archive: Archive, media: Path, query: EventQuery, out: Path, *, with_media: bool = True
) -> EventExport:
    """Write `events.csv`, `events.json` (with every event's curve) and, beside them, clips and pictures.

    Args:
        archive: of the events.
        media: folder of their clips and pictures.
        query: which events.
        out: folder; files of the same names in it are replaced.
        with_media: copy clips and pictures.

    Raises:
        StoreError: the database can't be had.
        OutputError: the folder can't be written.
    """
    rows, values, missing, n_files = [], [], [], 0
    for stored in walk_events(archive, query):
        event = stored.event
        said = {"verdict": stored.verdict, "label": stored.label, "note": stored.note, "protected": stored.protected}
        row = event.to_json() | said | {"clip": None, "snapshot": None}
        for kind, name in (("clip", event.clip), ("snapshot", event.snapshot)):
            files = clip_parts(media / name) if name is not None else []
            if name is not None and not files and event.event_id not in missing:
                missing.append(event.event_id)
            row[kind] = files[0].name if files and with_media else None
            for file in files if with_media else []:
                _copy(file, out / file.name)
                n_files += 1
        rows.append([row[column] for column in _COLUMNS])
        whole = archive.get_event(event.event_id)
        values.append(row | {"trace": [] if whole is None else whole.event.trace})
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows([_no_formula(cell) for cell in row] for row in rows)
    write_text(out / "events.csv", table.getvalue())
    write_json(out / "events.json", values)
    return EventExport(len(rows), n_files, tuple(missing))


def _no_formula(cell: object) -> object:
    """What somebody wrote may begin like a formula, which a spreadsheet would compute."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def _copy(file: Path, target: Path) -> None:
    try:
        with atomic_path(target) as temporary:
            shutil.copyfile(file, temporary)
    except OutputError:
        raise
    except OSError as error:
        raise output_error(target, error) from error
