"""How long lists of events take among a million.

    python benchmarks/events.py --database sqlite:////tmp/events.db [--events 1000000] [--repeats 20] [--out FILE]
    python benchmarks/events.py --database postgresql://user@host/empty …

Fills an empty database: 16 cameras, of which the busiest has half of the events, a year, one event in five reviewed, of
these one in three with a class and one in four with a note, one in a thousand protected, every second camera a folder
with file names. Then asks for the first page (50 events) of each list that the review and search pages show, and for
one far behind it, in an order of its own each time. Prints of the page median, 95th percentile, and the median of the
time that this process computed (with SQLite all of it), which a busy machine doesn't change much; and median and 95th
percentile of the page with its number of events, as the API gives both.
"""

import argparse
import hashlib
import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, Table, insert, select, text

from amiss.files import write_json
from amiss.watch import Archive
from amiss.watch._event import pack_trace
from amiss.watch.store import EventQuery
from amiss.watch.store._database import make_engine
from amiss.watch.store._event_query import cursor_of
from amiss.watch.store._tables import UTCDateTime, cameras, event_words, events, reviews, traces
from amiss.watch.store._words import words_of

START = datetime(2025, 1, 1, tzinfo=UTC)
YEAR_S = 365 * 86400
CAMERAS = [f"cam-{i:02}" for i in range(16)]
CLASSES = ("fall", "fight", "fire", "intruder", "vandalism")
NOTES = (
    "a cat again",
    "the cleaners",
    "person lying by the stairs",
    "police was called",
    "delivery van",
    "sun on water",
)
BATCH = 10_000


def fill(archive: Archive, n: int) -> None:
    """Write the events, in the order of time, past SQLAlchemy: a million in a minute or two. Indexes are made last."""
    rng = np.random.default_rng(0)
    tables = (events, traces, event_words, reviews)
    indexes = [index for table in tables for index in table.indexes]
    is_sqlite = archive.engine.dialect.name == "sqlite"
    archive.engine.dispose()
    with archive.engine.connect() as connection:
        if is_sqlite:
            for pragma in ("journal_mode=OFF", "synchronous=OFF", "foreign_keys=OFF", "cache_size=-500000"):
                connection.connection.cursor().execute(f"PRAGMA {pragma}")
        connection.execute(insert(cameras), [{"name": name} for name in CAMERAS])
        for index in indexes:
            index.drop(connection)
        for first in range(0, n, BATCH):
            for table, rows in zip(tables, make_rows(first, min(BATCH, n - first), n, rng), strict=True):
                put_rows(connection, table, rows)
            print(f"\r{min(first + BATCH, n)} of {n}", end="", flush=True)
        for index in indexes:
            index.create(connection)
        connection.commit()
    archive.engine.dispose()
    if not is_sqlite:
        with archive.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))  # as its own service does by and by
    print()


def put_rows(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """By the database's own quickest way."""
    if not rows:
        return
    dialect, names = connection.engine.dialect, list(rows[0])
    is_sqlite = dialect.name == "sqlite"
    to_text = UTCDateTime().bind_processor(dialect) if is_sqlite else None
    times = {i for i, name in enumerate(names) if to_text is not None and isinstance(table.c[name].type, UTCDateTime)}
    values = [
        tuple(to_text(value) if to_text is not None and i in times else value for i, value in enumerate(row.values()))
        for row in rows
    ]
    cursor = connection.connection.cursor()
    if is_sqlite:
        marks = ", ".join("?" * len(names))
        cursor.executemany(f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks})", values)
        return
    with cursor.copy(f"COPY {table.name} ({', '.join(names)}) FROM STDIN") as copy:
        for row in values:
            copy.write_row(row)


def make_rows(first: int, count: int, n: int, rng: np.random.Generator) -> tuple[list[dict[str, Any]], ...]:
    """Rows of events, traces, words and reviews."""
    shares = 0.5 ** np.minimum(np.arange(1, 17), 15)
    drawn = zip(
        rng.choice(16, count, p=shares / shares.sum()).tolist(), rng.random((count, 6)).tolist(),
        (1 - rng.beta(2, 5, count) / 2).tolist(), rng.integers(1000, size=(count, 3)).tolist(), strict=True,
    )  # fmt: skip
    packed = pack_trace(((0.0, 0.5), (5.0, 0.9), (20.0, 0.4)))
    made: tuple[list[dict[str, Any]], ...] = ([], [], [], [])
    for i, (camera, chance, score, (a, b, c)) in enumerate(drawn, first):
        started = START + timedelta(seconds=YEAR_S * i / n)
        event_id = uuid.UUID(int=rng_bits(i)).hex
        file = f"recording {a % 100}.mp4" if camera % 2 else None
        verdict = label = note = None
        if chance[0] < 0.2:
            verdict = "confirmed" if chance[1] < 0.2 else "false-alarm" if chance[1] < 0.9 else "unsure"
            label = CLASSES[b % 5] if chance[2] < 1 / 3 else None
            note = f"{NOTES[c % 6]}{f' {i}' if chance[4] < 0.1 else ''}" if chance[3] < 0.25 else None
            made[3].append({"event_id": event_id, "verdict": verdict, "label": label, "note": note or "",
                            "reviewer": "ann", "made": started})  # fmt: skip
        made[0].append({
            "event_id": event_id, "camera": CAMERAS[camera], "state": "closed" if a else "interrupted",
            "started": started, "ended": started + timedelta(seconds=20), "peak": started + timedelta(seconds=5),
            "peak_score": score, "threshold_on": 0.6, "threshold_off": 0.5, "detector": "street",
            "detector_sha256": "ab" * 32, "feature_spec": "cd" * 32, "clip": f"2025-01-01/x/{event_id}.mp4",
            "snapshot": f"2025-01-01/x/{event_id}.jpg", "problem": None, "file": file,
            "file_s": None if file is None else 12.5, "protected": not b, "media_removed": None,
            "saved": started, "run": "r", "node": "n", "revision": i, "verdict": verdict, "label": label, "note": note,
        })  # fmt: skip
        made[1].append({"event_id": event_id, "packed": packed})
        made[2].extend({"word": word, "started": started, "event_id": event_id}
                       for word in words_of(label, note, file))  # fmt: skip
    return made


