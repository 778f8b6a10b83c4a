"""The rows of the outbox: one per (event, rule, channel), made in the transaction that saves the event.

For a camera's outage there is one of its start, and one of its end: see `_outage_rows`.

    pending     to be sent at `next_attempt`
    sending     a process is at it; if it dies, the row becomes due again and is sent with the same key
    sent        taken by the channel
    failed      refused for good
    expired     not taken within the channel's time
    suppressed  fell into the cooldown of `held_by`; becomes pending if that one fails or expires. Without `held_by`:
                the camera was snoozed
    cooling     of an outage: likewise, and is sent when the cooldown is over; suppressed if the outage ends before
    joined      of an outage: told in the message of `held_by`, and ends as that one does

Cooldowns count in the events' time, not in the clock's, so that neither a clock step nor a late write changes them. One
that an event of a folder's file started holds for that file only: times of different files have nothing in common.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, and_, delete, insert, or_, select, update

from amiss.watch._event import CameraEvent
from amiss.watch.config import LONGEST_SEND_S, Rule
from amiss.watch.store._tables import cameras, deliveries, events, rule_state

DeliveryState = Literal["pending", "sending", "sent", "failed", "expired", "suppressed", "cooling", "joined"]
Tells = Literal["event", "offline", "back"]
"""What a delivery is about: an event; the start, or the end, of an outage."""

LEASE_S = LONGEST_SEND_S + 60
"""A row `sending` for longer belongs to a process that is gone: every attempt is cut off before."""
MAX_DELAY_S = 600.0
"""Longest time between two attempts."""
CLIP_S = 75.0
"""Longest wait of a closed event's alert for its clip; a post-roll takes 60 s at most."""


@dataclass(frozen=True)
class Delivery:
    """One row of the outbox."""

    key: str
    """Idempotency key, 32 hex digits: the same for every attempt."""
    tells: Tells
    event_id: str | None
    """The event that it tells of, …"""
    outage_id: str | None
    """… or the outage."""
    rule: str
    """The rule's name."""
    channel: str
    """The channel's name."""
    camera: str
    """The camera's name."""
    state: DeliveryState
    attempts: int
    """How often it was tried."""
    created: datetime
    """When what called for it was stored."""
    next_attempt: datetime
    """When it is tried (again)."""
    finished: datetime | None
    """When it was sent, failed or expired."""
    error: str | None
    """What the last attempt said, without secrets."""
    held_by: str | None
    """Key of the delivery whose cooldown it fell into."""


COLUMNS = [deliveries.c[name] for name in Delivery.__dataclass_fields__]


