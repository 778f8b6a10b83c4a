"""What the service saw and did: the database, the spool before it, the outbox of alerts, and how long media stay."""

from amiss.watch.store._accounts import AccountRows, Role, Session, Token, User
from amiss.watch.store._archive import Archive, AuditEntry, CameraRow, Review, open_archive
from amiss.watch.store._deliveries import MAX_DELAY_S, Delivery, DeliveryState
from amiss.watch.store._event_rows import StoredEvent, Verdict
from amiss.watch.store._outbox import Claim, Outbox
from amiss.watch.store._retention import MediaKeeper, Retention, RetentionReport
from amiss.watch.store._store import Store, StoreStatus, open_store

__all__ = [
    "MAX_DELAY_S",
    "AccountRows",
    "Archive",
    "AuditEntry",
    "CameraRow",
    "Claim",
    "Delivery",
    "DeliveryState",
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
    "open_archive",
    "open_store",
]
