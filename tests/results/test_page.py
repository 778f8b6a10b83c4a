"""The page of a folder of results: what it holds, and what it does in a browser."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from amiss.detection import ScoreResult, clip_scores, find_events
from amiss.errors import EvaluationError, UsageError
from amiss.jobs import DetectOutputs, PageReport, detect, report_results
from amiss.video import FrameTimes, check_video
from helpers.browser import in_browser
from helpers.command import amiss
from helpers.fake_detector import BrightnessEngine, brightness_detector
from helpers.videos import write_video

ODD = "2024-03-01_22-58-40 <b>#1 & 50% é"
SCORES = {
    ODD: [0.1, 0.7, 0.7, 0.1, 0.65, 0.1],
    "quiet": [0.1, 0.2, 0.1, 0.1, 0.1, 0.3],
    "old_camera": [0.5, 0.5, 0.95, 0.5, 0.5, 0.5],
}


def result_of(video: str, scores: list[float], detector: str, threshold: float) -> ScoreResult:
    times, spans = FrameTimes(16 * len(scores), 16.0), [(16 * i, 16 * i + 16) for i in range(len(scores))]
    events = find_events(np.array(scores), spans, times, threshold)
    clips = clip_scores(np.array(scores), spans, times)
    return ScoreResult(video, 16.0, times.n_frames, times.end_s, detector, threshold, clips, events)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Results beside the videos they are of; one video is missing, one in a form that browsers don't play."""
    videos, results = tmp_path / "videos", tmp_path / "results"
    videos.mkdir()
    write_video(videos / f"{ODD}.mp4", 96, fps=16)
    write_video(videos / "old_camera.avi", 96, fps=16, codec="mpeg4")
    for name, scores in SCORES.items():
        suffix = ".avi" if name == "old_camera" else ".mp4"
        detector = {"quiet": ("other/selected", 0.25)}.get(name, ("run/selected", 0.6))
        result_of(f"../videos/{name}{suffix}", scores, *detector).write_json(results / f"{name}.json")
    return results


def shown_on(page: Path) -> dict[str, Any]:
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"(?:src|href)\s*=\s*[\"']|url\(|@import|https?://", text.partition("<script")[0])
    data = text.partition('type="application/json">')[2].partition("</script>")[0]
    return {video["id"]: video for video in json.loads(data)["videos"]}


def test_videos_are_found_from_the_results_and_linked_relative_to_the_page(folder: Path) -> None:
    report = report_results(folder)
    assert report.page == folder / "report.html"
    assert report.absent == ["quiet"]
    assert report.unplayed == {"old_camera": "mpeg4 in .avi"}
    shown = shown_on(report.page)
    link = "../videos/2024-03-01_22-58-40%20%3Cb%3E%231%20%26%2050%25%20%C3%A9.mp4"
    assert shown[ODD]["sources"] == [{"name": "original", "link": link, "offset": 0.0}]
    assert (shown[ODD]["started"], shown[ODD]["startedFrom"]) == ("2024-03-01T22:58:40", "file name")


def test_a_folder_of_videos_that_moved_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "videos").rename(tmp_path / "archive")
    shutil.copy(tmp_path / f"archive/{ODD}.mp4", tmp_path / "archive/quiet.mp4")
    assert set(report_results(folder).absent) == set(SCORES)
    assert report_results(folder, videos=tmp_path / "archive").absent == []
    with pytest.raises(UsageError, match="not a folder of videos"):
        report_results(folder, videos=tmp_path / "videos")


def test_small_copies_are_written_for_what_browsers_do_not_play(folder: Path) -> None:
    report = report_results(folder, preview=True)
    assert report.unplayed == {}
    assert sorted(path.name for path in folder.glob("*.mp4")) == ["old_camera.preview.mp4"]
    assert [s["name"] for s in shown_on(report.page)["old_camera"]["sources"]] == ["small copy", "original"]


def test_a_folder_of_pictures_is_played_from_a_small_copy(tmp_path: Path) -> None:
    pictures = tmp_path / "gate"
    pictures.mkdir()
    for index in range(32):
        Image.new("RGB", (64, 48), (7 * index, 0, 0)).save(pictures / f"{index:03}.jpg")
    result_of("gate", [0.1, 0.9], "run/selected", 0.5).write_json(tmp_path / "results/gate.json")
    report = report_results(tmp_path / "results")
    assert (report.absent, report.unplayed) == ([], {"gate": "pictures in a folder"})
    report = report_results(tmp_path / "results", preview=True)
    assert (report.absent, report.unplayed) == ([], {})
    copy = check_video(tmp_path / "results/gate.preview.mp4")
    assert (copy.n_frames, copy.fps) == (32, pytest.approx(16))
    shutil.rmtree(pictures)
    pictures.mkdir()  # without any
    (tmp_path / "results/gate.preview.mp4").unlink()
    assert report_results(tmp_path / "results").absent == ["gate"]


