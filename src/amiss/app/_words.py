"""Events by words: a CLIP sees every event's picture once, and words are compared with what it saw."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from amiss.errors import AmissError, StoreError
from amiss.watch.http import WatcherView
from amiss.watch.store import EventQuery, StoredEvent

log = logging.getLogger("amiss.app")

_PAGE = 200
_STORED_S = 2.0  # news come before the event is in the database
_RETRY_S = 30.0


class Seer(Protocol):
    """What sees pictures and reads words; see `amiss.backbones.ClipWords`."""

    kind: str

    def of_picture(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]: ...

    def of_words(self, words: str) -> NDArray[np.float32]: ...


@dataclass(frozen=True)
class WordsState:
    """How the search by words is."""

    problem: str | None
    """Why nothing is found by words; None = it is."""
    has_failed: bool
    """Nothing will be, before an admin mends that."""
    is_behind: bool
    """Pictures are there that weren't seen yet."""


class Words:
    """Looks at the pictures of all events in a thread of its own, the newest first, and no more than half of the time.

    Args:
        view: of the events and their pictures.
        load: gives what sees them; its AmissError says why nothing does.
    """

    def __init__(self, view: WatcherView, load: Callable[[], Seer]) -> None:
        self._view, self._load = view, load
        self._seer: Seer | None = None
        self._problem: str | None = "the network is still being read: try again in a moment"
        self._news, self._stop = threading.Event(), threading.Event()
        self._is_behind, self._was_through, self._has_failed = True, False, False
        self._unreadable: set[str] = set()
        self._thread = threading.Thread(target=self._work, name="amiss-words", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """End it, and wait for the picture that is being looked at."""
        self._stop.set()
        self._news.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def note(self) -> None:
        """An event has ended."""
        self._is_behind = True
        self._news.set()

    @property
    def state(self) -> WordsState:
        """How it is."""
        return WordsState(self._problem, self._has_failed, self._is_behind)

    @property
    def seer(self) -> Seer | None:
        """What sees and reads; None = see the problem."""
        return self._seer

    def _work(self) -> None:
        try:
            seer = self._load()
        except AmissError as error:
            self._problem, self._has_failed = str(error), True
            return
        except Exception as error:
            log.error("what sees pictures can't be loaded", exc_info=error)
            self._problem, self._has_failed = f"what sees pictures can't be loaded: {error}", True
            return
        self._seer, self._problem = seer, None
        while not self._stop.is_set():
            self._news.clear()
            try:
                self._look(seer)
            except StoreError:
                self._stop.wait(_RETRY_S)
                continue
            if not self._news.is_set():
                self._is_behind = False
            self._news.wait()
            self._stop.wait(_STORED_S)

    def _look(self, seer: Seer) -> None:
        """See what wasn't seen; once it was through, only as far back as there is something new."""
        store, query = self._view.watched.store, EventQuery(limit=_PAGE)
        while not self._stop.is_set():
            page = store.list_events(query)
            there = [one for one in page.events if one.event.state != "open" and _has_picture(one)]
            seen = store.have_vector(seer.kind, [one.event.event_id for one in there]) | self._unreadable
            new = [one for one in there if one.event.event_id not in seen]
            for one in new:
                if self._stop.is_set():
                    return
                self._see(seer, one)
            if page.next is None or (self._was_through and not new):
                self._was_through = True
                return
            query = replace(query, cursor=page.next)

    def _see(self, seer: Seer, stored: StoredEvent) -> None:
        began = time.monotonic()
        path = self._view.media_file(stored.event.event_id, "snapshot")
        try:
            if path is None:
                raise OSError("it is gone")
            with Image.open(path) as image:
                vector = seer.of_picture(np.asarray(image.convert("RGB")))
        except (OSError, ValueError) as error:
            log.info("the picture of the event %s can't be seen: %s", stored.event.event_id, error)
            self._unreadable.add(stored.event.event_id)
            return
        self._view.watched.store.add_vector(seer.kind, stored.event, vector)
        self._stop.wait(time.monotonic() - began)  # cameras come first


def _has_picture(stored: StoredEvent) -> bool:
    return stored.event.snapshot is not None and stored.media_removed is None
