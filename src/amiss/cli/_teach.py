"""Commands of what is learned from reviews: reviews, retrain, detectors."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amiss.cli import _console as console
from amiss.cli._options import Json
from amiss.cli._stored import ConfigFile, Reviewer, archive_of, local

if TYPE_CHECKING:
    from amiss.watch import Archive, Config
    from amiss.watch.teach import DetectorVersion, Teacher

CameraOfDetector = Annotated[
    str | None, typer.Option("--camera", help="Where cameras have several detectors: the one of this camera.")
]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    reviews = typer.Typer(help="Reviewed events as labelled videos with features.", no_args_is_help=True)
    reviews.command("export")(console.guarded(export_bags))
    app.add_typer(reviews, name="reviews")
    app.command("retrain")(console.guarded(retrain_detector))
    detectors = typer.Typer(help="Versions of a camera's detector: list, promote, roll back.", no_args_is_help=True)
    detectors.command("list")(console.guarded(list_versions))
    detectors.command("promote")(console.guarded(promote))
    detectors.command("rollback")(console.guarded(roll_back))
    app.add_typer(detectors, name="detectors")


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

    with archive_of(config) as (settings, archive), console.progress("features") as on_progress:
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

    with archive_of(config) as (settings, archive), console.progress("retrain") as on_progress:
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
    from amiss.watch import load_config
    from amiss.watch.teach import as_json as version_as_json

    shelf = _teacher(load_config(config), camera).shelf
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
    with archive_of(config) as (settings, archive):
        teacher = _teacher(settings, camera)
        _promote(archive, teacher, version, by)
    _tell_promoted(teacher, version)


def roll_back(config: ConfigFile, camera: CameraOfDetector = None, by: Reviewer = "") -> None:
    """Take the last promotion back."""
    with archive_of(config) as (settings, archive):
        teacher = _teacher(settings, camera)
        version = teacher.shelf.roll_back()
        archive.audit("roll-back", f"{teacher.shelf.detector.name}: version {version.number}", actor=by or "amiss")
    _tell_promoted(teacher, version.number)


def _teacher(settings: "Config", camera: str | None) -> "Teacher":
    from amiss.watch.teach import teacher_of

    return teacher_of(settings, camera)


def _promote(archive: "Archive", teacher: "Teacher", version: int, by: str) -> None:
    teacher.shelf.promote(version)
    archive.audit("promote", f"{teacher.shelf.detector.name}: version {version}", actor=by or "amiss")


def _version_row(one: "DetectorVersion", watches: int) -> list[Any]:
    report = one.report
    new, old = (report.get(kind) or {} for kind in ("new", "old"))
    return [one.number, "yes" if one.number == watches else "", None if one.made is None else local(one.made),
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
