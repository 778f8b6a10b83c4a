"""The store: what the service saw and did, in SQLite or PostgreSQL, behind a spool that loses nothing."""

import itertools
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, exc, insert, update

from amiss.errors import StoreError
from amiss.watch._event import CameraEvent, CameraState
from amiss.watch._outage import Outage
from amiss.watch.config import Rule
from amiss.watch.store._archive import Archive
from amiss.watch.store._database import describe, is_refused, make_engine, reason
from amiss.watch.store._deliveries import recover
from amiss.watch.store._event_rows import add_clip_row, forget_media_rows, interrupt_rows, save_event_rows
from amiss.watch.store._outage_rows import forget_cameras, lose_camera, return_camera
from amiss.watch.store._outbox import Outbox
from amiss.watch.store._records import (
    AddClip,
    CameraBack,
    CameraLost,
    ForgetCameras,
    ForgetMedia,
    Interrupt,
    Record,
    SaveEvent,
    read_record,
    write_record,
)
from amiss.watch.store._spool import MAX_BYTES, Entry, Spool
from amiss.watch.store._tables import cameras

log = logging.getLogger("amiss.watch.store")

_BATCH = 32
_RETRY_S = (0.5, 1.0, 2.0, 5.0)  # between attempts to write; the last one for ever
_IDLE_S = 1.0


@dataclass(frozen=True)
class StoreStatus:
    """How the store is."""

    waiting: int
    """Records in the spool."""
    waiting_bytes: int
    """Their size."""
    waiting_s: float
    """Age of the wait; seconds."""
    in_memory: int
    """Of these, records that the disk did not take."""
    dropped: int
    """States of open events given up for want of room in the spool."""
    rejected: int
    """Records put aside in `rejected.jsonl` since the start."""
    problem: str | None
    """Why the database can't be written; None where it can."""


def open_store(url: str, spool: Path, *, rules: Sequence[Rule] = (), spool_bytes: int = MAX_BYTES) -> "Store":
    """Open the database, bring its schema up to date, and write what an earlier run left in the spool.

    A database that can't be reached now is no error: everything waits in the spool until it can be.

    Args:
        url: `sqlite:///FILE` or `postgresql://user:password@host/name`.
        spool: Folder for what is on its way into the database, on a local disk; one process at a time.
        rules: Which events are told to whom.
        spool_bytes: Size beyond which states of open events are dropped from the spool.

    Raises:
        UsageError: the URL can't be read, its driver is missing, or another process uses the spool.
        OutputError: the spool or the database's folder can't be made.
        StoreError: the schema was made by a newer amiss.
    """
    engine = make_engine(url)
    store = Store(engine, Spool(spool, spool_bytes), rules)
    try:
        store.start()
    except StoreError:
        store.close(0)
        raise
    return store


