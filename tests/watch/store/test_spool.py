"""The spool: order, bounds, damage, full disks."""

import errno
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amiss.errors import OutputError, UsageError
from amiss.watch.store import _spool as spool_module
from amiss.watch.store._spool import Spool


def put(spool: Spool, number: int, event: str | None = None, state: str = "closed", pad: int = 0) -> None:
    record: dict[str, Any] = {"n": number, "pad": "x" * pad}
    if event is not None:
        record["event"] = {"event_id": event, "state": state}
    spool.append(json.dumps(record).encode(), event_id=event, is_open=event is not None and state == "open")


def numbers(spool: Spool) -> list[int]:
    return [json.loads(entry.line)["n"] for _, entry in spool.peek(10_000)]


def on_disk(folder: Path) -> list[int]:
    return [json.loads(line)["n"] for line in (folder / "spool.jsonl").read_bytes().splitlines()]


def test_order_and_emptying(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for number in range(5):
        put(spool, number)
    assert numbers(spool) == on_disk(tmp_path) == [0, 1, 2, 3, 4]
    spool.remove([number for number, _ in spool.peek(2)])
    assert numbers(spool) == [2, 3, 4]
    spool.remove([number for number, _ in spool.peek(3)])
    assert (len(spool), spool.n_bytes, spool.waiting_s, on_disk(tmp_path)) == (0, 0, 0, [])
    assert spool.wait_empty(0)
    assert not spool.wait(0)
    spool.close()


def test_another_run_takes_up_what_was_left(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    put(spool, 1)
    put(spool, 2, "e", "open")
    put(spool, 3, "e", "open")
    node = spool.node
    spool.close()
    spool = Spool(tmp_path)
    assert numbers(spool) == [1, 3]
    assert spool.node == node
    put(spool, 4, "e")
    assert numbers(spool) == [1, 4]
    spool.close()


def test_newer_state_replaces_only_that_of_an_open_event(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    put(spool, 1, "a", "open")
    put(spool, 2, "b", "open")
    put(spool, 3, "a", "open")
    put(spool, 4, "a")
    put(spool, 5, "a")
    assert numbers(spool) == [2, 4, 5]
    spool.close()


def test_one_process_at_a_time(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with pytest.raises(UsageError, match="running twice"):
        Spool(tmp_path)
    spool.close()
    Spool(tmp_path).close()


def test_torn_and_damaged_lines_are_put_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = Spool(tmp_path)
    for number in range(3):
        put(spool, number)
    spool.close()
    path = tmp_path / "spool.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    nested = b"[" * 99_999 + b"\n"
    path.write_bytes(lines[0] + b"\xff not JSON\n" + b"[1]\n" + nested + bytes(9) + lines[1] + lines[2][:-4])
    spool = Spool(tmp_path)
    assert numbers(spool) == on_disk(tmp_path) == [0, 1]
    assert "5 damaged lines" in caplog.text
    assert len((tmp_path / "rejected.jsonl").read_text().splitlines()) == 5
    put(spool, 9)
    assert on_disk(tmp_path) == [0, 1, 9]
    spool.close()


def test_full_spool_gives_up_open_states_first_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = Spool(tmp_path, max_bytes=10_000)
    for number in range(100):
        put(spool, number, f"e{number}", "open" if number % 2 else "closed", pad=300)
    assert [n for n in numbers(spool) if n % 2 == 0] == list(range(0, 100, 2))  # every end is there
    assert spool.dropped > 0
    assert numbers(spool) == sorted(numbers(spool))
    assert spool.n_bytes > 10_000
    assert "open events dropped" in caplog.text
    assert "grown beyond" in caplog.text
    kept = numbers(spool)
    spool.close()
    spool = Spool(tmp_path, max_bytes=10_000)
    assert numbers(spool) == kept
    spool.close()


def test_file_is_compacted_while_states_of_one_event_replace_each_other(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=8_000)
    for number in range(300):
        put(spool, number, "e", "open", pad=100)
        assert (tmp_path / "spool.jsonl").stat().st_size <= 9_000
    assert numbers(spool) == [299]
    assert spool.dropped == 0
    spool.close()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="asks which files are open")
def test_file_is_compacted_where_no_open_file_can_be_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = Path.replace

    def as_on_windows(path: Path, target: Path) -> Path:
        if target in [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]:
            raise PermissionError(errno.EACCES, "used by a process")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", as_on_windows)
    test_file_is_compacted_while_states_of_one_event_replace_each_other(tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    steps=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["open", "closed", "remove", "reopen"]))),
    max_bytes=st.sampled_from([200, 1 << 20]),
)
def test_no_end_of_an_event_is_ever_lost(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str]], max_bytes: int
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    spool = Spool(folder, max_bytes)
    ends: list[int] = []
    removed: list[int] = []
    for number, (event, what) in enumerate(steps):
        if what == "remove":
            for key, entry in spool.peek(1):
                removed.append(json.loads(entry.line)["n"])
                spool.remove([key])
        elif what == "reopen":
            spool.close()
            spool = Spool(folder, max_bytes)
        else:
            put(spool, number, event, what)
            if what == "closed":
                ends.append(number)
    waiting = numbers(spool)
    assert waiting == sorted(waiting)
    assert set(ends) <= set(waiting) | set(removed)
    assert set(waiting) <= set(on_disk(folder))
    assert spool.n_bytes == sum(len(entry.line) for _, entry in spool.peek(1000))
    spool.close()


