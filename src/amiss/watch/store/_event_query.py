"""Which events are wanted, and the statements that find a page of them soon, among a million, too.

A page goes on where the one before ended, by the key of its last event, so no page costs more than the first. Each
statement is made of branches that one index serves in the order of the list: one per camera where cameras are given,
one for the rarest word where words are. A branch gives a page at most; what they give is put in order and cut.
"""

import base64
import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    and_,
    desc,
    exists,
    false,
    func,
    literal,
    or_,
    select,
    true,
    tuple_,
    union,
)

from amiss.errors import UsageError
from amiss.reading import shown
from amiss.watch._event import EventState
from amiss.watch.store._event_rows import StoredEvent
from amiss.watch.store._review_rows import Verdict
from amiss.watch.store._tables import cameras, event_words, events
from amiss.watch.store._words import words_of
from amiss.yaml import is_fit

EventOrder = Literal["newest", "oldest", "score"]

MAX_LIMIT = 1000
_MOST_BRANCHES = 100  # cameras; SQLite takes 500 parts of a statement
_RARE = 5000  # events that are put in order at once


@dataclass(frozen=True)
class EventQuery:
    """Which events are wanted, in which order, and how many at once. What is left out matters not."""

    cameras: tuple[str, ...] | None = None
    """Of these cameras; an empty tuple finds nothing."""
    state: EventState | None = None
    verdict: Verdict | Literal["none"] | None = None
    """Of the newest review; `none` = not reviewed."""
    label: str | None = None
    """The class that the newest review gave."""
    since: datetime | None = None
    """Started then or later; aware."""
    until: datetime | None = None
    """Started before; aware."""
    min_score: float | None = None
    """Peak score, 0 to 1."""
    protected: bool | None = None
    text: str | None = None
    """Whole words, all of which are in the event's class (a reviewer's or the detector's), note, file, problem or
    camera's name."""
    order: EventOrder = "newest"
    limit: int = 100
    """Events of a page, 1 to 1000."""
    cursor: str | None = None
    """`EventPage.next` of the page before, asked with the same filters and order."""


@dataclass(frozen=True)
class EventPage:
    """Some of the events that were asked for."""

    events: tuple[StoredEvent, ...]
    """Without their traces."""
    next: str | None
    """The next page's cursor; None = this is the last."""


def find_page(connection: Connection, query: EventQuery) -> list[RowMapping]:
    """Rows of `events` in order, one more than the limit where there are more."""
    check_query(query)
    found = _found(connection, query, query.limit + 1)
    if found is None:
        return []
    statement = select(events).join(found, found.c.event_id == events.c.event_id)
    place = events.c.peak_score if query.order == "score" else events.c.started
    return list(connection.execute(statement.order_by(*_in_order(query.order, place, events.c.event_id))).mappings())


def count_found(connection: Connection, query: EventQuery, at_most: int) -> int:
    """How many events there are on all pages, `at_most` where there are more."""
    check_query(query)
    found = _found(connection, replace(query, cursor=None), at_most)
    return 0 if found is None else connection.scalar(select(func.count()).select_from(found)) or 0


def cursor_of(query: EventQuery, last: StoredEvent) -> str:
    """Where the page after this event begins."""
    event = last.event
    key = event.peak_score if query.order == "score" else event.started.isoformat()
    return base64.urlsafe_b64encode(json.dumps([query.order, key, event.event_id]).encode()).decode()


@dataclass(frozen=True)
class _Branch:
    """Some of what is found."""

    statement: Select[Any]
    """Without columns yet."""
    place: Any
    """The column that it is ordered by first, …"""
    event_id: Any
    """… and then."""

    def first(self, query: EventQuery, most: int) -> Select[Any]:
        """(event_id, place) of its first events."""
        key = (self.place, self.event_id)
        after = _after(query, key) if query.cursor is not None else true()
        chosen = self.statement.with_only_columns(self.event_id, self.place.label("place")).where(after)
        return select(chosen.order_by(*_in_order(query.order, *key)).limit(most).subquery())


def _found(connection: Connection, query: EventQuery, most: int) -> Any:
    """A subquery of the ids of the first `most` events; None where nothing can be found."""
    parts = [branch.first(query, most) for branch in _branches(connection, query)]
    if len(parts) < 2:
        return parts[0].subquery() if parts else None
    every = union(*parts).subquery()
    return select(every).order_by(*_in_order(query.order, every.c.place, every.c.event_id)).limit(most).subquery()


def _branches(connection: Connection, query: EventQuery) -> list[_Branch]:
    """Statements that together find all; an index has in order what each begins with."""
    place = events.c.peak_score if query.order == "score" else events.c.started
    some = select(events).where(*conditions(query, events.c.started))
    words = words_of(query.text)
    if query.text is not None and query.text.strip() and not words:
        return []
    if not words:
        if query.min_score is not None and query.order != "score" and _is_rare(connection, query.min_score):
            rare = select(events.c.event_id).where(events.c.peak_score >= query.min_score)
            statements = [some.where(events.c.event_id.in_(rare), _of_cameras(query.cameras))]
        else:
            statements = _per_camera(some, query.cameras)
        return [_Branch(statement, place, events.c.event_id) for statement in statements]
    named = {word: _cameras_named(connection, word, query.cameras) for word in words}
    found = {word: _count_word(connection, word) for word in words}
    first = min(words, key=lambda word: (len(named[word]) > 0, found[word]))
    if query.order == "score" and found[first] == _RARE:  # too many to be put in order: the best have it soon
        some = some.where(*(_has_word(word, named[word]) for word in words))
        return [_Branch(statement, place, events.c.event_id) for statement in _per_camera(some, query.cameras)]
    others = [_has_word(word, named[word]) for word in words if word != first]
    in_index = event_words.c  # in order of time, as the events' own columns are not where a word is looked up
    of_word = select(events).join(
        event_words, and_(in_index.event_id == events.c.event_id, in_index.started == events.c.started)
    )
    of_word = of_word.where(
        in_index.word == first, _of_cameras(query.cameras), *conditions(query, in_index.started), *others
    )
    by_word = _Branch(of_word, place if query.order == "score" else in_index.started, in_index.event_id)
    of_cameras = _per_camera(some.where(*others), named[first])
    return [by_word, *(_Branch(statement, place, events.c.event_id) for statement in of_cameras)]


