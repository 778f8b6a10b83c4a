"""The application's pages in a real browser: one server and one browser for all tests of a module."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from amiss.app._application import create_app
from amiss.app._config_file import ConfigFile
from helpers.app import PASSWORD, Application, application, later, served
from helpers.browser import CHROMIUM
from helpers.events import make_event
from helpers.scores import config_with_scores
from helpers.videos import write_video

CLIP_S = 30.0
N_EVENTS = 6
KINDS = ("error", "warning")


class Pages:
    """People in front of the pages.

    Args:
        app: what is served.
        url: where.
        browser: Playwright's.
    """

    def __init__(self, app: Application, url: str, browser: Any) -> None:
        self.app, self.url, self._browser = app, url, browser
        self._states: dict[str, Any] = {}

    @contextmanager
    def open(self, path: str, name: str | None = "reviewer", **options: Any) -> Iterator[Any]:
        """A page, looked at by somebody; it may have said nothing that is wrong when it is left."""
        settings = {"viewport": {"width": 1280, "height": 900}, "base_url": self.url} | options
        if name is not None:
            settings["storage_state"] = self._state(name)
        context = self._browser.new_context(**settings)
        context.set_default_timeout(10_000)
        page = context.new_page()
        said: list[str] = []
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on(
            "console",
            lambda message: said.append(f"{message.text} {message.location}") if message.type in KINDS else None,
        )
        try:
            page.goto(path)
            if name is not None:
                page.wait_for_selector("body[data-ready]")
            yield page
        finally:
            context.close()
        assert said == [], said

    def _state(self, name: str) -> Any:
        """A login, once for each person: they are slow on purpose."""
        if name not in self._states:
            context = self._browser.new_context(base_url=self.url)
            page = context.new_page()
            log_in(page, name)
            self._states[name] = context.storage_state()
            context.close()
        return self._states[name]


def log_in(page: Any, name: str, password: str = PASSWORD) -> None:
    page.goto("/login")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda address: "/login" not in address)


@contextmanager
def chromium() -> Iterator[Any]:
    """Playwright's browser, over the system's Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        pytest.skip("no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def pages(folder: Path) -> Iterator[Pages]:
    """The application with some events that have real clips, and Chromium."""
    clip = write_video(folder / "clip.mp4", int(CLIP_S * 10), fps=10)
    with application(folder) as app:
        config = config_with_scores(folder, datetime.now(UTC) - timedelta(hours=3))
        app.app = create_app(replace(app.context, config=lambda: config, config_file=ConfigFile(folder / "watch.yaml")))
        for number in range(N_EVENTS):
            add_event(app, clip, number)
        app.words.start()
        with served(app) as server, chromium() as browser:
            yield Pages(app, server.url, browser)


def add_event(app: Application, clip: Path, number: int) -> str:
    """An event of a minute later than the one before, whose clip begins 5 s before it."""
    started = later(60 * (number + 1))
    trace = tuple((s, 0.9 if 0 < s < 18 else 0.1) for s in range(-5, 25))
    event = make_event(
        camera=("door", "yard")[number % 2], started=started, ended=later(60 * (number + 1) + 20), peak=started,
        peak_score=0.95 - number / 50, trace=trace,
    )  # fmt: skip
    path = f"2026-03-01/{event.camera}/{event.event_id}"
    app.media.joinpath(path).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(clip, app.media / f"{path}.mp4")
    shutil.copy(next(app.media.glob("*/*/*.jpg")), app.media / f"{path}.jpg")
    app.store.save_event(make_event(**vars(event) | {"clip": f"{path}.mp4", "snapshot": f"{path}.jpg"}))
    assert app.store.flush(10)
    return event.event_id