def test_damaged_results_are_named_and_others_shown(folder: Path) -> None:
    values = json.loads((folder / "quiet.json").read_text(encoding="utf-8"))
    (folder / "cut.json").write_text('{"clips": [', encoding="utf-8")
    (folder / "fps.json").write_text(json.dumps(values | {"fps": 0}), encoding="utf-8")
    (folder / "text.json").write_text(json.dumps(values | {"clips": [{"start": 0, "end": 16, "score": "high"}]}))
    (folder / "nan.json").write_text(json.dumps(values).replace("0.3", "NaN"), encoding="utf-8")
    (folder / "auc.json").write_text('{"auc": 0.9}', encoding="utf-8")
    ran = amiss("report", folder)
    assert ran.code == 0, ran.err
    for told in ("cut.json: it can't be read", "fps.json", "clips.0.score is 'high'", "nan.json: the score of clip 5"):
        assert told in ran.err.replace("\n", " ")
    assert "auc.json" not in ran.err
    assert set(shown_on(folder / "report.html")) == set(SCORES)


def test_a_folder_without_results_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="has no results"):
        report_results(tmp_path)
    ran = amiss("report", tmp_path / "nowhere")
    assert (ran.code, ran.err.count("error:")) == (1, 1)


IN_BROWSER = """
const rowsNow = () => [...document.querySelectorAll("#list li:not([hidden]) .name")].map((e) => e.textContent);
const set = (selector, value, kind = "input") => {
  const element = document.querySelector(selector);
  if (element.type === "checkbox") element.checked = value; else element.value = value;
  element.dispatchEvent(new Event(kind));
};
// Chromium's clock runs ahead of the player here, but it waits for files: asking for one takes real time.
const until = async (isSo) => {
  for (let i = 0; i < 2000 && !isSo(); i++) {
    await new Promise((done) => Object.assign(new Image(), { onerror: done, src: `nothing${i}.png` }));
  }
};
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const events = () => [...document.querySelectorAll(".events li")].map((e) => e.textContent);
async function test() {
  const found = { start: rowsNow(), events: {}, summary: [] };
  found.detectors = document.querySelector("#detectors").textContent;
  found.exact = [document.querySelector("#exact").value, document.querySelector("#exact").placeholder];
  found.summary.push(document.querySelector("#summary").textContent);
  for (const button of [...document.querySelectorAll("#list button")]) {
    button.click();
    found.events[document.querySelector("#shown h2").textContent] = events();
  }
  found.hash = location.hash;
  set("#threshold", "0.66");
  await pause(200);
  found.summary.push(document.querySelector("#summary").textContent);
  set("#exact", "0.2");
  set("#eventful", true, "change");
  found.low = rowsNow();
  document.querySelector("#reset").click();
  found.eventful = rowsNow();
  set("#search", "OLD");
  found.search = rowsNow();
  set("#search", "nothing");
  found.none = [rowsNow().length, document.querySelector("#none").hidden];
  set("#search", "");
  set("#eventful", false, "change");
  set("#order", "name", "change");
  found.byName = rowsNow();
  document.querySelectorAll("#list button")[0].click();
  const timeline = document.querySelector(".timeline"), box = timeline.getBoundingClientRect();
  timeline.dispatchEvent(new PointerEvent("pointermove", { clientX: box.left + box.width / 2, buttons: 1 }));
  found.middle = document.querySelector(".now").textContent;
  const player = document.querySelector("video");
  await until(() => player.currentTime > 0);
  found.player = [player.readyState > 0, player.currentTime];
  timeline.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
  found.later = timeline.getAttribute("aria-valuenow");
  document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "p", bubbles: true }));
  found.before = timeline.getAttribute("aria-valuenow");
  document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "j", bubbles: true }));
  found.next = document.querySelector("#shown h2").textContent;
  await until(() => !document.querySelector(".absent").hidden);
  found.absent = document.querySelector(".absent").textContent;
  found.wide = document.documentElement.scrollWidth <= innerWidth;
  return found;
}
"""


