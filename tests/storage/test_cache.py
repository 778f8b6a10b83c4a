"""Copies and streams of files in stores."""

import hashlib
import os
import threading
import time
from pathlib import Path

import pytest

from amiss.storage import StorageError, StreamedFile, Url, cached, publish
from amiss.storage import _cache as cache_module
from amiss.storage import _stream as stream

MEGABYTE = 1 << 20


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AMISS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "storage"


def copies(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_copy_follows_the_file(folder: Path) -> None:
    url = Url("memory://copies/a.npy")
    publish(url, b"one")
    first = cached(url)
    assert (first.read_bytes(), first.suffix) == (b"one", ".npy")
    assert cached(url) == first
    publish(url, b"other")
    assert cached(url).read_bytes() == b"other"


def test_a_copy_by_checksum_is_checked(folder: Path) -> None:
    url = Url("memory://copies/b.npy")
    publish(url, b"right")
    with pytest.raises(StorageError, match=r"copies/b\.npy: its checksum is not the one on record"):
        cached(url, hashlib.sha256(b"wrong").hexdigest())
    assert not copies(folder)
    assert cached(url, hashlib.sha256(b"right").hexdigest()).read_bytes() == b"right"


def test_the_cache_stays_within_its_bound(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMISS_STORAGE_CACHE_MB", "10")
    urls = [Url(f"memory://copies/c{number}") for number in range(8)]
    for number, url in enumerate(urls):
        publish(url, bytes([number]) * (2 * MEGABYTE))
        os.utime(cached(url), (number, number))
        if number >= 3:  # used again and again
            cached(urls[0])
    left = copies(folder)
    assert sum(path.stat().st_size for path in left) <= 10 * MEGABYTE
    assert {path.read_bytes()[0] for path in left} >= {0, 7}
    publish(urls[0], bytes(11 * MEGABYTE))
    with pytest.raises(StorageError, match="AMISS_STORAGE_CACHE_MB"):
        cached(urls[0])


def test_what_a_killed_process_left_half_does_not_stay(folder: Path) -> None:
    url = Url("memory://copies/left")
    publish(url, b"whole")
    half = folder / "ab" / ".partial-7-left"
    half.parent.mkdir(parents=True)
    for age_s, is_there in (0, True), (100_000, False):
        half.write_bytes(b"half")
        os.utime(half, (time.time() - age_s, time.time() - age_s))
        cache_module._added.clear()  # as in a new process
        cached(url)
        assert half.exists() == is_there
        publish(url, b"whole, again")


def test_many_at_once_take_one_copy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = Url("memory://copies/d")
    publish(url, b"x" * 1000)
    fetches = []
    fetch = cache_module._fetch
    monkeypatch.setattr(cache_module, "_fetch", lambda *args: (fetches.append(1), fetch(*args)))
    threads = [threading.Thread(target=cached, args=(url,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fetches) == 1
    assert [path.read_bytes() for path in copies(folder)] == [b"x" * 1000]


def test_a_stream_reads_what_is_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_BLOCK", 1000)
    data = bytes(range(256)) * 39
    url = Url("memory://copies/e.mp4")
    publish(url, data)
    with StreamedFile(url) as file:
        assert file.read(10) == data[:10]
        assert file.seek(-5, os.SEEK_END) == len(data) - 5
        assert file.read(100) == data[-5:]
        assert file.read(10) == b""
        file.seek(995)
        assert file.read(10) == data[995:1000]  # a read ends with its block; libav asks again
        assert file.read(5) == data[1000:1005]
        file.seek(0)
        assert file.readall() == data
    assert not copies(folder)


def test_reading_here_and_there_ends_in_a_copy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_BLOCK", 1000)
    data = os.urandom(10_000)
    url = Url("memory://copies/f.avi")
    publish(url, data)
    with StreamedFile(url) as file:
        for at in (n * 1700 % 10_000 for n in range(200)):
            file.seek(at)
            assert file.read(3) == data[at : at + 3][: 1000 - at % 1000]
    assert [path.read_bytes() for path in copies(folder)] == [data]
