"""Data in S3: the whole way of a user, against a real server."""

import json
from pathlib import Path

import pytest

from amiss.storage import Url, listed, publish
from helpers.command import amiss
from helpers.motion import write_scene
from helpers.s3 import S3Server

SCENES = {
    "calm1": [(1, 60)],
    "calm2": [(1, 70)],
    "fast1": [(1, 30), (9, 30)],
    "fast2": [(9, 40), (1, 30)],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos and their manifest on this machine."""
    root = tmp_path_factory.mktemp("videos")
    (root / "clips").mkdir()
    rows = ["video_id,split,label,path"]
    for seed, (name, parts) in enumerate(SCENES.items()):
        write_scene(root / "clips" / f"{name}.mp4", parts, seed)
        rows.append(f"{name},train,{int(name.startswith('fast'))},clips/{name}.mp4")
    (root / "manifest.csv").write_text("\n".join(rows) + "\n")
    return root


def upload(folder: Path, bucket: str) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            publish(Url(bucket) / path.relative_to(folder).as_posix(), path.read_bytes())


def files_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def objects_of(place: Url) -> dict[str, bytes]:
    return {name: (place / name).open("rb").read() for name in listed(place)}


def test_extraction_in_a_bucket_that_refuses_now_and_then_is_that_of_files(
    folder: Path, bucket: str, tmp_path: Path, s3_server: S3Server
) -> None:
    rows = (folder / "manifest.csv").read_text().splitlines(keepends=True)
    (folder / "few.csv").write_text("".join(rows[:3]))
    upload(folder, bucket)
    here = amiss("extract", folder / "few.csv", "--backbone", "motion", "--out", tmp_path / "features")
    assert here.code == 0, here.err
    with s3_server.flapping():
        there = amiss("extract", f"{bucket}/few.csv", "--backbone", "motion", "--out", f"{bucket}/features")
    assert there.code == 0, there.err
    assert s3_server.n_turned_away
    assert objects_of(Url(bucket) / "features") == files_of(tmp_path / "features")

    again = amiss("extract", f"{bucket}/few.csv", "--backbone", "motion", "--out", f"{bucket}/features")
    assert "2 already there" in again.err


@pytest.mark.slow
def test_train_and_detect_in_a_bucket(folder: Path, bucket: str, tmp_path: Path) -> None:
    upload(folder, bucket)
    for manifest, out in (
        (folder / "manifest.csv", tmp_path / "features"),
        (f"{bucket}/manifest.csv", f"{bucket}/features"),
    ):
        assert amiss("extract", manifest, "--backbone", "motion", "--out", out).code == 0
    data = "--data", f"{bucket}/manifest.csv", "--features", f"{bucket}/features"
    trained = amiss("train", "pooled", *data, "--out", tmp_path / "run")
    assert trained.code == 0, trained.err
    local = "--data", folder / "manifest.csv", "--features", tmp_path / "features"
    assert amiss("train", "pooled", *local, "--out", tmp_path / "local").code == 0
    weights = "selected/head.safetensors"
    assert (tmp_path / "run" / weights).read_bytes() == (tmp_path / "local" / weights).read_bytes()

    detector = "--detector", tmp_path / "run" / "selected"
    found = amiss("detect", f"{bucket}/clips/fast1.mp4", *detector, "--out", tmp_path / "found", "--plot", "--annotate")
    assert found.code == 0, found.err
    result = json.loads((tmp_path / "found" / "fast1.json").read_text())
    assert result["video"] == f"{bucket}/clips/fast1.mp4"
    assert amiss("detect", folder / "clips" / "fast1.mp4", *detector, "--out", tmp_path / "same").code == 0
    same = json.loads((tmp_path / "same" / "fast1.json").read_text())
    assert result["clips"] == same["clips"]
    stored = amiss("detect", "--features", f"{bucket}/features", *detector, "--out", tmp_path / "stored")
    assert stored.code == 0, stored.err
    checked = amiss("features", "check", f"{bucket}/features")
    assert checked.code == 0, checked.err