def rng_bits(i: int) -> int:
    """An id as random as a uuid, the same for each run."""
    return int.from_bytes(hashlib.md5(str(i).encode(), usedforsecurity=False).digest())


def queries() -> dict[str, EventQuery]:
    """What the pages ask for."""
    some = tuple(CAMERAS[::3])
    month = START + timedelta(days=60)
    asked: dict[str, dict[str, Any]] = {
        "newest": {}, "oldest": {"order": "oldest"}, "highest score": {"order": "score"},
        "review: unreviewed": {"verdict": "none"},
        "review: unreviewed, oldest": {"verdict": "none", "order": "oldest"},
        "review: unreviewed, score": {"verdict": "none", "order": "score"},
        "review: of six cameras": {"verdict": "none", "cameras": some},
        "review: of a quiet camera": {"verdict": "none", "cameras": (CAMERAS[14],)},
        "a camera": {"cameras": (CAMERAS[3],)}, "a camera, score": {"cameras": (CAMERAS[3],), "order": "score"},
        "a month": {"since": month, "until": month + timedelta(days=30)},
        "a month, score": {"since": month, "until": month + timedelta(days=30), "order": "score"},
        "score above 0.97": {"min_score": 0.97}, "score above 0.9999": {"min_score": 0.9999},
        "a camera's confirmed, above 0.95": {"cameras": (CAMERAS[2],), "verdict": "confirmed", "min_score": 0.95},
        "confirmed falls": {"verdict": "confirmed", "label": "fall"},
        "falls, score": {"label": "fall", "order": "score"},
        "confirmed falls, score": {"verdict": "confirmed", "label": "fall", "order": "score"},
        "unsure falls of a camera": {"cameras": (CAMERAS[2],), "verdict": "unsure", "label": "fall"},
        "protected": {"protected": True}, "interrupted": {"state": "interrupted"},
        "protected, score": {"protected": True, "order": "score"},
        "interrupted, score": {"state": "interrupted", "order": "score"},
        "review: of six cameras, score": {"verdict": "none", "cameras": some, "order": "score"},
        "review: of a quiet camera, score": {"verdict": "none", "cameras": (CAMERAS[14],), "order": "score"},
        "review: above 0.9": {"verdict": "none", "min_score": 0.9},
        "review: a month, score": {"verdict": "none", "order": "score", "since": month, "until": month + timedelta(30)},
        "a camera's month, score": {"cameras": (CAMERAS[0],), "order": "score", "since": month,
                                    "until": month + timedelta(30)},
        "a year, score": {"order": "score", "since": START, "until": START + timedelta(days=330)},
        "word: cat": {"text": "cat"}, "words: person stairs": {"text": "person stairs"},
        "words: recording 42": {"text": "recording 42"}, "words: cat cam 07": {"text": "cat cam 07"},
        "word of a few: 500000": {"text": "500000"}, "word of none": {"text": "zebra"},
        "word: recording, score": {"text": "recording", "order": "score"},
        "words, confirmed": {"text": "police", "verdict": "confirmed"},
        "words that are never together": {"text": "cat police"},
    }  # fmt: skip
    return {name: EventQuery(limit=50, **filters) for name, filters in asked.items()}


def middle(archive: Archive, query: EventQuery) -> EventQuery:
    """The page that begins with the 60th day of the year."""
    (stored,) = archive.list_events(EventQuery(since=START + timedelta(days=60), order="oldest", limit=1)).events
    return replace(query, cursor=cursor_of(query, stored))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", required=True)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    archive = Archive(make_engine(args.database))
    with archive.reading() as connection:
        is_empty = connection.execute(select(events.c.event_id).limit(1)).first() is None
    if is_empty:
        fill(archive, args.events)
    asked = queries()
    asked |= {f"{name}, a far page": middle(archive, asked[name]) for name in ("newest", "review: unreviewed")}
    took: dict[str, list[tuple[float, float, float]]] = {name: [] for name in asked}
    rng = np.random.default_rng(1)
    for _ in range(args.repeats):
        for name in rng.permutation(list(asked)):
            began, busy = time.perf_counter(), time.thread_time()
            archive.list_events(asked[name])
            listed, busy = time.perf_counter(), time.thread_time() - busy
            archive.count_events(replace(asked[name], cursor=None))
            took[name].append((listed - began, busy, time.perf_counter() - began))
    took["all"] = [one for times in took.values() for one in times]
    found = {}
    for name, times in took.items():
        page, busy, both = 1000 * np.array(times).T
        values = [np.median(page), np.percentile(page, 95), np.median(busy), np.median(both), np.percentile(both, 95)]
        found[name] = [round(float(value), 2) for value in values]
        print(f"{name:40}" + "".join(f"{value:9.1f}" for value in values) + " ms", flush=True)
    counts = {name: archive.count_events(query) for name, query in asked.items()}
    if args.out is not None:
        write_json(args.out, {"database": archive.engine.dialect.name, "ms": found, "counts": counts})
    archive.close()


if __name__ == "__main__":
    main()
