"""`amiss serve`: the watcher with the application on its port, or the application alone over recorded videos."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from starlette.types import ASGIApp

from amiss.app._application import create_app
from amiss.app._config_file import ConfigFile
from amiss.app._context import AppContext
from amiss.app._feed import Feed, News
from amiss.app._words import Words
from amiss.app.accounts import Accounts
from amiss.app.api import job_news
from amiss.app.jobs import Job, Jobs
from amiss.app.videos import Library
from amiss.backbones import ClipWords, find_clip
from amiss.detection import check_detector_folder
from amiss.errors import StoreError
from amiss.watch import CameraEvent, Config, ScoreLog, WatchService
from amiss.watch.config import HttpSettings
from amiss.watch.http import Health, HttpServer, Watched, WatcherView
from amiss.watch.store import open_archive, open_store
from amiss.watch.teach import promoted_detector

log = logging.getLogger("amiss.app")

_TICK_S = 0.25
_OWN = ".amiss"  # folder of what is found out about a folder of videos


class AppService:
    """The watcher of a configuration, with the application in place of its pages.

    Args:
        config: what to watch, and where to serve.
        file: where it was read from, to read it again when it changes.
        on_first: is told name and password of the first admin, made where there is no user.
        score_log: where every score goes as well.

    Raises:
        AmissError: see `WatchService`.
    """

    def __init__(
        self,
        config: Config,
        file: Path | None,
        *,
        on_first: Callable[[str, str], None],
        score_log: ScoreLog | None = None,
    ) -> None:
        self._feed = Feed()
        self._jobs = Jobs(lambda job: _publish_job(self._feed, job))
        self._on_first = on_first
        self._file = None if file is None else ConfigFile(file)
        self._accounts: Accounts | None = None  # one for all the servers that follow each other
        self._words: Words | None = None
        self.watcher = WatchService(config, file, score_log=score_log, make_app=self._make_app, on_event=self._publish)

    @property
    def url(self) -> str | None:
        """Where it is served."""
        return self.watcher.url

    def run(self, on_started: Callable[[], None] = lambda: None) -> None:
        """Watch and serve until `ask_to_stop`."""
        if self._words is not None:
            self._words.start()
        try:
            self.watcher.run(on_started)
        finally:
            if self._words is not None:
                self._words.close()
            self._jobs.close()

    def ask_to_stop(self) -> None:
        """End `run`; may be called from a signal handler."""
        self.watcher.ask_to_stop()

    def ask_to_reload(self) -> None:
        """Read the configuration again; may be called from a signal handler."""
        self.watcher.ask_to_reload()

    def _make_app(self, view: WatcherView, settings: HttpSettings) -> ASGIApp:
        if self._accounts is None:
            self._accounts = Accounts(view.watched.store, self._on_first)
            _first_admin(self._accounts, settings)
            self._words = Words(view, lambda: ClipWords(find_clip(self.watcher.config.search.clip)))
        state = view.watched.state
        library = Library(state / "videos", state / "scores", self._jobs, self._detector)
        context = AppContext(
            view,
            settings,
            self._accounts,
            self._feed,
            self._jobs,
            library,
            self._words,
            self._file,
            lambda: self.watcher.config,
        )
        return create_app(context)

    def _detector(self) -> tuple[Path | None, Path | None]:
        config = self.watcher.config
        own = None if config.detector is None else promoted_detector(config.state, config.detector)
        return own, config.weights

    def _publish(self, event: CameraEvent) -> None:
        if event.state != "open" and self._words is not None:
            self._words.note()
        told = {"event_id": event.event_id, "camera": event.camera, "state": event.state}
        self._feed.publish(News("event", event.camera, told))


class MediaService:
    """The application over a folder of recorded videos, without cameras.

    Args:
        media: the folder; what is found out about it lies in `media/.amiss`.
        settings: where to serve.
        detector: folder of the detector that scores them; None = the one that comes along.
        weights: file of its backbone's weights, where they are not found by name.
        on_first: see `AppService`.

    Raises:
        AmissError: the detector or the store can't be opened, or the port is taken.
    """

    def __init__(
        self,
        media: Path,
        settings: HttpSettings,
        detector: Path | None = None,
        weights: Path | None = None,
        *,
        on_first: Callable[[str, str], None],
    ) -> None:
        if detector is not None:
            check_detector_folder(detector)
        own = media / _OWN
        self._stop_asked = False
        self._store = open_store(media_database(media), own / "spool")
        try:
            watched = Watched(self._store, media, own, cameras=tuple, preview=lambda _: None, health=Health)
            accounts = Accounts(self._store, on_first)
            _first_admin(accounts, settings)
            feed = Feed()
            self._jobs = Jobs(lambda job: _publish_job(feed, job))
            library = Library(media, own / "scores", self._jobs, lambda: (detector, weights))
            context = AppContext(WatcherView(watched), settings, accounts, feed, self._jobs, library)
            self._http = HttpServer(create_app(context), settings)
        except BaseException:
            self._store.close(0)
            raise

    @property
    def url(self) -> str:
        """Where it is served."""
        return self._http.url

    def run(self, on_started: Callable[[], None] = lambda: None) -> None:
        """Serve until `ask_to_stop`."""
        try:
            self._http.start()
            on_started()
            while not self._stop_asked:
                time.sleep(_TICK_S)
        finally:
            self._http.stop()
            self._jobs.close()
            self._store.close()

    def ask_to_stop(self) -> None:
        """End `run`; may be called from a signal handler."""
        self._stop_asked = True

    def ask_to_reload(self) -> None:
        """There is no configuration to read again."""


def _publish_job(feed: Feed, job: Job) -> None:
    feed.publish(News("job", None, job_news(job)))


def new_password(database: str, name: str) -> str:
    """A new password for a user of a database, who has lost the old one.

    Raises:
        UsageError: no such user. StoreError: the database can't be had.
    """
    archive = open_archive(database)
    try:
        return Accounts(archive, lambda *_: None).reset(name)
    finally:
        archive.close()


def media_database(media: Path) -> str:
    """Address of the database of a `MediaService`."""
    return f"sqlite:///{media / _OWN / 'amiss.db'}"


def _first_admin(accounts: Accounts, settings: HttpSettings) -> None:
    clear = settings.allow_public and not settings.is_secure
    if clear and not (settings.base_url or "").startswith(("http://127.0.0.1", "http://localhost")):
        log.warning("passwords and pictures can be read on their way: set http.tls_certificate, or an https base_url")
    if not settings.login:
        log.warning("there is no login: whoever can reach this port on this machine is an admin")
        return
    with suppress(StoreError):  # the watcher says so; it is made at the first login then
        accounts.ensure_first()
