"""The watcher's configuration: what a file says, what it gets wrong, and on which line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from amiss.cli import app
from amiss.errors import ConfigError
from amiss.watch import Config, load_config, read_config
from helpers import ROOT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file that looks like a detector."""
    (tmp_path / "detector").mkdir()
    (tmp_path / "detector/detector.json").write_text("{}")
    (tmp_path / "detector/head.safetensors").write_bytes(b"")
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "watch.yaml"
    path.write_text(text)
    return path


def problems(folder: Path, text: str) -> list[tuple[int, str, str]]:
    config, found = read_config(write(folder, text))
    assert (config is None) == bool(found)
    return [(p.line, p.where, p.message) for p in found]


def test_a_detector_whose_files_cannot_be_read_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "detector: detector\ncameras: {door: {url: rtsp://h/}}\n"
    assert problems(folder, text) == []
    opened = Path.open

    def forbidden(self: Path, *arguments: object, **options: object) -> object:
        if self.name == "head.safetensors":
            raise PermissionError(13, "Permission denied")
        return opened(self, *arguments, **options)  # type: ignore[call-overload]

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", forbidden)
        said = f"{folder / 'detector'} can't be read as a detector: Permission denied: head.safetensors"
        assert problems(folder, text) == [(1, "detector", said)]
    (folder / "detector/head.safetensors").unlink()
    assert "head.safetensors is missing in it" in problems(folder, text)[0][2]


def test_a_camera_takes_from_the_defaults_what_it_does_not_say(folder: Path) -> None:
    config = load_config(
        write(
            folder,
            """
detector: detector
defaults:
  alarm: {on: 0.7, off: 0.5, smoothing_s: 3}
  record: {pre_s: 10}
cameras:
  door:
    url: rtsp://192.0.2.7/main
    alarm: {on: 0.9}
  yard:
    url: replay:clips/yard.mp4?loop=1
    record: {enabled: false}
    detector: ./detector
channels:
  file: {kind: log, path: alerts.jsonl}
rules:
  - {name: night, channels: [file], hours: 22:00-06:00, days: [fri], cameras: [door]}
""",
        )
    )
    door, yard = config.cameras["door"], config.cameras["yard"]
    assert (door.alarm.on, door.alarm.off, door.alarm.smoothing_s) == (0.9, 0.5, 3)
    assert (door.record.pre_s, door.record.enabled) == (10, True)
    assert (yard.record.pre_s, yard.record.enabled, yard.alarm.on) == (10, False, 0.7)
    assert door.detector == folder / "detector"
    assert yard.url.get_secret_value() == f"replay:{folder}/clips/yard.mp4?loop=1"
    assert (config.media, config.state) == (folder / "media", folder / "state")
    assert config.database.get_secret_value() == f"sqlite:///{folder}/amiss.db"
    assert config.channels["file"].path == folder / "alerts.jsonl"
    assert config.rules[0].hours == "22:00-06:00"
    assert load_config(folder / "watch.yaml") == config


def test_every_mistake_is_told_with_its_line(folder: Path) -> None:
    found = problems(
        folder,
        """detector: detector
defaults:
  alarm:
    onn: 0.7
cameras:
  door:
    url: gopher://u:sesame@example.org/
    alarm: {on: 1.5}
  "bad name":
    url: rtsp://192.0.2.7/
  door2:
    record:
      pre_s: 99
channels:
  mail: {kind: mail, url: "mailto://x"}
  tell: {kind: apprise, url: "sesame"}
http:
  host: 0.0.0.0
rules:
  - name: r
    channels: []
    time_zone: Europe/Atlantis
""",
    )
    assert [(line, where) for line, where, _ in found] == [
        (4, "defaults.alarm.onn"),
        (7, "cameras.door.url"),
        (8, "cameras.door.alarm.on"),
        (9, "cameras.bad name"),
        (11, "cameras.door2.url"),
        (13, "cameras.door2.record.pre_s"),
        (15, "channels.mail"),
        (16, "channels.tell.url"),
        (17, "http"),
        (21, "rules.0.channels"),
        (22, "rules.0.time_zone"),
    ]
    said = {where: message for _, where, message in found}
    assert "no such field; did you mean 'on'?" in said["defaults.alarm.onn"]
    assert "at most 1" in said["cameras.door.alarm.on"]
    assert "no login" in said["http"]
    assert "is missing" in said["cameras.door2.url"]
    assert not any("sesame" in message for message in said.values())


