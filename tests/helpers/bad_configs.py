"""Configurations of `amiss watch` that somebody might put in the place of a good one, with a part of what is said."""

from __future__ import annotations

import os
from pathlib import Path

CAMERA = "cameras: {door: {url: 'rtsp://192.0.2.7/'}}\n"


def layers(n: int, one: str) -> str:
    """Each layer made of the one before it."""
    return "l0: &l0 {a: b}\n" + "".join(f"l{i + 1}: &l{i + 1} {one.format(f'*l{i}')}\n" for i in range(n))


TEXTS: dict[str, tuple[str | bytes, str]] = {
    "number that is none": (CAMERA + "http: {port: !!int abc}\n", "line 2"),
    "number of many digits": (CAMERA + f"http: {{port: {'9' * 5000}}}\n", "5000 digits"),
    "aliases of aliases": (layers(12, "[{0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}]"), "more than 50000 values"),
    "merges of merges": (layers(12, "{{<<: [{0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}]}}"), "more than 50000 values"),
    "secret of a device": ("cameras: {door: {url: '${file:/dev/zero}'}}\n", "it is a device, not a file"),
    "secret of a nobody": ("cameras: {door: {url: '${file:~nobody-here/x}'}}\n", "can't be read"),
    "brackets": ("[" * 100_000, "nested too deeply"),
    "steps": ("".join(" " * i + "a:\n" for i in range(900)), "nested too deeply"),
    "itself": ("cameras: &a {door: *a}", "refers to itself"),
    "object of Python": ("cameras: !!python/object/apply:os.system ['true']", "it has a tag"),
    "NUL": (b"cameras: {door: {url: 'a\0b'}}", "NUL"),
    "NUL as YAML writes it": (CAMERA + 'media: "a\\0b"\n', "line 2: a text has the character"),
    "half a character": (CAMERA + 'media: "a\\ud800"\n', "line 2: a text has the character"),
    "other bytes": (bytes(range(256)) * 100, "can't be read"),
    "Latin-1": ("cameras: {tür: x}".encode("latin-1"), "not UTF-8"),
    "nothing": ("", "is missing"),
    "list": ("- a", "a mapping of fields"),
    "large": ("a: b\n" * 200_000, "larger than"),
    "long text": (CAMERA + f"media: '{'a:@' * 100_000}'\n", "300000 characters"),
    "long names": (CAMERA + "rules:\n" + f"  - {{name: '@{'a:' * 1500}', channels: [y]}}\n" * 20, "3001 characters"),
    "unknown fields": (CAMERA + "".join(f"k{i}: v\n" for i in range(2000)), "many mistakes"),
    "wrong addresses": ("cameras:\n" + "".join(f"  c{i}: {{url: x}}\n" for i in range(1900)), "must start with one of"),
    "times beyond all": (CAMERA + "workers: {stop_s: 1e99}\nretention: {max_gb: 1e300}\n", "at most 86400"),
    "control characters": ('cameras: {"a\\e[31m": {url: "b\\nc"}}', r"a\x1b[31m"),
    "wrong types": ("cameras: 3\nhttp: []\nrules: {a: b}\nchannels: [x]\nworkers: 3\ndetector: {a: b}\n", "6 mistakes"),
    "no address": (CAMERA + "http: {base_url: 'http://['}\n", "invalid IPv6 URL"),
    "no host": (CAMERA + "http: {base_url: 'http://:80'}\n", "http.base_url"),
    "time zone": (CAMERA + "rules: [{name: a, channels: [b], time_zone: /dev/zero}]\n", "no such time zone"),
    "infinity": (CAMERA + "workers: {stop_s: 1e999}\n", "more than a number can be"),
    "detector of devices": ("detector: devices\n" + CAMERA, "it is a device, not a file"),
    "detector of pipes": ("detector: pipes\n" + CAMERA, "it is a pipe, not a file"),
    "detector with a long name": (f"detector: {'a' * 300}\n" + CAMERA, "File name too long"),
}
"""Name → text, what is said."""
KINDS = {"folder": "it is a folder", "pipe": "it is a pipe", "device": "it is a device", "circle": "symbolic links",
         "none": "does not exist"}  # fmt: skip
"""What may stand in the place of the file → what is said."""
NAMES = [*TEXTS, *KINDS]


def put(name: str, path: Path) -> str:
    """Put it in the place of the configuration; returns a part of what is to be said."""
    for folder, make in (("devices", lambda at: at.symlink_to("/dev/zero")), ("pipes", os.mkfifo)):
        (path.parent / folder).mkdir(exist_ok=True)
        for file in ("detector.json", "head.safetensors"):
            if not (path.parent / folder / file).exists():
                make(path.parent / folder / file)
    path.unlink(missing_ok=True)
    if name in TEXTS:
        text, says = TEXTS[name]
        beside = path.with_name("beside")
        beside.write_bytes(text.encode() if isinstance(text, str) else text)
        beside.replace(path)
        return says
    {"folder": path.mkdir, "pipe": lambda: os.mkfifo(path), "device": lambda: path.symlink_to("/dev/zero"),
     "circle": lambda: path.symlink_to(path.name), "none": lambda: None}[name]()  # fmt: skip
    return KINDS[name]
