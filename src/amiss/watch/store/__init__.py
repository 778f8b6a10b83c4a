"""What the service saw and did: the database, the spool before it, the outbox of alerts, and how long media stay."""

from amiss.watch.store._accounts import AccountRows, Role, Session, Token, User
from amiss.watch.store._archive import Archive, AuditEntry, CameraRow, open_archive
from amiss.watch.store._check import DatabaseCheck, check_database
from amiss.watch.store._deliveries import MAX_DELAY_S, Delivery, DeliveryState
from amiss.watch.store._event_query import EventOrder, EventPage, EventQuery
from amiss.watch.store._event_rows import StoredEvent
from amiss.watch.store._like import LikeEvent, LikeEvents
from amiss.watch.store._outbox import Claim, Outbox
from amiss.watch.store._retention import MediaKeeper, Retention, RetentionReport
from amiss.watch.store._review_rows import Review, Verdict
from amiss.watch.store._store import Store, StoreStatus, open_store

__all__ = [
    "MAX_DELAY_S",
    "AccountRows",
    "Archive",
    "AuditEntry",
    "CameraRow",
    "Claim",
    "DatabaseCheck",
    "Delivery",
    "DeliveryState",
    "EventOrder",
    "EventPage",
    "EventQuery",
    "LikeEvent",
    "LikeEvents",
    "MediaKeeper",
    "Outbox",
    "Retention",
    "RetentionReport",
    "Review",
    "Role",
    "Session",
    "Store",
    "StoreStatus",
    "StoredEvent",
    "Token",
    "User",
    "Verdict",
    "check_database",
    "open_archive",
    "open_store",
]
