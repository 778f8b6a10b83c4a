"""Paths and URLs: what is one, what of it is shown, and where a manifest may lead."""

import pickle
from pathlib import Path

import pytest

from amiss.datasets import read_manifest
from amiss.errors import ManifestError, OutputError, UsageError
from amiss.files import write_text
from amiss.storage import Url, is_allowed, located, publish
from helpers.command import amiss


def test_a_url_goes_where_paths_go() -> None:
    url = located("S3://bucket/a/b.mp4")
    assert isinstance(url, Url)
    assert (str(url), url.name, url.stem, url.suffix) == ("s3://bucket/a/b.mp4", "b.mp4", "b", ".mp4")
    assert (url.scheme, url.place) == ("s3", "bucket")
    assert str(url.parent / "c" / "d.npy") == "s3://bucket/a/c/d.npy"
    assert isinstance(url.parent, Url)
    assert str(url.with_suffix(".json")) == "s3://bucket/a/b.json"
    assert url.relative_to(located("s3://bucket/a")) == Path("b.mp4")
    assert pickle.loads(pickle.dumps(url)) == url


def test_paths_of_this_machine_stay_paths(tmp_path: Path) -> None:
    assert located(tmp_path) is tmp_path
    assert not isinstance(located("a:b/c"), Url)
    assert located("file:///data/my%20videos") == Path("/data/my videos")


def test_keys_are_never_shown() -> None:
    url = located("https://me:pass@host:8080/v.mp4?X-Amz-Signature=secret")
    assert isinstance(url, Url)
    assert str(url) == "https://host:8080/v.mp4"
    assert "pass" not in repr(url) + f"{url}"
    assert "secret" not in repr(url) + f"{url}"
    assert url.address == "https://me:pass@host:8080/v.mp4?X-Amz-Signature=secret"
    assert pickle.loads(pickle.dumps(url)).address == url.address
    assert url.parent.address == "https://host:8080"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("s3://", "no bucket"),
        ("https:///x", "no host"),
        ("ftp://host/x", "is no store"),
        ("rtsp://camera/1", "amiss watch"),
        ("s3://bucket/../other/x", "leads nowhere"),
        ("https://host/public/%2e%2E/private/x", "leads nowhere"),
        ("https://host/public/..%2Fprivate", "leads nowhere"),
        ("s3://KEY:SECRET@bucket/x", "keys don't belong"),
    ],
)
def test_what_is_no_store(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        located(text)
    assert "SECRET" not in str(caught.value)


def test_nothing_is_written_to_a_folder_that_only_looks_like_a_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in ("s3://bucket/x.json", Path("s3://bucket/x.json")):
        with pytest.raises(OutputError, match="this machine only"):
            write_text(path, "x")
    ran = amiss("train", "pooled", "--data", "m.csv", "--features", "f", "--out", "s3://bucket/run")
    assert ran.code == 2
    assert "not a URL" in ran.err
    assert not list(tmp_path.iterdir())


def rows(*paths: str) -> str:
    lines = [f"v{number},train,{number % 2},{path}" for number, path in enumerate(paths)]
    return "\n".join(["video_id,split,label,path", *lines]) + "\n"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("http://169.254.169.254/latest/meta-data", "in another store"),
        ("s3://other/x.mp4", "AMISS_STORAGE_ALLOW=s3://other/"),
        ("/etc/passwd", "relative to the manifest's folder"),
        ("C:\\videos\\x.mp4", "relative to the manifest's folder"),
        ("../../../x.mp4", "leads out of the store"),
        ("https://me:pass@elsewhere/x.mp4?token=secret", "in another store"),
    ],
)
def test_a_manifest_in_a_store_leads_to_its_own_store_alone(path: str, told: str) -> None:
    publish(Url("memory://place/m.csv"), rows("a.mp4", path).encode())
    with pytest.raises(ManifestError, match=told) as caught:
        read_manifest("memory://place/m.csv")
    assert "line 3" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "pass@" not in str(caught.value)


def test_paths_of_a_manifest_in_a_store() -> None:
    text = rows("../clips/a.mp4", "b\\c.mp4", "memory://place/d.mp4")
    publish(Url("memory://place/lists/m.csv"), text.encode())
    found = [str(video.path) for video in read_manifest("memory://place/lists/m.csv").videos]
    assert found == ["memory://place/clips/a.mp4", "memory://place/lists/b/c.mp4", "memory://place/d.mp4"]


def test_a_manifest_of_this_machine_leads_to_stores_that_the_user_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "m.csv").write_text(rows("s3://videos/a.mp4"))
    with pytest.raises(ManifestError, match="in another store"):
        read_manifest(tmp_path / "m.csv")
    monkeypatch.setenv("AMISS_STORAGE_ALLOW", "gs://x/ s3://videos/")
    (video,) = read_manifest(tmp_path / "m.csv").videos
    assert str(video.path) == "s3://videos/a.mp4"
    assert not is_allowed(Url("s3://videos2/a.mp4"), tmp_path)
    monkeypatch.setenv("AMISS_STORAGE_ALLOW", "s3://videos https://data.example.org")
    assert is_allowed(Url("s3://videos/a.mp4"), tmp_path)
    assert not is_allowed(Url("s3://videos2/a.mp4"), tmp_path)
    assert not is_allowed(Url("https://data.example.org.elsewhere/a.mp4"), tmp_path)
