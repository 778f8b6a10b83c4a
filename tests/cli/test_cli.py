"""The command line as a user types it: from a folder of videos to a scored video, and what goes wrong on the way."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from helpers.command import amiss
from helpers.motion import moving
from helpers.videos import count_frames, cut_short, write_audio, write_video

AMISS = [sys.executable, "-m", "amiss"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with my_videos/, manifest.csv, features/ and run/, made by the README's commands."""
    root = tmp_path_factory.mktemp("cli")
    for label, speed in (("normal", 1), ("anomalous", 9)):
        (root / "my_videos" / label).mkdir(parents=True)
        for i in range(8):
            write_video(root / "my_videos" / label / f"{label[0]}{i}.mp4", moving(speed, seed=10 * speed + i))
    for command in (
        ["dataset", "build", "folder", "--root", root / "my_videos", "--out", root / "manifest.csv"],
        ["extract", root / "manifest.csv", "--backbone", "motion", "--out", root / "features"],
        ["train", "topk", "--data", root / "manifest.csv", "--features", root / "features", "--out", root / "run",
         "--set", "steps=30", "--set", "batch.normal=8", "--set", "batch.anomalous=8",
         "--set", "calibration.folds=2"],
    ):  # fmt: skip
        ran = amiss(*command)
        assert ran.code == 0, ran.err
    assert "too few" in ran.err  # why nothing was held out, as the tutorial says
    return root


def test_train_says_what_thresholds_find_and_detect_takes_one(trained: Path, tmp_path: Path) -> None:
    data = ["--data", trained / "manifest.csv", "--features", trained / "features"]
    ran = amiss("train", "pooled", *data, "--out", tmp_path / "run")
    assert ran.code == 0, ran.err
    assert "anomalous videos found" in ran.out
    assert "(default)" in ran.out
    assert "video AUC of videos left out: 1.000" in ran.err
    for threshold, events in (("0", 1), ("0.999999", 0)):
        detect = ["detect", "--features", trained / "features", "--detector", tmp_path / "run/selected", "--json"]
        ran = amiss(*detect, "--threshold", threshold)
        assert ran.code == 0, ran.err
        assert all(len(result["events"]) == events for result in json.loads(ran.out))
    for wrong in ("1.5", "1", "nan", "-1"):
        assert amiss(*detect, "--threshold", wrong).code == 2


def test_readme_path_scores_a_video(trained: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "new.mp4", moving(1, 1) + moving(9, 2) + moving(1, 3))
    out = tmp_path / "results"
    ran = amiss(
        "detect", video, "--detector", trained / "run/selected", "--out", out, "--plot", "--annotate", "--clips"
    )
    assert ran.code == 0, ran.err
    assert ran.out.startswith("new  0:04.8  peak ")
    result = json.loads((out / "new.json").read_text())
    assert result["n_frames"] == 120
    assert [clip["end"] for clip in result["clips"]] == [16, 32, 48, 64, 80, 96, 112, 120]
    fast = [clip["score"] for clip in result["clips"] if 40 <= clip["start"] < 64]
    slow = [clip["score"] for clip in result["clips"] if clip["end"] <= 32]
    assert min(fast) > max(slow)
    rows = list(csv.DictReader((out / "new.csv").read_text().splitlines()))
    assert [float(row["score"]) for row in rows] == pytest.approx([c["score"] for c in result["clips"]], abs=1e-6)
    assert (out / "new.png").read_bytes().startswith(b"\x89PNG")
    clips = sorted(out.glob("new.event*.mp4"))
    assert len(clips) == len(result["events"])

    assert count_frames(out / "new.annotated.mp4") == 120
    for clip, event in zip(clips, result["events"], strict=True):
        assert count_frames(clip) == event["end"] - event["start"]
    assert not list(out.glob(".partial-*"))


