"""What a dispatcher of alerts does with the deliveries in the database, each step in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from amiss.watch._event import CameraEvent
from amiss.watch._outage import OutageNews
from amiss.watch.store._archive import Archive
from amiss.watch.store._deliveries import Delivery, DeliveryState, claim, due, expire_unknown, finish, postpone
from amiss.watch.store._outage_rows import news_of


@dataclass(frozen=True)
class Claim:
    """A delivery that this process is to send now, and what it tells of."""

    delivery: Delivery
    """Its `attempts` count this one."""
    event: CameraEvent | OutageNews
    """As the database has it now."""


class Outbox:
    """The deliveries of a store. Every method raises StoreError where the database can't be had.

    Args:
        archive: The database.
        node: Who sends: the id of the spool folder.
    """

    def __init__(self, archive: Archive, node: str) -> None:
        self._archive, self._node = archive, node

    def claim(self, channel: str, now: datetime) -> Claim | None:
        """The oldest delivery of a channel that is due, marked as being sent; None where there is none."""
        while True:
            with self._archive.reading() as connection:
                found = due(connection, channel, now)
            if found is None:
                return None
            with self._archive.writing() as connection:
                if not claim(connection, found, self._node, now):
                    continue  # another process was faster
            return Claim(replace(found, state="sending", attempts=found.attempts + 1), self._told_by(found))

    def _told_by(self, delivery: Delivery) -> CameraEvent | OutageNews:
        if delivery.event_id is None:
            with self._archive.reading() as connection:
                return news_of(connection, delivery)
        stored = self._archive.get_event(delivery.event_id)
        assert stored is not None  # a foreign key holds them together
        return stored.event

    def postpone(self, key: str, next_attempt: datetime, error: str) -> None:
        """An attempt failed; there will be another."""
        with self._archive.writing() as connection:
            postpone(connection, key, next_attempt, error)

    def finish(self, key: str, state: DeliveryState, error: str | None, now: datetime) -> None:
        """A delivery ended: sent, failed or expired. What its cooldown held back is decided again if it wasn't sent."""
        with self._archive.writing() as connection:
            finish(connection, key, state, error, now)

    def expire_unknown(self, channels: Sequence[str], before: datetime, now: datetime) -> None:
        """Expire what this node made or tried last, before `before`, for channels other than these."""
        with self._archive.writing() as connection:
            expire_unknown(connection, channels, self._node, before, now)
