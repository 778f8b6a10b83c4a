"""Which events are most like one: those whose vectors are nearest.

The vectors of a kind lie together on disk, in order of time. They are read in parts, and of each part only the best are
kept: so an answer takes the time of reading the newest ones (100 000: 60 MB), and hardly any memory.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, desc, func, select, true

from amiss.watch._vectors import cosines, packed_length
from amiss.watch.store import _event_plan as plan
from amiss.watch.store._event_query import EventQuery, check_query, conditions
from amiss.watch.store._event_rows import StoredEvent, stored_event
from amiss.watch.store._tables import events, vectors

MOST_COMPARED = 200_000
"""Vectors: the newest of a kind."""
_PART = 10_000


@dataclass(frozen=True)
class LikeEvent:
    """An event, and how like it is."""

    stored: StoredEvent
    """Without its trace."""
    cosine: float
    """-1 to 1; 1 = the same direction."""


@dataclass(frozen=True)
class LikeEvents:
    """The most alike of all that were compared."""

    events: tuple[LikeEvent, ...]
    """The most alike first."""
    n_compared: int


def find_like(
    connection: Connection, kind: str, vector: NDArray[np.float32], query: EventQuery, leave_out: str = ""
) -> LikeEvents:
    """The events of a query that are most like a vector [D], but one; see `Archive.like_events`."""
    check_query(query)
    newest = select(vectors).where(vectors.c.kind == kind).order_by(desc(vectors.c.started)).limit(MOST_COMPARED)
    some = newest.subquery()
    columns = (some.c.event_id, some.c.packed)
    statement = select(*columns).where(
        true() if query.cameras is None else some.c.camera.in_(query.cameras),
        some.c.event_id != leave_out,
        func.length(some.c.packed) == packed_length(len(vector)),
    )
    if asked := conditions(query):
        own = {"started": some.c.started}
        clauses = [one.of(own.get(name, plan.apart(events.c[name]))) for name, one in asked.items()]
        statement = statement.join(events, events.c.event_id == some.c.event_id).where(*clauses)
    best: list[tuple[float, str]] = []
    n_compared = 0
    for rows in connection.execution_options(yield_per=_PART).execute(statement).partitions():
        best = heapq.nlargest(query.limit, [*best, *_best(vector, rows, query.limit)])
        n_compared += len(rows)
    found = connection.execute(select(events).where(events.c.event_id.in_([one for _, one in best]))).mappings()
    by_id = {row["event_id"]: stored_event(row) for row in found}
    return LikeEvents(tuple(LikeEvent(by_id[one], cosine) for cosine, one in best if one in by_id), n_compared)


def _best(vector: NDArray[np.float32], rows: Sequence[Any], most: int) -> list[tuple[float, str]]:
    found = cosines(vector, [row.packed for row in rows])
    nearest = np.argsort(-found, kind="stable")[:most]
    return [(float(found[i]), rows[i].event_id) for i in nearest]
