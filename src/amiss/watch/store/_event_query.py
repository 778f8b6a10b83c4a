"""Which events are wanted, and the statements that find a page of them soon, among a million, too.

A page goes on where the one before ended, by the key of its last event, so no page costs more than the first. Each
statement is made of branches that one index serves (see `_event_plan.py`): one per camera where cameras are given, one
for the rarest word where words are. A branch gives a page at most; what they give is put in order and cut.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    Table,
    and_,
    desc,
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
from amiss.watch.store import _event_plan as plan
from amiss.watch.store._event_rows import StoredEvent
from amiss.watch.store._review_rows import Verdict
from amiss.watch.store._tables import cameras, event_words, events
from amiss.watch.store._words import words_of
from amiss.yaml import is_fit

EventOrder = Literal["newest", "oldest", "score"]

MAX_LIMIT = 1000
_MOST_BRANCHES = 100  # cameras; SQLite takes 500 parts of a statement


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
    branches = _branches(connection, query, "peak_score" if query.order == "score" else "started")
    parts = [branch.first(query, query.limit + 1) for branch in branches]
    if not parts:
        return []
    found = union(*parts).subquery()
    order = _in_order(query.order, found.c.place, found.c.event_id)
    first = select(found.c.event_id).order_by(*order).limit(query.limit + 1)
    of_first = select(events).where(events.c.event_id.in_(first))
    place = plan.apart(events.c.peak_score if query.order == "score" else events.c.started)
    return list(connection.execute(of_first.order_by(*_in_order(query.order, place, events.c.event_id))).mappings())


def count_found(connection: Connection, query: EventQuery, at_most: int) -> int:
    """How many events there are on all pages, `at_most` where there are more."""
    check_query(query)
    parts = [branch.some(at_most) for branch in _branches(connection, replace(query, cursor=None), None)]
    if not parts:
        return 0
    found = union(*parts) if len(parts) > 1 else parts[0]
    return connection.scalar(select(func.count()).select_from(found.limit(at_most).subquery())) or 0


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
    place: ColumnElement[Any]
    """What it is ordered by first, …"""
    event_id: ColumnElement[Any]
    """… and then."""

    def first(self, query: EventQuery, most: int) -> Select[Any]:
        """(event_id, place) of its first events."""
        key = (self.place, self.event_id)
        after = _after(query, key) if query.cursor is not None else true()
        chosen = self.statement.with_only_columns(self.event_id, self.place.label("place")).where(after)
        return select(chosen.order_by(*_in_order(query.order, *key)).limit(most).subquery())

    def some(self, most: int) -> Select[Any]:
        """(event_id) of any of its events."""
        return select(self.statement.with_only_columns(self.event_id).limit(most).subquery())


def _branches(connection: Connection, query: EventQuery, place: str | None) -> list[_Branch]:
    """Statements that together find all, each in the order of a column; None = in any."""
    words = words_of(query.text)
    if query.text is not None and query.text.strip() and not words:
        return []
    asked = conditions(query)
    if not words:
        return [_of_events(connection, some, place) for some in _per_camera(asked, query.cameras)]
    named = {word: _cameras_named(connection, word, query.cameras) for word in words}
    found = {word: _count_word(connection, word, named[word]) for word in words}
    first = min(words, key=lambda word: (found[word], len(named[word])))
    if place == "peak_score" and found[first] >= plan.RARE:  # too many to be put in order: the best have it soon
        having = [_has_word(word, named[word]) for word in words]
        return [_of_events(connection, some, place, *having) for some in _per_camera(asked, query.cameras)]
    others = {word: named[word] for word in words if word != first}
    by_word = _of_word(query, asked, first, others, place)
    having = [_has_word(*other) for other in others.items()]
    return [by_word, *(_of_events(connection, some, place, *having) for some in _per_camera(asked, named[first]))]


def _of_word(
    query: EventQuery, asked: plan.Conditions, word: str, others: Mapping[str, tuple[str, ...]], place: str | None
) -> _Branch:
    """Events whose texts have a word, and others; their own rows are looked at where that is needed alone."""
    in_index = event_words.c  # in order of time
    having = [_has_word(*other, event_words) for other in others.items()]
    of_word = select(event_words).where(in_index.word == word, *having)
    if "started" in asked:
        of_word = of_word.where(asked["started"].of(in_index.started))
    rest = asked.keys() - {"started"}
    if rest or query.cameras is not None or place == "peak_score" or any(others.values()):
        clauses = [asked[name].of(plan.apart(events.c[name])) for name in sorted(rest)]
        both = and_(in_index.event_id == events.c.event_id, in_index.started == events.c.started)
        of_word = of_word.join(events, both).where(_of_cameras(query.cameras), *clauses)
    by = plan.apart(events.c.peak_score) if place == "peak_score" else in_index.started
    return _Branch(of_word, by, in_index.event_id)


def _of_events(
    connection: Connection, asked: plan.Conditions, place: str | None, *more: ColumnElement[bool]
) -> _Branch:
    reading = plan.plan_count(asked) if place is None else plan.plan_list(connection, asked, place)
    return _Branch(select(events).where(reading.where, *more), reading.place, events.c.event_id)


def _per_camera(asked: plan.Conditions, names: tuple[str, ...] | None) -> list[plan.Conditions]:
    if names is None:
        return [asked]
    if len(names) > _MOST_BRANCHES:
        return [{**asked, "camera": plan.Condition(False, lambda column: column.in_(names))}]
    return [{**asked, "camera": _equal(name)} for name in names]


def _of_cameras(names: tuple[str, ...] | None) -> ColumnElement[bool]:
    return true() if names is None else plan.apart(events.c.camera).in_(names) if names else false()


def _cameras_named(connection: Connection, word: str, among: tuple[str, ...] | None) -> tuple[str, ...]:
    names = connection.scalars(select(cameras.c.name).order_by(cameras.c.name))
    return tuple(name for name in names if word in words_of(name) and (among is None or name in among))


def _has_word(word: str, named: tuple[str, ...], of: Table = events) -> ColumnElement[bool]:
    """Whether an event has a word; `of` is whose columns name it."""
    own = event_words.alias()
    is_it = own.c.word == word, own.c.started == of.c.started, own.c.event_id == of.c.event_id
    # not `exists`: PostgreSQL would join all of the word's events, and put these in order
    has = select(own.c.word).where(*is_it).correlate(of).scalar_subquery().is_not(None)
    return or_(has, plan.apart(events.c.camera).in_(named)) if named else has


def _count_word(connection: Connection, word: str, named: tuple[str, ...]) -> int:
    """How many events have a word, in their texts or their camera's name; `plan.RARE` and more are many."""
    in_text = plan.count_some(connection, select(event_words.c.event_id).where(event_words.c.word == word))
    if in_text >= plan.RARE or not named:
        return in_text
    return in_text + plan.count_some(connection, select(events.c.event_id).where(events.c.camera.in_(named)))


def conditions(query: EventQuery) -> dict[str, plan.Condition]:
    """All that it asks for but cameras and words, by column."""
    equal = {"state": query.state, "verdict": query.verdict, "label": query.label, "protected": query.protected}
    found = {name: _equal(value) for name, value in equal.items() if value is not None}
    if query.verdict == "none":
        found["verdict"] = _equal(None)
    if query.since is not None or query.until is not None:
        found["started"] = _within(query.since, query.until)
    if query.min_score is not None:
        found["peak_score"] = _within(query.min_score, None)
    return found


def _equal(value: Any) -> plan.Condition:
    return plan.Condition(True, lambda column: column == value)


def _within(first: Any, end: Any) -> plan.Condition:
    """From `first` on, and before `end`."""

    def of(column: ColumnElement[Any]) -> ColumnElement[bool]:
        return and_(true() if first is None else column >= first, true() if end is None else column < end)

    return plan.Condition(False, of)


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
