"""What people say of events: reviews, and which events stay. Every change is noted in the audit.

An event's row repeats its newest review, so that one index finds events by it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from sqlalchemy import Connection, delete, insert, select, update

from amiss.errors import UsageError
from amiss.reading import shown
from amiss.watch.store._tables import audit, events, reviews
from amiss.watch.store._words import put_words
from amiss.yaml import is_fit

Verdict = Literal["confirmed", "false-alarm", "unsure"]
"""Something was amiss; nothing was; who looked can't tell."""

MAX_IDS = 1000
"""Events of one call."""
MAX_LABEL, MAX_NOTE, MAX_NAME = 64, 4000, 255
"""Characters of a class, a note, a reviewer's name."""


@dataclass(frozen=True)
class Review:
    """What somebody said of an event."""

    event_id: str
    verdict: Verdict
    label: str | None
    """What it was, such as `fall`; None = not said."""
    note: str
    """Empty = none."""
    reviewer: str
    made: datetime
    """Aware, UTC."""
    reviewer_id: str | None = None
    """Of the reviewer's account; None = from the command line."""


def add_reviews(
    connection: Connection,
    event_ids: Sequence[str],
    verdict: Verdict,
    label: str | None,
    note: str,
    reviewer: str,
    reviewer_id: str | None,
) -> tuple[Review, ...]:
    """Say the same of events; of each, the newest review counts."""
    if verdict not in get_args(Verdict):
        raise UsageError(f"verdict is {shown(verdict)}; it is one of {', '.join(get_args(Verdict))}")
    label = _checked("class", label or "", MAX_LABEL) or None
    note, reviewer = _checked("note", note, MAX_NOTE), _checked("reviewer", reviewer, MAX_NAME)
    made = datetime.now(UTC)
    said = tuple(Review(i, verdict, label, note, reviewer, made, reviewer_id) for i in _existing(connection, event_ids))
    if said:
        connection.execute(insert(reviews), [vars(review) for review in said])
        what = verdict if label is None else f"{verdict}, {label}"
        _note(connection, made, reviewer, "review", [f"{review.event_id}: {what}" for review in said])
    for review in said:
        _repeat_newest(connection, review.event_id)
    return said


def undo_review_rows(
    connection: Connection, event_ids: Sequence[str], reviewer: str, reviewer_id: str | None
) -> tuple[Review | None, ...]:
    """Take a reviewer's newest review of each event back; returns the reviews that count now."""
    return tuple(
        _undo_review(connection, event_id, reviewer, reviewer_id) for event_id in _existing(connection, event_ids)
    )


def _undo_review(connection: Connection, event_id: str, reviewer: str, reviewer_id: str | None) -> Review | None:
    is_own = reviews.c.reviewer == reviewer if reviewer_id is None else reviews.c.reviewer_id == reviewer_id
    own = select(reviews.c.review_id).where(reviews.c.event_id == event_id, is_own)
    newest = connection.scalar(own.order_by(reviews.c.review_id.desc()).limit(1))
    if newest is None:
        others = sorted({shown(one.reviewer) for one in read_reviews(connection, event_id)})
        by = f"; its reviews are by {', '.join(others)}" if others else ""
        raise UsageError(f"{shown(reviewer)} has said nothing of event {event_id} that could be taken back{by}")
    connection.execute(delete(reviews).where(reviews.c.review_id == newest))
    _note(connection, datetime.now(UTC), reviewer, "undo-review", [event_id])
    return _repeat_newest(connection, event_id)


def read_reviews(connection: Connection, event_id: str) -> tuple[Review, ...]:
    """Oldest first."""
    rows = connection.execute(select(reviews).where(reviews.c.event_id == event_id).order_by(reviews.c.review_id))
    return tuple(_review(row) for row in rows.mappings())


def protect_rows(connection: Connection, event_ids: Sequence[str], protected: bool, actor: str) -> None:
    """Keep the media of events whatever the retention says, or no longer."""
    ids = _existing(connection, event_ids)
    connection.execute(update(events).where(events.c.event_id.in_(ids)).values(protected=protected))
    _note(connection, datetime.now(UTC), actor, "protect" if protected else "unprotect", ids)


def _review(row: Any) -> Review:
    return Review(**{name: row[name] for name in Review.__dataclass_fields__})


def _repeat_newest(connection: Connection, event_id: str) -> Review | None:
    """Bring the event's row in step with its newest review."""
    query = select(reviews).where(reviews.c.event_id == event_id).order_by(reviews.c.review_id.desc()).limit(1)
    row = connection.execute(query).mappings().one_or_none()
    newest = None if row is None else _review(row)
    verdict, label, note = (None, None, None) if newest is None else (newest.verdict, newest.label, newest.note or None)
    is_it = events.c.event_id == event_id
    connection.execute(update(events).where(is_it).values(verdict=verdict, label=label, note=note))
    put_words(connection, event_id)
    return newest


def _existing(connection: Connection, event_ids: Sequence[str]) -> list[str]:
    """The ids, each once; UsageError where there is no such event. Their rows are locked until the transaction ends."""
    ids = list(dict.fromkeys(event_ids))
    if len(ids) > MAX_IDS:
        raise UsageError(f"{len(ids)} events at once; at most {MAX_IDS} are taken")
    fit = [event_id for event_id in ids if is_fit(event_id)]
    known = set(connection.scalars(select(events.c.event_id).where(events.c.event_id.in_(fit)).with_for_update()))
    for event_id in ids:
        if event_id not in known:
            raise UsageError(f"there is no event {shown(event_id)}")
    return ids


def _checked(what: str, text: str, most: int) -> str:
    text = text.strip()
    if len(text) > most:
        raise UsageError(f"the {what} has {len(text)} characters; at most {most} are taken")
    if not is_fit(text):
        raise UsageError(f"the {what} has a character that no database takes, such as NUL")
    return text


def _note(connection: Connection, made: datetime, actor: str, action: str, details: Iterable[str]) -> None:
    rows = [{"made": made, "actor": actor, "action": action, "detail": detail} for detail in details]
    if rows:
        connection.execute(insert(audit), rows)