def test_names_that_lead_nowhere(folder: Path) -> None:
    found = problems(
        folder,
        """cameras:
  door: {url: "rtsp://192.0.2.7/", detector: nowhere}
  yard: {url: "rtsp://192.0.2.8/"}
channels:
  file: {kind: log, path: x}
rules:
  - name: a
    channels: [fil]
    cameras:
      - door
      - gate
  - {name: a, channels: [file]}
""",
    )
    assert [(line, where) for line, where, _ in found] == [
        (2, "cameras.door.detector"),
        (3, "cameras.yard"),
        (8, "rules.0.channels.0"),
        (11, "rules.0.cameras.1"),
        (12, "rules.1.name"),
    ]
    assert "did you mean 'file'?" in found[2][2]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("cameras: {a: {url: 'rtsp://x'}, a: {url: 'rtsp://y'}}\ndetector: detector", 1, "stands twice"),
        ("detector: detector\ncameras:\n  a: [", 3, "not YAML"),
        ("- 1\n- 2", 1, "a mapping of fields"),
        ("", 1, "is missing"),
        ("a: &a\n  b: *a", 2, "refers to itself"),
        ("detector: detector\ncameras: {a: {url: 'rtsp://x', alarm: {on: 0.5, off: 0.6}}}", 2, "never stay open"),
        (
            "detector: detector\ndefaults: {alarm: {off: 0.6}}\ncameras:\n  a: {url: 'rtsp://x', alarm: {on: 0.5}}",
            4,
            "never stay open",
        ),
        ("detector: detector\ncameras: {a: {url: 'rtsp://x'}}\ndatabase: amiss.db", 3, "sqlite:///amiss.db"),
        ("detector: detector\ndefaults: {lookahead_clips: 65}\ncameras: {a: {url: 'rtsp://x'}}", 2, "at most 64"),
        ("detector: detector\ncameras: {Nul: {url: 'rtsp://x'}}", 2, "Windows can't have a folder of that name"),
        ("detector: detector\ncameras: {yard.: {url: 'rtsp://x'}}", 2, "Windows can't have a folder of that name"),
        ("detector: detector\ncameras: {A: {url: 'rtsp://x'}, a: {url: 'rtsp://x'}}", 2, "would have one folder"),
        ("detector: detector\nworkers: {stop_s: yes}\ncameras: {a: {url: 'rtsp://x'}}", 2, "is 'yes'; "),
    ],
)
def test_one_mistake(folder: Path, text: str, line: int, says: str) -> None:
    found = problems(folder, text)
    assert any(at == line and says in message for at, _, message in found), found


def test_secrets_come_from_the_environment_and_from_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOOR_PASSWORD", "sesame")
    (folder / "secret").write_text("tahini\n")
    text = f"""
detector: detector
cameras:
  door: {{url: "rtsp://user:${{DOOR_PASSWORD}}@192.0.2.7/"}}
channels:
  broker: {{kind: mqtt, host: localhost, password: "${{file:{folder}/secret}}", username: "$${{x}}"}}
"""
    config = load_config(write(folder, text))
    assert config.cameras["door"].url.get_secret_value() == "rtsp://user:sesame@192.0.2.7/"
    assert config.channels["broker"].password.get_secret_value() == "tahini"
    assert config.channels["broker"].username == "${x}"
    assert "sesame" not in repr(config)
    assert "tahini" not in repr(config)
    monkeypatch.delenv("DOOR_PASSWORD")
    (folder / "secret").unlink()
    assert [(line, where) for line, where, _ in problems(folder, text)] == [
        (4, "cameras.door.url"),
        (6, "channels.broker.password"),
    ]


