"""The tables of the store.

The schema itself is made by the migrations; a test holds the two together.

    cameras       one row per camera seen: its state now
    events        one row per event, updated while it is open
    traces        score per clip of an event, packed (see `pack_trace`)
    vectors       of events, by which they are compared (see `_like.py`)
    event_words   the words of an event's texts, for search (see `_words.py`)
    outages       one row per stretch of time in which a camera gave nothing
    deliveries    one row per (event, rule, channel), and per start and end of an outage: the outbox and its log
    rule_state    which delivery started the cooldown of (rule, camera, channel)
    reviews       what people said of an event; the newest counts
    audit         who did what
    users         who may log in, and what they may see and do
    sessions      browsers that are logged in
    tokens        keys for programs
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.types import TypeDecorator


class UTCDateTime(TypeDecorator[datetime]):
    """Aware datetimes, stored in UTC whatever the database; naive ones are refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC; without a zone for SQLite, which has none."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without a zone can't be stored: {value}")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Aware, UTC."""
        if value is None:
            return None
        stored: datetime = value
        return stored.replace(tzinfo=UTC) if stored.tzinfo is None else stored.astimezone(UTC)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_name = String(255)
_key = String(32)

cameras = Table(
    "cameras",
    metadata,
    Column("name", _name, primary_key=True),
    Column("state", String(16)),
    Column("reason", Text),
    Column("changed", UTCDateTime),
    Column("snoozed_until", UTCDateTime),  # its events are told to nobody before
    Column("snoozed_by", _name),
)

events = Table(
    "events",
    metadata,
    Column("event_id", _key, primary_key=True),
    Column("camera", _name, nullable=False),
    Column("state", String(16), nullable=False),
    Column("started", UTCDateTime, nullable=False),
    Column("ended", UTCDateTime),
    Column("peak", UTCDateTime, nullable=False),
    Column("peak_score", Double, nullable=False),
    Column("threshold_on", Double, nullable=False),
    Column("threshold_off", Double, nullable=False),
    Column("detector", Text, nullable=False),
    Column("detector_sha256", String(64), nullable=False),
    Column("feature_spec", _name, nullable=False),
    Column("clip", Text),
    Column("snapshot", Text),
    Column("problem", Text),
    Column("file", Text),  # of a folder's event: which file it is in, and where
    Column("file_s", Double),
    Column("class_name", Text),
    Column("protected", Boolean, nullable=False),
    Column("media_removed", UTCDateTime),
    Column("saved", UTCDateTime, nullable=False),  # when the row was made
    Column("run", _key, nullable=False),  # the process that saw the event
    Column("node", _key),  # its spool folder
    Column("revision", BigInteger, nullable=False),  # rises with every state of the event; older ones change nothing
    Column("verdict", String(16)),  # these three: of its newest review
    Column("label", String(64)),
    Column("note", Text),
    # each has an order of lists, and the key by which they go on; at its end what a walk past many events looks at
    Index("ix_events_started", "started", "event_id", "peak_score"),
    Index("ix_events_peak_score", "peak_score", "event_id", "started"),
    Index("ix_events_camera_started", "camera", "started", "event_id", "peak_score"),
    Index("ix_events_camera_peak_score", "camera", "peak_score", "event_id", "started"),
    Index("ix_events_camera_verdict", "camera", "verdict", "started", "event_id", "peak_score"),
    Index("ix_events_camera_verdict_peak_score", "camera", "verdict", "peak_score", "event_id", "started"),
    Index("ix_events_verdict", "verdict", "started", "event_id", "peak_score"),
    Index("ix_events_verdict_peak_score", "verdict", "peak_score", "event_id", "started"),
    Index("ix_events_label", "label", "started", "event_id", "peak_score"),
    Index("ix_events_label_peak_score", "label", "peak_score", "event_id", "started"),
    Index("ix_events_state", "state", "started", "event_id", "peak_score"),
    Index("ix_events_protected", "protected", "started", "event_id", "peak_score"),
)

event_words = Table(
    "event_words",
    metadata,
    Column("word", String(64), primary_key=True),
    Column("started", UTCDateTime, primary_key=True),  # the event's
    Column("event_id", _key, ForeignKey("events.event_id", ondelete="CASCADE"), primary_key=True, index=True),
    sqlite_with_rowid=False,
)

vectors = Table(
    "vectors",
    metadata,
    Column("kind", _name, primary_key=True),  # hash of a FeatureSpec, or which network saw the picture
    Column("started", UTCDateTime, primary_key=True),  # the event's
    Column("event_id", _key, ForeignKey("events.event_id", ondelete="CASCADE"), primary_key=True, index=True),
    Column("camera", _name, nullable=False),
    Column("packed", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

traces = Table(
    "traces",
    metadata,
    Column("event_id", _key, ForeignKey("events.event_id", ondelete="CASCADE"), primary_key=True),
    Column("packed", LargeBinary, nullable=False),
)

outages = Table(
    "outages",
    metadata,
    Column("outage_id", _key, primary_key=True),
    Column("camera", _name, nullable=False),
    Column("started", UTCDateTime, nullable=False),
    Column("noticed", UTCDateTime, nullable=False),
    Column("ended", UTCDateTime),  # null: it lasts; of one camera at most one does
    Column("reason", Text, nullable=False),
    Column("run", _key, nullable=False),  # the process that told of it last …
    Column("revision", BigInteger, nullable=False),  # … and in which record
    Column("node", _key, nullable=False),
    Index(None, "camera", "ended"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("key", _key, primary_key=True),  # idempotency key: a hash of event (or outage), rule and channel
    Column("tells", String(16), nullable=False, server_default="event"),  # event; offline or back: of the outage
    Column("event_id", _key, ForeignKey("events.event_id", ondelete="CASCADE"), index=True),
    Column("outage_id", _key, ForeignKey("outages.outage_id", ondelete="CASCADE"), index=True),
    Column("rule", _name, nullable=False),
    Column("channel", _name, nullable=False),
    Column("camera", _name, nullable=False),
    Column("moment", UTCDateTime, nullable=False),  # of the event's opening or end: what cooldowns count from
    Column("cooldown_s", Double, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("created", UTCDateTime, nullable=False),
    Column("next_attempt", UTCDateTime, nullable=False),
    Column("finished", UTCDateTime),
    Column("error", Text),
    Column("node", _key),  # the spool folder whose process made it, or tried it last
    Column("held_by", _key),  # of a suppressed one: the delivery whose cooldown it fell into
    Index(None, "state", "channel", "next_attempt"),
    Index(None, "held_by"),
)

rule_state = Table(
    "rule_state",
    metadata,
    Column("rule", _name, primary_key=True),
    Column("camera", _name, primary_key=True),
    Column("channel", _name, primary_key=True),
    Column("moment", UTCDateTime, nullable=False),
    Column("delivery", _key, nullable=False),
)

reviews = Table(
    "reviews",
    metadata,
    Column("review_id", Integer, primary_key=True, autoincrement=True),
    Column("event_id", _key, ForeignKey("events.event_id", ondelete="CASCADE"), nullable=False, index=True),
    Column("verdict", String(16), nullable=False),
    Column("label", String(64)),
    Column("note", Text, nullable=False),
    Column("reviewer", _name, nullable=False),
    Column("reviewer_id", _key),  # the user, also when another one has the name by now; null: from the command line
    Column("made", UTCDateTime, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("audit_id", Integer, primary_key=True, autoincrement=True),
    Column("made", UTCDateTime, nullable=False, index=True),
    Column("actor", _name, nullable=False),
    Column("action", _name, nullable=False),
    Column("detail", Text, nullable=False),
)

users = Table(
    "users",
    metadata,
    Column("user_id", _key, primary_key=True),
    Column("name", _name, nullable=False),
    Column("role", String(16), nullable=False),
    Column("cameras", Text),  # a JSON list; null: all
    Column("password", Text, nullable=False),  # its argon2id hash
    Column("created", UTCDateTime, nullable=False),
    Index(None, "name", unique=True),
)

sessions = Table(
    "sessions",
    metadata,
    Column("session_id", _key, primary_key=True),
    Column("user_id", _key, ForeignKey("users.user_id", ondelete="CASCADE"), nullable=False, index=True),
    Column("secret", String(64), nullable=False),  # SHA-256 of what the browser holds
    Column("created", UTCDateTime, nullable=False),
    Column("seen", UTCDateTime, nullable=False),
    Column("expires", UTCDateTime, nullable=False),
    Column("address", _name, nullable=False),
    Column("agent", Text, nullable=False),
    Index(None, "secret", unique=True),
)

tokens = Table(
    "tokens",
    metadata,
    Column("token_id", _key, primary_key=True),
    Column("user_id", _key, ForeignKey("users.user_id", ondelete="CASCADE"), nullable=False, index=True),
    Column("name", _name, nullable=False),
    Column("role", String(16), nullable=False),  # at most its user's counts
    Column("secret", String(64), nullable=False),  # SHA-256 of the token
    Column("created", UTCDateTime, nullable=False),
    Column("seen", UTCDateTime),
    Column("expires", UTCDateTime),
    Index(None, "secret", unique=True),
)
