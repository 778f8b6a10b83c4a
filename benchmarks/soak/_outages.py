"""Were cameras told as offline, and as back, once each, whenever nothing of them was scored for too long?"""

from __future__ import annotations

import itertools
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from soak._check import CHANNELS, FOLDER, clock, seconds
from soak._monitor import EVERY_S, Monitor

OFFLINE_AFTER_S = 15
SLACK_S = 10.0  # between what is seen from outside and what the service sees


@dataclass(frozen=True)
class Outage:
    """A row of the database."""

    outage_id: str
    camera: str
    started_s: float
    noticed_s: float
    ended_s: float | None


@dataclass(frozen=True)
class Told:
    """A row of the outbox about an outage."""

    key: str
    outage_id: str
    tells: str
    channel: str
    state: str
    held_by: str | None


def read_outages(path: Path) -> tuple[list[Outage], list[Told]]:
    """All of them.

    Raises:
        sqlite3.Error: the database can't be had now.
    """
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as connection:
        rows = connection.execute("SELECT outage_id, camera, started, noticed, ended FROM outages")
        outages = [
            Outage(key, camera, seconds(start), seconds(noticed), seconds(end) if end else None)
            for key, camera, start, noticed, end in rows
        ]
        columns = "key, outage_id, tells, channel, state, held_by"
        told = connection.execute(f"SELECT {columns} FROM deliveries WHERE outage_id IS NOT NULL")
        return outages, [Told(*row) for row in told]


def are_told(path: Path) -> bool:
    """Whether nothing about an outage is still on its way."""
    try:
        _, told = read_outages(path)
    except sqlite3.Error:
        return False
    return all(row.state in ("sent", "joined") for row in told)


def check_outages(
    monitor: Monitor, outages: Sequence[Outage], told: Sequence[Told], arrived: Mapping[str, Mapping[str, int]]
) -> tuple[dict[str, int], list[str]]:
    """Counts, and what is broken.

    Args:
        monitor: saw when each camera scored.
        outages: of the database, as the next.
        told: about them.
        arrived: channel → key → how often that message arrived.
    """
    broken = []
    own: dict[str, list[Outage]] = defaultdict(list)
    for outage in sorted(outages, key=lambda outage: outage.started_s):
        own[outage.camera].append(outage)
    for name, some in own.items():
        broken += [
            f"{name}: two outages at a time, from {clock(first.started_s)} and {clock(second.started_s)}"
            for first, second in itertools.pairwise(some)
            if first.ended_s is None or second.started_s < first.ended_s - 0.5
        ]
        scored = [] if name == FOLDER else monitor.scored_at[name]
        broken += [
            f"{name}: told as offline from {clock(outage.started_s)}, though it scored"
            for outage in some
            if any(outage.started_s + 2 * EVERY_S < at < outage.noticed_s - 2 * EVERY_S for at in scored)
        ]
    for name, from_s, until_s in monitor.silences(OFFLINE_AFTER_S + SLACK_S):
        if not any(outage.started_s < until_s and (outage.ended_s or until_s) > from_s for outage in own[name]):
            broken.append(f"{name}: silent from {clock(from_s)} to {clock(until_s)}, and never offline")
    states = {row.key: row.state for row in told}
    rows = Counter((row.outage_id, row.tells, row.channel) for row in told)
    for outage in outages:
        for channel in CHANNELS:
            starts, ends = (rows[outage.outage_id, tells, channel] for tells in ("offline", "back"))
            if starts != 1 or ends > (outage.ended_s is not None):
                broken.append(f"{outage.camera}: {starts} times offline and {ends} times back to {channel}")
    for row in told:
        state = states.get(row.held_by or "") if row.state == "joined" else row.state
        if state != "sent":
            broken.append(f"{row.tells} of {row.outage_id} to {row.channel} is {row.state}")
        elif row.state == "sent" and not arrived[row.channel].get(row.key):
            broken.append(f"{row.tells} of {row.outage_id} never reached {row.channel}")
        elif row.state == "sent" and row.channel == "log" and arrived["log"][row.key] > 1:
            broken.append(f"{row.tells} of {row.outage_id} stands {arrived['log'][row.key]} times in the log")
    return {"outages": len(outages), "messages_of_outages": sum(row.state == "sent" for row in told)}, broken
