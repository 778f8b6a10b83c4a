"""Reviews know whose they are by the account, not by its name alone."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only. Those of before belong to who has the name now and had it then."""
    op.add_column("reviews", sa.Column("reviewer_id", sa.String(32)))
    op.execute(
        "UPDATE reviews SET reviewer_id = (SELECT user_id FROM users "
        "WHERE users.name = reviews.reviewer AND users.created <= reviews.made)"
    )
