"""Data in Google Cloud Storage: the whole way of a user, against a server that speaks its language."""

from pathlib import Path

from amiss.storage import Url, content, listed, publish
from helpers.command import amiss
from helpers.motion import write_scene


def test_extract_check_copy_and_detect_in_a_bucket(google_bucket: str, tmp_path: Path) -> None:
    import gcsfs

    bucket = Url(google_bucket)
    rows = ["video_id,split,label,path"]
    for seed, (name, parts) in enumerate({"calm": [(1, 40)], "fast": [(9, 40)]}.items()):
        path = write_scene(tmp_path / f"{name}.mp4", parts, seed)
        publish(bucket / f"{name}.mp4", path.read_bytes())
        rows.append(f"{name},train,{seed},{name}.mp4")
    publish(bucket / "manifest.csv", "\n".join(rows).encode())
    (tmp_path / "manifest.csv").write_text("\n".join(rows))

    for manifest, out in (
        (tmp_path / "manifest.csv", tmp_path / "here"),
        (f"{bucket}/manifest.csv", f"{bucket}/features"),
    ):
        done = amiss("extract", manifest, "--backbone", "motion", "--out", out)
        assert done.code == 0, done.err
    here = {path.relative_to(tmp_path / "here").as_posix(): path.read_bytes() for path in (tmp_path / "here").iterdir()}
    there = {name: content(bucket / "features" / name, 1 << 20) for name in listed(bucket / "features")}
    assert there == here
    store = gcsfs.GCSFileSystem(token="anon", use_listings_cache=False)
    assert store.info(f"{bucket}/features/index.jsonl")["cacheControl"] == "no-store"

    checked = amiss("features", "verify", f"{bucket}/features")
    assert "2 of 2 videos checked: all whole" in checked.out + checked.err
    for source, out, *shards in (
        (f"{bucket}/features", f"{bucket}/sharded", "--shard-mb", 1),
        (f"{bucket}/sharded", tmp_path / "back"),
    ):
        copied = amiss("features", "copy", source, "--out", out, *shards)
        assert copied.code == 0, copied.err
    assert {path.name: path.read_bytes() for path in (tmp_path / "back").iterdir()} == here
    found = amiss("detect", f"{bucket}/fast.mp4", "--out", tmp_path / "found")
    assert found.code == 0, found.err
