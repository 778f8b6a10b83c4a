"""Versions of the cameras' detectors: what they are worth, and which one watches."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import Field

from amiss.app._context import AppContext
from amiss.app.api._answers import ALL_CAMERAS, Admin, Context, Model, Reviewer, none_such
from amiss.watch.teach import Shelf, Teacher, teacher_of

router = APIRouter(prefix="/detectors", tags=["detectors"], dependencies=[ALL_CAMERAS])

_KEY = r"[0-9a-f]{8}"
VersionId = Annotated[str, Path(pattern=rf"^{_KEY}-[0-9]{{1,9}}$", examples=["1f2e3d4c-1"])]


class Version(Model):
    """A version of a detector."""

    id: str
    number: int
    """0 = the configuration's own."""
    made: datetime | None
    """Null for 0."""
    made_from: int | None
    """The version that it was retrained from."""
    by: str
    """Who asked for it."""
    sha256: str
    promoted: bool
    """This is the one that watches."""
    report: dict[str, Any]
    """Of the retraining: what it learned from, and how old and new do on held-out bags; empty for 0."""


class Detector(Model):
    """A detector of the configuration."""

    key: str
    name: str
    cameras: list[str]
    """That it watches."""
    versions: list[Version]


class Detectors(Model):
    """All of the configuration."""

    detectors: list[Detector]


class RollBack(Model):
    """Whose last promotion is taken back."""

    key: Annotated[str, Field(pattern=rf"^{_KEY}$", examples=["1f2e3d4c"])]
    """The detector's."""


@router.get("")
def detectors(who: Reviewer, context: Context) -> Detectors:
    """The detectors of the configuration, with all their versions."""
    return Detectors(
        detectors=[
            Detector(
                key=teacher.shelf.key, name=teacher.shelf.detector.name, cameras=list(teacher.cameras),
                versions=_versions(teacher.shelf),
            )
            for teacher in _teachers(context)
        ]
    )  # fmt: skip


@router.post("/rollback")
def roll_back(asked: RollBack, who: Admin, context: Context) -> Version:
    """Take the last promotion back; gives the version that watches now."""
    shelf = _shelf(asked.key, context)
    version = shelf.roll_back()
    context.store.audit("roll-back", f"{shelf.detector.name}: version {version.number}", actor=who.name)
    return _version_of(shelf, version.number)


@router.post("/{version_id}/promote")
def promote(version_id: VersionId, who: Admin, context: Context) -> Version:
    """Let a version watch. Watchers take it within a second."""
    key, _, number = version_id.partition("-")
    shelf = _shelf(key, context)
    if int(number) not in [one.number for one in shelf.versions()]:
        raise none_such("version")
    shelf.promote(int(number))
    context.store.audit("promote", f"{shelf.detector.name}: version {number}", actor=who.name)
    return _version_of(shelf, int(number))


def _teachers(context: AppContext) -> list[Teacher]:
    """One per detector of the configuration."""
    config = context.config()
    if config is None:
        return []
    found: dict[tuple[str, ...], Teacher] = {}
    for name in config.cameras:
        teacher = teacher_of(config, name)
        found.setdefault(teacher.cameras, teacher)
    return list(found.values())


def _shelf(key: str, context: AppContext) -> Shelf:
    for teacher in _teachers(context):
        if teacher.shelf.key == key:
            return teacher.shelf
    raise none_such("detector")


def _versions(shelf: Shelf) -> list[Version]:
    watches = shelf.promoted
    return [
        Version(
            id=f"{shelf.key}-{one.number}", number=one.number, made=one.made, made_from=one.made_from, by=one.by,
            sha256=one.sha256, promoted=one.number == watches, report=one.report,
        )
        for one in shelf.versions()
    ]  # fmt: skip


def _version_of(shelf: Shelf, number: int) -> Version:
    return next(version for version in _versions(shelf) if version.number == number)
