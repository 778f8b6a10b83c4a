"""Pictures of the application's pages, images/app-*.png: made by hand after pages have changed.

    amiss demo --out demo
    python docs/_generate/app_pictures.py demo [--all FOLDER]

The cameras are the demo's unseen videos, replayed in loops; the events are what its detector finds in them. The week of
the page Calibrate is made of its scores of all unseen videos, in a random order. It needs Chromium and the extra `dev`.
With --all, every page is also written in light, dark and as a phone shows it.
"""

from __future__ import annotations

import argparse
import io
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from amiss.detection import AlarmSettings, AlarmTracker, Detector, ScoreResult, detector_digest
from amiss.watch._score_history import ScoreHistory
from amiss.watch.camera import ClipScored

IMAGES = Path(__file__).parents[1] / "images"
PAGES = {"live": "/", "review": "/review", "search": "/search", "videos": "/videos", "teach": "/teach",
         "calibrate": "/calibrate", "system": "/system", "settings": "/settings"}  # fmt: skip
CAMERAS = {"car-park": "parking", "plaza": "plaza"}
LARGE, PHONE = {"width": 1280, "height": 820}, {"width": 390, "height": 844}
EVENTS, WAIT_S = 24, 1200.0
WEEK_S, NORMAL = 7 * 86400, 60  # so many normal videos for each anomalous one


@contextmanager
def serving(demo: Path) -> Iterator[tuple[str, str]]:
    """`amiss serve` over the demo's videos; gives its address and the first password."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        videos = sorted((demo / "data/videos").glob("test_*.mp4"))
        unseen = [video for video in videos if not video.stem.endswith("_normal")]
        cameras = {camera: next(v for v in unseen if place in v.stem) for camera, place in CAMERAS.items()}
        lines = [f"  {camera}: {{ url: 'replay:{video.resolve()}?loop=1' }}" for camera, video in cameras.items()]
        lines += ["  stairwell: { url: 'rtsp://127.0.0.1:9/stream2' }"]  # one that is away
        (folder / "watch.yaml").write_text(
            f"detector: {(demo / 'detector').resolve()}\ncameras:\n" + "\n".join(lines) + "\n"
            "defaults:\n  alarm: { on: 0.4, off: 0.3, smoothing_s: 1 }\n  record: { pre_s: 3, post_s: 2 }\n"
            "  source: { read_timeout_s: 120 }\nhttp: { port: 0 }\n",
            encoding="utf-8",
        )
        (folder / "state/videos").mkdir(parents=True)
        make_week(folder / "state", demo / "detector", videos)
        for video in unseen[:3]:
            shutil.copy(video, folder / "state/videos")
        with (folder / "said.txt").open("w+") as said:
            command = [sys.executable, "-m", "amiss", "serve", str(folder / "watch.yaml")]
            process = subprocess.Popen(command, stdout=said, stderr=said)
            try:
                yield _first_words(folder / "said.txt", process)
            finally:
                process.terminate()
                process.wait()


def make_week(state: Path, folder: Path, videos: list[Path]) -> None:
    """Scores of a week for each camera: a video a minute, mostly normal ones, by day."""
    detector, digest = Detector.load(folder), detector_digest(folder)
    scored: dict[bool, list[ScoreResult]] = {True: [], False: []}
    for video in videos:
        scored[video.stem.endswith("_normal")].append(detector.score(video))
    random, began, history = (
        np.random.RandomState(0),
        datetime.now(UTC) - timedelta(seconds=WEEK_S),
        ScoreHistory(state),
    )
    for camera in CAMERAS:
        for minute in range(WEEK_S // 60):
            start = began + timedelta(minutes=minute)
            if not 7 <= start.hour < 20:
                continue
            of_kind = scored[random.randint(NORMAL) > 0]
            result, tracker = of_kind[random.randint(len(of_kind))], AlarmTracker(AlarmSettings(on=0.4, smoothing_s=1))
            for clip in result.clips:
                tracker.update(clip.start_s, clip.end_s, clip.score)
                times = (start + timedelta(seconds=clip.start_s), start + timedelta(seconds=clip.end_s))
                history.write(ClipScored(camera, *times, clip.score, tracker.smoothed or 0.0, 0.0), digest, 8)
    history.close()


def _first_words(said: Path, process: subprocess.Popen[bytes]) -> tuple[str, str]:
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until and process.poll() is None:
        text = said.read_text()
        if (address := re.search(r"open (http\S+)", text)) and (password := re.search(r"password (\S+)", text)):
            return address[1], password[1]
        time.sleep(0.5)
    raise SystemExit(said.read_text())


def sign_in(page: Page, password: str) -> None:
    """As the first admin."""
    page.goto("/login")
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_selector("body[data-ready]")


def wait_for(page: Page, expression: str) -> None:
    """Until it is so; not by `wait_for_function`, which the pages' Content-Security-Policy refuses."""
    until = time.monotonic() + WAIT_S
    while not page.evaluate(expression):
        if time.monotonic() > until:
            raise SystemExit(f"it didn't happen: {expression}")
        page.wait_for_timeout(500)


