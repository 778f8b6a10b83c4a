"""What the service has stored: events, deliveries, reviews; read, and annotated, from any process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, Select, exc, func, insert, select, update

from amiss.errors import StoreError, UsageError
from amiss.watch._event import CameraState, EventState, unpack_trace
from amiss.watch.store._database import describe, make_engine, migrate, reason
from amiss.watch.store._deliveries import COLUMNS, Delivery, DeliveryState
from amiss.watch.store._event_rows import StoredEvent, Verdict, event_of_row
from amiss.watch.store._tables import audit, cameras, deliveries, events, reviews, traces


@dataclass(frozen=True)
class CameraRow:
    """A camera that the store knows: its last state, why, and since when (None: never told)."""

    name: str
    state: CameraState | None
    reason: str | None
    changed: datetime | None


@dataclass(frozen=True)
class Review:
    """What somebody said of an event."""

    event_id: str
    verdict: Verdict
    note: str
    reviewer: str
    made: datetime


@dataclass(frozen=True)
class AuditEntry:
    """Who did what."""

    made: datetime
    actor: str
    action: str
    detail: str


def open_archive(url: str) -> "Archive":
    """The database of a service that runs (or ran), for reading and reviewing beside it.

    Raises:
        UsageError: the URL can't be read, or its driver is missing.
        StoreError: the database can't be had, or its schema was made by a newer amiss.
    """
    archive = Archive(make_engine(url))
    with archive.reading():
        return archive


class Archive:
    """The database; every method may be called from any thread, and raises StoreError where it can't be had."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._ready = False
        self._preparing = threading.Lock()

    def close(self) -> None:
        """Let go of the database."""
        self.engine.dispose()

    def events(
        self,
        *,
        camera: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        state: EventState | None = None,
        min_score: float | None = None,
        verdict: Verdict | None = None,
        unreviewed: bool = False,
        limit: int = 100,
    ) -> list[StoredEvent]:
        """Events that started in `[since, until)`, newest first, without their traces."""
        query = _stored_events().order_by(events.c.started.desc(), events.c.event_id).limit(limit)
        query = query.where(
            *([events.c.camera == camera] if camera is not None else []),
            *([events.c.started >= since] if since is not None else []),
            *([events.c.started < until] if until is not None else []),
            *([events.c.state == state] if state is not None else []),
            *([events.c.peak_score >= min_score] if min_score is not None else []),
            *([reviews.c.verdict == verdict] if verdict is not None else []),
            *([reviews.c.verdict.is_(None)] if unreviewed else []),
        )
        with self.reading() as connection:
            return [_stored(row) for row in connection.execute(query).mappings()]

    def get_event(self, event_id: str) -> StoredEvent | None:
        """One event with its trace; None where there is none."""
        query = _stored_events().add_columns(traces.c.packed).join(traces, traces.c.event_id == events.c.event_id)
        with self.reading() as connection:
            row = connection.execute(query.where(events.c.event_id == event_id)).mappings().one_or_none()
            return None if row is None else _stored(row, row["packed"])

    def cameras(self) -> list[CameraRow]:
        """Cameras that were seen, by name."""
        with self.reading() as connection:
            rows = connection.execute(select(cameras).order_by(cameras.c.name))
            return [CameraRow(row.name, row.state, row.reason, row.changed) for row in rows]

    def deliveries(
        self, *, event_id: str | None = None, state: DeliveryState | None = None, limit: int = 100
    ) -> list[Delivery]:
        """The outbox and its log, newest first."""
        query = select(*COLUMNS).order_by(deliveries.c.created.desc(), deliveries.c.key).limit(limit)
        query = query.where(
            *([deliveries.c.event_id == event_id] if event_id is not None else []),
            *([deliveries.c.state == state] if state is not None else []),
        )
        with self.reading() as connection:
            return [Delivery(**row) for row in connection.execute(query).mappings()]

    def count_deliveries(self) -> dict[str, int]:
        """Deliveries by state."""
        with self.reading() as connection:
            rows = connection.execute(select(deliveries.c.state, func.count()).group_by(deliveries.c.state))
            return {row[0]: row[1] for row in rows}

    def set_protected(self, event_id: str, protected: bool) -> None:
        """Keep an event's media whatever the retention says, or no longer."""
        with self.writing() as connection:
            done = connection.execute(update(events).where(events.c.event_id == event_id).values(protected=protected))
            _require(done.rowcount, event_id)

    def protected_ids(self) -> set[str]:
        """Events whose media must stay. A retention that can't ask must remove nothing."""
        with self.reading() as connection:
            return set(connection.scalars(select(events.c.event_id).where(events.c.protected)))

    def add_review(self, event_id: str, verdict: Verdict, *, note: str = "", reviewer: str = "") -> None:
        """Say what an event was; the newest review counts."""
        if verdict not in ("confirmed", "false_alarm", "ignore"):
            raise UsageError(f"verdict is {verdict!r}; it is confirmed, false_alarm or ignore")
        with self.writing() as connection:
            _require(connection.scalar(select(func.count()).where(events.c.event_id == event_id)) or 0, event_id)
            connection.execute(
                insert(reviews).values(
                    event_id=event_id, verdict=verdict, note=note, reviewer=reviewer, made=datetime.now(UTC)
                )
            )

    def reviews(self, event_id: str) -> list[Review]:
        """What was said of an event, oldest first."""
        query = select(reviews).where(reviews.c.event_id == event_id).order_by(reviews.c.review_id)
        with self.reading() as connection:
            rows = connection.execute(query)
            return [Review(row.event_id, row.verdict, row.note, row.reviewer, row.made) for row in rows]

    def audit(self, action: str, detail: str = "", *, actor: str = "amiss") -> None:
        """Note who did what."""
        with self.writing() as connection:
            connection.execute(
                insert(audit).values(made=datetime.now(UTC), actor=actor, action=action, detail=detail)
            )  # fmt: skip

    def audit_log(self, limit: int = 100) -> list[AuditEntry]:
        """Who did what, newest first."""
        with self.reading() as connection:
            rows = connection.execute(select(audit).order_by(audit.c.audit_id.desc()).limit(limit))
            return [AuditEntry(row.made, row.actor, row.action, row.detail) for row in rows]

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to read with; StoreError where the database can't be had."""
        with self._asking(), self.engine.connect().execution_options(reads=True) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A connection in a transaction, committed at the end; StoreError where the database can't be had."""
        with self._asking(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            self._prepare()
            yield
        except exc.SQLAlchemyError as error:
            raise StoreError(f"the database {describe(self.engine.url)} can't be used: {reason(error)}") from error

    def _prepare(self) -> None:
        """Once, before anything else is done with the database."""
        with self._preparing:
            if not self._ready:
                migrate(self.engine)
                self._first_use()
                self._ready = True

    def _first_use(self) -> None:
        """What a subclass does once the schema is there."""


def _stored_events() -> Select[Any]:
    newest = select(func.max(reviews.c.review_id)).where(reviews.c.event_id == events.c.event_id)
    return select(events, reviews.c.verdict).outerjoin(
        reviews, reviews.c.review_id == newest.correlate(events).scalar_subquery()
    )


def _stored(row: Any, packed: bytes | None = None) -> StoredEvent:
    event = event_of_row(row, () if packed is None else unpack_trace(packed))
    return StoredEvent(event, row["protected"], row["media_removed"], row["saved"], row["verdict"])


def _require(count: int, event_id: str) -> None:
    if not count:
        raise UsageError(f"there is no event {event_id!r}")