def test_a_wrong_value_that_holds_a_secret_is_not_shown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADDRESS", "gopher://sesame/")
    with pytest.raises(ConfigError) as caught:
        load_config(write(folder, "detector: detector\ncameras:\n  door: {url: '${ADDRESS}'}"))
    assert "line 3: cameras.door.url: must start with one of rtsp://" in str(caught.value)
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "cameras: {door: {url: 'viewer:sesame@192.0.2.7/stream'}}",
        "cameras: {door: {url: 'viewer:two sesame@192.0.2.7/stream'}}",
        "cameras: {door: {url: 'rtsp://viewer:two sesame@192.0.2.7/stream'}}",
        "cameras: {door: {url: 'rtsp://viewer:ses@me/sesame@192.0.2.7/stream', transport: udp}}",
        "cameras: {door: 'viewer:sesame@192.0.2.7'}",
        "cameras: {'rtsp://viewer:sesame@192.0.2.7': {}}",
        "cameras: ['rtsp://viewer:sesame@192.0.2.7']",
        "cameras: {door: {url: 'http://192.0.2.7/?pwd=sesame', height: x}, yard: {url: 'x?token=sesame'}}",
        "cameras: {door: {url: 'rtsp://192.0.2.7', detector: 'viewer:sesame@nowhere'}}",
        "channels: {mail: 'tgram://sesame/1'}",
        "channels: {hook: {kind: webhook, url: 'http://a..b/?key=sesame'}}",
        "channels: {hook: {kind: webhook, url: 'http://x/?key=sesame me'}}",
        "channels: {hook: {kind: webhook, url: 'http://x/', headers: {A: ['sesame']}}}",
        "channels: {hook: {kind: webhook, url: 'http://x/', headers: {A: \"b\\nsesame\"}}}",
        "channels: {broker: {kind: mqtt, host: 'viewer:sesame@192.0.2.7'}}",
        "channels: {broker: {kind: mqtt, host: x, password: *sesame }}",
        "channels: {broker: {kind: mqtt, host: x, password: !sesame x}}",
        "channels: {mail: {kind: apprise, url: 'mailto://viewer:sesame@'}}",
        "http: {base_url: 'viewer:sesame@proxy'}",
        "database: 'viewer:sesame@192.0.2.7/amiss'",
        "rules: [{name: a, channels: ['viewer:sesame@x']}]",
        "rules: [{channels: ['viewer:sesame two@x']}]",
        "rules: [{name: a, channels: [b], cameras: ['viewer:sesame two@x']}]",
        "cameras: {door: {url: 'rtsp://192.0.2.7', detector: 'viewer:sesame two@nowhere'}}",
        "channels: {hook: {kind: webhook, url: 'http://x/', allow_private: ['viewer:sesame two@x']}}",
        "channels: {hook: {kind: webhook, url: 'http://x/', headers: {'viewer:sesame two@x': a}}}",
        'http: {host: "it\'s viewer:sesame two@x"}',
        "media: '${file:/viewer:sesame two@x}'",
    ],
)
def test_no_mistake_shows_a_password(folder: Path, text: str) -> None:
    if "cameras" not in text:
        text = "detector: detector\ncameras: {door: {url: 'rtsp://192.0.2.7/'}}\n" + text
    found = problems(folder, text)
    assert found
    assert "sesame" not in str(found)


def test_what_would_fail_only_later_is_found_before(folder: Path) -> None:
    pytest.importorskip("apprise", reason="needs amiss[watch]")
    text = """detector: detector
cameras:
  a: {url: "replay:x.mp4?speed=-1"}
  b: {url: "replay:x.mp4?speed=fast"}
  c: {url: "rtsp://192.0.2.7/a b"}
  d: {url: "replay:x.mp4?speed=0"}
channels:
  e: {kind: webhook, url: "http://192.168.1.5/hook"}
  f: {kind: webhook, url: "http://192.168.1.5/hook", allow_private: [192.168.1.0/24]}
  g: {kind: webhook, url: "http://localhost/"}
  h: {kind: webhook, url: "http://a..b/"}
  i: {kind: webhook, url: "https://hooks.example/x", allow_private: [nonsense]}
  j: {kind: mqtt, host: ""}
  k: {kind: apprise, url: "mailtoo://x"}
  l: {kind: apprise, url: "tgram://nothing"}
  m: {kind: apprise, url: "mailto://viewer:x@example.org"}
  n: {kind: mqtt, host: broker, discovery: "#"}
"""
    said = problems(folder, text)
    assert [(line, where) for line, where, _ in said] == [
        (3, "cameras.a.url"), (4, "cameras.b.url"), (5, "cameras.c.url"),
        (8, "channels.e"), (10, "channels.g"), (11, "channels.h"), (12, "channels.i"),
        (13, "channels.j.host"), (14, "channels.k"), (15, "channels.l"), (17, "channels.n.discovery"),
    ]  # fmt: skip
    found = {where: message for _, where, message in said}
    assert "speed=NUMBER" in found["cameras.a.url"]
    assert "private address (192.168.1.5); list its network in allow_private" in found["channels.e"]
    assert "no service mailtoo://; did you mean mailto" in found["channels.k"]
    assert "can't use this tgram:// URL" in found["channels.l"]


