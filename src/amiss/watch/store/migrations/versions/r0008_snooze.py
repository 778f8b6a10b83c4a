"""Cameras whose events are told to nobody for a while."""

import sqlalchemy as sa
from alembic import op

from amiss.watch.store._tables import UTCDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only."""
    op.add_column("cameras", sa.Column("snoozed_until", UTCDateTime))
    op.add_column("cameras", sa.Column("snoozed_by", sa.String(255)))
