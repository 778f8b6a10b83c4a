"""Full text by words: a table of (word, time, event), so that every database finds them in an index.

A word is a run of letters and digits, without case and accents. An event's words come from its class (the reviewer's,
and what the detector took it for), note, file and problem; names of cameras are looked up in their own table.
"""

import re
import unicodedata

from sqlalchemy import Connection, delete, insert, select

from amiss.watch.store._tables import event_words, events

LONGEST = 64  # characters of a word that count
MOST = 200  # words of one event
_TEXTS = (events.c.label, events.c.class_name, events.c.note, events.c.file, events.c.problem)
_WORD = re.compile(r"[^\W_]+")


def words_of(*texts: str | None) -> list[str]:
    """The words of texts, each once, in their order."""
    plain = unicodedata.normalize("NFKD", " ".join(filter(None, texts)))
    plain = "".join(c for c in plain if not unicodedata.combining(c)).casefold()
    return list(dict.fromkeys(word[:LONGEST] for word in _WORD.findall(plain)))[:MOST]


def put_words(connection: Connection, event_id: str) -> None:
    """Bring an event's words in step with its row."""
    started, *texts = connection.execute(select(events.c.started, *_TEXTS).where(events.c.event_id == event_id)).one()
    wanted = {(word, started) for word in words_of(*texts)}
    of_it = event_words.c.event_id == event_id
    there = {(row.word, row.started) for row in connection.execute(select(event_words).where(of_it))}
    for word, time in there - wanted:
        connection.execute(delete(event_words).where(of_it, event_words.c.word == word, event_words.c.started == time))
    if new := sorted(wanted - there):
        rows = [{"word": word, "started": time, "event_id": event_id} for word, time in new]
        connection.execute(insert(event_words), rows)