def test_known_addresses_ask_no_other_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which takes long, and a file may have hundreds of cameras."""

    def asked(*_: object) -> None:
        raise AssertionError("entry points were asked for")

    monkeypatch.setattr("amiss.registry._entry_points_of", asked)
    urls = ("rtsp://h/", "https://h/", "device:0", "/dev/video0", "replay:a.mp4", "FOLDER:drop")
    cameras = "".join(f"  c{i}: {{url: '{url}'}}\n" for i, url in enumerate(urls))
    assert len(load_config(write(folder, f"detector: detector\ncameras:\n{cameras}")).cameras) == len(urls)


def test_check_and_schema_as_commands(folder: Path) -> None:
    run = CliRunner().invoke
    good = write(folder, "detector: detector\ncameras: {door: {url: 'rtsp://user:sesame@192.0.2.7/'}}")
    result = run(app, ["config", "check", str(good)])
    assert (result.exit_code, "1 camera" in result.stdout, "sesame" in result.output) == (0, True, False)
    bad = write(folder, "detector: nowhere\ncameras:\n  door: {}\n  yard: {url: x}")
    result = run(app, ["config", "check", str(bad)])
    assert result.exit_code == 1
    assert [line.split(":")[1].strip() for line in result.stderr.splitlines()] == [f"{bad}"] * 2
    assert "line 3: cameras.door.url: is missing" in result.stderr
    assert "line 4: cameras.yard.url" in result.stderr
    schema = json.loads(run(app, ["config", "schema"]).stdout)
    assert schema["title"] == "Config"


def test_what_is_not_installed_is_one_line_and_checks_work_without(folder: Path) -> None:
    config = write(folder, "detector: detector\ncameras: {door: {url: 'rtsp://192.0.2.7/'}}")
    code = f"""
import sys
for name in ("sqlalchemy", "alembic", "apprise", "fastapi", "uvicorn", "prometheus_client", "psycopg", "paho"):
    sys.modules[name] = None
from typer.testing import CliRunner
from amiss.cli import app
for command in (["--help"], ["config", "check", {str(config)!r}], ["watch", {str(config)!r}]):
    result = CliRunner().invoke(app, command)
    print(result.exit_code, result.stderr.splitlines()[-1:])
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    helped, checked, watched = ran.stdout.splitlines()
    assert (helped, checked) == ("0 []", "0 []")
    assert watched.startswith("2 ")
    assert "pip install -c constraints.txt '.[watch]'" in watched


def test_every_field_is_documented() -> None:
    schema = Config.model_json_schema()
    for name, model in {"Config": schema, **schema["$defs"]}.items():
        for field, entry in model["properties"].items():
            described = entry.get("description") or schema["$defs"][entry["$ref"].rpartition("/")[2]]["description"]
            assert described, f"{name}.{field}"


def test_the_example_is_right(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DOOR_PASSWORD", "MAIL_PASSWORD", "MQTT_PASSWORD"):
        monkeypatch.setenv(name, "x")
    text = (ROOT / "examples/watch.yaml").read_text()
    (tmp_path / "run/selected").mkdir(parents=True)
    (tmp_path / "run/selected/detector.json").write_text("{}")
    (tmp_path / "run/selected/head.safetensors").write_bytes(b"")
    assert load_config(write(tmp_path, text)).cameras
