"""Which spool folder's process saw an event; names of detectors of any length."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only."""
    op.add_column("events", sa.Column("node", sa.String(32)))
    if op.get_bind().dialect.name != "sqlite":
        # SQLite has no lengths; a new type would need a new table there, and dropping the old one drops its deliveries
        op.alter_column("events", "detector", type_=sa.Text, existing_type=sa.String(255), existing_nullable=False)
