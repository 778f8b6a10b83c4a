"""Vectors of events, by which like ones are found."""

import sqlalchemy as sa
from alembic import op

from amiss.watch.store._tables import UTCDateTime

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "vectors",
        sa.Column("kind", sa.String(255), nullable=False),
        sa.Column("started", UTCDateTime, nullable=False),
        sa.Column("event_id", sa.String(32), nullable=False),
        sa.Column("camera", sa.String(255), nullable=False),
        sa.Column("packed", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("kind", "started", "event_id", name="pk_vectors"),
        sa.ForeignKeyConstraint(["event_id"], ["events.event_id"], name="fk_vectors_event_id", ondelete="CASCADE"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_vectors_event_id", "vectors", ["event_id"])
