"""The first schema."""

import sqlalchemy as sa
from alembic import op

from amiss.watch.store._tables import UTCDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "cameras",
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("state", sa.String(16)),
        sa.Column("reason", sa.Text),
        sa.Column("changed", UTCDateTime),
        sa.PrimaryKeyConstraint("name", name="pk_cameras"),
    )
    op.create_table(
        "events",
        sa.Column("event_id", sa.String(32), nullable=False),
        sa.Column("camera", sa.String(255), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("started", UTCDateTime, nullable=False),
        sa.Column("ended", UTCDateTime),
        sa.Column("peak", UTCDateTime, nullable=False),
        sa.Column("peak_score", sa.Double, nullable=False),
        sa.Column("threshold_on", sa.Double, nullable=False),
        sa.Column("threshold_off", sa.Double, nullable=False),
        sa.Column("detector", sa.String(255), nullable=False),
        sa.Column("detector_sha256", sa.String(64), nullable=False),
        sa.Column("feature_spec", sa.String(255), nullable=False),
        sa.Column("clip", sa.Text),
        sa.Column("snapshot", sa.Text),
        sa.Column("problem", sa.Text),
        sa.Column("protected", sa.Boolean, nullable=False),
        sa.Column("media_removed", UTCDateTime),
        sa.Column("saved", UTCDateTime, nullable=False),
        sa.Column("run", sa.String(32), nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("event_id", name="pk_events"),
    )
    op.create_index("ix_events_camera_started", "events", ["camera", "started"])
    op.create_index("ix_events_started", "events", ["started"])
    op.create_index("ix_events_state", "events", ["state"])
    op.create_table(
        "traces",
        sa.Column("event_id", sa.String(32), nullable=False),
        sa.Column("packed", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("event_id", name="pk_traces"),
        _of_event("traces"),
    )
    op.create_table(
        "deliveries",
        sa.Column("key", sa.String(32), nullable=False),
        sa.Column("event_id", sa.String(32), nullable=False),
        sa.Column("rule", sa.String(255), nullable=False),
        sa.Column("channel", sa.String(255), nullable=False),
        sa.Column("camera", sa.String(255), nullable=False),
        sa.Column("moment", UTCDateTime, nullable=False),
        sa.Column("cooldown_s", sa.Double, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("created", UTCDateTime, nullable=False),
        sa.Column("next_attempt", UTCDateTime, nullable=False),
        sa.Column("finished", UTCDateTime),
        sa.Column("error", sa.Text),
        sa.Column("node", sa.String(32)),
        sa.Column("held_by", sa.String(32)),
        sa.PrimaryKeyConstraint("key", name="pk_deliveries"),
        _of_event("deliveries"),
    )
    op.create_index("ix_deliveries_event_id", "deliveries", ["event_id"])
    op.create_index("ix_deliveries_state_channel_next_attempt", "deliveries", ["state", "channel", "next_attempt"])
    op.create_index("ix_deliveries_held_by", "deliveries", ["held_by"])
    op.create_table(
        "rule_state",
        sa.Column("rule", sa.String(255), nullable=False),
        sa.Column("camera", sa.String(255), nullable=False),
        sa.Column("channel", sa.String(255), nullable=False),
        sa.Column("moment", UTCDateTime, nullable=False),
        sa.Column("delivery", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("rule", "camera", "channel", name="pk_rule_state"),
    )
    op.create_table(
        "reviews",
        sa.Column("review_id", sa.Integer, nullable=False, autoincrement=True),
        sa.Column("event_id", sa.String(32), nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("reviewer", sa.String(255), nullable=False),
        sa.Column("made", UTCDateTime, nullable=False),
        sa.PrimaryKeyConstraint("review_id", name="pk_reviews"),
        _of_event("reviews"),
    )
    op.create_index("ix_reviews_event_id", "reviews", ["event_id"])
    op.create_table(
        "audit",
        sa.Column("audit_id", sa.Integer, nullable=False, autoincrement=True),
        sa.Column("made", UTCDateTime, nullable=False),
        sa.Column("actor", sa.String(255), nullable=False),
        sa.Column("action", sa.String(255), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("audit_id", name="pk_audit"),
    )
    op.create_index("ix_audit_made", "audit", ["made"])


def _of_event(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["event_id"], ["events.event_id"], name=f"fk_{table}_event_id", ondelete="CASCADE")
