"""Events read back from a store."""

from dataclasses import replace
from typing import Any

from amiss.watch.store import Archive, EventQuery, StoredEvent


def all_events(archive: Archive, **filters: Any) -> list[StoredEvent]:
    """Every event that an `EventQuery` finds, page by page."""
    query, found = EventQuery(**filters), []
    while True:
        page = archive.list_events(query)
        found += page.events
        if page.next is None:
            return found
        query = replace(query, cursor=page.next)
