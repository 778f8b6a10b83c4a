"""Events carry their newest review; every list of events has its index; words of events, for search."""

import sqlalchemy as sa
from alembic import op

from amiss.watch.store._tables import UTCDateTime
from amiss.watch.store._words import words_of

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_NEW_COLUMNS = ("verdict", "label", "note")
_OLD_INDEXES = {"camera_started": ["camera", "started"], "started": ["started"], "state": ["state"]}
_INDEXES = {
    "started": ["started", "event_id"],
    "peak_score": ["peak_score", "event_id"],
    "camera_started": ["camera", "started", "event_id"],
    "camera_peak_score": ["camera", "peak_score", "event_id"],
    "camera_verdict": ["camera", "verdict", "started", "event_id"],
    "verdict": ["verdict", "started", "event_id"],
    "verdict_peak_score": ["verdict", "peak_score", "event_id"],
    "label": ["label", "started", "event_id"],
    "state": ["state", "started", "event_id"],
    "protected": ["protected", "started", "event_id"],
}
_BATCH = 1000


def upgrade() -> None:
    """Reviews of before are taken along: `false_alarm` is `false-alarm`, `ignore` is `unsure`."""
    op.add_column("reviews", sa.Column("label", sa.String(64)))
    op.execute("UPDATE reviews SET verdict = 'false-alarm' WHERE verdict = 'false_alarm'")
    op.execute("UPDATE reviews SET verdict = 'unsure' WHERE verdict = 'ignore'")
    op.add_column("events", sa.Column("verdict", sa.String(16)))
    op.add_column("events", sa.Column("label", sa.String(64)))
    op.add_column("events", sa.Column("note", sa.Text))
    for column in ("verdict", "note"):
        op.execute(
            f"UPDATE events SET {column} = (SELECT NULLIF({column}, '') FROM reviews WHERE event_id = events.event_id "
            "ORDER BY review_id DESC LIMIT 1) WHERE event_id IN (SELECT event_id FROM reviews)"
        )
    for name in _OLD_INDEXES:
        op.drop_index(f"ix_events_{name}", "events")
    for name, columns in _INDEXES.items():
        op.create_index(f"ix_events_{name}", "events", columns)
    op.create_table(
        "event_words",
        sa.Column("word", sa.String(64), nullable=False),
        sa.Column("started", UTCDateTime, nullable=False),
        sa.Column("event_id", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("word", "started", "event_id", name="pk_event_words"),
        sa.ForeignKeyConstraint(["event_id"], ["events.event_id"], name="fk_event_words_event_id", ondelete="CASCADE"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_event_words_event_id", "event_words", ["event_id"])
    _fill_words()


def _fill_words() -> None:
    texts = ("note", "file", "problem")
    events = sa.table("events", sa.column("event_id"), sa.column("started", UTCDateTime), *map(sa.column, texts))
    words = sa.table("event_words", sa.column("word"), sa.column("started", UTCDateTime), sa.column("event_id"))
    connection, last = op.get_bind(), ""
    has_text = sa.or_(*(events.c[text].is_not(None) for text in texts))
    while True:
        some = sa.select(events).where(events.c.event_id > last, has_text).order_by(events.c.event_id).limit(_BATCH)
        rows = connection.execute(some).all()
        new = [
            {"word": word, "started": row.started, "event_id": row.event_id}
            for row in rows
            for word in words_of(row.note, row.file, row.problem)
        ]
        if new:
            connection.execute(sa.insert(words), new)
        if len(rows) < _BATCH:
            return
        last = rows[-1].event_id


def downgrade() -> None:
    """Classes are lost; verdicts get their names of before."""
    op.drop_table("event_words")
    for name in _INDEXES:
        op.drop_index(f"ix_events_{name}", "events")
    for name, columns in _OLD_INDEXES.items():
        op.create_index(f"ix_events_{name}", "events", columns)
    for column in _NEW_COLUMNS:
        op.drop_column("events", column)
    op.drop_column("reviews", "label")
    op.execute("UPDATE reviews SET verdict = 'false_alarm' WHERE verdict = 'false-alarm'")
    op.execute("UPDATE reviews SET verdict = 'ignore' WHERE verdict = 'unsure'")
