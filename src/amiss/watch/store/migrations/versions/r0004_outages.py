"""Cameras that give nothing, and messages about them."""

import sqlalchemy as sa
from alembic import op

from amiss.watch.store._tables import UTCDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "outages",
        sa.Column("outage_id", sa.String(32), nullable=False),
        sa.Column("camera", sa.String(255), nullable=False),
        sa.Column("started", UTCDateTime, nullable=False),
        sa.Column("noticed", UTCDateTime, nullable=False),
        sa.Column("ended", UTCDateTime),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("run", sa.String(32), nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("node", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("outage_id", name="pk_outages"),
    )
    op.create_index("ix_outages_camera_ended", "outages", ["camera", "ended"])
    with op.batch_alter_table("deliveries") as table:  # SQLite makes a new table of it; no other one points to it
        table.alter_column("event_id", existing_type=sa.String(32), nullable=True)
        table.add_column(sa.Column("tells", sa.String(16), nullable=False, server_default="event"))
        table.add_column(sa.Column("outage_id", sa.String(32)))
        table.create_foreign_key("fk_deliveries_outage_id", "outages", ["outage_id"], ["outage_id"], ondelete="CASCADE")
    op.create_index("ix_deliveries_outage_id", "deliveries", ["outage_id"])
