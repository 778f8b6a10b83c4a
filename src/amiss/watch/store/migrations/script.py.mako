"""${message}."""

import sqlalchemy as sa
from alembic import op

from amiss.watch._tables import UTCDateTime

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only."""
    ${upgrades if upgrades else "pass"}
