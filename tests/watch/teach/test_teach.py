"""Reviewed events become bags, bags a new version of the detector; versions are promoted and taken back."""

import csv
import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy", reason="needs amiss[watch]")
pytest.importorskip("alembic", reason="needs amiss[watch]")

from amiss.datasets import read_manifest
from amiss.errors import DetectorError, UsageError
from amiss.features import open_feature_set
from amiss.watch import load_config
from amiss.watch.teach import Shelf, export_reviews, load_promoted, promoted_detector, promotions_file, teacher_of
from helpers.command import amiss
from helpers.motion import moving
from helpers.reviewed import DAYS, House
from helpers.service import wait_for, watching
from helpers.videos import write_video


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, detector: Path) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("house"), detector)
    yield house
    house.store.close()


def test_reviews_are_bags_and_what_is_held_out_stays_so(house: House, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    plain = write_video(tmp_path / "plain" / "still.mp4", moving(1, seed=7))
    known = load_promoted(teacher_of(house.config))
    media, out = house.config.media, tmp_path / "bags"
    done = export_reviews(house.store, media, known, out, plain=[plain.parent])
    assert (done.confirmed, done.false_alarms, done.plain, done.without_clip) == (DAYS, DAYS, 1, ())
    manifest = read_manifest(done.manifest)
    by_id = manifest.by_id
    assert [by_id[event].label for event in house.events[:4]] == [0, 1, 0, 1]
    assert (by_id[house.events[0]].class_name, by_id[house.events[1]].class_name) == (None, "run")
    assert by_id[house.events[0]].group == by_id[house.events[1]].group == "gate/2026-03-01"
    held_out = {video.group for video in manifest.split("test")}
    assert 0 < len(held_out) < DAYS
    assert not held_out & {video.group for video in manifest.split("train")}
    assert open_feature_set(done.features).spec == known.spec

    first = {video.video_id: video.split for video in manifest.videos}
    gone = media / f"2026-03-01/gate/{house.events[0]}.mp4"
    kept = gone.read_bytes()
    gone.unlink()  # as the retention does: its features are there
    try:
        again = export_reviews(house.store, media, known, out, cameras=["gate"])
        assert {video.video_id: video.split for video in read_manifest(again.manifest).videos}.items() <= first.items()
        assert (again.confirmed, again.false_alarms, again.plain) == (DAYS, DAYS, 0)
        elsewhere = export_reviews(house.store, media, known, tmp_path / "other")
        assert elsewhere.without_clip == (house.events[0],)
    finally:
        gone.write_bytes(kept)
    with pytest.raises(UsageError, match="their clips are gone"):
        export_reviews(house.store, tmp_path / "empty", known, tmp_path / "none")
    with pytest.raises(UsageError, match="review first"):
        export_reviews(house.store, media, known, tmp_path / "none", cameras=["nowhere"])


@pytest.mark.slow
def test_retraining_tells_old_from_new_and_versions_watch_in_turn(house: House) -> None:
    ran = amiss("retrain", house.file, "--by", "ann", "--json")
    assert ran.code == 0, ran.err
    report = json.loads(ran.out)
    n_train = 16 + 2 * DAYS - report["held_out_normal"] - report["held_out_anomalous"]
    assert report["n_normal"] + report["n_anomalous"] == n_train
    assert report["n_reviewed"] == n_train - 16
    old, new = report["old"], report["new"]
    assert old["false_alarms"] == report["held_out_normal"]  # it takes 5 for fast
    assert new["false_alarms"] < old["false_alarms"]
    assert new["found"] == report["held_out_anomalous"]
    assert new["video_auc"] == 1
    low, high = report["difference_ci95"]
    assert low <= report["difference"] <= high

    config, shelf = house.config, teacher_of(house.config).shelf
    version = shelf.version(report["version"])
    assert (version.number, version.made_from, version.by) == (1, 0, "ann")
    assert version.report["bags"]["confirmed"] == DAYS
    learned = load_promoted(teacher_of(config)).provenance["videos"]
    assert not set(learned) & set(house.events)
    assert promoted_detector(config.state, shelf.detector) == shelf.detector

    assert amiss("detectors", "promote", house.file, "1").code == 0
    assert promoted_detector(config.state, shelf.detector) == shelf.folder(1)
    assert set(load_promoted(teacher_of(config)).provenance["videos"]) & set(house.events)
    again = amiss("detectors", "promote", house.file, "1")
    assert (again.code, "is the one that watches" in again.err) == (2, True)
    assert "there are 0, 1" in " ".join(amiss("detectors", "promote", house.file, "7").err.split())
    assert [(row["number"], row["promoted"]) for row in json.loads(
        amiss("detectors", "list", house.file, "--json").out
    )] == [(0, False), (1, True)]  # fmt: skip
    assert amiss("detectors", "list", house.file).code == 0

    # the next one is judged by what neither has learned from, though the one before has learned from reviews
    report = json.loads(amiss("retrain", house.file, "--promote", "--json").out)
    assert (report["version"], shelf.version(2).made_from, shelf.promoted) == (2, 1, 2)
    assert report["new"]["video_auc"] == 1
    assert amiss("detectors", "rollback", house.file).code == 0
    assert shelf.promoted == 1
    assert amiss("detectors", "rollback", house.file).code == 0
    assert shelf.promoted == 0
    nothing = amiss("detectors", "rollback", house.file)
    assert (nothing.code, "nothing to take back" in nothing.err) == (2, True)
    actions = [entry.action for entry in house.store.audit_log()]
    assert (actions.count("retrain"), actions.count("promote"), actions.count("roll-back")) == (2, 2, 2)


def test_what_is_promoted_and_damaged_is_said(tmp_path: Path, detector: Path) -> None:
    shelf = Shelf(tmp_path, detector)
    for text, message in (
        ("[", "is damaged"), ('{"x": "y"}', "is damaged"), (json.dumps({shelf.name: [3]}), "version 3"),
    ):  # fmt: skip
        promotions_file(tmp_path).parent.mkdir(exist_ok=True)
        promotions_file(tmp_path).write_text(text)
        with pytest.raises(DetectorError, match=message):
            promoted_detector(tmp_path, detector)
    promotions_file(tmp_path).write_text(json.dumps({"another": [1]}))
    assert promoted_detector(tmp_path, detector) == detector


def test_events_on_the_command_line(house: House, tmp_path: Path) -> None:
    house.store.protect_events(house.events[:1])
    listed = json.loads(
        amiss("events", "list", house.file, "--verdict", "false-alarm", "--order", "oldest", "--json").out
    )
    assert [row["event_id"] for row in listed] == house.events[::2]
    assert listed[0]["note"] == "a car"
    assert house.events[0][:8] in amiss("events", "list", house.file, "--text", "car gate", "--limit", "50").out
    assert "hurry?" in amiss("events", "list", house.file, "--text", "hurry gate").out
    assert "there are more" in amiss("events", "list", house.file, "--limit", "1").err
    shown = amiss("events", "show", house.file, house.events[1][:8])
    assert (shown.code, "confirmed" in shown.out, house.events[1] in shown.out) == (0, True, True)
    shown = amiss("events", "show", house.file, house.events[1], "--json")
    assert json.loads(shown.out)["reviews"][0]["reviewer"] == "ann"

    event = house.events[3]
    assert (
        amiss("events", "review", house.file, event, "--verdict", "unsure", "--by", "bob", "--note", "=1+1").code == 0
    )
    assert house.store.reviews_of(event)[-1].verdict == "unsure"
    ran = amiss("events", "export", house.file, "--out", tmp_path, "--verdict", "unsure")
    assert (ran.code, "1 event, 1 file" in ran.err) == (0, True)
    (row,) = csv.DictReader((tmp_path / "events.csv").read_text().splitlines())
    assert (row["event_id"], row["class_name"], row["note"], row["clip"]) == (event, "hurry", "'=1+1", f"{event}.mp4")
    assert (tmp_path / f"{event}.mp4").stat().st_size > 0
    assert len(json.loads((tmp_path / "events.json").read_text())[0]["trace"]) == 4
    assert amiss("events", "review", house.file, event, "--undo", "--by", "bob").code == 0
    assert house.store.reviews_of(event)[-1].verdict == "confirmed"
    assert amiss("events", "protect", house.file, event, house.events[5]).code == 0
    assert house.store.protected_ids() == {house.events[0], event, house.events[5]}
    assert amiss("events", "protect", house.file, event, house.events[0], house.events[5], "--off").code == 0
    for args, message in (
        (("show", house.file, "abc"), "no event"), (("review", house.file, event), "give --verdict"),
        (("list", house.file, "--since", "soon"), "looks like 2026-03-01"),
        (("list", house.file, "--camera", "gaet"), "there is no camera 'gaet'; there are gate"),
        (("review", house.file, event, "--undo", "--by", "eve"), "its reviews are by 'ann'"),
    ):  # fmt: skip
        ran = amiss("events", *args)
        assert (ran.code, message in " ".join(ran.err.split())) == (2, True), ran.err
    ran = amiss("retrain", house.file, "--recipe", "nope")
    assert (ran.code, "nope" in ran.err, "features" in ran.err) == (2, True, False), ran.err
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(
        house.file.read_text().replace("base.csv", "bsae.csv") + f"database: sqlite:///{house.folder}/amiss.db\n"
    )
    ran = amiss("retrain", wrong)
    assert (ran.code != 0, "bsae.csv" in ran.err, "video" in ran.err) == (True, True, False), ran.err
    wrong.write_text(house.file.read_text() + "database: sqlite:///mistyped.db\n")
    ran = amiss("events", "list", wrong)
    assert (ran.code != 0, "there are no events in" in ran.err) == (True, True), ran.err
    assert not (tmp_path / "mistyped.db").exists()


def test_what_was_stored_is_checked(house: House, tmp_path: Path) -> None:
    """As after restoring a backup: of the database by its own backup, of a folder by copying it."""
    copy = tmp_path / "restored"
    copy.mkdir()
    shutil.copytree(house.folder / "media", copy / "media")
    shutil.copy(house.file, copy)
    with sqlite3.connect(house.folder / "amiss.db") as own, sqlite3.connect(copy / "amiss.db") as other:
        own.backup(other)
    config = copy / "watch.yaml"
    ran = amiss("events", "check", config)
    assert (ran.code, f"{2 * DAYS} events, the newest of" in ran.err, f"{2 * DAYS} clips" in ran.err) == (0, True, True)
    next(copy.glob("media/*/*/*.mp4")).unlink()
    ran = amiss("events", "check", config, "--json")
    found = json.loads(ran.out)
    assert (ran.code != 0, found["files"], len(found["missing"])) == (True, 2 * DAYS - 1, 1)
    assert found["missing"][0] in house.events
    with sqlite3.connect(copy / "amiss.db") as other:
        other.execute("DELETE FROM events WHERE event_id = ?", found["missing"])  # past the rules of the tables
    ran = amiss("events", "check", config)
    assert (ran.code != 0, "rows of traces belong to no event" in ran.err, "not whole" in ran.err) == (True, True, True)


@pytest.mark.slow
def test_a_watcher_that_runs_takes_what_is_promoted(house: House, detector: Path, tmp_path: Path) -> None:
    scene = write_video(tmp_path / "scene.mp4", moving(5, seed=3, n=200))
    with watching(tmp_path, f"detector: {detector}\ncameras: {{gate: {{url: 'replay:{scene}?loop=1'}}}}\n") as watch:
        wait_for(lambda: watch.camera("gate").get("scores", 0) > 2, 240, "scores")
        assert watch.camera("gate")["detector"] == str(detector)
        shelf = Shelf(load_config(watch.file).state, detector)
        version = shelf.add(detector, {}, "ann")
        shelf.promote(version.number)
        folder = str(shelf.folder(version.number))
        wait_for(lambda: watch.camera("gate").get("detector") == folder, 240, "the new version")
        wait_for(lambda: watch.camera("gate").get("scores", 0) > 2, 240, "its scores")
        shelf.roll_back()
        wait_for(lambda: watch.camera("gate").get("detector") == str(detector), 240, "the one before")
        assert watch.stop() == 0
