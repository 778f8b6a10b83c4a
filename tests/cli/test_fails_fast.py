"""A mistyped path or name is told before anything slow is imported. Counted, not timed: machines are noisy."""

import json
import subprocess
import sys
from pathlib import Path

SLOW = ("torch", "torchvision", "openvino", "transformers", "sklearn", "matplotlib", "cv2")
COMMANDS = [
    ["detect", "nofile.mp4", "--detector", "nodir"],
    ["detect", "there.mp4", "--detector", "nodir"],
    ["detect", "--features", "nodir", "--detector", "nodir"],
    ["report", "nodir"],
    ["train", "topk", "--data", "nofile", "--features", "nodir", "--out", "out"],
    ["train", "topk", "--data", "list.csv", "--features", "nodir", "--out", "out"],
    ["train", "norecipe", "--data", "list.csv", "--features", "nodir", "--out", "out"],
    ["evaluate", "nodir", "--data", "nofile"],
    ["evaluate", "nodir", "--data", "list.csv"],
    ["evaluate", "nodir", "--data", "list.csv", "--features", "nodir"],
    ["evaluate", ".", "--data", "list.csv"],
    ["extract", "nofile.mp4", "--backbone", "motion", "--out", "out"],
    ["extract", "nofile.csv", "--backbone", "r3d_18", "--out", "out"],
    ["extract", "there.mp4", "--backbone", "r3d_81", "--out", "out"],
    ["extract", "there.mp4", "--backbone", "motion+r3d", "--out", "out"],
    ["weights", "quantise", "r3d_81", "there.mp4"],
    ["convert", "there.mp4", "--from", "rtfm", "--backbone", "i3d_resnet05", "--out", "out"],
    ["features", "import", "nodir", "--out", "out"],
    ["features", "export", "nodir", "--layout", "csv", "--out", "out"],
    ["features", "check", "nodir"],
    ["dataset", "build", "folder", "--root", "nodir"],
    ["dataset", "build", "nodataset", "--root", "."],
    ["dataset", "check", "nofile"],
    ["weights", "quantise", "r3d_18", "nofile.mp4"],
    ["bench", "nofile.yaml", "--out", "out"],
    ["convert", "nofile.pth", "--from", "rtfm", "--backbone", "i3d_resnet50", "--out", "out"],
    ["features", "concat", "nodir", "nodir2", "--out", "out"],
    ["watch", "nofile.yaml"],
    ["watch", "--video", "nofile.mp4", "--detector", "nodir"],
    ["watch", "--video", "there.mp4", "--detector", "nodir"],
    ["calibrate", "nofile.yaml", "camera", "--per-hour", "1", "--hours", "1"],
    ["config", "check", "nofile.yaml"],
]
RUN = """
import json, sys
from typer.testing import CliRunner
from amiss.cli import app
slow, commands = json.loads(sys.argv[1])
said = []
for command in commands:
    result = CliRunner().invoke(app, command)
    imported = [name for name in slow if name in sys.modules]
    said.append([result.exit_code, result.stderr, imported, repr(result.exception)])
    if imported:
        break  # the others would seem to import it, too
print(json.dumps(said))
"""


def test_a_mistyped_path_is_told_before_torch_is_imported(tmp_path: Path) -> None:
    (tmp_path / "there.mp4").write_bytes(b"not decoded yet")
    (tmp_path / "list.csv").write_text("video_id,split,label\na,train,0\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps([SLOW, COMMANDS])], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    for command, (code, told, imported, exception) in zip(COMMANDS, said, strict=False):
        assert not imported, command
        assert code in (1, 2), (command, told, exception)
        assert told.count("error:") == 1, (command, told, exception)
    assert len(said) == len(COMMANDS)
    assert not (tmp_path / "out").exists()
