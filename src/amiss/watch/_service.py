"""The unattended service: cameras, store, alerts, retention and HTTP under one roof."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from starlette.types import ASGIApp

from amiss.engines import Engine
from amiss.errors import AmissError, OutputError, StoreError
from amiss.reading import refusing
from amiss.video import LiveFrame, redact
from amiss.watch._config_reader import ConfigReader
from amiss.watch._event import CameraEvent, CameraState
from amiss.watch._outage_watch import OutageWatch
from amiss.watch._reporter import Reporter
from amiss.watch._score_history import ScoreHistory
from amiss.watch._score_log import ScoreLog
from amiss.watch.alerts import Channel, Dispatcher, StatePublisher, make_channels
from amiss.watch.camera import (
    CameraCluster,
    CameraStatus,
    CameraWorker,
    ClipScored,
    ClusterWorker,
    DetectorIdentity,
    ModelKey,
    Models,
    Supervisor,
    model_key,
    recover_clips,
)
from amiss.watch.config import CameraSettings, Config, HttpSettings, load_config, read_calibration, resolve_thresholds
from amiss.watch.http import Health, HttpServer, Preview, Watched, WatcherView, create_app
from amiss.watch.store import MediaKeeper, Retention, Store, open_store
from amiss.watch.teach import promoted_detector, promotions_file

log = logging.getLogger("amiss.watch")

TICK_S = 0.25
_READER_S = 1.0  # for a configuration that is still being read, on a stop
_WORKERS_SHARE = 0.6  # of the time for a stop; the rest is for the database and messages
_NEEDS_RESTART = ("database", "media", "state", "workers", "cluster")


@dataclass(frozen=True)
class WatchedCamera:
    """All that decides how a camera is watched; a worker goes on as long as it stays equal."""

    settings: CameraSettings
    """With both thresholds."""
    source: str
    """Where they come from, in words."""
    model: ModelKey


@dataclass(frozen=True)
class _Change:
    """Of the configuration: all that may fail is done."""

    config: Config
    wanted: Mapping[str, WatchedCamera]
    channels: Sequence[Channel] | None
    """None: they stay."""
    http: HttpServer | None
    """The one before, where it stays; a new one isn't started."""


class _How(TypedDict):
    """See CameraWorker."""

    once: bool
    reading: str
    identity: DetectorIdentity
    on_event: Callable[[CameraEvent], None]
    on_state: Callable[[str, CameraState, str], None]
    on_score: Callable[[ClipScored], None]


