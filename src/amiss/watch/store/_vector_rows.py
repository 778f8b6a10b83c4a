"""Writing the vectors of events, by which they are compared (see `_like.py`)."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from amiss.watch._event import CameraEvent
from amiss.watch.store._tables import vectors


def put_vector(connection: Connection, kind: str, event: CameraEvent, packed: bytes) -> None:
    """Make this the event's vector of that kind."""
    is_it = (vectors.c.event_id == event.event_id, vectors.c.kind == kind)
    values = {"started": event.started, "camera": event.camera, "packed": packed}
    stored = connection.execute(select(*(vectors.c[name] for name in values)).where(*is_it)).mappings().one_or_none()
    if stored is not None and dict(stored) == values:
        return
    connection.execute(delete(vectors).where(*is_it))
    connection.execute(insert(vectors).values(values | {"kind": kind, "event_id": event.event_id}))
