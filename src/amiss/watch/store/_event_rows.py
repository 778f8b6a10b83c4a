"""Reading and writing the rows of an event, inside a transaction of the store."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, or_, select, update

from amiss.watch._event import NOT_IN_ROWS, CameraEvent, Trace, interrupted, pack_trace, unpack_trace
from amiss.watch.config import Rule
from amiss.watch.store._deliveries import create_deliveries
from amiss.watch.store._records import AddClip, ForgetMedia, Interrupt, SaveEvent
from amiss.watch.store._review_rows import Verdict
from amiss.watch.store._tables import cameras, events, traces
from amiss.watch.store._vector_rows import put_vector
from amiss.watch.store._words import put_words

_FIELDS = tuple(name for name in CameraEvent.__dataclass_fields__ if name not in NOT_IN_ROWS)
_SEARCHED = ("started", "class_name", "file", "problem")  # what an event's words come from, and their place in lists


@dataclass(frozen=True)
class StoredEvent:
    """An event as the database has it."""

    event: CameraEvent
    """Its trace is empty in lists."""
    protected: bool
    """Its media are kept whatever the retention says."""
    media_removed: datetime | None
    """When the retention removed its media."""
    saved: datetime
    """When it was first stored."""
    verdict: Verdict | None
    """The newest review's; None = nobody reviewed it."""
    label: str | None
    """The class that it gave; None = none."""
    note: str
    """Its note; empty = none."""


def save_event_rows(connection: Connection, record: SaveEvent, node: str, rules: Iterable[Rule], now: datetime) -> int:
    """Insert or update the event, its trace and its deliveries; a state older than the stored one changes nothing.

    Returns:
        How many deliveries are to be sent because of it.
    """
    event = record.event
    known = (events.c[name] for name in ("revision", "run", *_SEARCHED))
    stored = connection.execute(
        select(*known).where(events.c.event_id == event.event_id).with_for_update()
    ).one_or_none()
    if stored is not None and stored.run == record.run and stored.revision >= record.revision:
        return 0
    values: dict[str, Any] = {name: getattr(event, name) for name in _FIELDS}
    values |= {"run": record.run, "revision": record.revision, "node": node}
    packed = pack_trace(event.trace)
    if stored is None:
        if connection.scalar(select(cameras.c.name).where(cameras.c.name == event.camera)) is None:
            connection.execute(insert(cameras).values(name=event.camera))
        connection.execute(insert(events).values(values | {"protected": False, "saved": now}))
        connection.execute(insert(traces).values(event_id=event.event_id, packed=packed))
    else:
        connection.execute(update(events).where(events.c.event_id == event.event_id).values(values))
        connection.execute(update(traces).where(traces.c.event_id == event.event_id).values(packed=packed))
    if stored is None or any(getattr(event, name) != getattr(stored, name) for name in _SEARCHED):
        put_words(connection, event.event_id)
    if event.feature is not None:
        put_vector(connection, event.feature_spec, event, event.feature)
    return create_deliveries(connection, event, rules, node, now)


def interrupt_rows(connection: Connection, record: Interrupt, node: str, rules: Iterable[Rule], now: datetime) -> int:
    """End what earlier processes of this node, or of these cameras, left open, at the last clip they told of.

    Returns:
        How many deliveries are to be sent because of it.
    """
    rules = tuple(rules)
    count = 0
    left = connection.execute(
        select(events, traces.c.packed)
        .join(traces, traces.c.event_id == events.c.event_id)
        .where(
            events.c.state == "open",
            events.c.run != record.run,
            or_(events.c.node == node, events.c.camera.in_(record.cameras)),
        )
        .order_by(events.c.started)
    ).mappings()
    for row in list(left):
        event = interrupted(event_of_row(row, unpack_trace(row["packed"])))
        connection.execute(
            update(events).where(events.c.event_id == event.event_id).values(state=event.state, ended=event.ended)
        )
        count += create_deliveries(connection, event, rules, node, now)
    return count


def add_clip_row(connection: Connection, record: AddClip) -> None:
    """Give an event a clip that was found later; a second time changes nothing."""
    is_it = events.c.event_id == record.event_id
    row = connection.execute(select(events).where(is_it).with_for_update()).one_or_none()
    if row is not None and row.clip != record.clip:
        problems = "; ".join(filter(None, (row.problem, record.problem))) or None
        connection.execute(update(events).where(is_it).values(clip=record.clip, problem=problems))
        put_words(connection, record.event_id)


def forget_media_rows(connection: Connection, record: ForgetMedia, now: datetime) -> None:
    """Take removed files out of the events."""
    for column in (events.c.clip, events.c.snapshot):
        for first in range(0, len(record.paths), 500):
            part = record.paths[first : first + 500]
            connection.execute(update(events).where(column.in_(part)).values({column: None, "media_removed": now}))


def stored_event(row: Any, trace: Trace = ()) -> StoredEvent:
    """A row of `events` as the database has it."""
    event = event_of_row(row, trace)
    more = ("protected", "media_removed", "saved", "verdict", "label")
    return StoredEvent(event, **{name: row[name] for name in more}, note=row["note"] or "")


def event_of_row(row: Any, trace: Trace = ()) -> CameraEvent:
    """A row of `events` as an event."""
    return CameraEvent(**{name: row[name] for name in _FIELDS}, trace=trace)
