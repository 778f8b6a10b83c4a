"""`amiss watch` as a process: an RTSP camera, events with clips, mail that arrives; kills, reloads, stops."""

# what can't be imported skips the tests

from __future__ import annotations

import email
import email.message
import email.policy
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

pytest.importorskip("sqlalchemy", reason="needs amiss[watch]")
pytest.importorskip("httpx", reason="needs amiss[dev]")

from amiss.cli import app
from amiss.video import VideoReader
from amiss.watch._service import WatchService
from amiss.watch.config import load_config
from helpers import ROOT
from helpers.bad_configs import KINDS, put
from helpers.motion import write_scene
from helpers.mqtt import Listener
from helpers.service import alerts, wait_for, watching
from helpers.streams import Connection, FakeCamera, free_port
from helpers.videos import count_frames

SERVED = ("number that is none", "number of many digits", "aliases of aliases", "secret of a device",
          "half a character", "detector of pipes", *KINDS)  # fmt: skip


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of slow movement, three of fast, then slow again for long."""
    return write_scene(tmp_path_factory.mktemp("scene") / "scene.mp4", [(1, 75), (9, 75), (1, 400)])


class Mailbox:
    """An SMTP server on loopback."""

    def __init__(self) -> None:
        controller = pytest.importorskip("aiosmtpd.controller", reason="needs amiss[dev]")
        self.messages: list[email.message.EmailMessage] = []
        self._controller = controller.Controller(self, hostname="127.0.0.1", port=free_port())
        self._controller.start()
        self.port: int = self._controller.port

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.messages.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 taken"

    def close(self) -> None:
        self._controller.stop()


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    box = Mailbox()
    yield box
    box.close()


@contextmanager
def rtsp_camera(**files: Path) -> Iterator[str]:
    """GStreamer's RTSP server with these cameras; yields its address."""
    python = shutil.which("python3", path="/usr/bin:/bin")
    port = free_port()
    server = ROOT / "tests/helpers/rtsp_server.py"
    if python is None:
        pytest.skip("no system python3")
    served = [f"{name}={path}" for name, path in files.items()]
    process = subprocess.Popen(
        [python, str(server), str(port), "--user", "viewer:ses@me", *served],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            pytest.skip(f"no GStreamer RTSP server: {process.communicate()[1].strip().splitlines()[-1:]}")
        yield f"rtsp://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


CONFIG = """
detector: {detector}
defaults:
  alarm: {{smoothing_s: 1, merge_gap_s: 1}}
  record: {{pre_s: 2, post_s: 2}}
  source: {{read_timeout_s: 5}}
cameras:
  yard: {{url: "{url}"}}
"""


@pytest.mark.rtsp
def test_from_an_rtsp_camera_to_a_row_a_clip_and_a_mail(
    detector: Path, scene: Path, tmp_path: Path, mailbox: Mailbox
) -> None:
    with rtsp_camera(yard=scene) as address:
        url = address.replace("//", "//viewer:ses%40me@") + "/yard"
        config = (
            CONFIG.format(detector=detector, url=url)
            + f"""
channels:
  mail: {{kind: apprise, url: "mailto://127.0.0.1:{mailbox.port}?from=amiss@example.org&to=guard@example.org&mode=insecure"}}
rules:
  - {{name: all, channels: [mail]}}
"""
        )
        with watching(tmp_path, config) as watch:
            (message,) = wait_for(lambda: mailbox.messages, 90, "a mail")
            (row,) = watch.events()
            row = wait_for(lambda: next((r for r in watch.events() if r["clip"]), None), 60, "a clip")
            page = watch.get(f"/events/{row['event_id']}")
            clip = watch.get(f"/events/{row['event_id']}.mp4")
            camera = watch.camera("yard")
            assert watch.metric('amiss_events_total{camera="yard"}') == 1
            assert watch.stop() == 0
    assert row["state"] == "closed"
    assert row["peak_score"] > 0.6
    assert "yard, score" in message["Subject"]
    assert f"http://127.0.0.1:{watch.port}/events/{row['event_id']}" in message.get_body().get_content()
    (picture,) = message.iter_attachments()
    assert picture.get_content().startswith(b"\xff\xd8")
    assert page.status_code == 200
    assert clip.content[4:8] == b"ftyp"
    path = tmp_path / "media" / row["clip"]
    with VideoReader(path) as reader:
        assert (reader.width, reader.height) == (96, 72)
    assert 75 + 2 * 40 <= count_frames(path) <= 75 + 2 * 50 + 150
    assert camera["state"] == "running"
    everything = watch.text() + json.dumps(camera) + str(message) + page.text
    assert "ses%40me" not in everything
    assert "ses@me" not in everything
    assert "stopped" in watch.text()


@pytest.mark.faults
def test_a_kill_during_an_open_event_loses_neither_event_nor_alert(detector: Path, tmp_path: Path) -> None:
    video = write_scene(tmp_path / "long.mp4", [(1, 50), (9, 700)])
    config = (
        CONFIG.format(detector=detector, url=f"replay:{video}?loop=1")
        + """
channels:
  file: {kind: log, path: alerts.jsonl}
rules:
  - {name: opened, channels: [file], cooldown_s: 0}
  - {name: closed, channels: [file], on: closed, cooldown_s: 0}
"""
    )
    with watching(tmp_path, config) as watch:
        wait_for(lambda: any(row["state"] == "open" for row in watch.events()), 60, "an event")
        assert watch.stop(signal.SIGKILL) == -signal.SIGKILL
    (before,) = watch.events()
    write_scene(video, [(1, 100)])
    with watching(tmp_path, config) as watch:
        wait_for(lambda: watch.events()[0]["state"] == "interrupted", 60, "the interruption")
        clip = wait_for(lambda: watch.events()[0]["clip"], 60, "its clip")
        lines = wait_for(lambda: len(alerts(tmp_path)) == 2 and alerts(tmp_path), 30, "both alerts")
        watch.stop()
    (after,) = watch.events()
    assert count_frames(tmp_path / "media" / clip) > 50
    assert after["problem"] == "clip cut off: the process ended"
    assert (after["event_id"], after["started"]) == (before["event_id"], before["started"])
    assert sorted(line["rule"] for line in lines) == ["closed", "opened"]
    assert {line["event"]["event_id"] for line in lines} == {after["event_id"]}


def test_a_graceful_stop_closes_the_open_event_with_its_clip_and_tells_it(detector: Path, tmp_path: Path) -> None:
    video = write_scene(tmp_path / "long.mp4", [(1, 50), (9, 700)])
    config = (
        CONFIG.format(detector=detector, url=f"replay:{video}")
        + """
channels:
  file: {kind: log, path: alerts.jsonl}
rules:
  - {name: closed, channels: [file], on: closed}
"""
    )
    with watching(tmp_path, config) as watch:
        wait_for(lambda: any(row["state"] == "open" for row in watch.events()), 60, "an event")
        time.sleep(2)
        assert watch.stop() == 0
    (row,) = watch.events()
    assert row["state"] == "closed"
    assert count_frames(tmp_path / "media" / row["clip"]) > 50
    (told,) = alerts(tmp_path)
    assert (told["rule"], told["event"]["clip"]) == ("closed", row["clip"])


def test_mqtt_shows_states_and_events_without_a_rule(
    detector: Path,
    tmp_path: Path,
    broker: Callable[[], int],
) -> None:
    video = write_scene(tmp_path / "scene.mp4", [(1, 75), (9, 75), (1, 100)])
    port = broker()
    listener = Listener(port)
    config = (
        CONFIG.format(detector=detector, url=f"replay:{video}?speed=0")
        + f"""
channels:
  home: {{kind: mqtt, host: 127.0.0.1, port: {port}}}
"""
    )
    with watching(tmp_path, config, "--once") as watch:
        assert watch.process.wait(300) == 0
    seen: dict[str, list[str]] = {}
    while not listener.messages.empty():
        topic, payload, _ = listener.messages.get()
        seen.setdefault(topic, []).append(payload)
    listener.close()
    assert seen["amiss/availability"] == ["online", "offline"]
    alarms = [alarm for alarm, _ in itertools.groupby(seen["amiss/yard/alarm"])]
    assert alarms == ["OFF", "ON", "OFF"]
    assert seen["amiss/yard/status"][-2:] == ["running", "stopped"]
    assert json.loads(seen["amiss/yard/event"][-1])["event_id"] == watch.events()[0]["event_id"]


def retained(port: int) -> dict[str, str]:
    """What a newcomer is told at once: topic → payload."""
    newcomer = Listener(port)
    newcomer.client.publish("end", qos=1)  # comes back after all that is retained
    told = {}
    while (message := newcomer.messages.get(timeout=10))[0] != "end":
        told[message[0]] = message[1]
    newcomer.close()
    return told


def test_mqtt_stays_online_over_a_reload_and_a_test_of_alerts(
    detector: Path,
    scene: Path,
    tmp_path: Path,
    broker: Callable[[], int],
) -> None:
    port = broker()
    config = CONFIG.format(detector=detector, url=f"replay:{scene}?loop=1") + "{more}" + f"""
channels:
  home: {{kind: mqtt, host: 127.0.0.1, port: {port}}}
"""  # fmt: skip
    with watching(tmp_path, config.replace("{more}", "")) as watch:
        wait_for(lambda: watch.camera("yard").get("state") == "running", 60, "pictures")
        for change in ("channels", "alerts test"):
            if change == "channels":
                watch.write(config.replace("{more}", f'  gate: {{url: "replay:{scene}?loop=1"}}'))
                wait_for(lambda: watch.camera("gate").get("state") == "running", 60, "the new camera")
            else:
                assert CliRunner().invoke(app, ["alerts", "test", str(watch.file)]).exit_code == 0
            wanted = {"amiss/availability": "online", "amiss/yard/status": "running", "amiss/gate/status": "running"}
            wait_for(lambda: wanted.items() <= retained(port).items(), 20, f"{wanted} after {change}")  # noqa: B023
        broker()  # begun anew, it has forgotten everything; yard's state was said before the reload only
        listener = Listener(port)
        topics = {listener.messages.get(timeout=20)[0] for _ in range(5)}
        while not {"amiss/availability", "amiss/yard/status", "amiss/gate/status"} <= topics:
            topics.add(listener.messages.get(timeout=20)[0])
        listener.close()
        assert watch.stop() == 0


@pytest.mark.faults
@pytest.mark.faults
@pytest.mark.slow
def test_a_camera_that_goes_is_told_once_over_a_kill_and_told_when_it_is_back(detector: Path, tmp_path: Path) -> None:
    def script(connection: Connection) -> None:
        connection.answer_mjpeg()
        connection.play_mjpeg(10_000, fps=20)

    def told() -> list[str]:
        return [alert["title"].removeprefix("amiss: ") for alert in alerts(tmp_path)]

    port = free_port()
    config = CONFIG.replace("defaults:", "defaults:\n  offline_after_s: 4")
    config = config.format(detector=detector, url=f"http://127.0.0.1:{port}/") + (
        "channels:\n  file: {kind: log, path: alerts.jsonl}\n"
        "rules:\n  - {name: offline, channels: [file], on: offline, cooldown_s: 3600}\n"
    )
    with FakeCamera(script, port), watching(tmp_path, config) as watch:
        wait_for(lambda: watch.camera("yard").get("scores", 0) > 2, 60, "scores")
        assert watch.metric('amiss_camera_offline{camera="yard"}') == 0
    with watching(tmp_path, config) as watch:
        wait_for(lambda: told() == ["yard is offline"], 60, "the alert")
        assert watch.camera("yard")["state"] != "running"
        assert watch.camera("yard")["offline_since"] is not None
        assert watch.metric('amiss_camera_offline{camera="yard"}') == 1
        watch.stop(signal.SIGKILL)
    with watching(tmp_path, config) as watch:
        wait_for(lambda: watch.camera("yard").get("offline_since"), 60, "the outage, again")
        time.sleep(15)  # longer than a message waits for others
        assert told() == ["yard is offline"]
        with FakeCamera(script, port):
            wait_for(lambda: told() == ["yard is offline", "yard is back"], 90, "its return")
            assert watch.camera("yard")["offline_since"] is None
        assert watch.stop() == 0
    assert alerts(tmp_path)[1]["outages"][0]["outage_id"] == alerts(tmp_path)[0]["outages"][0]["outage_id"]


def test_a_stop_waits_for_no_silent_camera(detector: Path, scene: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert "read_timeout_s: 5" in CONFIG
        config = (
            CONFIG.format(detector=detector, url=f"replay:{scene}?loop=1").replace(
                "read_timeout_s: 5", "open_timeout_s: 90"
            )
            + f'  mute: {{url: "rtsp://127.0.0.1:{port}/x"}}\n  dumb: {{url: "http://127.0.0.1:{port}/x"}}\n'
            + "workers: {stop_s: 3}\n"
        )
        with watching(tmp_path, config) as watch:
            wait_for(lambda: watch.camera("yard").get("scores", 0) > 2, 60, "scores")
            began = time.monotonic()
            assert watch.stop() == 0
            assert time.monotonic() - began < 20  # not the 90 s of the silent ones


def test_a_reload_touches_only_what_changed_and_a_wrong_file_changes_nothing(
    detector: Path, scene: Path, tmp_path: Path
) -> None:
    def config(cameras: dict[str, float]) -> str:
        lines = [f'  {name}: {{url: "replay:{scene}?loop=1", alarm: {{on: {on}}}}}' for name, on in cameras.items()]
        return f"detector: {detector}\ncameras:\n" + "\n".join(lines)

    with watching(tmp_path, config({"a": 0.5, "b": 0.5, "c": 0.5})) as watch:
        wait_for(lambda: all(watch.camera(name).get("scores", 0) > 2 for name in "abc"), 60, "scores")
        since = watch.camera("a")["since"]
        watch.write(config({"a": 0.5, "b": 0.75, "d": 0.5}))  # noticed by itself
        wait_for(lambda: watch.camera("d").get("state") == "running", 30, "the new camera")
        assert watch.camera("b")["threshold_on"] == 0.75
        assert watch.camera("c") == {}
        assert (watch.camera("a")["since"], watch.camera("a")["restarts"]) == (since, 0)
        watch.file.write_text("cameras: {a: {url: 'gopher://x'}}")
        watch.process.send_signal(signal.SIGHUP)
        wait_for(lambda: watch.get("/health/ready").status_code == 503, 30, "the complaint")
        assert "gopher" in str(watch.get("/health/ready").json()["reasons"])
        assert watch.get("/health/live").status_code == 200
        assert watch.camera("a")["since"] == since
        watch.write(config({"a": 0.5}))
        wait_for(lambda: watch.get("/health/ready").status_code == 200, 30, "the end of the complaint")
        assert watch.stop() == 0


def test_whatever_stands_in_the_place_of_the_configuration_changes_nothing_and_is_said(
    detector: Path, scene: Path, tmp_path: Path
) -> None:
    config = f"detector: {detector}\ncameras: {{yard: {{url: 'replay:{scene}?loop=1'}}}}"
    with watching(tmp_path, config) as watch, socket.create_server(("127.0.0.1", 0)) as taken:
        wait_for(lambda: watch.camera("yard").get("scores", 0) > 2, 60, "scores")
        since = watch.camera("yard")["since"]
        in_use = config + f"\nhttp: {{port: {taken.getsockname()[1]}}}\n"

        def put_in_use() -> str:
            watch.file.write_text(in_use)
            return "can't listen on"

        bad: dict[str, Callable[[], str]] = {name: lambda name=name: put(name, watch.file) for name in SERVED}
        for i, (name, replace) in enumerate((bad | {"port in use": put_in_use}).items()):
            if watch.file.is_dir():
                watch.file.rmdir()
            says = replace()
            if i % 2:
                watch.process.send_signal(signal.SIGHUP)
            began = time.monotonic()
            wait_for(lambda: says in watch.get("/health/ready").text, 20, name)  # noqa: B023
            assert time.monotonic() - began < 5, name  # a second on a machine that does nothing else
            assert watch.get("/health/live").status_code == 200
            assert (watch.camera("yard")["since"], watch.camera("yard")["restarts"]) == (since, 0)
        watch.write(config)
        wait_for(lambda: watch.get("/health/ready").status_code == 200, 30, "the end of the complaint")
        assert watch.camera("yard")["since"] == since
        other = free_port()
        watch.file.write_text(config + f"\nhttp: {{port: {other}}}\n")
        watch.port = other
        wait_for(lambda: watch.camera("yard").get("since") == since, 30, "the server at another port")
        put("pipe", watch.file)
        began = time.monotonic()
        assert watch.stop() == 0
        assert time.monotonic() - began < 20


def test_a_reload_changes_the_number_of_viewers_and_lets_go_of_a_removed_camera(
    detector: Path, scene: Path, tmp_path: Path
) -> None:
    file = tmp_path / "watch.yaml"

    def write(cameras: str, viewers: int) -> None:
        lines = "\n".join(f'  {name}: {{url: "replay:{scene}?loop=1"}}' for name in cameras)
        file.write_text(f"detector: {detector}\nhttp: {{enabled: false, max_viewers: {viewers}}}\ncameras:\n{lines}")

    write("ab", 1)
    service = WatchService(load_config(file), file)
    try:
        service.supervisor.set_cameras(service._wanted)
        service.supervisor.tick()
        stays, goes = service.previews["a"], service.previews["b"]
        assert (stays.enter(), stays.enter()) == (True, False)
        write("a", 2)
        assert service.reload()
        assert (stays.enter(), stays.enter()) == (True, False)
        assert set(service._workers) == set(service.previews) == {"a"}
        goes.jpeg()  # somebody still looks
    finally:
        service._stop()


@pytest.mark.faults
def test_two_hundred_cameras_of_which_most_are_dead(detector: Path, scene: Path, tmp_path: Path) -> None:
    dead = "\n".join(f'  dead{i}: {{url: "rtsp://127.0.0.1:{1 + i % 5}/x"}}' for i in range(190))
    live = "\n".join(f'  live{i}: {{url: "replay:{scene}?loop=1"}}' for i in range(3))
    with watching(tmp_path, f"detector: {detector}\ncameras:\n{dead}\n{live}") as watch:
        wait_for(lambda: all(watch.camera(f"live{i}").get("scores", 0) > 5 for i in range(3)), 90, "scores")
        states = [camera["state"] for camera in watch.get("/api/cameras").json() if camera["name"].startswith("dead")]
        assert len(states) == 190
        assert set(states) <= {"reconnecting", "connecting"}
        assert watch.get("/health/ready").status_code == 200
        assert watch.metric('amiss_reconnects_total{camera="dead0"}') >= 1
        began = time.monotonic()
        assert watch.stop() == 0
        assert time.monotonic() - began < 30


@pytest.mark.faults
@pytest.mark.skipif(shutil.which("mount") is None or os.geteuid() != 0, reason="needs root to mount a small tmpfs")
def test_a_full_disk_costs_the_clip_but_neither_event_nor_alert_nor_scores(detector: Path, tmp_path: Path) -> None:
    video = write_scene(tmp_path / "scene.mp4", [(1, 50), (9, 75), (1, 100)])
    media = tmp_path / "media"
    media.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(media)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"can't mount a tmpfs: {mounted.stderr.decode().strip()}")
    try:
        (media / "taken").write_bytes(b"x" * 12_000)
        config = (
            CONFIG.format(detector=detector, url=f"replay:{video}?speed=0")
            + """
retention: {min_free_gb: 0}
channels:
  file: {kind: log, path: alerts.jsonl}
rules:
  - {name: all, channels: [file]}
"""
        )
        with watching(tmp_path, config, "--once", "--log", str(tmp_path / "scores.jsonl")) as watch:
            assert watch.process.wait(300) == 0
    finally:
        subprocess.run(["umount", str(media)], check=True)
    (row,) = watch.events()
    assert (row["state"], row["clip"]) == ("closed", None)
    assert "no clip: disk full" in row["problem"]
    assert [line["event"]["event_id"] for line in alerts(tmp_path)] == [row["event_id"]]
    assert len((tmp_path / "scores.jsonl").read_text().splitlines()) == 15


def test_scores_of_stored_features_in_step_with_the_video(detector: Path, scene: Path, tmp_path: Path) -> None:
    short = write_scene(tmp_path / "short.mp4", [(1, 32), (9, 48)])
    runner = CliRunner()
    assert (
        runner.invoke(app, ["extract", str(short), "--backbone", "motion", "--out", str(tmp_path / "f")]).exit_code == 0
    )
    scores: dict[str, list[float]] = {}
    for name, options in (("stored", ["--features", str(tmp_path / "f")]), ("computed", [])):
        log = tmp_path / f"{name}.jsonl"
        command = ["watch", "--video", str(short), "--detector", str(detector), "--log", str(log), *options,
                   "--out", str(tmp_path / name)]  # fmt: skip
        began = time.monotonic()
        result = runner.invoke(app, command)
        assert result.exit_code == 0, result.output
        assert time.monotonic() - began >= 80 / 25 - 0.7
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        scores[name] = [line["score"] for line in lines]
        assert {line["camera"] for line in lines} == {"short"}
        assert [(line["file"], line["seconds"]) for line in lines] == [
            ("short.mp4", pytest.approx(clip * 16 / 25)) for clip in range(5)
        ]
        assert f"events, clips and pictures are in {tmp_path / name}" in result.stderr.replace("\n", "")
    assert len(scores["stored"]) == 5
    assert scores["stored"] == pytest.approx(scores["computed"], abs=0.02)


def test_calibration_is_found_kept_and_used(detector: Path, tmp_path: Path) -> None:
    normal = [write_scene(tmp_path / f"n{i}.mp4", [(3, 160)], seed=i) for i in range(2)]
    file = tmp_path / "watch.yaml"
    file.write_text(CONFIG.format(detector=detector, url=f"replay:{normal[0]}?speed=0"))
    command = ["calibrate", str(file), "yard", "--per-hour", "10", *(x for v in normal for x in ("--video", str(v)))]
    result = CliRunner().invoke(app, [*command, "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["alarms"] == 0
    assert found["hours"] == pytest.approx(2 * 10 * 16 / 25 / 3600, rel=0.05)
    assert not found["is_enough"]
    said = CliRunner().invoke(app, command).stdout
    assert "too little to show" in said
    result = CliRunner().invoke(app, ["watch", str(file), "--once"])
    assert result.exit_code == 0, result.output
    assert "h seen: too little footage for 10 an hour, calibrate again)" in result.output
    assert "opened" not in result.output
    result = CliRunner().invoke(app, ["calibrate", str(file), "gate", "--per-hour", "1", "--hours", "1"])
    assert (result.exit_code, "there is no camera 'gate'" in result.stderr) == (2, True)
    live = ["calibrate", str(file), "yard", "--per-hour", "10", "--hours", "0.01"]  # or until the video ends
    result = CliRunner().invoke(app, live)
    assert (result.exit_code, "is kept" in result.stderr) == (1, True)
    assert "of 36 seconds, " in result.stderr
    (tmp_path / "state/calibration/yard.json").unlink()
    result = CliRunner().invoke(app, live)
    assert result.exit_code == 0, result.output


def test_alerts_test_tells_each_channel(tmp_path: Path, detector: Path, mailbox: Mailbox) -> None:
    file = tmp_path / "watch.yaml"
    file.write_text(
        CONFIG.format(detector=detector, url="rtsp://192.0.2.7/")
        + f"""
channels:
  mail: {{kind: apprise, url: "mailto://127.0.0.1:{mailbox.port}?from=amiss@example.org&to=guard@example.org&mode=insecure"}}
  file: {{kind: log, path: alerts.jsonl}}
  hook: {{kind: webhook, url: "http://user:sesame@127.0.0.1:1/", allow_private: [127.0.0.0/8]}}
"""
    )
    result = CliRunner().invoke(app, ["alerts", "test", str(file)])
    assert result.exit_code == 1
    assert result.stdout.splitlines() == ["mail: taken", "file: taken"]
    assert re.search("hook: 127.0.0.1: .*Connection refused", result.stderr)
    assert "sesame" not in result.output
    assert len(mailbox.messages) == 1
    assert CliRunner().invoke(app, ["alerts", "test", str(file), "file"]).exit_code == 0
    assert CliRunner().invoke(app, ["alerts", "test", str(file), "fil"]).exit_code == 2


def test_wrong_calls_are_one_line(tmp_path: Path, detector: Path) -> None:
    (tmp_path / "bad.yaml").write_text("cameras: {}")
    good = tmp_path / "good.yaml"
    good.write_text(CONFIG.format(detector=detector, url="rtsp://192.0.2.7/"))
    (tmp_path / "empty.mp4").write_bytes(b"")
    gone = tmp_path / "gone.yaml"
    gone.write_text(CONFIG.format(detector=detector, url="replay:empty.mp4"))
    for arguments, says in (
        ([str(tmp_path / "bad.yaml")], "line 1: cameras"),
        ([str(gone), "--once"], "yard: "),
        ([str(tmp_path / "none.yaml")], "can't be read"),
        ([], "give a configuration"),
        ([str(good), "--preview", "gate"], "one of yard"),
        ([str(good), "--video", "x.mp4"], "not both"),
        ([str(good), "--log", "x.txt"], ".csv or .jsonl"),
        (["--video", str(tmp_path / "none.mp4"), "--detector", str(detector)], "does not exist"),
    ):
        result = CliRunner().invoke(app, ["watch", *arguments])
        assert result.exit_code in (1, 2)
        errors = [line for line in result.stderr.splitlines() if line.startswith("error:")]
        assert len(errors) == 1, result.output
        assert says in errors[0]