def test_disk_that_takes_nothing_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(tmp_path)
    put(spool, 1)
    real, full = spool_module.FileIO.write, True

    class Full(spool_module.FileIO):
        def write(self, data: Any) -> int:
            if full:
                real(self, data[:7])  # part of the line gets there
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(self, data)

    spool._file.close()
    spool._file = Full(spool._path, "ab")
    put(spool, 2)
    put(spool, 3)
    assert numbers(spool) == [1, 2, 3]
    assert (spool.in_memory, on_disk(tmp_path)) == (2, [1])
    assert caplog.text.count("in memory only") == 1
    full = False
    put(spool, 4)
    assert (spool.in_memory, on_disk(tmp_path)) == (0, [1, 2, 3, 4])
    spool.close()


def test_what_is_being_written_counts_as_untaken_only_when_that_takes_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path)
    real, begun, may_end = os.fsync, threading.Event(), threading.Event()

    def slow(descriptor: int) -> None:
        begun.set()
        assert may_end.wait(10)
        real(descriptor)

    monkeypatch.setattr(spool_module.os, "fsync", slow)
    thread = threading.Thread(target=put, args=(spool, 1))
    thread.start()
    assert begun.wait(10)
    assert spool.in_memory == 0
    monkeypatch.setattr(spool_module, "_SLOW_S", 0.0)
    assert spool.in_memory == 1
    may_end.set()
    thread.join()
    assert spool.in_memory == 0
    spool.close()


def test_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="spool folder"):
        Spool(tmp_path / "file" / "spool")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("needs root to mount a small tmpfs")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"can't mount a tmpfs: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.faults
def test_full_disk(small_disk: Path) -> None:
    spool = Spool(small_disk / "spool")
    with pytest.raises(OSError, match="No space"):
        (small_disk / "filler").write_bytes(bytes(1 << 20))
    for number in range(10):
        put(spool, number, pad=2000)
    assert numbers(spool) == list(range(10))
    assert spool.in_memory > 0
    (small_disk / "filler").unlink()
    put(spool, 10)
    assert spool.in_memory == 0
    spool.close()
    spool = Spool(small_disk / "spool")
    assert numbers(spool) == list(range(11))
    spool.close()


def test_wait_is_woken(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    woken: list[bool] = []
    thread = threading.Thread(target=lambda: woken.append(spool.wait(10)))
    thread.start()
    put(spool, 1)
    thread.join(5)
    assert woken == [True]
    spool.close()
