"""Events are found by what detectors took them for, too."""

import sqlalchemy as sa
from alembic import op

from amiss.watch.store._tables import UTCDateTime
from amiss.watch.store._words import words_of

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only."""
    events = sa.table("events", sa.column("event_id"), sa.column("started", UTCDateTime), sa.column("class_name"))
    words = sa.table("event_words", sa.column("word"), sa.column("started", UTCDateTime), sa.column("event_id"))
    connection = op.get_bind()
    named = connection.execute(sa.select(events).where(events.c.class_name.is_not(None))).all()
    for row in named:
        there = set(connection.scalars(sa.select(words.c.word).where(words.c.event_id == row.event_id)))
        new = [word for word in words_of(row.class_name) if word not in there]
        if new:
            rows = [{"word": word, "started": row.started, "event_id": row.event_id} for word in new]
            connection.execute(sa.insert(words), rows)
