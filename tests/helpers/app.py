"""The application over a store of its own, and clients of it: a browser, a program, somebody without a login."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from argon2 import PasswordHasher
from numpy.typing import NDArray
from PIL import Image
from starlette.types import ASGIApp

from amiss.app._application import create_app, create_routes
from amiss.app._context import AppContext
from amiss.app._feed import Feed, News
from amiss.app._words import Words
from amiss.app.accounts import Accounts, Passwords
from amiss.app.api import job_news
from amiss.app.jobs import Jobs
from amiss.app.videos import Library
from amiss.watch import CameraEvent
from amiss.watch.camera import CameraStatus
from amiss.watch.config import HttpSettings
from amiss.watch.http import Health, HttpServer, Preview, Watched, WatcherView
from amiss.watch.store import Role, Store, open_store
from helpers.events import START, make_event

PASSWORD = "correct-horse-battery"
CLIP = bytes(range(256)) * 40


class Picture:
    """What a camera sees."""

    time = START
    image = np.full((48, 64, 3), 90, np.uint8)


class ColourSeer:
    """Sees colours, and reads their names."""

    kind = "colours"
    names: ClassVar = {"red": (1, 0, 0), "green": (0, 1, 0), "grey": (1, 1, 1)}

    def of_picture(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        return picture.reshape(-1, 3).mean(0).astype(np.float32)

    def of_words(self, words: str) -> NDArray[np.float32]:
        return np.array(self.names.get(words, (1, 0, 1)), np.float32)


class Application:
    """Two cameras, `door` and `yard`, each with an event that has a clip and a picture; one user of each kind.

    `door-only` is a viewer of the first camera. Everybody has the same password; `admin` is the first admin.
    """

    def __init__(self, folder: Path, url: str | None = None, settings: HttpSettings | None = None) -> None:
        self.media = folder / "media"
        self.store: Store = open_store(url or f"sqlite:///{folder / 'amiss.db'}", folder / "spool")
        self.statuses = [CameraStatus(n, f"rtsp://***@192.0.2.7/{n}", "det", 0.7, 0.5, "by hand") for n in CAMERAS]
        self.previews = {s.name: Preview(s, 2, lambda: Picture()) for s in self.statuses}  # type: ignore[arg-type]
        watched = Watched(
            self.store,
            self.media,
            folder,
            cameras=lambda: self.statuses,
            preview=lambda name: self.previews.get(name),
            health=Health,
        )
        self.first: list[tuple[str, str]] = []
        quick = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        self.accounts = Accounts(self.store, lambda name, password: self.first.append((name, password)), quick)
        self.settings = settings or HttpSettings(port=0)
        feed = Feed()
        self.jobs = Jobs(lambda job: feed.publish(News("job", None, job_news(job))))
        library = Library(folder / "videos", folder / "scores", self.jobs)
        view = WatcherView(watched)
        self.words = Words(view, ColourSeer)
        self.context = AppContext(view, self.settings, self.accounts, feed, self.jobs, library, self.words)
        self.app: ASGIApp = create_app(self.context)
        self.routes = create_routes(self.context)
        self.events = {name: self.add_event(name) for name in CAMERAS}

    def add_event(self, camera: str, **changes: Any) -> CameraEvent:
        """An event, stored, with files."""
        event = make_event(camera=camera, **changes)
        folder = self.media / "2026-03-01" / camera
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{event.event_id}.mp4").write_bytes(CLIP)
        Image.fromarray(Picture.image).save(folder / f"{event.event_id}.jpg")
        start = f"2026-03-01/{camera}/{event.event_id}"
        values = {"clip": f"{start}.mp4", "snapshot": f"{start}.jpg"} | changes
        event = make_event(camera=camera, **values | {"event_id": event.event_id})
        self.store.save_event(event)
        assert self.store.flush(10)
        return event

    def add_user(self, name: str, role: Role, cameras: Sequence[str] | None = None) -> None:
        self.accounts.ensure_first()
        self.accounts.add_user(name, role, cameras, PASSWORD, actor="tests")

    def client(self, **options: Any) -> Any:
        """Somebody without a login."""
        return asking(self.app, **options)

    def browser(self, name: str, password: str = PASSWORD) -> Any:
        """Somebody who has logged in, on a page of this server."""
        client = self.client(headers={"Sec-Fetch-Site": "same-origin"})
        answer = client.post("/api/v1/login", json={"name": name, "password": password})
        assert answer.status_code == 200, answer.text
        return client

    def program(self, name: str, role: Role | None = None) -> Any:
        """Somebody with a token."""
        return self.client(headers={"Authorization": f"Bearer {self.token(name, role)}"})

    def token(self, name: str, role: Role | None = None, days: float | None = None) -> str:
        user = next(user for user in self.accounts.users() if user.name == name)
        _, who = self.accounts.log_in(name, PASSWORD, "192.0.2.1", "tests")
        return self.accounts.add_token(who, "tests", role or user.role, days)[0]

    def close(self) -> None:
        self.words.close()
        self.jobs.close()
        self.store.close(1)


CAMERAS = ("door", "yard")


def asking(app: ASGIApp, **options: Any) -> Any:
    """A client that asks the application without a network."""
    from starlette.testclient import TestClient

    return TestClient(app, base_url="http://127.0.0.1:8720", follow_redirects=False,
                      raise_server_exceptions=False, **options)  # fmt: skip


@contextmanager
def application(folder: Path, **options: Any) -> Iterator[Application]:
    app = Application(folder, **options)
    try:
        app.add_user("door-only", "viewer", ["door"])
        app.add_user("viewer", "viewer")
        app.add_user("reviewer", "reviewer")
        app.add_user("boss", "admin")
        yield app
    finally:
        app.close()


@contextmanager
def served(app: Application) -> Iterator[HttpServer]:
    """The application on a port of loopback."""
    server = HttpServer(app.app, app.settings)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def later(seconds: float) -> Any:
    return START + timedelta(seconds=seconds)