def _per_camera(statement: Select[Any], names: tuple[str, ...] | None) -> list[Select[Any]]:
    if names is None or len(names) > _MOST_BRANCHES:
        return [statement.where(_of_cameras(names))]
    return [statement.where(events.c.camera == name) for name in names]


def _of_cameras(names: tuple[str, ...] | None) -> ColumnElement[bool]:
    return true() if names is None else events.c.camera.in_(names) if names else false()


def _cameras_named(connection: Connection, word: str, among: tuple[str, ...] | None) -> tuple[str, ...]:
    names = connection.scalars(select(cameras.c.name).order_by(cameras.c.name))
    return tuple(name for name in names if word in words_of(name) and (among is None or name in among))


def _has_word(word: str, named: tuple[str, ...]) -> ColumnElement[bool]:
    own = event_words.alias()
    has = (
        exists(own.c.word)
        .where(own.c.word == word, own.c.started == events.c.started, own.c.event_id == events.c.event_id)
        .correlate(events)
    )
    return or_(has, events.c.camera.in_(named)) if named else has


def _count_word(connection: Connection, word: str) -> int:
    some = select(event_words.c.event_id).where(event_words.c.word == word).limit(_RARE).subquery()
    return connection.scalar(select(func.count()).select_from(some)) or 0


def _is_rare(connection: Connection, min_score: float) -> bool:
    some = select(events.c.event_id).where(events.c.peak_score >= min_score).limit(_RARE).subquery()
    return (connection.scalar(select(func.count()).select_from(some)) or 0) < _RARE


def conditions(query: EventQuery, started: ColumnElement[Any]) -> list[ColumnElement[bool]]:
    """All that it asks for but cameras and words."""
    is_verdict = events.c.verdict.is_(None) if query.verdict == "none" else events.c.verdict == query.verdict
    return [
        *([events.c.state == query.state] if query.state is not None else []),
        *([is_verdict] if query.verdict is not None else []),
        *([events.c.label == query.label] if query.label is not None else []),
        *([started >= query.since] if query.since is not None else []),
        *([started < query.until] if query.until is not None else []),
        *([events.c.peak_score >= query.min_score] if query.min_score is not None else []),
        *([events.c.protected.is_(query.protected)] if query.protected is not None else []),
    ]


def _in_order(order: EventOrder, place: Any, event_id: Any) -> list[ColumnElement[Any]]:
    return [place, event_id] if order == "oldest" else [desc(place), desc(event_id)]


def _after(query: EventQuery, key: tuple[Any, Any]) -> ColumnElement[bool]:
    """What comes after the cursor."""
    try:
        order, place, event_id = json.loads(base64.urlsafe_b64decode((query.cursor or "").encode()))
        value = float(place) if query.order == "score" else datetime.fromisoformat(place)
        if order != query.order or not isinstance(event_id, str) or not is_fit(event_id):
            raise ValueError("it is of another list")
        if isinstance(value, datetime) and value.tzinfo is None:
            raise ValueError("its time has no zone")
    except (ValueError, TypeError, RecursionError) as error:
        raise UsageError(
            f"the cursor {shown(query.cursor)} is none of a list in the order {query.order!r}: begin anew, without it"
        ) from error
    last = tuple_(*(literal(part, column.type) for part, column in zip((value, event_id), key, strict=True)))
    return tuple_(*key) > last if query.order == "oldest" else tuple_(*key) < last


def check_query(query: EventQuery) -> None:
    """Raises UsageError where it makes no sense."""
    if query.order not in get_args(EventOrder):
        raise UsageError(f"order is {shown(query.order)}; it is one of {', '.join(get_args(EventOrder))}")
    if query.verdict is not None and query.verdict not in (*get_args(Verdict), "none"):
        raise UsageError(f"verdict is {shown(query.verdict)}; it is one of {', '.join(get_args(Verdict))}, or none")
    if query.state is not None and query.state not in get_args(EventState):
        raise UsageError(f"state is {shown(query.state)}; it is one of {', '.join(get_args(EventState))}")
    if not 1 <= query.limit <= MAX_LIMIT:
        raise UsageError(f"limit is {query.limit}; it must be 1 to {MAX_LIMIT}")
    for name, time in (("since", query.since), ("until", query.until)):
        if time is not None and time.tzinfo is None:
            raise UsageError(f"{name} is {time.isoformat()}, a time without a zone")
    for name in (*(query.cameras or ()), query.label or ""):
        if not is_fit(name):
            raise UsageError(f"{shown(name)} has a character that no database takes, such as NUL")
