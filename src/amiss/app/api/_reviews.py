"""What people say of events: confirmed, false alarm, unsure; a class, a note; what is kept."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, HTTPException
from pydantic import ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from amiss.app.api._answers import Context, Id, Model, Reviewer, Viewer, none_such
from amiss.app.api._events import Event, event_of, visible_event
from amiss.watch import store
from amiss.watch.store import Verdict

router = APIRouter(prefix="/events", tags=["reviews"])

_EXAMPLE: JsonDict = {"verdict": "confirmed", "class": "fall", "note": "by the stairs"}
Label = Annotated[str | None, Field(alias="class", max_length=64)]
Note = Annotated[str, Field(max_length=4000)]


class Verdicts(Model):
    """What somebody says of an event."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    verdict: Verdict
    label: Label = None
    """What it is."""
    note: Note = ""


class Review(Model):
    """What somebody said of an event."""

    verdict: Verdict
    label: Label
    note: str
    reviewer: str
    made: datetime


class Reviews(Model):
    """What was said of an event, oldest first; the newest counts."""

    reviews: list[Review]


class Protection(Model):
    """What of an event can be changed."""

    protected: bool
    """Keep its clip and picture whatever the retention says."""


class Bulk(Model):
    """The same for many events: all of it happens, or nothing."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"ids": ["0" * 32], "verdict": "false-alarm"}]})

    ids: Annotated[list[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]], Field(min_length=1, max_length=500)]
    verdict: Verdict | None = None
    label: Label = None
    note: Note = ""
    protected: bool | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.verdict is None and self.protected is None:
            raise ValueError("give a verdict, or `protected`")
        return self


@router.post("/bulk", status_code=204)
def bulk(change: Bulk, who: Reviewer, context: Context) -> None:
    """Review, protect, or both, many events at once."""
    cameras = context.store.cameras_of(change.ids)
    if any(event_id not in cameras or not who.may_see(cameras[event_id]) for event_id in change.ids):
        raise none_such("event")
    if change.verdict is not None:
        context.store.add_review(
            change.ids, change.verdict, label=change.label, note=change.note, reviewer=who.name,
            reviewer_id=who.user_id or None, protected=change.protected,
        )  # fmt: skip
    elif change.protected is not None:
        context.store.protect_events(change.ids, change.protected, actor=who.name)


@router.patch("/{event_id}")
def protect(event_id: Id, change: Protection, who: Reviewer, context: Context) -> Event:
    """Keep its clip and picture whatever the retention says, or no longer."""
    visible_event(event_id, who, context)
    context.store.protect_events([event_id], change.protected, actor=who.name)
    return event_of(visible_event(event_id, who, context))


@router.get("/{event_id}/reviews")
def reviews(event_id: Id, who: Viewer, context: Context) -> Reviews:
    """What was said of it."""
    visible_event(event_id, who, context)
    return Reviews(reviews=[_review_of(review) for review in context.store.reviews_of(event_id)])


@router.post("/{event_id}/reviews", status_code=201)
def review(event_id: Id, said: Verdicts, who: Reviewer, context: Context) -> Review:
    """Say what it is; the newest review counts."""
    visible_event(event_id, who, context)
    (made,) = context.store.add_review(
        [event_id], said.verdict, label=said.label, note=said.note, reviewer=who.name, reviewer_id=who.user_id or None
    )  # fmt: skip
    return _review_of(made)


@router.delete("/{event_id}/reviews/last")
def undo(event_id: Id, who: Reviewer, context: Context) -> Event:
    """Take one's own newest review back."""
    visible_event(event_id, who, context)
    own = (review.reviewer_id or "" for review in context.store.reviews_of(event_id))
    if who.user_id not in own:
        raise HTTPException(404, "you have not reviewed this event")
    context.store.undo_review([event_id], reviewer=who.name, reviewer_id=who.user_id or None)
    return event_of(visible_event(event_id, who, context))


def _review_of(review: store.Review) -> Review:
    values = {"class": review.label}
    return Review(verdict=review.verdict, note=review.note, reviewer=review.reviewer, made=review.made, **values)