def delivery_key(*parts: str) -> str:
    """The idempotency key of one delivery: of the event's or outage's id, the rule's name and the channel's."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def create_deliveries(
    connection: Connection, event: CameraEvent, rules: Iterable[Rule], node: str, now: datetime
) -> int:
    """Make the deliveries that the event's state calls for and that aren't there yet; returns how many are pending."""
    count = 0
    snoozed = _snoozed(connection, event.camera, now)
    for rule in rules:
        moment = rule.moment(event)
        if moment is None:
            continue
        wait_s = CLIP_S if rule.on == "closed" and _awaits_clip(event) else 0.0
        for channel in rule.channels:
            key = delivery_key(event.event_id, rule.name, channel)
            if connection.scalar(select(deliveries.c.key).where(deliveries.c.key == key)) is not None:
                if not wait_s:
                    count += _reschedule(connection, key, now)
                continue
            held_by = None
            if snoozed is None:
                held_by = cooling(connection, rule.name, event.camera, event.file, channel, moment, rule.cooldown_s)
            is_due = snoozed is None and held_by is None
            row: dict[str, Any] = {
                "key": key, "event_id": event.event_id, "rule": rule.name, "channel": channel, "camera": event.camera,
                "moment": moment, "cooldown_s": rule.cooldown_s, "attempts": 0, "created": now,
                "next_attempt": now + timedelta(seconds=wait_s),
                "state": "pending" if is_due else "suppressed", "held_by": held_by, "node": node,
                "error": snoozed, "finished": None if snoozed is None else now,
            }  # fmt: skip
            connection.execute(insert(deliveries).values(row))
            if is_due:
                start_cooldown(connection, row)
                count += 1
    return count


def _snoozed(connection: Connection, camera: str, now: datetime) -> str | None:
    """Why events of a camera are told to nobody now; None = they are told."""
    query = select(cameras.c.snoozed_until, cameras.c.snoozed_by).where(cameras.c.name == camera)
    row = connection.execute(query).one_or_none()
    if row is None or row.snoozed_until is None or now >= row.snoozed_until:
        return None
    return f"{camera} is snoozed until {row.snoozed_until:%Y-%m-%d %H:%M} UTC by {row.snoozed_by}"


def _awaits_clip(event: CameraEvent) -> bool:
    """Whether its clip is still being written; without a snapshot nothing is recorded."""
    return event.state == "closed" and event.snapshot is not None and event.clip is None and event.problem is None


def _reschedule(connection: Connection, key: str, now: datetime) -> int:
    """What waited for its clip is due."""
    done = connection.execute(
        update(deliveries)
        .where(
            deliveries.c.key == key,
            deliveries.c.state == "pending",
            deliveries.c.attempts == 0,
            deliveries.c.next_attempt > now,
        )
        .values(next_attempt=now)
    )
    return done.rowcount


def due(connection: Connection, channel: str, now: datetime) -> Delivery | None:
    """The oldest delivery of one channel that is to be sent now; None where there is none.

    A time further ahead than any delay is from a clock that was set back since: it is due.
    """
    ahead = now + timedelta(seconds=max(LEASE_S, MAX_DELAY_S) * 1.1)
    is_sent_now = and_(
        deliveries.c.state.in_(("pending", "sending")),
        or_(deliveries.c.next_attempt <= now, deliveries.c.next_attempt > ahead),
    )
    has_cooled = and_(deliveries.c.state == "cooling", deliveries.c.next_attempt <= now)
    query = select(*COLUMNS).where(deliveries.c.channel == channel, or_(is_sent_now, has_cooled))
    oldest = query.order_by(deliveries.c.created, deliveries.c.key).limit(1)
    row = connection.execute(oldest).mappings().one_or_none()
    return None if row is None else Delivery(**row)


def claim(connection: Connection, found: Delivery, node: str, now: datetime) -> bool:
    """Mark a due delivery as being sent by this node; False where another one was faster."""
    done = connection.execute(
        update(deliveries)
        .where(
            deliveries.c.key == found.key,
            deliveries.c.state == found.state,
            deliveries.c.next_attempt == found.next_attempt,
        )
        .values(state="sending", attempts=found.attempts + 1, node=node, next_attempt=now + timedelta(seconds=LEASE_S))
    )
    if done.rowcount == 1 and found.tells != "event":
        _join(connection, found, now)
    return done.rowcount == 1


def _join(connection: Connection, found: Delivery, now: datetime) -> None:
    """Take along what the same rule has to tell the same channel of other cameras."""
    if found.state == "cooling":
        start_cooldown(connection, asdict(found) | {"moment": now})
    others = (
        deliveries.c.channel == found.channel,
        deliveries.c.rule == found.rule,
        deliveries.c.tells == found.tells,
        deliveries.c.state == "pending",
        deliveries.c.attempts == 0,
    )
    if found.attempts == 0:  # later its text, and so its key, stays what it is
        connection.execute(update(deliveries).where(*others).values(state="joined", held_by=found.key))


def recover(connection: Connection, node: str, now: datetime) -> int:
    """Make what this node was sending when it died due at once."""
    done = connection.execute(
        update(deliveries)
        .where(deliveries.c.state == "sending", deliveries.c.node == node)
        .values(state="pending", next_attempt=now)
    )
    return done.rowcount


def postpone(connection: Connection, key: str, next_attempt: datetime, error: str) -> None:
    """An attempt failed; there will be another."""
    _update(connection, key, state="pending", next_attempt=next_attempt, error=error)


def finish(connection: Connection, key: str, state: DeliveryState, error: str | None, now: datetime) -> int:
    """Write how a delivery ended; returns how many suppressed ones became pending because it didn't arrive."""
    joined = (deliveries.c.held_by == key, deliveries.c.state == "joined")
    keys = [key, *connection.scalars(select(deliveries.c.key).where(*joined))]
    for ended in keys:
        _update(connection, ended, state=state, error=error, finished=now)
    return 0 if state == "sent" else sum(_release(connection, ended, now) for ended in keys)


