"""Events that are like one: by the features that its detector saw."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import ConfigDict
from pydantic.config import JsonDict

from amiss.app.api._answers import Context, Id, Model, Viewer
from amiss.app.api._events import Event, cameras_seen, event_of, visible_event
from amiss.watch.store import EventQuery, LikeEvents

router = APIRouter(prefix="/events", tags=["events"])

NO_FEATURES = "no features of this event are kept: it was stored by an earlier version, or its clip gave none"
_EXAMPLE: JsonDict = {"events": [], "n_compared": 1200, "other_kind": ["yard"], "problem": None}


class LikeEvent(Model):
    """An event, and how like it is."""

    event: Event
    likeness: float
    """The cosine, -1 to 1: 1 = in the same direction."""


class SimilarEvents(Model):
    """The most alike first."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    events: list[LikeEvent]
    n_compared: int
    """Among how many events they were found: at most the newest 200 000."""
    other_kind: list[str]
    """Cameras whose newest event has features of another kind, which can't be compared with this one's."""
    problem: str | None
    """Why there are none; null = they were looked for."""


@router.get("/{event_id}/similar")
def similar(
    event_id: Id, who: Viewer, context: Context, limit: Annotated[int, Query(ge=1, le=100)] = 12
) -> SimilarEvents:
    """Events of the cameras that one may see which are most like this one, by what the detector's backbone saw."""
    event = visible_event(event_id, who, context).event
    found = context.store.similar_events(event, EventQuery(cameras=cameras_seen(who), limit=limit))
    if found is None:
        return SimilarEvents(events=[], n_compared=0, other_kind=[], problem=NO_FEATURES)
    names = [row.name for row in context.store.cameras() if who.may_see(row.name)]
    kinds = context.store.newest_kinds(names)
    other = [name for name, kind in kinds.items() if kind != event.feature_spec]
    return SimilarEvents(events=like_events(found), n_compared=found.n_compared, other_kind=other, problem=None)


def like_events(found: LikeEvents) -> list[LikeEvent]:
    """What the API shows of them."""
    return [LikeEvent(event=event_of(one.stored), likeness=round(one.cosine, 4)) for one in found.events]
