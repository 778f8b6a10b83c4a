"""Were events and alerts lost or doubled? What the cameras showed is held against the database and the receivers."""

from __future__ import annotations

import itertools
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence, Set
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from amiss.reading import read_json_lines
from soak._cameras import DropBox
from soak._faults import DATABASE_FAULTS, World
from soak._monitor import Monitor

CHANNELS = ("hook", "log")
LEAD_S, SEEN_S, AFTER_S = 4.0, 6.0, 4.0  # of a segment: before it, into it, after it
FOLDER = "folder"


@dataclass(frozen=True)
class Event:
    """A row of the database."""

    event_id: str
    camera: str
    state: str
    started_s: float
    ended_s: float
    file: str | None
    has_clip: bool


@dataclass(frozen=True)
class Delivery:
    """A row of the outbox."""

    key: str
    event_id: str
    channel: str
    state: str
    attempts: int


def read_database(path: Path) -> tuple[list[Event], list[Delivery]]:
    """Everything in it.

    Raises:
        sqlite3.Error: it can't be had now.
    """
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as connection:
        columns = "event_id, camera, state, started, ended, file, clip"
        events = [
            Event(key, camera, state, seconds(start), seconds(end) if end else seconds(start), file, clip is not None)
            for key, camera, state, start, end, file, clip in connection.execute(f"SELECT {columns} FROM events")
        ]
        columns = "key, event_id, channel, state, attempts"
        rows = connection.execute(f"SELECT {columns} FROM deliveries WHERE event_id IS NOT NULL")
        return events, [Delivery(*row) for row in rows]


def seconds(stored: str) -> float:
    """Of a time in the database."""
    return datetime.fromisoformat(stored).replace(tzinfo=UTC).timestamp()


def is_settled(world: World, box: DropBox, until_s: float) -> bool:
    """Whether all files are scored, and all events that began before are closed and told."""
    try:
        events, deliveries = read_database(world.database)
    except sqlite3.Error:
        return False
    done = {event.file for event in events if event.camera == FOLDER}
    before = [event for event in events if event.file or event.started_s < until_s]
    told = Counter(row.event_id for row in deliveries if row.state == "sent")
    return done >= set(box.dropped) and all(told[event.event_id] == len(CHANNELS) for event in before)


def check_live_events(
    world: World, monitor: Monitor, events: Sequence[Event], from_s: float, until_s: float
) -> tuple[dict[str, int], list[str]]:
    """Each fast segment that a camera delivered is one event; returns counts, and what is broken."""
    counts: Counter[str] = Counter()
    broken = []
    for camera in world.cameras:
        own = sorted((event for event in events if event.camera == camera.name), key=lambda event: event.started_s)
        broken += [
            f"{camera.name}: two events at a time, {first.event_id} and {second.event_id}"
            for first, second in itertools.pairwise(own)
            if second.started_s < first.ended_s - 0.5
        ]
        drops = [(time_s - 10, time_s + 2) for time_s in monitor.dropped[camera.name]]
        blind = [*world.service.outages, *drops]
        for start, end in camera.scene.segments(from_s, until_s):
            counts["segments"] += 1
            covered = [stretch for stretch in camera.delivered if stretch[0] <= start - LEAD_S]
            seen_until = max((last for _, last in covered), default=0.0)
            if seen_until < start + SEEN_S or _overlaps(blind, start - LEAD_S - 1, start + SEEN_S + 1):
                continue
            counts["segments_seen"] += 1
            if not any(start - 3 <= event.started_s <= start + SEEN_S for event in own):
                broken.append(f"{camera.name}: the event at {clock(start)} is lost")
                continue
            if seen_until < end + AFTER_S or _overlaps(blind, start - LEAD_S - 1, end + 2 * AFTER_S):
                continue
            counts["segments_seen_whole"] += 1
            n = sum(event.started_s < end and event.ended_s > start + 0.5 for event in own)
            if n != 1:
                broken.append(f"{camera.name}: {n} events at {clock(start)} instead of one")
    return dict(counts), broken


def check_files(box: DropBox, events: Iterable[Event]) -> list[str]:
    """Each file of the folder is one event, whatever happened meanwhile."""
    found = Counter(event.file for event in events if event.camera == FOLDER)
    return [f"{FOLDER}: {found[name]} events of {name} instead of one" for name in box.dropped if found[name] != 1]


def check_alerts(
    world: World, events: Sequence[Event], deliveries: Sequence[Delivery], log: Path, others: Set[str]
) -> tuple[dict[str, int], list[str]]:
    """Each event is told once on each channel; returns counts, and what is broken. Other alerts have keys `others`."""
    counts: Counter[str] = Counter()
    broken = []
    known = {row.key for row in deliveries} | others
    meant = {event.event_id for event in events}
    deliveries = [row for row in deliveries if row.event_id in meant]
    by_event: dict[str, list[Delivery]] = defaultdict(list)
    for row in deliveries:
        by_event[row.event_id].append(row)
    for event in events:
        if event.state == "open":
            broken.append(f"event {event.event_id} of {event.camera} is still open")
        made = sorted(row.channel for row in by_event[event.event_id])
        if made != list(CHANNELS):
            broken.append(f"event {event.event_id} of {event.camera} ({event.state}) has alerts for {made}")
    broken += [f"alert {row.key} to {row.channel} is {row.state}" for row in deliveries if row.state != "sent"]
    written = Counter(keys_of(log, counts))
    arrived: dict[str, list[float]] = defaultdict(list)
    for arrival in world.receiver.arrivals:
        arrived[arrival.key].append(arrival.time_s)
    for row in deliveries:
        counts["alerts"] += 1
        counts["attempts"] += row.attempts
        n = written[row.key] if row.channel == "log" else len(arrived[row.key])
        if n == 0:
            broken.append(f"alert {row.key} never reached {row.channel}")
        elif n > 1 and row.channel == "log":
            broken.append(f"alert {row.key} stands {n} times in the log")
        elif n > 1:
            repeats = itertools.pairwise(arrived[row.key])
            wrong = [second for first, second in repeats if not _may_repeat(world, first, second)]
            counts["repeats_with_the_same_key"] += n - 1
            if wrong:
                broken.append(f"alert {row.key} arrived again at {clock(wrong[0])}, without a reason")
    broken += [f"alert {key} was sent and isn't in the database" for key in {*written, *arrived} - known]
    return dict(counts), broken


def keys_of(log: Path, counts: Counter[str]) -> list[str]:
    """Of the alerts in the log channel's file; counts its torn lines."""
    lines = read_json_lines(log, lambda alert: str(alert["id"]))
    counts["torn_lines"] += len(lines.damaged)
    return lines.values


def _may_repeat(world: World, first_s: float, second_s: float) -> bool:
    """At least once: it may come again if the process ended, or stood still, before its yes was recorded."""
    if _overlaps(world.service.outages, first_s - 1, first_s + 1):
        return True
    trouble = [(fault.began_s, fault.ended_s) for fault in world.injected if fault.fault in DATABASE_FAULTS]
    ends = [end for end in world.service.ends if first_s - 1 <= end <= second_s]
    return any(end <= first_s + 5 or _overlaps(trouble, first_s - 1, end) for end in ends)


def _overlaps(stretches: Iterable[tuple[float, float]], from_s: float, until_s: float) -> bool:
    return any(start < until_s and end > from_s for start, end in stretches)


def clock(time_s: float) -> str:
    """For people."""
    return f"{datetime.fromtimestamp(time_s):%H:%M:%S}"
