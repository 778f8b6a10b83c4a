"""Cameras, channels and rules that are changed in the application: the file stays as people wrote it, and where cameras
may be is bounded."""

# what can't be imported skips the tests

from __future__ import annotations

import base64
import io
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("argon2", reason="needs amiss[web]")

from PIL import Image

from amiss.app._application import create_app
from amiss.app._config_file import ConfigFile
from amiss.app.security import check_camera_address, check_message_server
from amiss.errors import UsageError
from amiss.watch import load_config
from helpers.app import Application, application
from helpers.streams import Connection, FakeCamera, free_port, transport_stream

CONFIG = """\
# ours
detector: detector  # the common one
cameras:
  # by the bins
  yard: {url: "rtsp://ada:${YARD_PASSWORD}@192.0.2.8/", alarm: {on: 0.7, off: 0.5}}
channels:
  hook: {kind: webhook, url: "https://example.org/x"}
rules:
  - {name: all, channels: [hook], on: closed, hours: 22:00-06:00}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("YARD_PASSWORD", "s3cret-of-yard")
    detector = tmp_path / "detector"
    detector.mkdir()
    for name in ("detector.json", "head.safetensors"):
        (detector / name).touch()
    path = tmp_path / "watch.yaml"
    path.write_text(CONFIG)
    path.chmod(0o600)
    return path


@pytest.fixture
def boss(file: Path, tmp_path: Path) -> Iterator[Any]:
    with application(tmp_path / "app") as app:
        yield of_file(app, file)


def of_file(app: Application, file: Path, **settings: Any) -> Any:
    settings_now = app.settings.changed(**settings)
    app.app = create_app(replace(app.context, config_file=ConfigFile(file), settings=settings_now))
    return app.browser("boss")


def test_a_camera_is_added_changed_and_removed_and_all_else_stays(boss: Any, file: Path) -> None:
    new = {"address": "rtsp://eve:p%40ss@192.168.1.20/a", "threshold_on": 0.6}
    answer = boss.put("/api/v1/settings/cameras/door", json=new)
    assert answer.json() == {"name": "door", "address": "rtsp://***@192.168.1.20/a", "enabled": True,
                             "threshold_on": 0.6, "threshold_off": None}  # fmt: skip
    text = file.read_text()
    for line in CONFIG.splitlines():
        assert line in text
    assert file.stat().st_mode & 0o777 == 0o600
    assert load_config(file).cameras["door"].url.get_secret_value() == new["address"]
    boss.put("/api/v1/settings/cameras/door", json={"enabled": False, "threshold_on": None})
    door = load_config(file).cameras["door"]
    assert (door.enabled, door.alarm.on, door.url.get_secret_value()) == (False, None, new["address"])
    shown = boss.get("/api/v1/settings/cameras").text
    assert "s3cret" not in shown
    assert "eve" not in shown
    assert boss.delete("/api/v1/settings/cameras/door").status_code == 204
    assert boss.delete("/api/v1/settings/cameras/door").status_code == 404
    assert list(load_config(file).cameras) == ["yard"]
    answer = boss.delete("/api/v1/settings/cameras/yard")
    assert (answer.status_code, list(load_config(file).cameras)) == (400, ["yard"])
    said = [entry["action"] for entry in boss.get("/api/v1/audit").json()["entries"]]
    assert said[:3] == ["camera removed", "camera set", "camera set"]


def test_what_comes_from_a_browser_reads_no_secret_of_the_machine(boss: Any, file: Path) -> None:
    url = "http://192.168.1.9/${YARD_PASSWORD}/${file:/etc/passwd}"
    assert boss.put("/api/v1/settings/cameras/door", json={"address": url}).status_code == 200
    assert load_config(file).cameras["door"].url.get_secret_value() == url


@pytest.mark.parametrize(
    "address",
    [
        "replay:/etc/passwd",
        "folder:/",
        "/dev/video0",
        "device:0",
        "file:///etc/passwd",
        "rtmp://192.0.2.1/",
        "rtsp://",
        "rtsp://192.0.2.1:0/",
        "rtsp://192.0.2.1:99999/",
        "rtsp://192.0.2.1\\@127.0.0.1/",
        "rtsp://192.0.2.1/ x",
        "http://[::1]/",
        "http://[::ffff:169.254.169.254]/latest/meta-data",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[fe80::1%25eth0]/",
        "http://169.254.169.254/",
        "http://0.0.0.0/",
        "rtsp://224.0.0.1/",
        "rtsp://user:pass@0/",
    ],
)
def test_where_a_camera_of_the_application_may_not_be(address: str, boss: Any, file: Path) -> None:
    for answer in (
        boss.put("/api/v1/settings/cameras/door", json={"address": address}),
        boss.post("/api/v1/settings/cameras/test", json={"address": address}),
    ):
        assert answer.status_code == 400, answer.text
    assert "door" not in load_config(file).cameras


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "017700000001"])
def test_loopback_in_every_form_is_this_machine(host: str) -> None:
    with pytest.raises(UsageError, match="in this machine"):
        check_camera_address(f"rtsp://{host}/stream", ())
    check_camera_address(f"rtsp://{host}/stream", ("127.0.0.0/8", "::1/128"))


def test_a_name_that_leads_to_this_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def two(*_: Any, **__: Any) -> list[Any]:
        return [(0, 0, 0, "", ("192.168.1.2", 80)), (0, 0, 0, "", ("127.0.0.1", 80))]

    monkeypatch.setattr(socket, "getaddrinfo", two)
    with pytest.raises(UsageError, match=r"evil.example is at 127.0.0.1"):
        check_camera_address("rtsp://evil.example/", ())
    with pytest.raises(UsageError, match=r"evil.example is at 192.168.1.2, in this network"):
        check_message_server("https://evil.example/")


def test_a_server_that_leads_elsewhere_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            client, _ = server.accept()
            client.recv(1000)
            client.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n")
            client.close()

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(UsageError, match=r"leads to 169\.254\.169\.254"):
            check_camera_address(f"http://127.0.0.1:{server.getsockname()[1]}/", ("127.0.0.0/8",))
        thread.join()


def play(connection: Connection) -> None:
    connection.answer()
    connection.play(transport_stream())


def test_a_camera_is_tried_and_shows_a_picture(tmp_path: Path, file: Path) -> None:
    with application(tmp_path / "app") as app, FakeCamera(play) as camera:
        boss = of_file(app, file, allow_cameras_at=["127.0.0.0/8"])
        tested = boss.post("/api/v1/settings/cameras/test", json={"address": camera.url}).json()
        assert (tested["problem"], tested["width"], tested["height"]) == (None, 96, 64)
        assert Image.open(io.BytesIO(base64.b64decode(tested["jpeg"]))).size == (96, 64)
        gone = boss.post("/api/v1/settings/cameras/test", json={"address": f"rtsp://127.0.0.1:{free_port()}/"}).json()
        assert gone["jpeg"] is None
        assert "can't connect" in gone["problem"]


def test_webhooks_and_rules(boss: Any, file: Path) -> None:
    url = "/api/v1/settings/channels/"
    assert boss.put(url + "new", json={"url": "https://user:pw@example.org/y"}).status_code == 204
    for private in (
        "http://127.0.0.1/",
        "http://192.168.1.1/",
        "http://[::1]/",
        "http://169.254.169.254/",
        "file:///x",
    ):
        assert boss.put(url + "new", json={"url": private}).status_code == 400, private
    assert boss.put(url + "new", json={"url": "https://x.org/", "allow_private": ["0.0.0.0/0"]}).status_code == 422
    assert boss.put(url + "new", json={"kind": "log", "path": "/etc/x", "url": "x"}).status_code == 422
    listed = boss.get(url.rstrip("/"))
    assert [channel["name"] for channel in listed.json()["channels"]] == ["hook", "new"]
    assert "pw" not in listed.text
    assert boss.delete(url + "hook").status_code == 400  # a rule names it
    rules = boss.get("/api/v1/settings/rules").json()["rules"]
    assert (rules[0]["on"], rules[0]["hours"]) == ("closed", "22:00-06:00")
    rules = [{"name": "night", "channels": ["new"], "min_score": 0.8}]
    assert boss.put("/api/v1/settings/rules", json={"rules": rules}).status_code == 200
    assert load_config(file).rules[0].min_score == 0.8
    wrong = boss.put("/api/v1/settings/rules", json={"rules": [{"name": "night", "channels": ["nowhere"]}]})
    assert (wrong.status_code, "no channel 'nowhere'" in wrong.json()["detail"]) == (400, True)
    assert boss.delete(url + "hook").status_code == 204
    assert boss.put(url + "hook", json={"url": "https://x.org/"}).status_code == 204


def test_a_file_that_cannot_be_written_is_told(boss: Any, file: Path) -> None:
    file.write_text("cameras: [")
    assert boss.get("/api/v1/settings/cameras").status_code == 400
    assert boss.put("/api/v1/settings/rules", json={"rules": []}).status_code == 400
    assert file.read_text() == "cameras: ["
    file.unlink()
    assert boss.put("/api/v1/settings/rules", json={"rules": []}).status_code in (400, 503)


def test_rules_that_are_changed_keep_what_people_wrote_beside_them(boss: Any, file: Path) -> None:
    own = CONFIG.split("rules:\n")[0] + (
        "rules:\n  # at night\n  - {name: all, channels: [hook], on: closed, hours: 22:00-06:00}  # loud\n"
        "  # the bins alone\n  - name: bins\n    channels: [hook]\n    on: opened  # at once\n    min_score: 0.9\n"
        "    days: [mon, tue]\n"
    )
    file.write_text(own)
    rules = boss.get("/api/v1/settings/rules").json()["rules"]
    assert boss.put("/api/v1/settings/rules", json={"rules": rules}).status_code == 200
    assert file.read_text() == own  # nothing was changed
    rules[1] |= {"min_score": 0.8, "days": None, "cameras": ["yard"]}
    rules.append({"name": "away", "channels": ["hook"], "on": "offline"})
    assert boss.put("/api/v1/settings/rules", json={"rules": rules}).status_code == 200
    text = file.read_text()
    for said in (
        "# at night",
        "# loud",
        "# the bins alone",
        "on: opened  # at once",
        "min_score: 0.8",
        "# by the bins",
    ):
        assert said in text
    assert "days" not in text
    found = load_config(file).rules
    assert [(rule.name, rule.on, rule.cameras) for rule in found] == [
        ("all", "closed", None), ("bins", "opened", ("yard",)), ("away", "offline", None)
    ]  # fmt: skip
    assert boss.put("/api/v1/settings/rules", json={"rules": rules[1:]}).status_code == 200
    assert [rule.name for rule in load_config(file).rules] == ["bins", "away"]
    assert boss.put("/api/v1/settings/rules", json={"rules": rules[:0:-1]}).status_code == 200  # in another order
    assert [rule.name for rule in load_config(file).rules] == ["away", "bins"]
    secret = {"name": "bins", "channels": ["hook"], "time_zone": "${YARD_PASSWORD}"}
    answer = boss.put("/api/v1/settings/rules", json={"rules": [secret]})
    assert answer.status_code in (400, 422)
    assert "s3cret" not in answer.text


def test_what_parts_of_the_file_share_is_not_changed_for_all_of_them(boss: Any, file: Path) -> None:
    shared = (
        "  - &usual {name: all, channels: [hook], days: [mon]}\n  - {<<: *usual, name: bins}\n"
        "cameras:\n  yard: {url: 'rtsp://192.0.2.7/a', alarm: &alarm {on: 0.5}}\n"
        "  gate: {url: 'rtsp://192.0.2.7/b', alarm: *alarm}\n"
    )
    file.write_text(
        "detector: detector\nchannels: {hook: {kind: webhook, url: 'https://example.org/'}}\nrules:\n" + shared
    )
    rules = boss.get("/api/v1/settings/rules").json()["rules"]
    rules[1]["days"] = None
    assert boss.put("/api/v1/settings/rules", json={"rules": rules}).status_code == 200
    assert [rule.days for rule in load_config(file).rules] == [("mon",), None]
    answer = boss.put("/api/v1/settings/cameras/gate", json={"threshold_on": 0.7})
    assert (answer.status_code, "share their values" in answer.text) == (400, True)
    assert boss.put("/api/v1/settings/cameras/gate", json={"enabled": False}).status_code == 200
    assert load_config(file).cameras["yard"].alarm.on == 0.5


def test_ntfy_is_made_of_its_parts_and_its_topic_is_never_shown(boss: Any, file: Path) -> None:
    url = "/api/v1/settings/channels/"
    new = {"kind": "ntfy", "topic": "my-doors-x7Kq2", "server": "ntfy.example.org", "token": "tk_abc123"}
    assert boss.put(url + "phone", json=new).status_code == 204
    (channel,) = [channel for name, channel in load_config(file).channels.items() if name == "phone"]
    assert channel.url.get_secret_value() == "ntfys://tk_abc123@ntfy.example.org/my-doors-x7Kq2?redirect=no"
    assert channel.service().redirects is False
    listed = boss.get(url.rstrip("/"))
    assert [(one["name"], one["kind"]) for one in listed.json()["channels"]][1] == ("phone", "apprise")
    assert "x7Kq2" not in listed.text
    assert boss.put(url + "phone", json={"kind": "ntfy", "topic": "other"}).status_code == 204
    for wrong in (
        {"topic": "a/b"},
        {"topic": "x?click=y"},
        {"topic": ""},
        {"topic": "x", "token": "p@w"},
        {"topic": "x", "server": "127.0.0.1"},
        {"topic": "x", "server": "192.168.1.1:99"},
        {"topic": "x", "server": "127.1"},
        {"topic": "x", "server": "2130706433"},
        {"topic": "x", "server": "ntfy.sh:99999"},
        {"topic": "x", "server": "user@host"},
    ):
        answer = boss.put(url + "phone", json={"kind": "ntfy"} | wrong)
        assert answer.status_code == 400, wrong
    assert boss.put(url + "hook", json={"kind": "ntfy", "topic": "other"}).status_code == 400