class Store(Archive):
    """See `open_store`. Every method may be called from any thread.

    `save_event`, `camera_lost`, `camera_back`, `forget_cameras`, `mark_interrupted`, `add_clip`, `forget_media` and
    `set_camera_state` never wait for the database and never raise for trouble with it; all others read or write at once
    and raise StoreError.
    """

    def __init__(self, engine: Engine, spool: Spool, rules: Sequence[Rule] = ()) -> None:
        super().__init__(engine)
        self.spool = spool
        self.outbox = Outbox(self, spool.node)
        self.run = uuid.uuid4().hex
        self.on_deliveries: Callable[[], None] | None = None
        self._rules = tuple(rules)
        self._revisions = itertools.count(1)
        self._problem: str | None = None
        self._states: dict[str, tuple[CameraState, str, datetime]] = {}
        self._stop = threading.Event()
        self._appending = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="amiss-store", daemon=True)

    @property
    def node(self) -> str:
        """Who this spool folder is, for the outbox."""
        return self.spool.node

    def start(self) -> None:
        """Bring the schema up to date if the database can be had, and start writing."""
        try:
            self._prepare()
        except exc.SQLAlchemyError as error:
            self._trouble(error)
        self._thread.start()

    def set_rules(self, rules: Sequence[Rule]) -> None:
        """Rules for everything stored from now on."""
        self._rules = tuple(rules)

    def save_event(self, event: CameraEvent) -> None:
        """Store an event, new or changed, and the deliveries that the rules ask for, in one transaction.

        When this returns the event is on disk. Saving the same state again changes nothing.
        """
        with self._appending:  # revisions must rise in the order of the spool
            self._put(SaveEvent(self.run, next(self._revisions), event))

    def camera_lost(self, outage: Outage) -> None:
        """Nothing of a camera was scored for too long: store it, and the deliveries that the rules ask for.

        Where an outage of that camera lasts already, such as one that an earlier process noticed, it is that one, and
        nobody is told twice.
        """
        with self._appending:
            self._put(CameraLost(self.run, next(self._revisions), outage))

    def camera_back(self, camera: str, time: datetime) -> None:
        """Something of a camera was scored again. If an outage of it lasts, whoever was told of it is told."""
        with self._appending:
            self._put(CameraBack(self.run, next(self._revisions), camera, time))

    def forget_cameras(self, watched: Iterable[str]) -> None:
        """Only these are watched: outages of others that this spool folder's processes noticed are over."""
        self._put(ForgetCameras(tuple(watched)))

    def mark_interrupted(self, cameras: Iterable[str]) -> None:
        """At start-up: what earlier processes left open is `interrupted`, ended at its last clip.

        That is what processes of this spool folder saw, whatever the camera, and all of the given cameras (the folder
        may be a new one).
        """
        self._put(Interrupt(self.run, tuple(cameras)))

    def add_clip(self, event_id: str, clip: str | None, problem: str | None) -> None:
        """At start-up, before `mark_interrupted`: an earlier process's event has a clip after all."""
        self._put(AddClip(event_id, clip, problem))

    def forget_media(self, paths: Iterable[str]) -> None:
        """The files (relative to the media folder) were removed: their events have none."""
        if gone := tuple(paths):
            self._put(ForgetMedia(gone))

    def set_camera_state(self, camera: str, state: CameraState, reason: str = "") -> None:
        """Remember a camera's state; only the newest is written."""
        self._states[camera] = (state, reason, datetime.now(UTC))
        self.spool.wake()

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was saved is in the database; False where it isn't in time."""
        return self.spool.wait_empty(timeout_s)

    def status(self) -> StoreStatus:
        """How the store is; asks nothing of the database."""
        spool = self.spool
        return StoreStatus(
            len(spool), spool.n_bytes, spool.waiting_s, spool.in_memory, spool.dropped, spool.rejected, self._problem
        )

    def close(self, timeout_s: float = 5.0) -> None:
        """Write what waits, for at most `timeout_s`; the rest stays in the spool for the next run."""
        deadline = time.monotonic() + timeout_s
        if self._thread.is_alive() and self.spool.wait_empty(timeout_s):
            while self._states and self._problem is None and time.monotonic() < deadline:
                time.sleep(0.01)
        self._stop.set()
        self.spool.wake()
        if self._thread.is_alive():
            self._thread.join(timeout_s + 10)
        if len(self.spool):
            log.warning("%d records stay in the spool until the next run", len(self.spool))
        self.spool.close()
        self.engine.dispose()

    def _put(self, record: Record) -> None:
        event = record.event if isinstance(record, SaveEvent) else None
        self.spool.append(
            write_record(record),
            event_id=None if event is None else event.event_id,
            is_open=event is not None and event.state == "open",
        )

    def _first_use(self) -> None:
        with self.engine.begin() as connection:
            count = recover(connection, self.node, datetime.now(UTC))
        if count:
            log.warning("%d alerts were being sent when the last run ended; they are sent again", count)

    def _work(self) -> None:
        """Carry records from the spool into the database, in order, for ever."""
        failures = 0
        while not self._stop.is_set():
            if not self.spool.wait(_IDLE_S) and not self._states:
                continue
            try:
                self._carry()
                self._write_states()
            except Exception as error:
                self._trouble(error)
                self._stop.wait(_RETRY_S[min(failures, len(_RETRY_S) - 1)])
                failures += 1
                continue
            self._solved()
            failures = 0

    def _carry(self) -> None:
        self._prepare()
        batch = self.spool.peek(_BATCH)
        if not batch:
            return
        try:
            self._write(batch)
        except Exception as refused:
            if not is_refused(refused):
                raise
            for number, entry in batch:  # find the record that can't be stored
                try:
                    self._write([(number, entry)])
                except Exception as error:
                    if not is_refused(error):
                        raise
                    self.spool.reject(number, entry, reason(error))

    def _write(self, batch: list[tuple[int, Entry]]) -> None:
        now = datetime.now(UTC)
        count = 0
        with self.engine.begin() as connection:
            for _, entry in batch:
                count += self._apply(connection, read_record(entry.line), now)
        self._solved()
        self.spool.remove([number for number, _ in batch])
        if count and self.on_deliveries is not None:
            self.on_deliveries()

    def _write_states(self) -> None:
        states = dict(self._states)
        if not states:
            return
        try:
            with self.engine.begin() as connection:
                for camera, (state, why, changed) in states.items():
                    values = {"state": state, "reason": why, "changed": changed}
                    if not connection.execute(update(cameras).where(cameras.c.name == camera).values(values)).rowcount:
                        connection.execute(insert(cameras).values(values | {"name": camera}))
        except Exception as error:
            if not is_refused(error):
                raise
            log.error("the states of cameras could not be stored: %s", reason(error))
        for camera, written in states.items():
            if self._states.get(camera) == written:
                del self._states[camera]

    def _apply(self, connection: Connection, record: Record, now: datetime) -> int:
        """Returns how many alerts are to be sent because of it."""
        match record:
            case SaveEvent():
                return save_event_rows(connection, record, self.node, self._rules, now)
            case Interrupt():
                return interrupt_rows(connection, record, self.node, self._rules, now)
            case AddClip():
                add_clip_row(connection, record)
            case ForgetMedia():
                forget_media_rows(connection, record, now)
            case CameraLost():
                return lose_camera(connection, record, self.node, self._rules, now)
            case CameraBack():
                return return_camera(connection, record, self.node, now)
            case ForgetCameras():
                forget_cameras(connection, self.node, record.watched, now)
        return 0

    def _solved(self) -> None:
        if self._problem is not None:
            log.warning("the database can be written again")
        self._problem = None

    def _trouble(self, error: Exception) -> None:
        problem = reason(error)
        if not isinstance(error, (exc.SQLAlchemyError, StoreError)):  # a fault of ours must not end the writing
            log.error("writing failed in an unforeseen way; it is tried again", exc_info=error)
        if problem != self._problem:
            log.error("the database %s can't be written, events wait in the spool: %s",
                      describe(self.engine.url), problem)  # fmt: skip
        self._problem = problem
