"""Commands for events of cameras: list, show, review, protect, export, check."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from amiss.cli import _console as console
from amiss.cli._options import Json
from amiss.cli._stored import ConfigFile, Reviewer, archive_of, local
from amiss.errors import StoreError, UsageError
from amiss.reading import shown

if TYPE_CHECKING:
    from amiss.watch import Archive, Config
    from amiss.watch.store import EventQuery, StoredEvent

EventIds = Annotated[
    list[str], typer.Argument(metavar="EVENT…", help="Ids of events, or their first characters, at least 6.")
]
Cameras = Annotated[list[str] | None, typer.Option("--camera", help="Of this camera; repeat it for more.")]
Verdicts = Annotated[
    Literal["none", "confirmed", "false-alarm", "unsure"] | None,
    typer.Option(help="What the newest review says; none = not reviewed."),
]
Since = Annotated[str | None, typer.Option(help="Started then or later: 2026-03-01, or 2026-03-01T12:30; local time.")]
Until = Annotated[str | None, typer.Option(help="Started before.")]
MinScore = Annotated[float | None, typer.Option(help="Peak score, 0 to 1.", min=0, max=1)]
Label = Annotated[str | None, typer.Option("--class", help="The class that the newest review gave.")]
Protected = Annotated[bool | None, typer.Option("--protected/--unprotected", help="Kept whatever the retention says.")]
Words = Annotated[str | None, typer.Option("--text", help="Words of class, note, file, problem or camera's name.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    help_text = "List, show, review, protect, export and check events of cameras."
    events = typer.Typer(help=help_text, no_args_is_help=True)
    events.command("list")(console.guarded(list_events))
    events.command("show")(console.guarded(show_event))
    events.command("review")(console.guarded(review))
    events.command("protect")(console.guarded(protect))
    events.command("export")(console.guarded(export))
    events.command("check")(console.guarded(check))
    app.add_typer(events, name="events")


def list_events(
    config: ConfigFile,
    camera: Cameras = None,
    verdict: Verdicts = None,
    label: Label = None,
    since: Since = None,
    until: Until = None,
    min_score: MinScore = None,
    protected: Protected = None,
    text: Words = None,
    order: Annotated[Literal["newest", "oldest", "score"], typer.Option(help="Which come first.")] = "newest",
    limit: Annotated[int, typer.Option(help="How many at most.", min=1, max=1000)] = 20,
    as_json: Json = False,
) -> None:
    """List events, the newest first."""
    from dataclasses import replace

    query = replace(
        _query(camera, verdict, label, since, until, min_score, protected, text), order=order, limit=limit
    )  # fmt: skip
    with archive_of(config) as (settings, archive):
        _check_cameras(settings, archive, camera)
        page = archive.list_events(query)
    if as_json:
        console.print_json([_as_json(stored) for stored in page.events])
        return
    columns = ["event", "camera", "started", "seconds", "score", "review", "class", "note"]
    rows = [_row(stored) for stored in page.events]
    console.print_table(columns, rows)
    if not rows:
        console.note("there is no such event")
    if page.next is not None:
        console.note("there are more: use --limit, or narrow it down")


def show_event(config: ConfigFile, event: Annotated[str, typer.Argument(help="Id.")], as_json: Json = False) -> None:
    """Show one event: what is known of it, and what was said of it."""
    from dataclasses import asdict

    with archive_of(config) as (_, archive):
        (event_id,) = _ids(archive, [event])
        stored = archive.get_event(event_id)
        assert stored is not None
        said = archive.reviews_of(event_id)
    values = _as_json(stored)
    if as_json:
        reviews = [asdict(one) | {"made": one.made.isoformat()} for one in said]
        console.print_json(values | {"trace": stored.event.trace, "reviews": reviews})
        return
    for name, value in values.items():
        if value not in (None, ""):
            console.out.print(f"{name:16} {value}", markup=False, soft_wrap=True)
    console.print_table(
        ["said", "by", "verdict", "class", "note"],
        [[local(one.made), one.reviewer, one.verdict, one.label, one.note] for one in said],
        title="reviews",
    )


def review(
    config: ConfigFile,
    event: EventIds,
    verdict: Annotated[Literal["confirmed", "false-alarm", "unsure"] | None, typer.Option(help="What it was.")] = None,
    label: Annotated[str | None, typer.Option("--class", help="In a word or two, such as fall.")] = None,
    note: Annotated[str, typer.Option(help="Whatever else is to be known.")] = "",
    undo: Annotated[bool, typer.Option("--undo", help="Take your newest review back.")] = False,
    by: Reviewer = "",
) -> None:
    """Say what events were; the newest review of each counts."""
    if (verdict is None) != undo:
        raise UsageError("give --verdict confirmed, false-alarm or unsure; or --undo")
    with archive_of(config) as (_, archive):
        ids = _ids(archive, event)
        if verdict is not None:
            archive.add_review(ids, verdict, label=label, note=note, reviewer=by)
        else:
            archive.undo_review(ids, reviewer=by)
    console.note(f"{console.counted(len(ids), 'event')}: {verdict or 'review taken back'}")


def protect(
    config: ConfigFile,
    event: EventIds,
    off: Annotated[bool, typer.Option("--off", help="No longer.")] = False,
    by: Reviewer = "",
) -> None:
    """Keep clips and pictures of events, whatever the retention says."""
    with archive_of(config) as (_, archive):
        ids = _ids(archive, event)
        archive.protect_events(ids, not off, actor=by or "amiss")
    console.note(f"{console.counted(len(ids), 'event')} {'no longer protected' if off else 'protected'}")


def export(
    config: ConfigFile,
    out: Annotated[Path, typer.Option(help="Folder.")],
    camera: Cameras = None,
    verdict: Verdicts = None,
    label: Label = None,
    since: Since = None,
    until: Until = None,
    min_score: MinScore = None,
    protected: Protected = None,
    text: Words = None,
    media: Annotated[bool, typer.Option("--media/--no-media", help="Copy clips and pictures, too.")] = True,
) -> None:
    """Write events as events.csv and events.json, with clips and pictures."""
    from dataclasses import replace

    from amiss.watch.teach import export_events

    query = replace(
        _query(camera, verdict, label, since, until, min_score, protected, text), order="oldest", limit=1000
    )  # fmt: skip
    with archive_of(config) as (settings, archive):
        _check_cameras(settings, archive, camera)
        done = export_events(archive, settings.media, query, out, with_media=media)
    if done.missing:
        console.warn(f"{console.counted(len(done.missing), 'event')} without files that are gone, such as "
                     f"{done.missing[0]}")  # fmt: skip
    console.note(f"{console.counted(done.n_events, 'event')}, {console.counted(done.n_files, 'file')} in {out}")


def check(config: ConfigFile, as_json: Json = False) -> None:
    """Look whether all that was stored is there and whole, as after restoring a backup."""
    from dataclasses import asdict

    from amiss.watch import check_stored, load_config

    found = check_stored(load_config(config))
    if as_json:
        newest = None if found.newest is None else found.newest.isoformat()
        console.print_json(asdict(found) | {"newest": newest})
    else:
        newest = "" if found.newest is None else f", the newest of {local(found.newest)}"
        console.note(f"{console.counted(found.events, 'event')}{newest}; {console.counted(found.reviews, 'review')}; "
                     f"{console.counted(found.users, 'user')}; {found.files} clips and pictures")  # fmt: skip
        if found.waiting:
            console.note(f"{console.counted(found.waiting, 'record')} of the spool come in at the next start")
        if found.missing:
            console.warn(
                f"files of {console.counted(len(found.missing), 'event')} are gone, such as {found.missing[0]}"
            )
        for problem in found.problems:
            console.warn(problem)
    if not found.is_whole:
        raise StoreError("what was stored is not whole")


def _check_cameras(settings: "Config", archive: "Archive", names: list[str] | None) -> None:
    """A mistyped camera would look like one without events; those that were taken out meanwhile are known, too."""
    known = {*settings.cameras, *(camera.name for camera in archive.cameras())} if names else set()
    for name in names or ():
        if name not in known:
            raise UsageError(f"there is no camera {shown(name)}; there are {', '.join(sorted(known))}")


def _query(
    cameras: list[str] | None,
    verdict: Any,
    label: str | None,
    since: str | None,
    until: str | None,
    min_score: float | None,
    protected: bool | None,
    text: str | None,
) -> "EventQuery":
    from amiss.watch.store import EventQuery

    return EventQuery(
        cameras=tuple(cameras) if cameras else None, verdict=verdict, label=label, since=_time("--since", since),
        until=_time("--until", until), min_score=min_score, protected=protected, text=text,
    )  # fmt: skip


def _time(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)  # without a zone, it is local time
    except (ValueError, OverflowError):
        raise UsageError(f"{option} is {text!r}; it looks like 2026-03-01 or 2026-03-01T12:30") from None


def _ids(archive: "Archive", given: list[str]) -> list[str]:
    """Whole ids of events that are named by theirs, or by how theirs begin."""
    return [archive.find_event_id(one) for one in given]


def _as_json(stored: "StoredEvent") -> dict[str, Any]:
    removed = stored.media_removed
    return stored.event.to_json() | {
        "verdict": stored.verdict, "label": stored.label, "note": stored.note, "protected": stored.protected,
        "media_removed": None if removed is None else removed.isoformat(),
    }  # fmt: skip


def _row(stored: "StoredEvent") -> list[Any]:
    event = stored.event
    seconds = None if event.ended is None else round((event.ended - event.started).total_seconds())
    where = event.camera if event.place is None else f"{event.camera}: {event.place}"
    seems = None if event.class_name is None else f"{event.class_name}?"
    verdict = (stored.verdict or "open") if event.state != "open" else "lasts"
    return [event.event_id[:8], where, local(event.started), seconds, event.peak_score,
            "-" if verdict == "open" else verdict, stored.label or seems, stored.note or None]  # fmt: skip
