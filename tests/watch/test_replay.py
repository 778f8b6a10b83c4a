"""A video without a configuration: its name needn't be text."""

import json
import os
from pathlib import Path

import pytest

from amiss.video import LiveFrame, open_source
from amiss.watch import single_video
from helpers.streams import write_stream


@pytest.mark.parametrize("raw", [b"\xff.ts", b"50%41 a?b#c.ts", "Tür\n3.ts".encode()])
def test_a_video_of_any_name_is_played(tmp_path: Path, raw: bytes) -> None:
    path = write_stream(tmp_path / os.fsdecode(raw), n_frames=10)
    detector = tmp_path / "detector"
    detector.mkdir()
    for name in ("detector.json", "head.safetensors"):
        (detector / name).touch()  # it isn't loaded here
    config, stored = single_video(path, detector, None, tmp_path / "out")
    (camera,) = config.cameras.values()
    assert camera.url.get_secret_value().isprintable()
    items = open_source(f"{camera.url.get_secret_value()}?speed=0")
    assert sum(isinstance(item, LiveFrame) for item in items) == 10
    assert stored is None


def test_a_state_can_be_served_whatever_it_says() -> None:
    from amiss.watch.camera import CameraStatus

    status = CameraStatus("box", "folder:drop", "detector", 0.6, 0.5, "set")
    status.set_state("running", "caf\udce9.mp4\nforged")
    status.problem = "caf\udce9.mp4 can't be read"
    served = json.dumps(status.to_dict(), ensure_ascii=False).encode()  # which what is no text would fail in
    assert (json.loads(served)["reason"], json.loads(served)["problem"]) == (
        r"caf\udce9.mp4\nforged", r"caf\udce9.mp4 can't be read"
    )  # fmt: skip
