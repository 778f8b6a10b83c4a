"""Versions of the cameras' detectors: what they are worth, and which one watches."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path
from pydantic import ConfigDict, Field

from amiss.app._context import AppContext
from amiss.app.api._answers import Admin, Context, Model, Reviewer, none_such
from amiss.watch.teach import Shelf, Teacher, teacher_of

router = APIRouter(prefix="/detectors", tags=["detectors"])

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

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})

    key: Annotated[str, Field(pattern=rf"^{_KEY}$")] | None = None
    """Null: there is only one detector."""


@router.get("")
def detectors(who: Reviewer, context: Context) -> Detectors:
    """The detectors of the cameras that one may see, with all their versions."""
    found = [teacher for teacher in _teachers(context) if any(map(who.may_see, teacher.cameras))]
    return Detectors(
        detectors=[
            Detector(
                key=teacher.shelf.key, name=teacher.shelf.detector.name, cameras=who.visible(teacher.cameras),
                versions=_versions(teacher.shelf),
            )
            for teacher in found
        ]
    )  # fmt: skip


@router.post("/rollback")
def roll_back(asked: RollBack, who: Admin, context: Context) -> Version:
    """Take the last promotion back; gives the version that watches now."""
    teachers = _teachers(context)
    chosen = [one for one in teachers if asked.key in (None, one.shelf.key)]
    if len(chosen) > 1:
        raise HTTPException(400, "there are several detectors: give the `key` of one")
    if not chosen:
        raise none_such("detector")
    shelf = chosen[0].shelf
    version = shelf.roll_back()
    context.store.audit("roll-back", f"{shelf.detector.name}: version {version.number}", actor=who.name)
    return _version_of(shelf, version.number)


@router.post("/{version_id}/promote")
def promote(version_id: VersionId, who: Admin, context: Context) -> Version:
    """Let a version watch. Watchers take it within a second."""
    key, _, number = version_id.partition("-")
    shelf = next((one.shelf for one in _teachers(context) if one.shelf.key == key), None)
    if shelf is None or int(number) not in [one.number for one in shelf.versions()]:
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
