"""`amiss serve` in a real browser, from the first login on: a camera is added and watched, a detector learns anew."""

# what can't be imported skips the tests

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("argon2", reason="needs amiss[web]")

from amiss.watch.teach import Shelf
from helpers.motion import write_scene
from helpers.pages import chromium, log_in
from helpers.reviewed import DAYS, House
from helpers.rtsp import RtspServer, need_rtsp_server
from helpers.service import Watch, wait_for, watching

pytestmark = [pytest.mark.browser, pytest.mark.slow]
expect = pytest.importorskip("playwright.sync_api", reason="needs playwright").expect

SLOWLY = 120_000  # ms; the machine may be busy


@contextmanager
def page_of(watch: Watch) -> Iterator[Any]:
    """A browser's page, after the first login with the password that the log told."""
    told: Any = wait_for(lambda: re.search(r"name admin, password (\S+) ", watch.text()), 300, "the first login")
    wait_for(lambda: "open http" in watch.text(), 300, "serving")
    with chromium() as browser:
        context = browser.new_context(base_url=f"http://127.0.0.1:{watch.port}")
        context.set_default_timeout(30_000)
        page = context.new_page()
        log_in(page, "admin", told[1])
        yield page
        context.close()


@pytest.mark.rtsp
def test_a_camera_is_added_and_its_event_arrives(detector: Path, tmp_path: Path) -> None:
    need_rtsp_server()
    clip = write_scene(tmp_path / "clip.mp4", [(1, 150), (9, 100)])
    config = f"detector: {detector}\ncameras: {{gate: {{url: 'rtsp://127.0.0.1:1/none'}}}}\n" + (
        "defaults: {alarm: {on: 0.5, off: 0.4, smoothing_s: 0}}"
    )
    camera = RtspServer(clip)
    camera.start()
    try:
        with (
            watching(tmp_path, config, command="serve", http="allow_cameras_at: [127.0.0.0/8]") as watch,
            page_of(watch) as page,
        ):
            page.goto("/settings")
            page.wait_for_selector("body[data-ready]")
            form = page.locator("#camera")
            form.get_by_label("Name").fill("yard")
            form.get_by_label("Address").fill(camera.url)
            form.get_by_role("button", name="Test").click()
            expect(page.get_by_text("A picture of 96 × 72")).to_be_visible(timeout=SLOWLY)
            assert page.locator("#tested img").evaluate("(image) => image.naturalWidth") == 96
            form.get_by_role("button", name="Add").click()
            expect(page.locator("#cameras tbody tr")).to_have_count(2)
            assert "***@127.0.0.1" in page.locator("#cameras").inner_text()
            page.goto("/review")
            page.wait_for_selector("body[data-ready]")
            first = page.locator("#list > li").first
            expect(first).to_contain_text("yard", timeout=SLOWLY)  # it comes while the page is looked at
            page.goto("/")
            yard = page.locator("#cameras > li").filter(has_text="yard")
            expect(yard.locator(".state")).to_have_text("running", timeout=SLOWLY)
            expect(page.locator("#cameras > li").filter(has_text="gate").locator(".reason")).to_be_visible()
            wait_for(lambda: any(event["clip"] for event in watch.events()), 120, "its clip")
            page.goto("/review")
            page.wait_for_selector("body[data-ready]")
            page.wait_for_function("document.querySelector('video').readyState > 0", timeout=SLOWLY)
            assert page.evaluate("document.querySelector('video').videoWidth") == 96
            assert watch.stop() == 0
    finally:
        camera.kill()


def test_a_detector_is_retrained_promoted_and_taken_back(detector: Path, tmp_path: Path) -> None:
    house = House(tmp_path, detector)
    house.store.close()
    with watching(tmp_path, house.file.read_text(), command="serve") as watch, page_of(watch) as page:
        page.goto("/teach")
        expect(page.locator("#summary")).to_have_text(f"{2 * DAYS} events reviewed, 0 not yet")
        page.get_by_role("button", name="Retrain").click()
        versions = page.locator(".detector tbody").first.locator("tr")
        expect(versions).to_have_count(2, timeout=2 * SLOWLY)
        expect(page.locator(".comparison h3")).to_contain_text("Version 1 against 0")
        expect(page.locator(".comparison tbody tr")).to_have_count(4)
        shelf = Shelf(house.config.state, detector)
        assert shelf.promoted == 0
        versions.first.get_by_role("button", name="Promote").click()
        expect(versions.first).to_contain_text("watches")
        assert shelf.promoted == 1
        page.get_by_role("button", name="Roll back").click()
        expect(versions.last).to_contain_text("watches")
        assert shelf.promoted == 0
        assert watch.stop() == 0