def expire_unknown(connection: Connection, channels: Sequence[str], node: str, before: datetime, now: datetime) -> int:
    """Expire what this node made or tried last, before `before`, for channels that it no longer has.

    Another machine with the same database may have them: what that one made or tries is its own.
    """
    unknown = select(deliveries.c.key).where(
        deliveries.c.state.in_(("pending", "cooling")),
        deliveries.c.node == node,
        deliveries.c.channel.not_in(channels),
        deliveries.c.created < before,
    )
    keys = list(connection.scalars(unknown))
    for key in keys:
        finish(connection, key, "expired", "no channel of this name is configured", now)
    return len(keys)


def _update(connection: Connection, key: str, **values: Any) -> None:
    connection.execute(update(deliveries).where(deliveries.c.key == key).values(**values))


def _release(connection: Connection, key: str, now: datetime) -> int:
    """A delivery that did not arrive burns no cooldown: what it held back is decided again, in order of time."""
    connection.execute(delete(rule_state).where(rule_state.c.delivery == key))
    held = connection.execute(
        select(deliveries)
        .where(
            deliveries.c.held_by == key,
            deliveries.c.state.in_(("suppressed", "cooling")),
            deliveries.c.finished.is_(None),
        )
        .order_by(deliveries.c.moment, deliveries.c.key)
    ).mappings()
    count = 0
    for row in list(held):
        file = connection.scalar(select(events.c.file).where(events.c.event_id == row["event_id"]))
        held_by = cooling(
            connection, row["rule"], row["camera"], file, row["channel"], row["moment"], row["cooldown_s"]
        )
        values: dict[str, Any] = {"held_by": held_by}
        if held_by is None:
            values |= {"state": "pending", "next_attempt": now}
            start_cooldown(connection, row)
            count += 1
        connection.execute(update(deliveries).where(deliveries.c.key == row["key"]).values(**values))
    return count


def cooling(
    connection: Connection, rule: str, camera: str, file: str | None, channel: str, moment: datetime, cooldown_s: float
) -> str | None:
    """The delivery whose cooldown the moment falls into."""
    row = connection.execute(
        select(rule_state.c.moment, rule_state.c.delivery)
        .where(rule_state.c.rule == rule, rule_state.c.camera == camera, rule_state.c.channel == channel)
        .with_for_update()
    ).one_or_none()
    if row is None or abs((moment - row.moment).total_seconds()) >= cooldown_s:
        return None
    holder: str = row.delivery
    of_holder = select(events.c.file).join(deliveries, deliveries.c.event_id == events.c.event_id)
    return holder if connection.scalar(of_holder.where(deliveries.c.key == holder)) == file else None


def start_cooldown(connection: Connection, row: Any) -> None:
    where = and_(
        rule_state.c.rule == row["rule"], rule_state.c.camera == row["camera"], rule_state.c.channel == row["channel"]
    )
    connection.execute(delete(rule_state).where(where))
    connection.execute(
        insert(rule_state).values(
            rule=row["rule"], camera=row["camera"], channel=row["channel"], moment=row["moment"], delivery=row["key"]
        )
    )
