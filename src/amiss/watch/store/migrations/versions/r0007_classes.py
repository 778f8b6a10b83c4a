"""What events seem to be, by detectors that tell classes apart."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only."""
    op.add_column("events", sa.Column("class_name", sa.Text))