@pytest.mark.browser
def test_in_a_browser(folder: Path) -> None:
    (folder / "cut.json").write_text("{", encoding="utf-8")
    said = in_browser(report_results(folder).page, IN_BROWSER, width=700)
    assert said["start"] == ["old_camera", ODD, "quiet"]
    assert said["detectors"] == "Scores of 2 detectors, which don't mean the same: run/selected, other/selected."
    assert said["exact"] == ["", "each its own"]
    assert said["summary"][0].startswith("3 videos, 0:18 in all. 3 with events: 4 events, 0:05 long in all.")
    assert "2 with events: 2 events" in said["summary"][1]
    assert said["events"]["quiet"] == ["0:05.0 – 0:06.0peak at 0:05.50.300"]
    assert said["events"][ODD] == ["0:01.0 – 0:03.022:58:41 – 22:58:430.700", "0:04.0 – 0:05.022:58:44 – 22:58:450.650"]
    assert said["hash"] == "#quiet"
    assert said["low"] == ["old_camera", ODD, "quiet"]
    assert said["eventful"] == ["old_camera", ODD, "quiet"]
    assert said["search"] == ["old_camera"]
    assert said["none"] == [0, False]
    assert said["byName"] == [ODD, "old_camera", "quiet"]
    assert said["middle"] == "22:58:43 · 0:03.0 · score 0.100"
    assert said["player"] == [True, 3]
    assert said["later"] == "4.0"
    assert said["before"] == "1.0"
    assert said["next"] == "old_camera"
    assert "can't play this file (mpeg4 in .avi)" in said["absent"]
    assert said["wide"]


def test_a_part_of_a_long_video_is_shown_and_goes_along(tmp_path: Path) -> None:
    scores = [0.1] * 4000
    scores[2700] = 0.9
    result_of("day", scores, "run/selected", 0.5).write_json(tmp_path / "day.json")
    page = report_results(tmp_path).page
    found = in_browser(
        page,
        """async function test() {
          const timeline = document.querySelector(".timeline"), zooms = [...document.querySelectorAll("[data-zoom]")];
          const now = () => Number(timeline.getAttribute("aria-valuenow")), told = [];
          const key = (name) => timeline.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true }));
          const tell = () => told.push([...player.view, now(), ...zooms.map((button) => button.disabled)]);
          tell();
          for (let i = 0; i < 3; i++) key("+");
          tell();
          key("PageDown"); tell();
          document.querySelector("[data-move=next]").click(); tell();
          for (let i = 0; i < 20; i++) zooms[1].click();
          tell();
          key("0"); tell();
          return told;
        }""",
    )
    whole, closer, paged, event, closest, again = found
    assert whole == [0, 4000, 0, True, False]
    assert closer == [0, 500, 0, False, False]
    assert paged == [0, 500, 500, False, False]
    assert event == [2650, 3150, 2700, False, False]
    assert closest == [pytest.approx(2699), pytest.approx(2709), 2700, False, True]
    assert again == [0, 4000, 2700, True, False]


def test_detect_writes_the_page_of_all_results_in_the_folder(tmp_path: Path, folder: Path) -> None:
    video = write_video(tmp_path / "new.mp4", 40, fps=16)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    detector = brightness_detector()
    detector._engine = BrightnessEngine()
    pages: list[PageReport] = []
    outputs = DetectOutputs(page=True)
    report = detect({"new": video, "broken": broken}, detector, out=folder, outputs=outputs, on_page=pages.append)
    assert (report.done, list(report.failed)) == (["new"], ["broken"])
    (page,) = pages
    assert (page.n_videos, list(page.problems)) == (4, ["broken"])
    assert shown_on(page.page)["new"]["sources"][0]["link"] == "../new.mp4"
    assert "broken.mp4" in page.page.read_text(encoding="utf-8")


def test_pages_need_a_folder_to_lie_in(tmp_path: Path) -> None:
    ran = amiss("detect", tmp_path / "a.mp4", "--detector", tmp_path, "--report")
    assert (ran.code, "--report need --out" in ran.err) == (2, True)
    ran = amiss("detect", tmp_path / "a.mp4", "--detector", tmp_path, "--out", tmp_path, "--preview")
    assert (ran.code, "--preview belongs to --report" in ran.err) == (2, True)


IN_CLIPS = """
async function test() {
  const text = (selector) => document.querySelector(selector).textContent;
  return [text("#summary"), text("#list .what"), text(".facts"), text(".events li"), text(".now")];
}
"""


@pytest.mark.browser
def test_where_nobody_knows_the_rate_clips_are_counted(tmp_path: Path) -> None:
    clips = replace(result_of("lobby", SCORES["quiet"], "run/selected", 0.25), fps=None)
    clips.write_json(tmp_path / "lobby.json")
    summary, what, facts, event, now = in_browser(report_results(tmp_path).page, IN_CLIPS, width=700)
    assert summary == "1 video. 1 with events: 1 event."
    assert what == "6 clips · 1 event"
    assert facts.startswith("peak 0.300 · 6 clips")
    assert event.startswith("5.0 – 6.0peak at 5.5")
    assert now == "0.0 · score 0.100"