def prepare(page: Page) -> None:
    """Events come, some are reviewed, videos are scored."""
    page.goto("/videos")
    page.wait_for_selector("body[data-ready]")
    page.locator("#score-all").click()
    asked = "fetch('/api/v1/{}').then((answer) => answer.json())"
    wait_for(page, f"{asked.format('events')}.then(({{ total }}) => total >= {EVENTS})")
    wait_for(page, f"{asked.format('videos')}.then(({{ videos }}) => videos.every((video) => video.summary))")
    page.goto("/review?")
    page.wait_for_selector("body[data-ready]")
    for key in "cf" * 10:
        page.keyboard.press(key)
        page.wait_for_timeout(1500)
    page.goto("/teach")
    page.wait_for_selector("body[data-ready]")
    page.get_by_role("button", name="Retrain").click()
    wait_for(page, f"{asked.format('jobs')}.then(({{ jobs }}) => jobs.every((job) => job.ended))")


def show(page: Page, name: str) -> None:
    """A page, with all that comes a moment later."""
    page.goto(PAGES[name])
    page.wait_for_selector("body[data-ready]")
    if name == "review":
        page.locator("#list button").filter(has_not_text="open").first.click()
        page.wait_for_timeout(1500)
        page.locator("[data-move=next]").click()
    if name == "calibrate":
        page.get_by_label("False alarms an hour, at most").first.fill("0.5")
        page.get_by_role("button", name="Find the threshold").click()
    if name == "videos":
        page.locator("#list button").filter(has_text="blast").first.click()
        page.wait_for_timeout(1500)
        page.locator("[data-move=next]").click()
    page.wait_for_timeout(4000)


def save(shot: bytes, path: Path) -> None:
    """As a small PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.open(io.BytesIO(shot)).convert("RGB").quantize(256, kmeans=1).save(path, optimize=True)


def phones(shots: list[bytes], path: Path) -> None:
    """Some phones side by side."""
    pictures = [Image.open(io.BytesIO(shot)).convert("RGB") for shot in shots]
    gap = 24
    whole = Image.new("RGB", (sum(p.width + gap for p in pictures) - gap, pictures[0].height), "white")
    for number, picture in enumerate(pictures):
        whole.paste(picture, (number * (PHONE["width"] + gap), 0))
    whole.quantize(256, kmeans=1).save(path, optimize=True)


def main() -> None:
    """Make them all."""
    parser = argparse.ArgumentParser(description="Pictures of the application's pages.")
    parser.add_argument("demo", type=Path, help="folder that `amiss demo` made")
    parser.add_argument("--all", type=Path, help="folder for every page in light, dark and as on a phone")
    given = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with serving(given.demo) as (address, password), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        looks: dict[str, Any] = {
            "light": {"viewport": LARGE, "color_scheme": "light"},
            "dark": {"viewport": LARGE, "color_scheme": "dark"},
            "phone": {"viewport": PHONE, "color_scheme": "light", "has_touch": True},
        }
        state: Any = None
        shots: dict[tuple[str, str], bytes] = {}
        for look, options in looks.items():
            context = browser.new_context(base_url=address, storage_state=state, **options)
            page = context.new_page()
            if state is None:
                page.goto("/login")
                shots["login", look] = page.screenshot()
                sign_in(page, password)
                prepare(page)
                state = context.storage_state()
            for name in PAGES:
                show(page, name)
                shots[name, look] = page.screenshot()
            context.close()
        browser.close()
    for name in ("live", "review", "search", "videos", "calibrate"):
        save(shots[name, "dark" if name == "live" else "light"], IMAGES / f"app-{name}.png")
    phones([shots[name, "phone"] for name in ("live", "review", "search")], IMAGES / "app-phone.png")
    if given.all is not None:
        for (name, look), shot in shots.items():
            save(shot, given.all / f"{name}-{look}.png")


if __name__ == "__main__":
    main()
