"""Feature sets that are large, in shards, damaged: what of them is whole stays, and values never change."""

import json
from pathlib import Path

import numpy as np
import pytest

from amiss.backbones import FeatureSpec
from amiss.errors import FeatureError, UsageError
from amiss.features import Copied, FeatureRecord, FeatureSetWriter, copy_features, open_feature_set, verify
from amiss.video import FrameTimes
from helpers.command import amiss

SPEC = FeatureSpec(backbone="numbers", weights="none", dim=4, crops=2)


def rows(seed: int, n: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 2, 4)).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    knots = np.array([[0.0, 0.0], [20.0, 1.0], [48.0, 4.0]])
    with FeatureSetWriter(tmp_path / "set", SPEC) as writer:
        for number in range(6):
            times = FrameTimes(48, 12.0, knots) if number == 5 else None
            writer.add(f"v{number}", rows(number, number + 1), 16 * (number + 1), 25.0, "torch cpu fp32", times=times)
    return tmp_path / "set"


def files_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_shards_are_plain_arrays_and_the_way_back_is_exact(folder: Path, tmp_path: Path) -> None:
    assert copy_features(open_feature_set(folder), tmp_path / "sharded", shard_mb=1) == Copied(6, ())
    sharded, plain = open_feature_set(tmp_path / "sharded"), open_feature_set(folder)
    assert not list((tmp_path / "sharded").glob("*.npy"))
    for name, record in sharded.records.items():
        assert np.array_equal(sharded.load(name), plain.load(name))
        assert record.sha256 == plain.records[name].sha256
        shard = np.load(tmp_path / "sharded" / "shards" / str(record.shard))  # with nothing but numpy
        assert np.array_equal(shard[record.row or 0 :][: record.n_clips], plain.load(name))
    assert sharded.times("v5").knots.tolist() == plain.times("v5").knots.tolist()  # type: ignore[union-attr]
    assert not list(verify(sharded))
    copy_features(sharded, tmp_path / "back")
    assert files_of(tmp_path / "back") == files_of(folder)


def test_a_stopped_copy_goes_on(folder: Path, tmp_path: Path) -> None:
    features = open_feature_set(folder)
    with FeatureSetWriter(tmp_path / "out", SPEC) as writer:
        writer.add_shard([(features.records[name], features.load(name), None) for name in ("v0", "v1")])
    ran = amiss("features", "copy", folder, "--out", tmp_path / "out", "--shard-mb", "1")
    assert "4 videos copied" in ran.err
    assert len(open_feature_set(tmp_path / "out").records) == 6
    assert amiss("features", "copy", folder, "--out", folder).code == 2


@pytest.mark.parametrize("how", [[], ["--shard-mb", "1"]], ids=["files", "shards"])
def test_a_copy_has_what_is_whole_and_names_the_rest(folder: Path, tmp_path: Path, how: list[str]) -> None:
    flipped = bytearray((folder / "v1.npy").read_bytes())
    flipped[-1] ^= 1
    (folder / "v1.npy").write_bytes(flipped)
    (folder / "v2.npy").write_bytes(b"cut off")
    (folder / "v3.npy").unlink()
    (folder / "times" / "v5.npy").write_bytes(b"cut off")
    ran = amiss("features", "copy", folder, "--out", tmp_path / "out", *how)
    assert ran.code == 1
    assert "2 videos copied" in ran.err
    assert "4 left out" in ran.err
    assert all(f"v{number}" in ran.err for number in (1, 2, 3, 5))
    copy = open_feature_set(tmp_path / "out")
    assert list(copy.records) == ["v0", "v4"]
    assert not list(verify(copy))


def test_verify_finds_what_is_wrong_and_repair_keeps_what_is_whole(folder: Path) -> None:
    assert amiss("features", "verify", folder).code == 0
    (folder / "v0.npy").unlink()
    damaged = bytearray((folder / "v1.npy").read_bytes())
    damaged[-1] ^= 1
    (folder / "v1.npy").write_bytes(damaged)
    np.save(folder / "v9.npy", rows(9))
    np.save(folder / "odd.npy", np.zeros((3, 1, 4), np.float32))
    index = (folder / "index.jsonl").read_text().splitlines(keepends=True)
    (folder / "index.jsonl").write_text("".join(index[:-1]))  # v5, which has times, is lost with its line

    kinds = {fault.video_id: fault.kind for fault in verify(open_feature_set(folder))}
    assert kinds == {"v0": "missing", "v1": "damaged", "v5": "stray", "v9": "stray", "odd": "stray"}
    found = amiss("features", "verify", folder, "--json")
    assert found.code == 1
    assert len(json.loads(found.out)["faults"]) == 5
    assert amiss("features", "verify", folder, "--repair", "--sample", "2").code == 2

    mended = amiss("features", "verify", folder, "--repair")
    assert mended.code == 1  # odd.npy doesn't fit
    assert "in the index again: v9" in mended.err
    features = open_feature_set(folder)
    assert list(features.records) == ["v2", "v3", "v4", "v5", "v9"]
    restored = features.records["v5"]
    assert (restored.n_frames, restored.fps) == (48, 12.0)
    assert (features.records["v9"].n_frames, features.records["v9"].engine) == (None, None)
    assert (folder / ".damaged" / "v1.npy").read_bytes() == bytes(damaged)
    (folder / "odd.npy").unlink()
    assert amiss("features", "verify", folder).code == 0


def test_a_damaged_shard_loses_its_own_videos_only(folder: Path, tmp_path: Path) -> None:
    features = open_feature_set(folder)
    with FeatureSetWriter(tmp_path / "out", SPEC) as writer:
        for names in (("v0", "v1"), ("v2", "v3")):
            writer.add_shard([(features.records[name], features.load(name), None) for name in names])
    shard = tmp_path / "out" / "shards" / str(open_feature_set(tmp_path / "out").records["v0"].shard)
    shard.write_bytes(shard.read_bytes()[:-40])
    with pytest.raises(FeatureError, match="can't be read"):
        open_feature_set(tmp_path / "out").load("v0")
    assert {fault.video_id for fault in verify(open_feature_set(tmp_path / "out"))} == {"v0", "v1"}
    amiss("features", "verify", tmp_path / "out", "--repair")
    assert list(open_feature_set(tmp_path / "out").records) == ["v2", "v3"]


def test_a_sample_reads_so_many(folder: Path) -> None:
    (folder / "v3.npy").unlink()
    found = [len(list(verify(open_feature_set(folder), 2))) for _ in range(60)]
    assert set(found) == {0, 1}


def test_statistics_read_no_features(folder: Path) -> None:
    for path in folder.glob("*.npy"):
        path.unlink()
    found = json.loads(amiss("features", "stats", folder, "--json").out)
    assert (found["videos"], found["clips"], found["clips of a video, most"], found["files"]) == (6, 21, 6, 6)


def test_an_index_with_a_damaged_line_is_read_line_by_line(folder: Path) -> None:
    lines = (folder / "index.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "index.jsonl").write_bytes(lines[0] + lines[1][:40] + b"\n" + b"".join(lines[2:]))
    with pytest.warns(UserWarning, match="Lost are v1"):
        features = open_feature_set(folder)
    assert list(features.records) == ["v0", "v2", "v3", "v4", "v5"]


def test_a_closed_writer_adds_no_shard(folder: Path) -> None:
    writer = FeatureSetWriter(folder, SPEC)
    writer.close()
    record = FeatureRecord(video_id="x", n_clips=3, n_frames=None, fps=None, sha256="")
    with pytest.raises(UsageError, match="closed"):
        writer.add_shard([(record, rows(1), None)])
