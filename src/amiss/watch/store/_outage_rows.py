"""Reading and writing the rows of cameras' outages, and who is told of them, inside a transaction of the store.

An outage's start is told as an event's: one delivery per rule and channel, with the rule's cooldown. Differences:

- It waits `GATHER_S` for others: all that one rule has to tell one channel then goes as one message. The deliveries
  that it takes along are `joined` to it, and end as it does.
- One that falls into a cooldown is told when that is over, if the outage still lasts.
- Its end is told to whom its start was told. A start that could not be told before the end tells both.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, select, update

from amiss.watch._outage import Outage, OutageNews
from amiss.watch.config import Rule
from amiss.watch.store._deliveries import Delivery, cooling, delivery_key, start_cooldown
from amiss.watch.store._records import CameraBack, CameraLost
from amiss.watch.store._tables import cameras, deliveries, outages, rule_state

GATHER_S = 10.0
"""So long a message about a camera waits for others that went, or came back, at about the same time."""

_FIELDS = tuple(Outage.__dataclass_fields__)


def lose_camera(connection: Connection, record: CameraLost, node: str, rules: Iterable[Rule], now: datetime) -> int:
    """Note that a camera gives nothing; a record older than what is stored changes nothing.

    Returns:
        How many deliveries are to be sent because of it.
    """
    outage = record.outage
    if _is_old(connection, outage.camera, record.run, record.revision):
        return 0
    told = {"run": record.run, "revision": record.revision, "node": node}
    lasting = _lasting(connection, outage.camera)
    if lasting is None:
        if connection.scalar(select(cameras.c.name).where(cameras.c.name == outage.camera)) is None:
            connection.execute(insert(cameras).values(name=outage.camera))
        connection.execute(insert(outages).values({name: getattr(outage, name) for name in _FIELDS} | told))
    else:  # an earlier process's
        outage = lasting
        connection.execute(update(outages).where(outages.c.outage_id == outage.outage_id).values(told))
    return _tell_start(connection, outage, rules, node, now)


def return_camera(connection: Connection, record: CameraBack, node: str, now: datetime) -> int:
    """Note that a camera gives something again.

    Returns:
        How many deliveries are to be sent because of it.
    """
    lasting = _lasting(connection, record.camera)
    if lasting is None or _is_old(connection, record.camera, record.run, record.revision):
        return 0
    ended = max(record.time, lasting.started)
    values = {"ended": ended, "run": record.run, "revision": record.revision, "node": node}
    connection.execute(update(outages).where(outages.c.outage_id == lasting.outage_id).values(values))
    return _tell_end(connection, lasting.outage_id, ended, node, now)


def forget_cameras(connection: Connection, node: str, watched: Sequence[str], now: datetime) -> None:
    """Outages of cameras that this node watched and does no longer are over; nobody is told."""
    lasting = (outages.c.ended.is_(None), outages.c.node == node, outages.c.camera.not_in(watched))
    for outage_id in list(connection.scalars(select(outages.c.outage_id).where(*lasting))):
        connection.execute(update(outages).where(outages.c.outage_id == outage_id).values(ended=now))
        untold = (
            deliveries.c.outage_id == outage_id,
            deliveries.c.state.in_(("pending", "cooling")),
            deliveries.c.attempts == 0,
        )
        connection.execute(update(deliveries).where(*untold).values(state="suppressed", finished=now))


def news_of(connection: Connection, delivery: Delivery) -> OutageNews:
    """What a delivery about an outage tells, with what is joined to it."""
    found = select(outages).join(deliveries, deliveries.c.outage_id == outages.c.outage_id)
    is_of = (deliveries.c.key == delivery.key) | (
        (deliveries.c.held_by == delivery.key) & (deliveries.c.state == "joined")
    )
    rows = connection.execute(found.where(is_of).order_by(outages.c.noticed, outages.c.camera)).mappings()
    return OutageNews(tuple(_outage(row) for row in rows), delivery.tells == "back")


def _is_old(connection: Connection, camera: str, run: str, revision: int) -> bool:
    newer = (outages.c.camera == camera, outages.c.run == run, outages.c.revision >= revision)
    return connection.scalar(select(outages.c.outage_id).where(*newer).limit(1)) is not None


def _lasting(connection: Connection, camera: str) -> Outage | None:
    query = select(outages).where(outages.c.camera == camera, outages.c.ended.is_(None)).with_for_update()
    row = connection.execute(query.limit(1)).mappings().one_or_none()
    return None if row is None else _outage(row)


def _outage(row: Any) -> Outage:
    return Outage(**{name: row[name] for name in _FIELDS})


def _tell_start(connection: Connection, outage: Outage, rules: Iterable[Rule], node: str, now: datetime) -> int:
    count = 0
    for rule in rules:
        if not rule.tells_outage(outage):
            continue
        for channel in rule.channels:
            key = delivery_key(outage.outage_id, rule.name, channel)
            if connection.scalar(select(deliveries.c.key).where(deliveries.c.key == key)) is not None:
                continue
            row: dict[str, Any] = {
                "key": key, "tells": "offline", "outage_id": outage.outage_id, "rule": rule.name, "channel": channel,
                "camera": outage.camera, "moment": outage.noticed, "cooldown_s": rule.cooldown_s, "attempts": 0,
                "created": now, "next_attempt": now + timedelta(seconds=GATHER_S), "state": "pending", "node": node,
            }  # fmt: skip
            held_by = cooling(connection, rule.name, outage.camera, None, channel, outage.noticed, rule.cooldown_s)
            if held_by is not None:
                since = connection.scalar(select(rule_state.c.moment).where(rule_state.c.delivery == held_by))
                over = (since or outage.noticed) + timedelta(seconds=rule.cooldown_s)
                row |= {"state": "cooling", "held_by": held_by, "next_attempt": over}
            connection.execute(insert(deliveries).values(row))
            if held_by is None:
                start_cooldown(connection, row)
                count += 1
    return count


def _tell_end(connection: Connection, outage_id: str, ended: datetime, node: str, now: datetime) -> int:
    count = 0
    holder = deliveries.alias()
    query = select(deliveries, holder.c.state.label("of_holder")).outerjoin(
        holder, holder.c.key == deliveries.c.held_by
    )
    starts = connection.execute(query.where(deliveries.c.outage_id == outage_id, deliveries.c.tells == "offline"))
    for start in list(starts.mappings()):
        state = start["of_holder"] if start["state"] == "joined" else start["state"]
        if start["state"] == "cooling":  # nobody was told that it was away
            over = {"state": "suppressed", "finished": now}
            connection.execute(update(deliveries).where(deliveries.c.key == start["key"]).values(over))
        elif state in ("sent", "sending"):  # else its start is told later, and then with its end
            row = {name: start[name] for name in ("outage_id", "rule", "channel", "camera", "cooldown_s")}
            row |= {
                "key": delivery_key(outage_id, start["rule"], start["channel"], "back"), "tells": "back",
                "moment": ended, "attempts": 0, "created": now, "next_attempt": now + timedelta(seconds=GATHER_S),
                "state": "pending", "node": node,
            }  # fmt: skip
            connection.execute(insert(deliveries).values(row))
            count += 1
    return count
