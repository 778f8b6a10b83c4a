"""Commands of the loop: events, reviews, retrain, detectors."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from amiss.cli import _console as console
from amiss.cli._options import Json
from amiss.errors import UsageError
from amiss.reading import shown

if TYPE_CHECKING:
    from amiss.watch import Archive, Config
    from amiss.watch.store import EventQuery, StoredEvent
    from amiss.watch.teach import DetectorVersion, Teacher

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="Configuration (YAML) of `amiss watch`.")]
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
CameraOfDetector = Annotated[
    str | None, typer.Option("--camera", help="Where cameras have several detectors: the one of this camera.")
]
Reviewer = Annotated[str, typer.Option("--by", help="Who says so.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    events = typer.Typer(help="List, show, review, protect and export events of cameras.", no_args_is_help=True)
    events.command("list")(console.guarded(list_events))
    events.command("show")(console.guarded(show_event))
    events.command("review")(console.guarded(review))
    events.command("protect")(console.guarded(protect))
    events.command("export")(console.guarded(export))
    app.add_typer(events, name="events")
    reviews = typer.Typer(help="Reviewed events as labelled videos with features.", no_args_is_help=True)
    reviews.command("export")(console.guarded(export_bags))
    app.add_typer(reviews, name="reviews")
    app.command("retrain")(console.guarded(retrain_detector))
    detectors = typer.Typer(help="Versions of a camera's detector: list, promote, roll back.", no_args_is_help=True)
    detectors.command("list")(console.guarded(list_versions))
    detectors.command("promote")(console.guarded(promote))
    detectors.command("rollback")(console.guarded(roll_back))
    app.add_typer(detectors, name="detectors")


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
    with _archive(config) as (settings, archive):
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

    with _archive(config) as (_, archive):
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
        [[_local(one.made), one.reviewer, one.verdict, one.label, one.note] for one in said],
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
    with _archive(config) as (_, archive):
        ids = _ids(archive, event)
        if verdict is not None:
            archive.add_review(ids, verdict, label=label, note=note, reviewer=by)
        else:
            for event_id in ids:
                archive.undo_review(event_id, reviewer=by)
    console.note(f"{console.counted(len(ids), 'event')}: {verdict or 'review taken back'}")


def protect(
    config: ConfigFile,
    event: EventIds,
    off: Annotated[bool, typer.Option("--off", help="No longer.")] = False,
    by: Reviewer = "",
) -> None:
    """Keep clips and pictures of events, whatever the retention says."""
    with _archive(config) as (_, archive):
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
    with _archive(config) as (settings, archive):
        _check_cameras(settings, archive, camera)
        done = export_events(archive, settings.media, query, out, with_media=media)
    if done.missing:
        console.warn(f"{console.counted(len(done.missing), 'event')} without files that are gone, such as "
                     f"{done.missing[0]}")  # fmt: skip
    console.note(f"{console.counted(done.n_events, 'event')}, {console.counted(done.n_files, 'file')} in {out}")


def export_bags(
    config: ConfigFile,
    out: Annotated[Path | None, typer.Option(help="Folder; default: the one that `amiss retrain` uses.")] = None,
    normal: Annotated[
        list[Path] | None, typer.Option(help="Footage in which nothing happens: a file or folder; repeat it for more.")
    ] = None,
    camera: CameraOfDetector = None,
    as_json: Json = False,
) -> None:
    """Write reviewed events as labelled videos: manifest.csv and features/."""
    from dataclasses import asdict

    from amiss.watch.teach import export_reviews, load_promoted

    with _archive(config) as (settings, archive), console.progress("features") as on_progress:
        teacher = _teacher(settings, camera)
        done = export_reviews(
            archive,
            settings.media,
            load_promoted(teacher),
            out if out is not None else teacher.bags,
            weights=teacher.weights,
            cameras=teacher.cameras,
            plain=[*settings.teach.plain, *(normal or [])],
            on_progress=on_progress,
        )
    if as_json:
        console.print_json(asdict(done) | {"manifest": str(done.manifest), "features": str(done.features)})
        return
    _tell_left_out(done)
    console.note(
        f"{done.confirmed} confirmed, {done.false_alarms} false alarms, {done.plain} plain, of these {done.held_out} "
        f"held out: {done.manifest}, {done.features}"
    )


def retrain_detector(
    config: ConfigFile,
    normal: Annotated[
        list[Path] | None, typer.Option(help="Footage in which nothing happens: a file or folder; repeat it for more.")
    ] = None,
    recipe: Annotated[str | None, typer.Option(help="How it learns, see `amiss recipes`; default: as before.")] = None,
    camera: CameraOfDetector = None,
    seed: Annotated[int, typer.Option(help="Of everything random.", min=0)] = 0,
    promote: Annotated[bool, typer.Option("--promote", help="Watch with it, whatever it is worth.")] = False,
    by: Reviewer = "",
    as_json: Json = False,
) -> None:
    """Train a detector anew with what was reviewed, and compare it with the old one on reviews held out."""
    from dataclasses import asdict

    from amiss.watch.teach import retrain

    with _archive(config) as (settings, archive), console.progress("retrain") as on_progress:
        teacher = _teacher(settings, camera)
        done = retrain(
            archive, settings, teacher, plain=normal or [], recipe=recipe, seed=seed, by=by, on_progress=on_progress
        )
        if promote:
            _promote(archive, teacher, done.version.number, by)
    if as_json:
        console.print_json({"version": done.version.number, **asdict(done.report)})
        return
    _tell_left_out(done.bags)
    report = done.report
    if report.old is not None and report.new is not None:
        n = report.held_out_anomalous, report.held_out_normal
        rows = [
            [name, one.video_auc, f"{one.ci95[0]:.3f} to {one.ci95[1]:.3f}", f"{one.found} of {n[0]}",
             f"{one.false_alarms} of {n[1]}"]
            for name, one in (("old", report.old), ("new", report.new))
        ]  # fmt: skip
        console.print_table(["detector", "AUC", "95 %", "confirmed found", "false alarms raised"], rows)
        if report.difference is not None and report.difference_ci95 is not None:
            low, high = report.difference_ci95
            console.out.print(f"new less old: {report.difference:+.3f} ({low:+.3f} to {high:+.3f})")
    for remark in report.remarks:
        console.note(remark)
    console.note(f"version {done.version.number}: {teacher.shelf.folder(done.version.number)}")
    _tell_promoted(teacher, done.version.number) if promote else console.note(
        f"watch with it: amiss detectors promote {config} {done.version.number}"
    )


def list_versions(config: ConfigFile, camera: CameraOfDetector = None, as_json: Json = False) -> None:
    """List the versions of a detector; the one that watches is marked."""
    from amiss.watch.teach import as_json as version_as_json

    shelf = _teacher(_load(config), camera).shelf
    versions, watches = shelf.versions(), shelf.promoted
    if as_json:
        console.print_json([version_as_json(one) | {"promoted": one.number == watches} for one in versions])
        return
    console.print_table(
        ["version", "watches", "made", "from", "by", "AUC held out", "old one's"],
        [_version_row(one, watches) for one in versions],
    )


def promote(
    config: ConfigFile,
    version: Annotated[int, typer.Argument(help="Its number, see `amiss detectors list`.", min=0)],
    camera: CameraOfDetector = None,
    by: Reviewer = "",
) -> None:
    """Watch with a version of the detector."""
    with _archive(config) as (settings, archive):
        teacher = _teacher(settings, camera)
        _promote(archive, teacher, version, by)
    _tell_promoted(teacher, version)


def roll_back(config: ConfigFile, camera: CameraOfDetector = None, by: Reviewer = "") -> None:
    """Take the last promotion back."""
    with _archive(config) as (settings, archive):
        teacher = _teacher(settings, camera)
        version = teacher.shelf.roll_back()
        archive.audit("roll-back", f"{teacher.shelf.detector.name}: version {version.number}", actor=by or "amiss")
    _tell_promoted(teacher, version.number)


def _load(config: Path) -> "Config":
    from amiss.watch import load_config

    return load_config(config)


@contextmanager
def _archive(config: Path) -> "Iterator[tuple[Config, Archive]]":
    from amiss.watch import open_archive

    settings = _load(config)
    archive = open_archive(settings.database.get_secret_value())
    try:
        yield settings, archive
    finally:
        archive.close()


def _teacher(settings: "Config", camera: str | None) -> "Teacher":
    from amiss.watch.teach import teacher_of

    return teacher_of(settings, camera)


def _promote(archive: "Archive", teacher: "Teacher", version: int, by: str) -> None:
    teacher.shelf.promote(version)
    archive.audit("promote", f"{teacher.shelf.detector.name}: version {version}", actor=by or "amiss")


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


def _local(time: datetime) -> str:
    return f"{time.astimezone():%Y-%m-%d %H:%M:%S}"


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
    return [event.event_id[:8], where, _local(event.started), seconds, event.peak_score,
            "-" if verdict == "open" else verdict, stored.label or seems, stored.note or None]  # fmt: skip


def _version_row(one: "DetectorVersion", watches: int) -> list[Any]:
    report = one.report
    new, old = (report.get(kind) or {} for kind in ("new", "old"))
    return [one.number, "yes" if one.number == watches else "", None if one.made is None else _local(one.made),
            one.made_from, one.by or None, new.get("video_auc"), old.get("video_auc")]  # fmt: skip


def _tell_left_out(bags: Any) -> None:
    if bags.without_clip:
        console.warn(f"left out, as their clips are gone: {console.counted(len(bags.without_clip), 'event')}, such as "
                     f"{bags.without_clip[0]}")  # fmt: skip
    for video_id, problem in bags.failed.items():
        console.warn(f"left out: {video_id}: {problem}")
    if bags.unsure:
        console.note(f"left out, as nobody could tell: {console.counted(bags.unsure, 'event')}")


def _tell_promoted(teacher: "Teacher", version: int) -> None:
    console.note(
        f"version {version} watches {', '.join(teacher.cameras)}; a watcher that runs takes it within a second. "
        "Thresholds that were calibrated for another version no longer hold: `amiss calibrate`, or the detector's own"
    )
