"""Which of a folder's files an event is in."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only."""
    op.add_column("events", sa.Column("file", sa.Text))
    op.add_column("events", sa.Column("file_s", sa.Double))
