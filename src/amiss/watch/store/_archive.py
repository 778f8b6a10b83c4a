"""What the service has stored: events, deliveries, reviews; read, and annotated, from any process."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, exc, func, insert, select, update

from amiss.errors import StoreError, UsageError
from amiss.reading import shown
from amiss.watch._event import CameraEvent, CameraState, unpack_trace
from amiss.watch._vectors import pack_vector, unpack_vector
from amiss.watch.store._database import describe, make_engine, migrate, reason
from amiss.watch.store._deliveries import COLUMNS, Delivery, DeliveryState
from amiss.watch.store._event_query import EventPage, EventQuery, count_found, cursor_of, find_page
from amiss.watch.store._event_rows import StoredEvent, stored_event
from amiss.watch.store._like import LikeEvents, find_like
from amiss.watch.store._review_rows import Review, Verdict, add_reviews, protect_rows, read_reviews, undo_review_rows
from amiss.watch.store._tables import audit, cameras, deliveries, events, traces, vectors
from amiss.watch.store._vector_rows import put_vector
from amiss.yaml import is_fit

MAX_COUNT = 10_000


@dataclass(frozen=True)
class CameraRow:
    """A camera that the store knows: its last state, why, and since when (None: never told)."""

    name: str
    state: CameraState | None
    reason: str | None
    changed: datetime | None
    snoozed_until: datetime | None
    """Its events are told to nobody before; None or past: they are told."""
    snoozed_by: str | None


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
        StoreError: the database can't be had, there is none, or its schema was made by a newer amiss.
    """
    archive = Archive(make_engine(url, make=False), make=False)
    try:
        with archive.reading():
            return archive
    except BaseException:
        archive.close()
        raise


