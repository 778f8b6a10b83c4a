"""What the routes need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from amiss.app._config_file import ConfigFile
from amiss.app._feed import Feed
from amiss.app._words import Words
from amiss.app.accounts import Accounts
from amiss.app.jobs import Jobs
from amiss.app.videos import Library
from amiss.watch import Config
from amiss.watch.config import HttpSettings
from amiss.watch.http import WatcherView
from amiss.watch.store import Store


@dataclass(frozen=True)
class AppContext:
    """What is served, to whom, and how."""

    view: WatcherView
    """Cameras, events' media, health, metrics."""
    settings: HttpSettings
    accounts: Accounts
    feed: Feed
    """News for browsers."""
    jobs: Jobs
    """What people started."""
    library: Library
    """Recorded videos."""
    words: Words | None = None
    """Finds events by words; None: there are none."""
    config_file: ConfigFile | None = None
    """Where cameras, channels and rules are changed; None: nowhere."""
    config: Callable[[], Config | None] = lambda: None
    """What is watched; None = no cameras."""

    @property
    def store(self) -> Store:
        """Events, reviews, audit."""
        return self.view.watched.store
