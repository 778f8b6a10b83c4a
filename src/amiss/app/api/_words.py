"""Events by words of what their pictures show, where a CLIP is there."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import ConfigDict
from pydantic.config import JsonDict

from amiss.app.api._answers import Context, Model, Viewer
from amiss.app.api._events import Wanted
from amiss.app.api._similar import LikeEvent, like_events

router = APIRouter(prefix="/events", tags=["events"])

NO_CLIP = (
    "no network that sees pictures is on the server, or it can't be read; an admin is told here which file to save"
)
NO_CAMERAS = "there are no cameras here, so no events"
_EXAMPLE: JsonDict = {"events": [], "n_compared": 1200, "is_behind": False, "problem": None}


class ShowingEvents(Model):
    """What fits the words best first."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    events: list[LikeEvent]
    """Of words and pictures, cosines of 0.2 to 0.35 are high."""
    n_compared: int
    """Among how many events they were found: at most the newest 200 000 whose pictures were seen."""
    is_behind: bool
    """There are pictures that weren't seen yet."""
    problem: str | None
    """Why nothing is found by words here; null = it is."""


@router.get("/showing")
def showing(
    who: Viewer,
    wanted: Wanted,
    context: Context,
    words: Annotated[str, Query(max_length=200, examples=["a person lying on the floor"])] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 48,
) -> ShowingEvents:
    """Events whose pictures fit words best, in English; without words, only whether that can be asked here."""
    if context.words is None:
        return ShowingEvents(events=[], n_compared=0, is_behind=False, problem=NO_CAMERAS)
    state, seer = context.words.state, context.words.seer
    if seer is None or not words.strip():
        is_told = who.is_at_least("admin") or not state.has_failed  # where files lie is for admins
        problem = state.problem if is_told else NO_CLIP
        return ShowingEvents(events=[], n_compared=0, is_behind=state.is_behind, problem=problem)
    found = context.store.like_events(seer.kind, seer.of_words(words), replace(wanted, limit=limit))
    return ShowingEvents(
        events=like_events(found), n_compared=found.n_compared, is_behind=state.is_behind, problem=None
    )
