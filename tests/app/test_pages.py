"""The pages in a real browser: signing in, looking, seeking by the curve, keys; what keeps people from using them."""

# what can't be imported skips the tests

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("argon2", reason="needs amiss[web]")

from amiss.watch._vectors import pack_vector
from amiss.watch.store import EventQuery
from helpers.app import PASSWORD
from helpers.pages import Pages, pages
from helpers.videos import write_video
from helpers.waiting import wait_until

pytestmark = pytest.mark.browser
expect = pytest.importorskip("playwright.sync_api", reason="needs playwright").expect

PATHS = ["/login", "/", "/review", "/search", "/videos", "/teach", "/calibrate", "/system", "/settings"]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    with pages(tmp_path_factory.mktemp("pages")) as found:
        root = found.app.context.library.root
        root.mkdir()
        write_video(root / "night.mp4", 30)
        yield found


def serious(page: Any) -> list[str]:
    """What keeps people from using a page, as axe-core finds it."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(page).response["violations"]
    return [
        f"{fault['id']}: {[node['target'] for node in fault['nodes']]}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]


def test_who_is_not_signed_in_is_asked_and_led_on(shown: Pages) -> None:
    with shown.open("/review?order=oldest", None) as page:
        assert page.url.endswith("/login?next=/review%3Forder%3Doldest")
        page.get_by_label("Name").fill("reviewer")
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url("**/review?order=oldest")
        page.wait_for_selector("body[data-ready]")
        page.wait_for_function("[...document.images].every((image) => image.complete)")
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/login")


def test_a_click_on_the_curve_seeks_the_clip(shown: Pages) -> None:
    """The curve begins half a second before the clip: with the first of its scores, which are one a second."""
    with shown.open("/review") as page:
        wait_until(lambda: page.evaluate("document.querySelector('video').readyState > 0"))
        timeline = page.get_by_role("slider", name="position in the video")
        box, length = timeline.bounding_box(), float(timeline.get_attribute("aria-valuemax"))
        assert length == pytest.approx(30)

        def is_at(seconds: float) -> bool:
            now = page.evaluate(
                "[document.querySelector('video').seeking, document.querySelector('video').currentTime]"
            )
            return now == [False, pytest.approx(seconds - 0.5, abs=0.1)]

        for share in (0.5, 0.8):
            page.mouse.click(box["x"] + share * box["width"], box["y"] + 40)
            wait_until(lambda share=share: is_at(share * length))
        page.mouse.down()
        page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 40, steps=4)
        page.mouse.up()
        wait_until(lambda: is_at(length / 4))
        page.keyboard.press("ArrowRight")
        wait_until(lambda: is_at(length / 4 + 1))
        assert "score 0.900" in timeline.get_attribute("aria-valuetext")


@pytest.mark.parametrize("path", PATHS)
def test_nothing_serious_keeps_people_from_using_a_page(shown: Pages, path: str) -> None:
    with shown.open(path, None if path == "/login" else "boss") as page:
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert serious(page) == [], scheme
        page.set_viewport_size({"width": 360, "height": 740})
        assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_events_are_reviewed_by_keys_and_taken_back(shown: Pages) -> None:
    store = shown.app.store
    with shown.open("/review") as page:
        rows = page.locator("#list > li")
        n_events = rows.count()
        ids = [event.event.event_id for event in store.list_events(EventQuery(limit=n_events)).events]

        def verdicts() -> list[str | None]:
            return [store.get_event(event_id).verdict for event_id in ids]

        page.keyboard.press("l")
        page.keyboard.type("fall")
        page.keyboard.press("Escape")
        page.keyboard.press("c")
        expect(rows.nth(1).locator("button")).to_have_attribute("aria-current", "true")
        page.keyboard.press("f")
        expect(rows.nth(2).locator("button")).to_have_attribute("aria-current", "true")
        wait_until(lambda: verdicts()[:3] == ["confirmed", "false-alarm", None])
        assert store.get_event(ids[0]).label == "fall"
        page.keyboard.press("p")
        expect(page.locator("#protect")).to_have_attribute("aria-pressed", "true")
        wait_until(lambda: store.get_event(ids[2]).protected)
        page.keyboard.press("z")
        expect(page.locator("#protect")).to_have_attribute("aria-pressed", "false")
        page.keyboard.press("z")
        expect(rows.nth(1).locator("button")).to_have_attribute("aria-current", "true")
        wait_until(lambda: verdicts()[:3] == ["confirmed", None, None])
        rows.nth(3).get_by_role("checkbox").click()
        rows.nth(5).get_by_role("checkbox").click(modifiers=["Shift"])
        page.keyboard.press("u")
        expect(page.get_by_text("3 events: unsure")).to_be_visible()
        wait_until(lambda: verdicts()[3:6] == ["unsure"] * 3)
        page.keyboard.press("z")
        expect(page.locator("#summary")).to_contain_text(f"{n_events - 1} to review")
        wait_until(lambda: verdicts()[1:] == [None] * (n_events - 1))


def test_events_like_the_one_that_is_shown(shown: Pages) -> None:
    """Of two cameras, which have detectors of different kinds."""
    kinds = {"door": "spec1", "yard": "spec2"}
    for number, stored in enumerate(shown.app.store.list_events(EventQuery(limit=6)).events):
        event = shown.app.store.get_event(stored.event.event_id).event
        feature = pack_vector(np.array([10.0, number]))
        shown.app.store.save_event(replace(event, feature=feature, feature_spec=kinds[event.camera]))
    assert shown.app.store.flush(10)
    with shown.open("/review?verdict=") as page:
        page.locator("#filters [name=verdict]").select_option("")
        expect(page.locator("#list > li").nth(3)).to_be_visible()
        page.keyboard.press("s")
        alike = page.get_by_role("list", name="events like this one").locator("li")
        expect(alike).to_have_count(2)
        expect(alike.first).to_contain_text("0.98 alike")
        expect(page.get_by_text("Not compared: events of door")).to_be_visible()
        assert serious(page) == []
        page.keyboard.press("j")
        expect(page.get_by_text("Not compared: events of yard")).to_be_visible()
        alike.first.locator("a").click()
        page.wait_for_url("**/events/*")


def test_what_people_write_is_text(shown: Pages) -> None:
    (event_id,) = [event.event.event_id for event in shown.app.store.list_events(EventQuery(limit=1)).events]
    said = "<img src=x onerror=document.title='no'>"
    shown.app.store.add_review([event_id], "confirmed", label=said, note=said, reviewer="boss")
    with shown.open(f"/events/{event_id}") as page:
        assert page.get_by_label("Note").input_value() == said
        assert page.title() == "Review · amiss"
        page.goto("/search?verdict=confirmed")
        expect(page.locator("#found li")).to_have_count(1)
        assert page.locator("#found .verdict").inner_text() == f"confirmed: {said}"
        assert page.title() == "Search · amiss"


def test_names_of_files_and_browsers_are_text(shown: Pages) -> None:
    said = "<img src=x onerror=document.title='no'>"
    library = shown.app.context.library
    write_video(library.root / f"{said}.mp4", 8)
    library.look_again()
    shown.app.client(headers={"User-Agent": said, "Sec-Fetch-Site": "same-origin"}).post(
        "/api/v1/login", json={"name": "boss", "password": PASSWORD}
    )
    try:
        with shown.open("/videos", "boss") as page:
            expect(page.locator("#list button").filter(has_text=said)).to_have_count(1)
            assert page.title() == "Videos · amiss"
            page.goto("/settings")
            expect(page.locator("#sessions").get_by_text(said)).to_have_count(1)
            assert page.title() == "Settings · amiss"
    finally:
        (library.root / f"{said}.mp4").unlink()
        library.look_again()


def test_thresholds_say_what_they_would_have_raised(shown: Pages) -> None:
    with shown.open("/calibrate", "boss") as page:
        alarms, said = page.locator("#alarms tbody tr"), page.locator("#said")
        expect(alarms).to_have_count(2)
        page.get_by_label("threshold, as a number").fill("0.3")
        page.keyboard.press("Enter")
        expect(alarms).to_have_count(12)
        expect(said).to_contain_text("12 alarms")
        assert "12 alarms" in page.get_by_role("img", name="highest scores of door").get_attribute("aria-label")
        page.get_by_label("False alarms an hour, at most").first.fill("2")
        page.get_by_role("button", name="Find the threshold").click()
        expect(alarms).to_have_count(0)
        expect(page.locator("#message")).to_contain_text("0 alarms in 2.00 h of normal footage")
        page.locator("#asked [name=camera]").select_option("yard")
        expect(page.get_by_text("no scores of this camera are kept yet")).to_be_visible()


def test_a_channel_and_a_rule_are_made_changed_and_removed(shown: Pages) -> None:
    with shown.open("/settings", "boss") as page:
        channel, rule, rules = page.locator("#channel"), page.locator("#rule"), page.locator("#rules tbody tr")
        channel.get_by_label("Name").fill("phone")
        channel.get_by_label("Topic").fill("my-doors-x7Kq2")
        channel.get_by_role("button", name="Add").click()
        expect(page.locator("#channels tbody tr")).to_contain_text("phone")
        channel.get_by_label("Kind").select_option("webhook")
        expect(channel.get_by_label("Topic")).to_be_hidden()
        expect(channel.get_by_label("Address")).to_be_visible()
        rule.get_by_label("Name").fill("night")
        rule.get_by_label("To channels").select_option("phone")
        rule.get_by_label("In the hours").fill("22:00-06:00")
        rule.get_by_role("button", name="Add").click()
        expect(rules).to_contain_text(["night"])
        assert rules.inner_text().split("\t")[:6] == ["night", "phone", "all", "opened", "any", "22:00-06:00"]
        rules.get_by_role("button", name="Change").click()
        assert rule.get_by_label("In the hours").input_value() == "22:00-06:00"
        rule.get_by_label("Of cameras").select_option(["yard"])
        rule.get_by_label("Score from").fill("0.8")
        rule.get_by_role("button", name="Change").click()
        expect(rules).to_contain_text(["0.80"])
        assert rules.inner_text().split("\t")[:6] == ["night", "phone", "yard", "opened", "0.80", "22:00-06:00"]
        assert serious(page) == []
        rules.get_by_role("button", name="Remove").click()
        rules.get_by_role("button", name="sure?").click()
        expect(rules).to_have_count(0)


def test_events_are_found_by_what_their_pictures_show(shown: Pages) -> None:
    wait_until(lambda: not shown.app.words.state.is_behind)
    with shown.open("/search?words=grey") as page:
        cards = page.locator("#found li")
        expect(cards).to_have_count(8)
        expect(cards.first).to_contain_text("fits 1.00")
        expect(page.get_by_text("the best of 8 pictures")).to_be_visible()
        expect(page.get_by_label("Order")).to_be_disabled()
        page.get_by_label("Camera").select_option("yard")
        expect(cards).to_have_count(4)
        page.get_by_label("In the picture").fill("")
        expect(page.get_by_label("Order")).to_be_enabled()


def test_events_are_found_and_the_search_can_be_sent_to_others(shown: Pages) -> None:
    with shown.open("/search") as page:
        found = page.locator("#found li")
        n_events = found.count()
        page.get_by_label("Camera").select_option("yard")
        expect(found).to_have_count(n_events // 2)
        page.get_by_label("Score from").fill("0.88")
        page.wait_for_url("**/search?*min_score=0.88*")
        expect(found).to_have_count(3)
        page.goto(page.url)
        expect(found).to_have_count(3)
        found.first.get_by_role("link").click()
        page.wait_for_url("**/events/*")
        expect(page.locator("#shown h2")).to_contain_text("yard")


def test_a_viewer_looks_and_judges_nothing(shown: Pages) -> None:
    with shown.open("/review", "door-only") as page:
        expect(page.get_by_role("button", name="Confirm")).to_be_disabled()
        assert page.get_by_role("checkbox").count() == 0
        assert set(page.locator("#list .name").all_inner_texts()) == {"door"}
        assert page.get_by_role("link", name="System").count() == 0


def test_users_are_added_by_an_admin(shown: Pages) -> None:
    with shown.open("/settings", "boss") as page:
        form = page.locator("#user")
        form.get_by_label("Name").fill("eve")
        form.get_by_label("Password").fill(PASSWORD)
        form.get_by_label("Cameras").fill("door, yard")
        form.get_by_role("button", name="Add").click()
        expect(page.get_by_label("cameras of eve")).to_have_value("door, yard")
    (eve,) = [user for user in shown.app.accounts.users() if user.name == "eve"]
    assert eve.role == "viewer"


@pytest.mark.slow
def test_an_uploaded_video_is_scored_and_the_threshold_finds_its_events(shown: Pages, tmp_path: Path) -> None:
    dark, bright = np.zeros((48, 64, 3), np.uint8), np.full((48, 64, 3), 250, np.uint8)
    flashes = [bright if 90 <= i < 110 and i % 2 else dark for i in range(200)]
    video = write_video(tmp_path / "flash.mp4", flashes)
    with shown.open("/videos") as page:
        page.locator("#upload input").set_input_files(str(video))
        row = page.locator("#list button").filter(has_text="uploads/flash.mp4")
        expect(row).to_contain_text("0:08", timeout=180_000)
        row.click()
        expect(page.locator("#shown h2")).to_have_text("uploads/flash.mp4")
        page.get_by_label("threshold, as a number").fill("0")
        expect(page.locator("#shown .events li")).to_have_count(1)
        with page.expect_download() as download:
            page.get_by_role("link", name="JSON").click()
        told = json.loads(download.value.path().read_text())
        assert (told["video"], told["threshold"], len(told["events"])) == ("uploads/flash.mp4", 0, 1)
        page.get_by_label("threshold, as a number").fill("1")
        expect(page.locator("#shown .events li")).to_have_count(0)
        page.get_by_label("threshold, as a number").fill("0")
        box = page.get_by_role("slider", name="position in the video").bounding_box()
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 40)
        wait_until(lambda: page.evaluate("document.querySelector('video').currentTime") == pytest.approx(4, abs=0.3))