def test_scores_of_features_are_those_of_the_video(trained: Path) -> None:
    command = ["detect", trained / "my_videos", "--detector", trained / "run/selected", "--json"]
    by_video = {Path(r["video"]).stem: r["clips"] for r in json.loads(amiss(*command).out)}
    renamed = {f"{'normal' if stem[0] == 'n' else 'anomalous'}__{stem}": clips for stem, clips in by_video.items()}
    stored = json.loads(
        amiss("detect", "--detector", trained / "run/selected", "--features", trained / "features", "--json").out
    )
    assert {r["video"]: r["clips"] for r in stored} == renamed


def test_evaluate_a_run_and_scores_of_others(trained: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.csv"
    lines = (trained / "manifest.csv").read_text().replace("my_videos", str(trained / "my_videos")).splitlines()
    header = lines[0].split(",")
    rows = [dict(zip(header, line.split(","), strict=True)) for line in lines[1:]]
    with manifest.open("w", newline="") as file:
        writer = csv.DictWriter(file, header)
        writer.writeheader()
        writer.writerows({**row, "split": "test", "events": "8-24" if row["label"] == "1" else ""} for row in rows)
    ran = amiss("evaluate", trained / "run", "--data", manifest, "--features", trained / "features", "--json")
    result = json.loads(ran.out)
    assert ran.code == 0, ran.err
    assert result["video_auc"] == 1.0
    assert (result["protocol"], result["n_videos"], result["n_frames"], result["n_positive"]) == ("exact", 16, 640, 128)
    assert set(result["rows"]) == {"last", "selected"}
    scores = tmp_path / "scores.json"
    scores.write_text(json.dumps({row["video_id"]: [0, int(row["label"]), 0] for row in rows}))
    result = json.loads(amiss("evaluate", scores, "--data", manifest, "--json", "--out", tmp_path / "r.json").out)
    # clip 1 is frames 16-32: of the event 8-24 half is found, and 8 of the 64 normal frames around it are false
    assert result["auc"] == pytest.approx((1 + 8 / 16 - 64 / 512) / 2)
    assert json.loads((tmp_path / "r.json").read_text()) == result


def test_extract_goes_on_after_a_kill(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    for i in range(6):
        write_video(folder / f"v{i}.mp4", moving(3, i, n=80))
    command = [*AMISS, "extract", str(folder), "--backbone", "motion", "--out", str(tmp_path / "killed")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    while not list((tmp_path / "killed").glob("v*.npy")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    finished = len(list((tmp_path / "killed").glob("v*.npy")))
    assert 1 <= finished < 6
    again = amiss(*command[3:])
    assert again.code == 0
    assert f"{6 - finished} videos extracted" in again.err or f"{7 - finished} videos extracted" in again.err
    assert amiss("extract", folder, "--backbone", "motion", "--out", tmp_path / "whole").code == 0
    names = sorted(p.name for p in (tmp_path / "whole").iterdir())
    assert sorted(p.name for p in (tmp_path / "killed").iterdir()) == names
    for name in names:
        if name != "index.jsonl":
            assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    lines = [sorted((tmp_path / f / "index.jsonl").read_text().splitlines()) for f in ("killed", "whole")]
    assert lines[0] == lines[1]


def test_extract_resamples_to_a_frame_rate(tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.mp4", 40)
    args = ["extract", video, "--backbone", "motion"]
    assert amiss(*args, "--out", tmp_path / "native").code == 0
    ran = amiss(*args, "--frame-rate", "10", "--out", tmp_path / "slow")
    assert ran.code == 0, ran.err
    assert json.loads((tmp_path / "slow/spec.json").read_text())["frame_rate"] == 10
    shapes = [np.load(tmp_path / folder / "v.npy").shape for folder in ("native", "slow")]
    assert shapes == [(3, 1, 171), (1, 1, 171)]  # 40 frames in 1.6 s
    assert amiss(*args, "--frame-rate", "0", "--out", tmp_path / "none").code == 2


def test_extract_stops_cleanly_on_ctrl_c(tmp_path: Path) -> None:
    video = write_video(tmp_path / "long.mp4", moving(3, 0, n=1500))
    process = subprocess.Popen(
        [*AMISS, "extract", str(video), "--backbone", "motion", "--out", str(tmp_path / "f")],
        stderr=subprocess.PIPE,
        # a shell's background jobs ignore SIGINT, and so would what they start
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not (tmp_path / "f" / "spec.json").exists() and process.poll() is None:
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"error: stopped. What was finished is kept" in err
    assert b"Traceback" not in err
    assert [p.name for p in (tmp_path / "f").iterdir()] == ["spec.json"]


def bad_videos(folder: Path) -> dict[str, str]:
    """File name → what its error says."""
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("this is not a video\n" * 50)
    write_audio(folder / "sound.mp4")
    good = write_video(folder / "good.mp4", 20)
    data = bytearray(good.read_bytes())
    start, end = data.index(b"mdat") + 4, data.rindex(b"moov") - 4
    data[start:end] = bytes(end - start)
    (folder / "nothing.mp4").write_bytes(data)
    good.unlink()
    return {"missing.mp4": "does not exist", "empty.mp4": "empty", "text.mp4": "video", "sound.mp4": "no video",
            "nothing.mp4": ""}  # fmt: skip


def test_bad_videos_each_give_one_line_and_leave_nothing(trained: Path, tmp_path: Path) -> None:
    for name, says in bad_videos(tmp_path).items():
        out = tmp_path / "out"
        ran = amiss("detect", tmp_path / name, "--detector", trained / "run/selected", "--out", out)
        assert ran.code == 1, name
        errors = [line for line in ran.err.splitlines() if line.startswith("error:")]
        assert len(errors) == 1, ran.err
        assert says in errors[0], errors[0]
        assert "Traceback" not in ran.err
        assert not out.exists() or not list(out.iterdir())


def test_a_bad_video_in_a_folder_does_not_stop_the_rest(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(b"")
    write_video(folder / "b.mp4", 20)
    ran = amiss("extract", folder, "--backbone", "motion", "--out", tmp_path / "f")
    assert ran.code == 1
    assert "error: a: " in ran.err
    assert "1 video extracted" in ran.err
    assert (tmp_path / "f" / "b.npy").exists()


def test_a_truncated_video_is_scored_as_far_as_it_decodes(trained: Path, tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mp4", moving(2, 0, n=200), container={"movflags": "faststart"})
    cut = cut_short(whole, tmp_path / "cut.mp4", 0.6)
    ran = amiss("detect", cut, "--detector", trained / "run/selected", "--json")
    assert ran.code == 0, ran.err
    (result,) = json.loads(ran.out)
    assert 16 < result["n_frames"] < 200
    assert "warning: cut: " in ran.err
    assert "missing" in ran.err


def test_odd_videos_are_scored(trained: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "one_frame.mp4", 1)
    write_video(tmp_path / "short.mp4", 9)
    write_video(tmp_path / "rotated.mp4", 20, rotation=90)
    write_video(tmp_path / "variable.mkv", 5, times=[0, 0.1, 0.5, 0.52, 2.0])
    write_video(tmp_path / "odd.mkv", moving(2, 0, 20), codec="ffv1", pix_fmt="gray")
    write_video(tmp_path / "ten_bit.mkv", 20, codec="ffv1", pix_fmt="yuv420p10le")
    ran = amiss(
        "detect", tmp_path, "--detector", trained / "run/selected", "--out", tmp_path / "out", "--plot", "--annotate"
    )
    assert ran.code == 0, ran.err
    frames = {p.stem: json.loads(p.read_text())["n_frames"] for p in (tmp_path / "out").glob("*.json")}
    assert frames == {"one_frame": 1, "short": 9, "rotated": 20, "variable": 5, "odd": 20, "ten_bit": 20}


def test_what_could_not_begin_prints_no_json(trained: Path, tmp_path: Path) -> None:
    ran = amiss("detect", trained / "my_videos", "--detector", tmp_path, "--json")
    assert (ran.code, ran.out) == (1, "")
    assert "detector.json is missing" in ran.err


def test_features_of_another_backbone_are_refused(trained: Path, tmp_path: Path) -> None:
    from amiss.features import FeatureSetWriter, FeatureSpec

    writer = FeatureSetWriter(tmp_path / "f", FeatureSpec(backbone="c3d", weights="random", dim=8))
    writer.add("x", np.ones((3, 1, 8), np.float32), 48, 25.0)
    ran = amiss("detect", "--detector", trained / "run/selected", "--features", tmp_path / "f")
    assert ran.code == 1
    assert "backbone is 'c3d', not 'motion'" in ran.err


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["detect"], "no video given"),
        (["extract", "x.mp4", "--backbone", "motoin", "--out", "f"], "motion"),
        (["train", "sultani", "--data", "m.csv", "--features", "f", "--out", "r"], "sultani2018"),
        (["train", "topk", "--data", "m.csv", "--features", "f", "--out", "r", "--set", "stepps=3"], "steps"),
        (["train", "topk", "--data", "m.csv", "--features", "f", "--out", "r", "--seed", "-1"], "equal to 0"),
        (
            ["train", "topk", "--data", "m.csv", "--features", "f", "--out", "r", "--seed", "1", "--seeds", "2"],
            "--seeds",
        ),
        (["demo", "--seed", "-1"], "equal to 0"),
        (["dataset", "build", "my-data", "--root", "."], "folder"),
        (["detect", "x.mp4", "--detector", "d", "--plot"], "--out"),
    ],
)
def test_wrong_usage_is_exit_code_2(
    args: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "x.mp4", 5)
    ran = amiss(*args)
    assert ran.code == 2, ran.err
    assert says in ran.err


def test_bad_manifest_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("video_id,split,label\na,train,0\na,train,1\n")
    ran = amiss("extract", tmp_path / "m.csv", "--backbone", "motion", "--out", tmp_path / "f")
    assert ran.code == 1
    assert "line 3: video_id 'a' stands already in line 2" in ran.err


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="POSIX only")
def test_unwritable_output(trained: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.mp4", 20)
    (tmp_path / "file").write_text("x")
    for command in (
        ["extract", video, "--backbone", "motion", "--out", tmp_path / "file"],
        ["detect", video, "--detector", trained / "run/selected", "--out", tmp_path / "file"],
    ):
        ran = amiss(*command)
        assert ran.code == 1
        assert len([line for line in ran.err.splitlines() if line.startswith("error:")]) == 1


@pytest.mark.faults
@pytest.mark.skipif(shutil.which("mount") is None or os.geteuid() != 0, reason="needs root to mount a small tmpfs")
def test_full_disk(trained: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"can't mount a tmpfs: {mounted.stderr.decode().strip()}")
    try:
        command = ["extract", trained / "my_videos", "--backbone", "motion", "--out", disk / "f"]
        ran = amiss(*command)
        assert ran.code == 1
        assert "No space left on device" in ran.err
        whole = sorted((disk / "f").glob("*.npy"))
        assert 0 < len(whole) < 16
        assert not list((disk / "f").glob(".partial-*"))
        for path in whole:
            np.load(path)
        video = trained / "my_videos" / "normal" / "n0.mp4"
        ran = amiss("detect", video, "--detector", trained / "run/selected", "--out", disk / "out", "--annotate")
        assert ran.code == 1
        assert "No space left on device" in ran.err
        assert not [p for p in disk.glob("out/*") if p.suffix == ".mp4" or p.name.startswith(".partial")]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_lists_print_json() -> None:
    for name in ("backbones", "presets", "heads", "recipes", "datasets", "protocols"):
        entries = json.loads(amiss(name, "--json").out)
        assert all("name" in entry for entry in entries), name
        assert amiss(name).code == 0
    assert json.loads(amiss("doctor", "--json").out)["amiss"]


@pytest.mark.parametrize("what", ["import amiss.cli", "import amiss.jobs", "amiss.cli.app(['datasets'])"])
def test_what_needs_no_torch_is_quick(what: str) -> None:
    code = f"import atexit, sys, amiss.cli; atexit.register(lambda: print('torch' in sys.modules)); {what}"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.endswith("False\n")