class Archive:
    """The database; every method may be called from any thread, and raises StoreError where it can't be had."""

    def __init__(self, engine: Engine, *, make: bool = True) -> None:
        self.engine, self._make = engine, make
        self._ready = False
        self._preparing = threading.Lock()

    def close(self) -> None:
        """Let go of the database."""
        self.engine.dispose()

    def list_events(self, query: EventQuery = EventQuery()) -> EventPage:  # noqa: B008  # it is frozen
        """A page of events, without their traces.

        Raises:
            UsageError: a filter or the cursor makes no sense.
        """
        with self.reading() as connection:
            rows = find_page(connection, query)
        found = tuple(stored_event(row) for row in rows[: query.limit])
        return EventPage(found, cursor_of(query, found[-1]) if len(rows) > query.limit else None)

    def count_events(self, query: EventQuery = EventQuery(), at_most: int = MAX_COUNT) -> int:  # noqa: B008
        """How many events all pages have together; where there are more than `at_most`, so many.

        Counting takes the time of reading all that is counted.
        """
        with self.reading() as connection:
            return count_found(connection, query, at_most)

    def get_event(self, event_id: str) -> StoredEvent | None:
        """One event with its trace; None where there is none."""
        if not is_fit(event_id):
            return None
        query = select(events, traces.c.packed).join(traces, traces.c.event_id == events.c.event_id)
        with self.reading() as connection:
            row = connection.execute(query.where(events.c.event_id == event_id)).mappings().one_or_none()
            return None if row is None else stored_event(row, unpack_trace(row["packed"]))

    def find_event_id(self, beginning: str) -> str:
        """The id of the event whose id is, or begins with, at least 6 of these characters.

        Raises:
            UsageError: there is none, or there are several.
        """
        found: list[str] = []
        if len(beginning) >= 6 and beginning.isascii() and beginning.isalnum():
            first, key = beginning.lower(), events.c.event_id
            with self.reading() as connection:  # ids are hexadecimal: all that begin so come before first + "g"
                found = list(connection.scalars(select(key).where(key >= first, key < f"{first}g").limit(2)))
        if len(found) != 1:
            many = "several events begin so" if found else "there is no event"
            advice = "give more of its id" if found else "give its id, or at least 6 of its first characters"
            raise UsageError(f"{many}: {shown(beginning)}; {advice}")
        return found[0]

    def similar_events(self, event: CameraEvent, query: EventQuery) -> LikeEvents | None:
        """Which events are most like one, by the features that its detector saw; None where none of it are kept.

        Args:
            event: which one.
            query: see `like_events`.
        """
        of_it = (vectors.c.event_id == event.event_id, vectors.c.kind == event.feature_spec)
        with self.reading() as connection:
            packed = connection.scalar(select(vectors.c.packed).where(*of_it))
            if packed is None:
                return None
            return find_like(connection, event.feature_spec, unpack_vector(packed), query, event.event_id)

    def add_vector(self, kind: str, event: CameraEvent, vector: NDArray[np.float32]) -> None:
        """Keep an event's vector [D] of a kind, in place of an earlier one."""
        if (packed := pack_vector(vector)) is not None:
            with self.writing() as connection:
                put_vector(connection, kind, event, packed)

    def have_vector(self, kind: str, event_ids: Sequence[str]) -> set[str]:
        """Those of the events that have a vector of a kind."""
        of_them = select(vectors.c.event_id).where(vectors.c.event_id.in_(event_ids), vectors.c.kind == kind)
        with self.reading() as connection:
            return set(connection.scalars(of_them))

    def like_events(self, kind: str, vector: NDArray[np.float32], query: EventQuery) -> LikeEvents:
        """Which events are most like a vector, by the cosine, among the newest 200 000 that have one of its kind.

        Args:
            kind: of vectors: the hash of a FeatureSpec, or which network saw the events' pictures.
            vector: [D].
            query: which events are wanted; its text, order and cursor don't matter.

        Raises:
            UsageError: a filter makes no sense.
        """
        with self.reading() as connection:
            return find_like(connection, kind, vector, query)

    def newest_kinds(self, names: Iterable[str]) -> dict[str, str]:
        """Camera → the hash of the FeatureSpec of its newest event, of cameras that have events."""
        found = {}
        with self.reading() as connection:
            for name in names:
                newest = select(events.c.feature_spec).where(events.c.camera == name).order_by(events.c.started.desc())
                if (kind := connection.scalar(newest.limit(1))) is not None:
                    found[name] = kind
        return found

    def cameras(self) -> list[CameraRow]:
        """Cameras that were seen, by name."""
        with self.reading() as connection:
            rows = connection.execute(select(cameras).order_by(cameras.c.name))
            return [CameraRow(**row) for row in rows.mappings()]

    def snooze_camera(self, camera: str, until: datetime | None, *, actor: str = "amiss") -> None:
        """Tell nobody of a camera's events before a time; they are stored as ever. None = tell of them again.

        Messages that a camera is offline are sent all the same. What was not told is in the log of deliveries.

        Raises:
            UsageError: the store has seen no such camera, or the time has no zone.
        """
        if until is not None and until.tzinfo is None:
            raise UsageError(f"until is {until.isoformat()}, a time without a zone")
        values = {"snoozed_until": until, "snoozed_by": None if until is None else actor}
        with self.writing() as connection:
            is_it = cameras.c.name == camera
            if not is_fit(camera) or not connection.execute(update(cameras).where(is_it).values(values)).rowcount:
                raise UsageError(f"nothing was seen of a camera {shown(camera)} yet")
            detail = camera if until is None else f"{camera} until {until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
            action = "unsnooze" if until is None else "snooze"
            connection.execute(
                insert(audit).values(made=datetime.now(UTC), actor=actor, action=action, detail=detail)
            )  # fmt: skip

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

    def protected_ids(self) -> set[str]:
        """Events whose media must stay. A retention that can't ask must remove nothing."""
        with self.reading() as connection:
            return set(connection.scalars(select(events.c.event_id).where(events.c.protected.is_(True))))

    def protect_events(self, event_ids: Sequence[str], protected: bool = True, *, actor: str = "amiss") -> None:
        """Keep the media of events whatever the retention says, or no longer; all of them, or none where one is wrong.

        Raises:
            UsageError: there is no such event.
        """
        with self.writing() as connection:
            protect_rows(connection, event_ids, protected, actor)

    def add_review(
        self,
        event_ids: Sequence[str],
        verdict: Verdict,
        *,
        label: str | None = None,
        note: str = "",
        reviewer: str = "",
        reviewer_id: str | None = None,
        protected: bool | None = None,
    ) -> tuple[Review, ...]:
        """Say what events were; of each, the newest review counts. All of them are reviewed, or none.

        Args:
            event_ids: 1000 at most.
            verdict: confirmed, false-alarm or unsure.
            label: what it was, in a word or two; 64 characters at most.
            note: 4000 characters at most.
            reviewer: who says so.
            reviewer_id: of the account of who says so.
            protected: keep their media from now on, or no longer; None = as it is.

        Raises:
            UsageError: there is no such event or verdict, or a text is too long.
        """
        with self.writing() as connection:
            said = add_reviews(connection, event_ids, verdict, label, note, reviewer, reviewer_id)
            if protected is not None:
                protect_rows(connection, event_ids, protected, reviewer)
            return said

    def undo_review(
        self, event_ids: Sequence[str], *, reviewer: str = "", reviewer_id: str | None = None
    ) -> tuple[Review | None, ...]:
        """Take this reviewer's newest review of each event back; of all of them, or of none.

        Args:
            event_ids: 1000 at most.
            reviewer: whose, by name …
            reviewer_id: … or by account, whatever its name.

        Returns:
            The reviews that count now; None = the event is unreviewed again.

        Raises:
            UsageError: there is no such event, or no review of it by this reviewer.
        """
        with self.writing() as connection:
            return undo_review_rows(connection, event_ids, reviewer, reviewer_id)

    def cameras_of(self, event_ids: Sequence[str]) -> dict[str, str]:
        """Event → its camera; without those that don't exist."""
        ids = [event_id for event_id in event_ids if is_fit(event_id)]
        with self.reading() as connection:
            rows = connection.execute(select(events.c.event_id, events.c.camera).where(events.c.event_id.in_(ids)))
            return {row.event_id: row.camera for row in rows}

    def reviews_of(self, event_id: str) -> tuple[Review, ...]:
        """What was said of an event, oldest first."""
        with self.reading() as connection:
            return read_reviews(connection, event_id) if is_fit(event_id) else ()

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
                migrate(self.engine, make=self._make)
                self._first_use()
                self._ready = True

    def _first_use(self) -> None:
        """What a subclass does once the schema is there."""