class WatchService:
    """Watches the cameras of a configuration until it is asked to stop.

    Args:
        config: what to watch.
        file: where it was read from, to read it again when it changes; None = never.
        score_log: where every score goes as well.
        once: end when every camera was a `replay:` file or a folder and has been scored, or has failed.
        engine: runs in place of every backbone.
        make_app: gives what is served on the port `http.port`; called again when `http` has changed.
        on_event: is told every state of an event, after the store; called by the cameras' threads.

    Raises:
        AmissError: a detector can't be loaded, the store can't be opened, or the port is taken; nothing runs then.
    """

    def __init__(
        self,
        config: Config,
        file: Path | None = None,
        *,
        score_log: ScoreLog | None = None,
        once: bool = False,
        engine: Engine | None = None,
        make_app: Callable[[WatcherView, HttpSettings], ASGIApp] = lambda view, _: create_app(view),
        on_event: Callable[[CameraEvent], None] = lambda _: None,
    ) -> None:
        self.config = config
        self._make_app = make_app
        self.score_log, self._once = score_log, once
        self._models = Models(config.workers, engine)
        self.previews: dict[str, Preview] = {}
        self._workers: dict[str, CameraWorker | ClusterWorker] = {}  # the newest of each camera
        self._readings: dict[str, str] = {}  # of a replayed file: a word that stays as long as its camera's settings
        # a plain flag: a signal handler that interrupts the main thread must not ask for a lock which that one holds
        self._stop_asked = False
        self._reader = None
        if file is not None:
            self._reader = ConfigReader(file, lambda: self._prepare(file), promotions_file(config.state))
        self.started = False
        for folder in (config.media, config.state):
            _make_folder(folder)
        wanted = self._resolve(config)
        self.store: Store = open_store(config.database.get_secret_value(), config.state / "spool", rules=config.rules)
        self.supervisor = Supervisor(self._make_worker, self._make_status, config.workers, restart=not once)
        self.view = WatcherView(
            Watched(
                self.store,
                config.media,
                config.state,
                cameras=lambda: self.supervisor.statuses,
                preview=lambda name: self.previews.get(name),
                health=self.health,
            )
        )
        self._wanted: Mapping[str, WatchedCamera] = wanted
        self._publisher = StatePublisher()
        self._reporter = Reporter(self.store, self._publisher, self.view.metrics, score_log, on_event)
        self._http: HttpServer | None = None
        self._cluster: CameraCluster | None = None
        try:
            if config.cluster is not None:
                self._cluster = CameraCluster(config.cluster, config.workers)
            self._http = self._make_http(config.http, None)
            self._dispatcher = self._make_dispatcher(make_channels(config))
        except AmissError:
            if self._cluster is not None:
                self._cluster.close()
            if self._http is not None:
                self._http.stop()
            self.store.close(0)
            raise
        self._history = ScoreHistory(config.state)
        self._media = MediaKeeper(self._make_retention(config))
        self._outages = OutageWatch(self.store)

    def run(self, on_started: Callable[[], None] = lambda: None) -> None:
        """Watch until `ask_to_stop`, or to the end of all files with `once`; then stop gracefully.

        Args:
            on_started: called when cameras are watched and pictures served.
        """
        try:
            self._start()
            on_started()
            while not self._stop_asked:
                time.sleep(TICK_S)
                self.supervisor.tick()
                for status in self.supervisor.statuses:
                    self._outages.look(status)
                if self._reader is not None:
                    self._reader.take(self._make_change)
                if not self.supervisor.is_changing:
                    self._forget_models()
                if self._once and self.supervisor.all_done:
                    break
        finally:
            self._stop()

    def ask_to_stop(self) -> None:
        """End `run`; may be called from a signal handler."""
        self._stop_asked = True

    def ask_to_reload(self) -> None:
        """Read the configuration again; may be called from a signal handler."""
        if self._reader is not None:
            self._reader.ask()

    def reload(self) -> bool:
        """Read the configuration again, now; cameras that didn't change go on. False, and all as before, if it is
        wrong. For a service that doesn't `run`: one that does reads in a thread of its own, see `ask_to_reload`."""
        return self._reader is not None and self._reader.read_now(self._make_change)

    def _prepare(self, file: Path) -> _Change:
        """What the file says now, with all that it takes; called in any thread, changes nothing."""
        config = load_config(file)
        fixed = {name: getattr(self.config, name) for name in _NEEDS_RESTART}
        for name in [name for name, value in fixed.items() if getattr(config, name) != value]:
            log.warning("%s has changed: that needs a restart", name)
        config = config.model_copy(update=fixed)
        wanted = self._resolve(config)
        http = self._http
        if config.http != self.config.http:
            http = self._make_http(config.http, self._http)
        try:
            parts = ("channels", "http", "cameras")
            changed = any(getattr(config, name) != getattr(self.config, name) for name in parts)
            return _Change(config, wanted, make_channels(config) if changed else None, http)
        except BaseException:
            if http is not None and http is not self._http:
                http.stop()
            raise

    def _make_change(self, change: _Change) -> None:
        try:
            self._exchange_http(change.http)  # first: of all this, only it can fail
        except OutputError:
            for channel in change.channels or ():
                channel.close()
            raise
        config = change.config
        self.config, self._wanted = config, change.wanted
        self.store.set_rules(config.rules)
        self.supervisor.set_cameras(change.wanted)
        self._outages.set_cameras({name: camera.settings for name, camera in change.wanted.items()})
        self.previews = {name: p for name, p in self.previews.items() if name in change.wanted}
        for preview in self.previews.values():
            preview.max_viewers = config.http.max_viewers
        self._workers = {name: worker for name, worker in self._workers.items() if name in change.wanted}
        if change.channels is not None:
            # before the new ones connect: an old one's goodbye must not be the last word
            self._dispatcher.close(self.config.workers.stop_s)
            self._dispatcher = self._make_dispatcher(change.channels)
            self._dispatcher.start()
        self._media.retention = self._make_retention(config)
        log.info("configuration read again: %d cameras", len(change.wanted))
        with suppress(StoreError):
            self.store.audit("reload", f"{len(change.wanted)} cameras")

    def _exchange_http(self, new: HttpServer | None) -> None:
        old = self._http
        if new is not old:
            if new is not None:
                new.start()
            self._http = new
            if old is not None:
                old.stop()

    def _forget_models(self) -> None:
        """Those that no camera needs any more, unless a change is being made ready that may need them."""
        with self._reader.idle() if self._reader is not None else nullcontext(True) as is_idle:
            if is_idle:
                self._models.keep({camera.model for camera in self._wanted.values()})

    def _start(self) -> None:
        for end in recover_clips(self.config.media):
            self.store.add_clip(end.event_id, end.clip, end.problem)
        self.store.mark_interrupted(self._wanted)
        self._outages.set_cameras({name: camera.settings for name, camera in self._wanted.items()})
        self.store.flush(1.0)
        if self._reader is not None:
            self._reader.start()
        if self._http is not None:
            self._http.start()
            log.info("health, metrics and live pictures at %s", self._http.url)
        self._dispatcher.start()
        self._media.start()
        self.supervisor.set_cameras(self._wanted)
        self.supervisor.tick()
        self.started = True
        with suppress(StoreError):
            self.store.audit("start", f"{len(self._wanted)} cameras")

    def _stop(self) -> None:
        if self._reader is not None:
            self._reader.stop()
        self._media.stop()
        stop_s = self.config.workers.stop_s
        until = time.monotonic() + stop_s

        def left() -> float:
            return max(0.1, until - time.monotonic())

        log.info("stopping")
        for name in self.supervisor.stop(_WORKERS_SHARE * stop_s):
            log.warning("%s: its worker didn't end in time; an open event is closed at the next start", name)
        self.store.flush(left())
        self._dispatcher.flush(left())
        self._dispatcher.close(left())
        with self._reader.idle(_READER_S) if self._reader is not None else nullcontext(True) as is_idle:
            if is_idle:  # else it ends with the process
                self._models.close()
        with suppress(StoreError):
            self.store.audit("stop")
        if self._cluster is not None:
            self._cluster.close()
        if self._http is not None:
            self._http.stop()
        self.store.close(left())
        if self.score_log is not None:
            self.score_log.close()
        self._history.close()
        log.info("stopped")

    def _resolve(self, config: Config) -> dict[str, WatchedCamera]:
        wanted = {}
        for name, camera in config.cameras.items():
            if camera.enabled and camera.detector is not None:
                with refusing(AmissError, f"cameras.{name}: its detector or backbone", "can't be used"):
                    key = model_key(promoted_detector(config.state, camera.detector), camera.weights)
                    detector = self._models.detector(key)
                    if config.cluster is None:
                        self._models.pool(key)
                calibration = read_calibration(config.state, name)
                threshold = detector.calibration.threshold
                alarm, source = resolve_thresholds(camera.alarm, calibration, key.sha256, threshold)
                if (doubt := detector.calibration.doubt(alarm.on)) is not None:
                    log.warning("%s: %s", name, doubt)
                wanted[name] = WatchedCamera(camera.model_copy(update={"alarm": alarm}), source, key)
        return wanted

    def _make_status(self, name: str, camera: WatchedCamera) -> CameraStatus:
        on, off = camera.settings.alarm.thresholds
        log.info("%s: alarm from %.3f, until %.3f (%s)", name, on, off, camera.source)
        self._readings[name] = uuid.uuid4().hex
        shown = redact(camera.settings.url.get_secret_value())
        return CameraStatus(name, shown, str(camera.model.folder), on, off, camera.source)

    def _make_worker(self, name: str, camera: WatchedCamera, status: CameraStatus) -> CameraWorker | ClusterWorker:
        detector = self._models.detector(camera.model)
        how: _How = {
            "once": self._once,
            "reading": self._readings[name],
            "identity": DetectorIdentity(str(camera.model.folder), camera.model.sha256, detector.spec.hash),
            "on_event": lambda event: self._reporter.event(status, event),
            "on_state": lambda _, state, reason: self._reporter.state(status, state, reason),
            "on_score": lambda scored: self._scored(status, camera, scored),
        }
        worker: CameraWorker | ClusterWorker
        if self._cluster is None:
            pool = self._models.pool(camera.model)
            worker = CameraWorker(name, camera.settings, detector, pool, self.config.media, **how)
        else:
            worker = self._cluster.worker(name, camera.settings, detector, camera.model, self.config.media, **how)
        status.lookahead_clips = worker.lookahead_clips
        self._workers[name] = worker
        if (preview := self.previews.get(name)) is None:
            self.previews[name] = Preview(status, self.config.http.max_viewers, lambda: self._latest(name))
        else:  # whoever looks goes on looking
            preview.status = status
        return worker

    def _scored(self, status: CameraStatus, camera: WatchedCamera, scored: ClipScored) -> None:
        self._reporter.score(status, scored)
        self._history.write(scored, camera.model.sha256, self.config.retention.scores_days)

    def _latest(self, name: str) -> LiveFrame | None:
        worker = self._workers.get(name)
        return None if worker is None else worker.latest  # whoever looks at a removed camera sees nothing new

    def _make_retention(self, config: Config) -> Retention:
        return Retention(
            config.media, config.retention, protected_ids=self.store.protected_ids, forget=self.store.forget_media
        )

    def _make_http(self, settings: HttpSettings, instead_of: HttpServer | None) -> HttpServer | None:
        if not settings.enabled:
            return None
        return HttpServer(self._make_app(self.view, settings), settings, instead_of=instead_of)

    def _make_dispatcher(self, channels: Sequence[Channel]) -> Dispatcher:
        link = f"{self._http.url}/events/{{event_id}}" if self._http is not None else None
        self._publisher.set_channels(channels, self._wanted)
        return Dispatcher(self.store, channels, media=self.config.media, link=link)

    def health(self) -> Health:
        """How the service is, for monitors."""
        return Health(
            started=self.started,
            since_tick_s=time.monotonic() - self.supervisor.last_tick,
            config_problem="" if self._reader is None else self._reader.problem,
            config_slowness="" if self._reader is None else self._reader.slowness,
            log_problem="" if self.score_log is None else self.score_log.problem,
            media_bytes=self._media.used_bytes,
        )

    @property
    def problems(self) -> dict[str, str]:
        """Camera → what its last worker failed of."""
        return {status.name: status.problem for status in self.supervisor.statuses if status.problem}

    @property
    def url(self) -> str | None:
        """Address of the HTTP server; None where there is none."""
        return None if self._http is None else self._http.url

    def preview_url(self, camera: str) -> str | None:
        """Address of a camera's live pictures; None where nothing is served."""
        return f"{self._http.url}/cameras/{camera}.mjpg" if self._http is not None else None


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"can't make the folder {folder}: {error.strerror}") from error
